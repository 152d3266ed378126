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
mod group;
mod kafka;
mod model;
mod observer;
mod server;
mod settings;
mod sql;
mod topics;
mod verify;
mod workload;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use krafka::consumer::IsolationLevel;
use thalweg_core::env::Random;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::group::Group;
use crate::observer::Seen;
use crate::server::Server;
use crate::settings::{Settings, exponential};
use crate::topics::Made;
use crate::workload::{PARTITIONS, STYLES, Shared, TOPIC};

/// Parts of the run's randomness.
const KILLER: u64 = 0;
const PRODUCERS: u64 = 100;
const READERS: u64 = 200;
const TOPICS: u64 = 300;

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
    let mut server = Server::new(&settings.command, directory);
    server.start()?;
    server.ready(settings.deadline).await?;
    let addresses = server.addresses().clone();
    let topics = prepare(settings, &addresses).await?;

    let shared = Arc::new(Shared::new(addresses.kafka.clone(), settings.rate));
    let seen = Arc::new(Seen::default());
    let (stop_producers, producing) = watch::channel(false);
    let mut producers = JoinSet::new();
    for (number, style) in STYLES.into_iter().enumerate() {
        let random = settings.random(PRODUCERS + number as u64);
        producers.spawn(workload::produce(Arc::clone(&shared), style, random, producing.clone()));
    }
    let (stop_readers, reading) = watch::channel(false);
    let mut readers = JoinSet::new();
    for (number, isolation) in
        [IsolationLevel::ReadCommitted, IsolationLevel::ReadUncommitted].into_iter().enumerate()
    {
        readers.spawn(observer::consume(
            Arc::clone(&seen),
            addresses.kafka.clone(),
            topics.clone(),
            isolation,
            settings.random(READERS + number as u64),
            reading.clone(),
        ));
    }
    let made = Arc::new(Made::default());
    let (address, random) = (addresses.kafka.clone(), settings.random(TOPICS));
    readers.spawn(topics::make(Arc::clone(&made), address, random, reading.clone()));
    let group = Arc::new(Group::default());
    for _ in 0..2 {
        let address = addresses.kafka.clone();
        readers.spawn(group::consume(Arc::clone(&group), address, reading.clone()));
    }
    if settings.sql {
        readers.spawn(observer::poll_views(Arc::clone(&seen), addresses.sql.clone(), reading));
    }

    kill_again_and_again(settings, &mut server, &seen, &group, &made).await?;

    stop_producers.send_replace(true);
    let stopped = async { while producers.join_next().await.is_some() {} };
    tokio::time::timeout(settings.deadline, stopped)
        .await
        .with_context(|| format!("producers still wait for answers:\n{}", server.log_tail()))?;
    workload::close(&shared).await.context("the closing records")?;

    let evidence =
        verify::Evidence { settings, addresses, shared: &shared, seen: &seen, group: &group };
    evidence.check(&topics).await.with_context(|| server.log_tail())?;
    evidence.check_group().await.with_context(|| server.log_tail())?;
    stop_readers.send_replace(true);
    while readers.join_next().await.is_some() {}

    server.stop(settings.deadline).await?;
    server.start()?;
    server.ready(settings.deadline).await?;
    evidence.check(&topics).await.context("after a clean stop and a start")?;
    if settings.sql {
        server.stop(settings.deadline).await?;
        let jobs = server.remove_snapshots()?;
        server.start()?;
        server.ready(settings.deadline).await.context("replaying the whole journals")?;
        evidence.check(&topics).await.context("after a replay of the whole journals")?;
        println!("journals of {jobs} jobs replayed from their beginning");
    }
    println!("{}", evidence.summary());
    Ok(())
}

/// Makes the topics and starts the jobs; gives the topics that readers follow.
async fn prepare(
    settings: &Settings,
    addresses: &server::Addresses,
) -> anyhow::Result<Vec<String>> {
    let client = kafka::connect(&addresses.kafka, Duration::from_secs(10)).await?;
    kafka::create_topic(&client, TOPIC, PARTITIONS).await?;
    let mut topics = vec![TOPIC.to_owned()];
    if settings.sql {
        for output in sql::OUTPUTS {
            kafka::create_topic(&client, output, 2).await?;
            topics.push(output.to_owned());
        }
        sql::start_jobs(&addresses.sql, &[]).await?;
    }
    Ok(topics)
}

/// Kills and starts the server, as often as the settings say. It runs at the end.
async fn kill_again_and_again(
    settings: &Settings,
    server: &mut Server,
    seen: &Seen,
    group: &Group,
    made: &Made,
) -> anyhow::Result<()> {
    let random = settings.random(KILLER);
    let mut during_start = 0;
    for kill in 1..=settings.kills {
        tokio::time::sleep(exponential(&random, settings.mean_run)).await;
        server.kill().with_context(|| format!("before kill {kill}"))?;
        // What was acknowledged by the one who just died.
        let (committed, fates) = (group.committed(), made.fates());
        server.start()?;
        // One in four dies again before it is ready, or shortly after.
        while random.below(4) == 0 {
            during_start += 1;
            tokio::time::sleep(exponential(&random, Duration::from_millis(30))).await;
            server.kill().with_context(|| format!("while starting after kill {kill}"))?;
            server.start()?;
        }
        let ready = server.ready(settings.deadline).await;
        ready.with_context(|| format!("starting after kill {kill}"))?;
        let kafka = &server.addresses().kafka;
        let stored = group::stored(kafka).await.context("stored offsets")?;
        seen.violate(checker::commits_stay(&committed, &stored));
        let listed = topics::listed(kafka).await.context("listing topics")?;
        seen.violate(checker::topics_stay(&made.fates_since(&fates), &listed));
        seen.life.fetch_add(1, Ordering::Relaxed);
        if let Some(violation) = seen.violations().first() {
            anyhow::bail!("after kill {kill}: {violation}");
        }
    }
    println!("{} kills, {during_start} more during a start", settings.kills);
    // A full life of the last server, so that it works on with what it found.
    tokio::time::sleep(settings.mean_run).await;
    server.check_alive()
}
