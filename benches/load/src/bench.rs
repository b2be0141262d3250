//! The bench: what a gateway does in a second, seen from outside, and what part of that the load itself used.

mod feeds;
mod growth;
mod reads;
mod views;
mod writes;

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use crate::http::Client;
use crate::lease;
use crate::process::{Process, machine_cpu, own_cpu};

/// Largest part of the processor time that the load may use; a run above it measures the load.
const MOST: f64 = 0.5;

/// What to measure, and how long.
#[derive(Debug, Clone)]
pub struct Bench {
    /// The gateway's program.
    pub program: PathBuf,
    /// A sync function to measure besides the small one.
    pub sync: Option<PathBuf>,
    /// Numbers of documents at which the growth is measured.
    pub sizes: Vec<usize>,
    /// Followers held at once.
    pub followers: Vec<usize>,
    /// Only measurements whose name contains this.
    pub only: String,
    /// Length of a measurement that has no end of its own.
    pub length: Duration,
}

/// A gateway with a database `db`, a user `ada` who sees all leases, and a place to print.
struct Target {
    process: Process,
    length: Duration,
    only: String,
    session: String,
    dir: tempfile::TempDir,
}

/// What a measurement found.
struct Found {
    value: f64,
    unit: &'static str,
    /// How many there were; 0 when the cost of each says nothing.
    count: usize,
    note: String,
}

impl Found {
    fn rate(count: usize, took: Duration, unit: &'static str) -> Self {
        Self { value: number(count) / took.as_secs_f64(), unit, count, note: String::new() }
    }

    fn plain(value: f64, unit: &'static str) -> Self {
        Self { value, unit, count: 0, note: String::new() }
    }

    fn seconds(took: Duration, count: usize) -> Self {
        Self { value: took.as_secs_f64(), unit: "s", count, note: String::new() }
    }

    fn noting(mut self, note: String) -> Self {
        self.note = note;
        self
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
fn number(count: usize) -> f64 {
    count as f64
}

impl Bench {
    /// Measures everything and prints a line for each.
    pub async fn run(&self) -> anyhow::Result<()> {
        println!("{}", machine()?);
        let small = self.start(lease::SYNC).await?;
        writes::fill(&small).await?;
        writes::all(&small, "").await?;
        reads::all(&small).await?;
        feeds::latency(&small).await?;
        for &count in &self.followers {
            feeds::spread(&small, count).await?;
        }
        drop(small);
        if let Some(path) = &self.sync {
            let source = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let large = self.start(&source).await?;
            writes::all(&large, ", given sync function").await?;
        }
        views::all(&self.start(lease::SYNC).await?).await?;
        growth::all(&self.start(lease::SYNC).await?, &self.sizes, &self.program).await
    }

    async fn start(&self, sync: &str) -> anyhow::Result<Target> {
        let dir = tempfile::tempdir()?;
        let process = Process::start(&self.program, dir.path()).await?;
        let mut admin = Client::connect(process.admin).await?;
        let config = json!({"sync": sync}).to_string();
        admin.request("PUT", "/db/", config.as_bytes()).await?.expect(201)?;
        let user = json!({"password": "letmein", "admin_channels": ["admin:bigdb"]}).to_string();
        admin.request("PUT", "/db/_user/ada", user.as_bytes()).await?.expect(201)?;
        let session = admin.request("POST", "/db/_session", br#"{"name": "ada"}"#).await?.expect(200)?.json()?;
        let session = session["session_id"].as_str().context("no session")?.to_owned();
        Ok(Target { process, length: self.length, only: self.only.clone(), session, dir })
    }
}

impl Target {
    fn admin(&self) -> SocketAddr {
        self.process.admin
    }

    fn public(&self) -> SocketAddr {
        self.process.public
    }

    fn data(&self) -> &Path {
        self.dir.path()
    }

    /// Whether a measurement was asked for.
    fn wants(&self, what: &str) -> bool {
        what.contains(&self.only)
    }

    /// Runs a measurement and prints its line, with the load's share of the processor time.
    async fn measure(&self, what: &str, work: impl Future<Output = anyhow::Result<Found>>) -> anyhow::Result<()> {
        let (own, theirs, machine) = (own_cpu()?, self.process.cpu()?, machine_cpu()?);
        let began = Instant::now();
        let found = work.await.with_context(|| what.to_owned())?;
        let took = began.elapsed().as_secs_f64();
        let (own, theirs, machine) = (own_cpu()? - own, self.process.cpu()? - theirs, machine_cpu()? - machine);
        let share = own / (own + theirs).max(0.001);
        let void = if share > MOST && own > 0.1 { "  VOID: the load used more than half" } else { "" };
        let busy = 100.0 * theirs / took;
        let each = match found.count {
            0 => String::new(),
            count => format!("{} µs each", shown(theirs * 1e6 / number(count))),
        };
        let others = 100.0 * (machine - own - theirs).max(0.0) / took;
        println!(
            "{what:<62}{:>9} {:<7}{each:>13}  gateway {busy:>3.0} %, load {:>2.0} % of both, others {others:>3.0} %{void}  {}",
            shown(found.value),
            found.unit,
            100.0 * share,
            found.note
        );
        Ok(())
    }
}

/// A number with as many digits as matter.
fn shown(value: f64) -> String {
    match value {
        _ if value >= 1000.0 => {
            let text = format!("{value:.0}");
            let (front, back) = text.split_at(text.len() - 3);
            format!("{front},{back}")
        }
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The value below which this part of the samples lies.
fn quantile(samples: &mut [Duration], part: f64) -> f64 {
    samples.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into a short list")]
    let index = (number(samples.len()) * part) as usize;
    samples.get(index.min(samples.len().saturating_sub(1))).map_or(0.0, Duration::as_secs_f64) * 1000.0
}

/// The day, the processors and what a sync of the disk takes.
fn machine() -> anyhow::Result<String> {
    let cores = std::thread::available_parallelism()?;
    let date = std::process::Command::new("date").arg("+%Y-%m-%d").output()?;
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let kib: f64 = memory.split_whitespace().nth(1).context("no memory size")?.parse()?;
    let mut file = tempfile::tempfile()?;
    let mut samples = Vec::new();
    for _ in 0..200 {
        std::io::Write::write_all(&mut file, &[7; 16384])?;
        let began = Instant::now();
        file.sync_data()?;
        samples.push(began.elapsed());
    }
    Ok(format!(
        "{}: {cores} processors, {:.0} GiB; a sync of 16 KiB takes {:.2} ms (median)",
        String::from_utf8_lossy(&date.stdout).trim(),
        kib / 1024.0 / 1024.0,
        quantile(&mut samples, 0.5)
    ))
}
