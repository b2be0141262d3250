//! A write that was acknowledged is kept through a loss of power; a disk that is full or fails is told and does no harm.
//! The disk is a recording one: what a real one may have lost at any moment is written out and opened again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gateway_load::claims::Claims;
use gateway_load::writers::{self, Plan};
use power_loss::{Disk, Fault, Loss, watch};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rusqlite::Connection;
use serde_json::{Value, json};
use zerocloud_gateway::{Config, check};

use crate::app::{Served, client, send};

const SEED: u64 = 20_261_125;
/// Moments in checkpoints, and as many others, at which the power fails.
const MOMENTS: usize = 10;
const LONGEST_LOAD: Duration = Duration::from_secs(30);
const CHECKPOINTS: usize = 4;
/// Few, so that the log is carried over often enough also on a busy machine.
const LOG_PAGES: u32 = 1000;

fn address(url: &str) -> std::net::SocketAddr {
    url.trim_start_matches("http://").parse().expect("an address")
}

/// The moments right before an operation of a checkpoint ends, and random ones, all behind the first acknowledgement.
fn moments(disk: &Disk, claims: &Claims, random: &mut StdRng) -> Vec<usize> {
    let (first, last) = claims.span();
    let mut moments: Vec<usize> = disk.checkpoints().into_iter().rev().take(MOMENTS / 2).collect();
    moments.extend(moments.clone().into_iter().map(|moment| moment - 1));
    moments.retain(|moment| *moment >= first);
    moments.extend((0..MOMENTS).map(|_| random.random_range(first..=last)));
    moments.push(last);
    moments
}

#[tokio::test]
async fn an_acknowledged_write_survives_a_loss_of_power() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = watch(dir.path()).expect("watched");
    let served = Served::with(Config { log_pages: LOG_PAGES, ..Config::new(dir.path()) }).await;
    let admin = address(&served.admin);
    writers::create(admin, "db").await.expect("created");
    let clock = Arc::clone(&disk);
    let claims = Arc::new(Claims::new(Box::new(move || clock.now())));
    let stop = Arc::new(AtomicBool::new(false));
    let plan = Plan { admin, db: "db".to_owned(), writers: 8, seed: SEED, round: 0 };
    let began = Instant::now();
    let enough = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while disk.checkpoints().len() < CHECKPOINTS && began.elapsed() < LONGEST_LOAD {
            ticks.tick().await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (loaded, ()) = tokio::join!(writers::run(plan, Arc::clone(&claims), Arc::clone(&stop)), enough);
    loaded.expect("no refusal");
    assert!(disk.checkpoints().len() >= CHECKPOINTS, "the log was carried over while writes went on");

    let mut random = StdRng::seed_from_u64(SEED);
    let moments = moments(&disk, &claims, &mut random);
    let losses = [Loss::Unsynced, Loss::Sectors];
    for (moment, loss) in moments.into_iter().zip(losses.into_iter().cycle()) {
        let left = tempfile::tempdir().expect("a directory");
        disk.image(moment, loss, &mut random, left.path()).expect("written");
        let report = check(left.path()).expect("readable");
        assert!(report.is_clean(), "power lost at {moment}, {loss:?}: {report}");
        let again = Served::start(left.path()).await;
        let kept = claims.verify(address(&again.admin), "db", moment).await;
        let kept = kept.unwrap_or_else(|error| panic!("power lost at {moment}, {loss:?}: {error:#}"));
        assert!(kept.docs > 0, "{kept:?}");
        again.stop().await;
    }
    served.stop().await;
}

#[test]
fn the_recording_disk_loses_what_was_not_synced() {
    let mut random = StdRng::seed_from_u64(SEED);
    for (synchronous, kept) in [("OFF", 0), ("FULL", 1)] {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = watch(dir.path()).expect("watched");
        let file = dir.path().join("gateway.sqlite");
        let connection = Connection::open(&file).expect("opens");
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (n)")
            .expect("made");
        connection
            .execute_batch(&format!("PRAGMA synchronous = {synchronous}; INSERT INTO t VALUES (1)"))
            .expect("put");
        let left = tempfile::tempdir().expect("a directory");
        disk.image(disk.now(), Loss::Unsynced, &mut random, left.path()).expect("written");
        let again = Connection::open(left.path().join("gateway.sqlite")).expect("opens");
        let count: i64 = again.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).expect("read");
        assert_eq!(count, kept, "synchronous = {synchronous}");
    }
}

#[tokio::test]
async fn a_full_or_failing_disk_is_told_and_nothing_acknowledged_is_lost() {
    for (fault, status) in [(Fault::Full, 507), (Fault::Writes, 507), (Fault::Syncs, 500)] {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = watch(dir.path()).expect("watched");
        let served = Served::start(dir.path()).await;
        let (client, db) = (client(), format!("{}/db", served.admin));
        assert_eq!(send(client.put(format!("{db}/")).json(&json!({}))).await.0, 201);
        assert_eq!(send(client.put(format!("{db}/before")).json(&json!({"n": 1}))).await.0, 201);
        disk.set_fault(fault);
        let docs: Vec<Value> = (0..50).map(|n| json!({"_id": format!("lost{n}"), "text": "x".repeat(5000)})).collect();
        let (refused, answer) = send(client.post(format!("{db}/_bulk_docs")).json(&json!({"docs": docs}))).await;
        assert_eq!(refused, status, "{fault:?}: {answer}");
        let (_, feed) = send(client.get(format!("{db}/_changes"))).await;
        assert_eq!(feed["results"].as_array().map(Vec::len), Some(1), "{fault:?}: what is not stored is not told");
        assert_eq!(send(client.get(format!("{db}/before"))).await.0, 200, "{fault:?}: reading goes on");
        disk.set_fault(Fault::None);
        assert_eq!(
            send(client.put(format!("{db}/after")).json(&json!({"n": 2}))).await.0,
            201,
            "{fault:?}: it recovers"
        );
        let left = tempfile::tempdir().expect("a directory");
        disk.image(disk.now(), Loss::Unsynced, &mut StdRng::seed_from_u64(SEED), left.path()).expect("written");
        for directory in [dir.path(), left.path()] {
            let report = check(directory).expect("readable");
            assert!(report.is_clean() && report.documents == 2, "{fault:?}: {report}");
        }
        served.stop().await;
    }
}
