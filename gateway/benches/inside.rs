//! What single steps cost, without HTTP. `cargo bench -p zerocloud-gateway`; the load program measures from outside.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gateway_load::lease;
use serde_json::Value;
use tokio::runtime::Runtime;
use zerocloud_gateway::inside::{self, Inside};
use zerocloud_gateway::script::{Caller, MapFunction, SyncFunction};

const BATCH: usize = 500;

fn texts(c: &mut Criterion) {
    let text = lease::text(1);
    c.bench_function("a lease read and written as canonical text", |b| {
        b.iter(|| inside::canonical(black_box(&text)));
    });
    c.bench_function("a view's key as bytes", |b| {
        b.iter(|| inside::collated(black_box(r#"["bigdb","dev17","2026-01-05T09:12:33Z"]"#)));
    });
}

fn scripts(c: &mut Criterion) {
    let doc: Value = serde_json::from_str(&lease::text(1)).expect("JSON");
    let sync = SyncFunction::compile(lease::SYNC).expect("compiles");
    c.bench_function("the sync function on a lease, alone", |b| {
        b.iter(|| sync.run(black_box(&doc), None, &Caller::Admin));
    });
    let map = MapFunction::compile(lease::MAP).expect("compiles");
    c.bench_function("a map function on a lease, alone", |b| b.iter(|| map.map("id", black_box(&doc))));
}

fn documents(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let inside = runtime.block_on(Inside::new(dir.path(), lease::SYNC)).expect("opens");
    let mut next = 0;
    let mut group = c.benchmark_group("documents");
    group.throughput(Throughput::Elements(500)).sample_size(20);
    group.bench_function("500 stored and synced", |b| {
        let fresh = || {
            next += BATCH;
            (next - BATCH..next).map(lease::with_id).collect::<Vec<String>>()
        };
        let store = |docs: Vec<String>| runtime.block_on(inside.bulk(&docs)).expect("stored");
        b.iter_batched(fresh, store, BatchSize::PerIteration);
    });
    group.bench_function("500 of a feed", |b| b.iter(|| inside.changes(BATCH).expect("read")));
    group.throughput(Throughput::Elements(1));
    let mut n = 0;
    group.bench_function("one read by id", |b| {
        b.iter(|| {
            n = (n + 7919) % next;
            inside.get(&lease::id(n)).expect("there")
        });
    });
    group.finish();
}

criterion_group!(benches, texts, scripts, documents);
criterion_main!(benches);
