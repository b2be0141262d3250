//! The gateway as a process: started, measured, killed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const TICKS_PER_SECOND: f64 = 100.0;
/// Longest time a gateway may take to open its file.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running gateway; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Process id.
    pub id: u32,
    /// Public port.
    pub public: SocketAddr,
    /// Admin port.
    pub admin: SocketAddr,
}

impl Process {
    /// Starts a gateway on a directory and waits until it is ready.
    pub async fn start(program: &Path, data: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.arg("serve").arg("--data").arg(data).args(["--public", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.env_remove("RUST_LOG").stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let stderr = child.stderr.take().context("no stderr")?;
        let mut lines = BufReader::new(stderr).lines();
        let ready = async {
            let mut said = String::new();
            while let Some(line) = lines.next_line().await? {
                if line.contains(" ready ") {
                    return Ok(line);
                }
                said.push_str(&line);
            }
            anyhow::bail!("the gateway ended: {said}")
        };
        let line = tokio::time::timeout(PATIENCE, ready).await.context("the gateway is not ready in time")??;
        let address = |name: &str| -> anyhow::Result<SocketAddr> {
            let text = line.split(name).nth(1).and_then(|rest| rest.split_whitespace().next());
            Ok(text.context("no address")?.parse()?)
        };
        let id = child.id().context("no process id")?;
        Ok(Self { id, public: address("public=")?, admin: address("admin=")?, child })
    }

    /// `kill -9`.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing the gateway")
    }

    /// Processor time used so far, in seconds.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        cpu(&format!("/proc/{}/stat", self.id))
    }

    /// Resident memory, in MiB: all of it, and the part that is not backed by files.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let field = |name: &str| -> anyhow::Result<f64> {
            let line = status.lines().find(|line| line.starts_with(name)).context("no such field")?;
            let kib: f64 = line.split_whitespace().nth(1).context("no value")?.parse()?;
            Ok(kib / 1024.0)
        };
        Ok((field("VmRSS:")?, field("RssAnon:")?))
    }
}

/// Processor time of this process so far, in seconds.
pub fn own_cpu() -> anyhow::Result<f64> {
    cpu("/proc/self/stat")
}

/// Processor time that the whole machine has used so far, in seconds.
pub fn machine_cpu() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("no processors")?;
    let fields: Vec<f64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, then idle and waiting, then interrupts and what the hypervisor took.
    let busy: f64 = fields.iter().take(3).chain(fields.iter().skip(5).take(3)).sum();
    Ok(busy / TICKS_PER_SECOND)
}

fn cpu(path: &str) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(path)?;
    let fields = stat.rsplit_once(')').context("no name")?.1.split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}
