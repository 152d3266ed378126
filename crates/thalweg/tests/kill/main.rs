//! The kill -9 loop: the real binary is killed at random moments, also while it starts,
//! and started again on the same data, while producers send, jobs run and readers read.
//! At the end everything is compared with what was sent and with a batch computation.
//!
//! It speaks the Kafka and the PostgreSQL protocol only and knows nothing of the inside:
//! `THALWEG_KILL_COMMAND` puts another server in its place. A kill keeps what the system
//! has in its page cache, so this is about recovery; that syncs happen is for the
//! simulated disk.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a user from outside: real processes, real files, a report on the terminal"
)]

mod checker;
mod crowd;
mod group;
mod kafka;
mod model;
mod objects;
mod observer;
mod server;
mod settings;
mod sql;
mod transactor;
mod verify;
mod workload;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use thalweg_core::env::Random;

use crate::crowd::Crowd;
use crate::server::{Addresses, Server};
use crate::settings::{Settings, exponential};
use crate::transactor::TRANSFERS;
use crate::verify::Evidence;
use crate::workload::{PARTITIONS, TOPIC};

/// Parts of the run's randomness.
const KILLER: u64 = 0;
const JOBS: u64 = 1;

#[test]
fn survives_kill_9() {
    // Only for a seed where none is given: a run with one repeats its decisions.
    let entropy = RandomState::new().build_hasher().finish();
    let settings = Settings::from_environment(option_env!("CARGO_BIN_EXE_thalweg"), entropy)
        .expect("settings");
    println!("seed {}; to run it again:\n  {}", settings.seed, settings.replay());
    let directory = tempfile::Builder::new()
        .prefix("thalweg-kill-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a directory for the data");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let result = runtime.block_on(run(&settings, directory.path()));
    runtime.shutdown_timeout(Duration::from_secs(5));
    if let Err(error) = result {
        let kept = directory.keep();
        panic!(
            "{error:#}\n\ndata and server.log are in {}\nto run it again:\n  {}",
            kept.display(),
            settings.replay()
        );
    }
}

/// The whole run. An error says what was violated.
async fn run(settings: &Settings, directory: &Path) -> anyhow::Result<()> {
    let mut server = Server::new(&settings.command, settings.port, directory);
    server.start()?;
    server.ready(settings.deadline).await?;
    let addresses = server.addresses().clone();
    let topics = prepare(settings, &addresses).await?;
    let mut crowd = Crowd::start(settings, &addresses, &topics);

    kill_again_and_again(settings, &mut server, &crowd).await?;

    let stopped = crowd.stop_changes(settings.deadline).await;
    stopped.with_context(|| format!("stopping producers:\n{}", server.log_tail()))?;
    let evidence = Evidence { settings, addresses: &addresses, topics: &topics, crowd: &crowd };
    evidence.check().await.with_context(|| server.log_tail())?;
    evidence.check_group().await.with_context(|| server.log_tail())?;
    crowd.stop_readers().await;
    let evidence = Evidence { settings, addresses: &addresses, topics: &topics, crowd: &crowd };

    server.stop(settings.deadline).await?;
    server.start()?;
    server.ready(settings.deadline).await?;
    evidence.check().await.context("after a clean stop and a start")?;
    if settings.sql {
        server.stop(settings.deadline).await?;
        match server.remove_snapshots()? {
            Some(jobs) => println!("journals of {jobs} jobs are replayed from their beginning"),
            None => println!("journals may be cut already: they are not replayed as a whole"),
        }
        server.start()?;
        server.ready(settings.deadline).await.context("replaying the whole journals")?;
        evidence.check().await.context("after a replay of the whole journals")?;
    }
    println!("{}", evidence.summary());
    Ok(())
}

/// Makes the topics and starts the jobs; gives the topics that readers follow.
async fn prepare(settings: &Settings, addresses: &Addresses) -> anyhow::Result<Vec<String>> {
    let client = kafka::connect(&addresses.kafka, Duration::from_secs(10)).await?;
    // Small, so that they roll; Apache Kafka takes no smaller one than a mebibyte.
    let segment = if settings.port.is_some() { 1 << 20 } else { 1 << 16 };
    kafka::create_topic(&client, TOPIC, PARTITIONS, segment).await?;
    kafka::create_topic(&client, TRANSFERS, transactor::PARTITIONS, segment).await?;
    let mut topics = vec![TOPIC.to_owned()];
    if settings.sql {
        for output in sql::OUTPUTS {
            kafka::create_topic(&client, output, 2, segment).await?;
            topics.push(output.to_owned());
        }
        sql::start_jobs(&addresses.sql, &settings.random(JOBS)).await?;
    }
    Ok(topics)
}

/// Kills and starts the server, as often as the settings say. It runs at the end.
async fn kill_again_and_again(
    settings: &Settings,
    server: &mut Server,
    crowd: &Crowd,
) -> anyhow::Result<()> {
    let random = settings.random(KILLER);
    let mut during_start = 0;
    for kill in 1..=settings.kills {
        tokio::time::sleep(exponential(&random, settings.mean_run)).await;
        server.kill().with_context(|| format!("before kill {kill}"))?;
        let promised = crowd.promised();
        start_otherwise(server, &random)?;
        // One in four dies again before it is ready, or shortly after.
        while random.below(4) == 0 {
            during_start += 1;
            tokio::time::sleep(exponential(&random, Duration::from_millis(30))).await;
            server.kill().with_context(|| format!("while starting after kill {kill}"))?;
            start_otherwise(server, &random)?;
        }
        let ready = server.ready(settings.deadline).await;
        ready.with_context(|| format!("starting after kill {kill}"))?;
        let kept = crowd.check_promised(&promised, server.addresses()).await;
        kept.with_context(|| format!("after kill {kill}"))?;
        crowd.seen.life.fetch_add(1, Ordering::Relaxed);
        if let Some(violation) = crowd.seen.violations().first() {
            anyhow::bail!("after kill {kill}: {violation}");
        }
    }
    println!("{} kills, {during_start} more during a start", settings.kills);
    // A full life of the last server, so that it works on with what it found.
    tokio::time::sleep(settings.mean_run).await;
    server.check_alive()
}

/// Starts the server with options that change nothing for what already runs.
fn start_otherwise(server: &mut Server, random: &dyn Random) -> anyhow::Result<()> {
    let parallelism = (1 + random.below(3)).to_string();
    server.environment = vec![("THALWEG__JOBS__PARALLELISM".to_owned(), parallelism)];
    server.start()
}
