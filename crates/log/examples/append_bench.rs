//! Measures appends until durable, and reading them back.
//!
//! `cargo run --release -p thalweg-log --example append_bench -- [DIR] [BATCH_BYTES]
//! [MEGABYTES] [IN_FLIGHT] [PARTITIONS]`
#![allow(clippy::print_stdout, reason = "a command-line tool")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use thalweg_core::env::Env;
use thalweg_core::partition_log::{Isolation, LogStore, PartitionLog};
use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};
use thalweg_log::{Log, LogOptions};

type AnyError = Box<dyn std::error::Error>;

struct Settings {
    dir: PathBuf,
    batch_bytes: usize,
    total_bytes: usize,
    in_flight: usize,
    partitions: usize,
}

fn settings() -> Settings {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| {
        arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let dir = arguments.first().map_or_else(
        || std::env::temp_dir().join(format!("append-bench-{}", std::process::id())),
        PathBuf::from,
    );
    Settings {
        dir,
        batch_bytes: number(1, 16 << 10),
        total_bytes: number(2, 256) << 20,
        in_flight: number(3, 1).max(1),
        partitions: number(4, 1).max(1),
    }
}

fn main() -> Result<(), AnyError> {
    let settings = settings();
    let env = Env::real();
    let log = Log::open(env.clone(), &settings.dir, LogOptions::default())?;
    let name = format!("bench-{:016x}", env.random.next_u64());
    log.create_topic(&name, settings.partitions as i32, &[])?;
    let partitions = (0..settings.partitions)
        .map(|number| log.partition(&name, number as i32))
        .collect::<Result<Vec<_>, _>>()?;
    let batch = kilobyte_records(settings.batch_bytes)?;
    append(&env, &settings, &partitions, &batch)?;
    read(&env, &partitions)?;
    let syncs = log.sync_stats();
    println!(
        "syncs: {} of {:.3} ms on average, {:.3} ms the longest",
        syncs.count,
        syncs.total_ns as f64 / syncs.count.max(1) as f64 / 1e6,
        syncs.longest_ns as f64 / 1e6
    );
    log.delete_topic(&name)?;
    log.close()?;
    Ok(())
}

fn kilobyte_records(batch_bytes: usize) -> Result<Bytes, AnyError> {
    let value = [b'x'; 1000];
    let mut builder = BatchBuilder::new(Compression::None);
    while builder.is_empty() || builder.size_bytes() + value.len() < batch_bytes {
        let record = NewRecord { timestamp: 1, value: Some(&value), ..NewRecord::default() };
        builder.push(&record)?;
    }
    Ok(builder.build()?)
}

fn append(
    env: &Env,
    settings: &Settings,
    partitions: &[Arc<dyn PartitionLog>],
    batch: &Bytes,
) -> Result<(), AnyError> {
    let count = (settings.total_bytes / batch.len()).max(1);
    let (acknowledged, acknowledgements) = sync_channel(settings.in_flight + 1);
    let mut latencies = Vec::with_capacity(count);
    let start = env.clock.monotonic_ns();
    for number in 0..count {
        if number >= settings.in_flight {
            latencies.push(acknowledgements.recv()??);
        }
        let partition = &partitions[number % partitions.len()];
        let sent = env.clock.monotonic_ns();
        let appended = partition.append(Bytes::copy_from_slice(batch))?;
        let (acknowledged, clock) = (acknowledged.clone(), env.clock.clone());
        partition.when_durable(
            appended.next_offset,
            Box::new(move |outcome| {
                let latency = clock.monotonic_ns() - sent;
                let _ = acknowledged.send(outcome.map(|()| latency));
            }),
        );
    }
    for _ in 0..settings.in_flight.min(count) {
        latencies.push(acknowledgements.recv()??);
    }
    let seconds = (env.clock.monotonic_ns() - start) as f64 / 1e9;
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] as f64 / 1e6;
    println!(
        "append: {count} batches of {} bytes, {} in flight, {} partitions: {:.1} MB/s, \
         p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms",
        batch.len(),
        settings.in_flight,
        partitions.len(),
        (count * batch.len()) as f64 / 1e6 / seconds,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}

fn read(env: &Env, partitions: &[Arc<dyn PartitionLog>]) -> Result<(), AnyError> {
    let start = env.clock.monotonic_ns();
    let mut total = 0;
    for partition in partitions {
        let mut next = 0;
        loop {
            let bytes = partition.read(next, 1 << 20, Isolation::ReadUncommitted)?;
            for batch in thalweg_core::record_batch::split(&bytes) {
                next = batch?.header().next_offset();
            }
            if bytes.is_empty() {
                break;
            }
            total += bytes.len();
        }
    }
    let seconds = (env.clock.monotonic_ns() - start) as f64 / 1e9;
    println!("read: {:.1} MB/s", total as f64 / 1e6 / seconds);
    Ok(())
}
