//! The process dies as by SIGKILL after each effect in turn, and a new one goes on. The list of points is the product's own.

use crate::app::{DEV, EAST, Setup, double, owned_by};
use crate::program::{Program, request};
use ec2_double::State as Ec2;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use zerocloud::failpoint::Failpoint;

/// Whole lives in seconds, so that a process with the system's clock gets through one.
fn quick() -> Setup {
    let quick = [
        ("default_lease", "5s"),
        ("max_lease", "1h"),
        ("grace", "1s"),
        ("warnings", "[2s]"),
        ("min_notice", "1s"),
        ("settle", "1s"),
        ("terminate_after", "4s"),
        ("terminate_notice", "1s"),
        ("stage_notice", "1s"),
    ];
    quick.into_iter().fold(Setup::default(), |setup, (name, value)| setup.policy(name, value))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_any_effect_no_end_is_lost_or_doubled_and_no_mail_is_lost() {
    let points: Vec<&str> = Failpoint::names().collect();
    assert!(points.len() >= 8, "{points:?}");
    let lives = points.iter().map(|point| life(point));
    futures_util::future::join_all(lives).await;
}

/// One instance from detection to its second end, with the process killed once, after `point`.
async fn life(point: &str) {
    let double = double().await;
    let aws = double.handle();
    let program = Program::new(&quick(), &double.url());
    let id = aws.at(DEV, EAST).launch(&owned_by("lin"));
    let stop = CancellationToken::new();
    let deaths = Arc::new(AtomicU32::new(0));
    let acted = async {
        let lease = format!("lease::{DEV}::{EAST}::{id}");
        wait(&program, point, "told", async || {
            program.document(&lease).await.is_some_and(|doc| doc["notified"].is_object())
        })
        .await;
        request(&program, "lin", &lease, "renew", json!({})).await;
        wait(&program, point, "stopped", async || {
            program.document(&lease).await.is_some_and(|doc| doc["state"] == "stopped")
        })
        .await;
        request(&program, "lin", &lease, "revive", json!({})).await;
        wait(&program, point, "terminated", async || {
            program.document(&lease).await.is_some_and(|doc| doc["state"] == "terminated")
        })
        .await;
        wait(&program, point, "all mail is out", async || {
            let notices = program.prefix("notice::").await;
            !notices.is_empty() && notices.iter().all(|notice| notice["status"] != "queued")
        })
        .await;
        stop.cancel();
    };
    tokio::join!(program.keep_running(point, &stop, &deaths), acted);
    assert_eq!(deaths.load(Ordering::SeqCst), 1, "{point}: the process should have died there, once");
    let count = |action: &str| aws.calls().acting().action(action).naming(&id).successful().len();
    assert_eq!(count("StopInstances"), 2, "{point}: stopped, revived, stopped");
    assert_eq!(count("TerminateInstances"), 1, "{point}");
    let state = aws.instance(&id).map_or(Ec2::Terminated, |it| it.state);
    assert!(matches!(state, Ec2::ShuttingDown | Ec2::Terminated), "{point}: {state:?}");
    let accepted = program.accepted();
    let sent: BTreeSet<String> = aws.mails().into_iter().map(|mail| mail.message_id).collect();
    let known: BTreeSet<String> = accepted.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
    assert!(known.is_subset(&sent), "{point}: a receipt without a mail");
    assert!(sent.len() - known.len() <= 1, "{point}: more than one mail was sent again");
    program.clean();
    double.stop().await;
}

async fn wait(program: &Program, point: &str, what: &str, check: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !check().await {
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(150), "{point}: waited in vain: {what}; the log:\n{}", program.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
