//! From a record in a topic to the job's output in another one, durable at each step:
//! one record at a time, then at a steady rate.
//!
//! `cargo run --release -p thalweg-engine --example latency -- [records] [directory]`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program to measure with")]
#![allow(dead_code, reason = "it borrows the tests' source and sink")]

#[path = "../tests/it/support/graph.rs"]
mod graph;
#[path = "../tests/it/support/sink.rs"]
mod sink;
#[path = "../tests/it/support/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use thalweg_core::env::Env;
use thalweg_core::partition_log::LogStore;
use thalweg_engine::{Job, JobId, JobOptions, JobServices, JobSpec};
use thalweg_log::{Log, LogOptions};
use thalweg_stream::graph::Exchange;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let records: usize = arguments.next().map_or(2_000, |records| records.parse().unwrap());
    let dir = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let temp = tempfile::tempdir_in(dir).unwrap();
    let env = Env::real();
    let log = Log::open(env.clone(), &temp.path().join("log"), LogOptions::default()).unwrap();
    for topic in ["in", "out"] {
        log.create_topic(topic, 1, &[]).unwrap();
    }
    let mut builder = graph::Builder::default();
    let source = builder.source(None);
    let keyed = builder.pass(&[(source, Exchange::Hash(vec![0]))]);
    let sink = builder.sink(keyed);
    let store: Arc<dyn LogStore> = log.clone();
    let services = JobServices {
        env: env.clone(),
        log: store.clone(),
        sources: BTreeMap::from([(
            source,
            source::TopicSource::unbounded(store.clone(), "in") as _,
        )]),
        sinks: BTreeMap::from([(sink, sink::TopicSink::new(store, "out") as _)]),
        views: BTreeMap::new(),
        late: BTreeMap::new(),
        bad: BTreeMap::new(),
        dir: temp.path().join("job"),
    };
    let (graph, options) = (builder.graph, JobOptions::default());
    let spec = JobSpec { id: JobId(1), name: "latency".into(), graph, parallelism: 1, options };
    let job = Job::start(spec, services).unwrap();
    let input = log.partition("in", 0).unwrap();
    let output = log.partition("out", 0).unwrap();

    let (moved, moves) = sync_channel(1);
    let watch = output.watch(Arc::new(move || {
        // Full: somebody is told already.
        let _ = moved.try_send(());
    }));
    let mut times = Vec::with_capacity(records);
    for number in 0..records {
        let start = env.clock.monotonic_ns();
        source::append_lines(&*input, &[format!("k,{number},{number}")], 1);
        input.when_durable(input.offsets().end, Box::new(|_| {}));
        while output.offsets().high_watermark <= number as i64 {
            moves.recv().unwrap();
        }
        times.push(env.clock.monotonic_ns() - start);
    }
    drop(watch);
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100] as f64 / 1e6;
    println!("one at a time: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms", at(50), at(90), at(99));
    let syncs = log.sync_stats();
    println!("{syncs:?}");
    job.stop();
    println!("{:?}", job.wait().state);
}
