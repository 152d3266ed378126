//! Writes the sensors' readings to the log, as a producer with acks=all would.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thalweg_core::env::{Env, JoinHandle};
use thalweg_core::partition_log::{LogStore, append_durably};
use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};
use thalweg_core::time::Millis;

use super::{INPUT_TOPIC, PARTITIONS, Reading, ReadingKind, Sensors};
use crate::node::Node;

/// Time between two readings of a sensor.
const PERIOD: Duration = Duration::from_millis(200);

/// Seed of the sensors: every quickstart plays the same weather.
const SEED: u64 = 20;

/// What was written and acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Produced {
    /// All records.
    pub records: u64,
    /// Those made to come too late.
    pub late: u64,
    /// Those made unreadable.
    pub unreadable: u64,
    /// Readings above the threshold of the alerts.
    pub hot: u64,
}

/// The running sensors.
pub struct Feeder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle,
    outcome: std::sync::mpsc::Receiver<Produced>,
}

impl std::fmt::Debug for Feeder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Feeder")
    }
}

impl Feeder {
    /// Creates the topic and starts the sensors.
    ///
    /// # Errors
    /// The topic cannot be created, or no thread can be had.
    pub fn start(node: &Node, sensors: usize) -> anyhow::Result<Self> {
        let log = node.log();
        log.create_topic(INPUT_TOPIC, PARTITIONS, &[])?;
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, outcome) = std::sync::mpsc::channel();
        let env = node.env().clone();
        let thread = node.env().spawn.spawn("sensors", {
            let stop = Arc::clone(&stop);
            Box::new(move || {
                let produced = feed(&env, log.as_ref(), sensors, &stop);
                let _ = sender.send(produced);
            })
        })?;
        Ok(Self { stop, thread, outcome })
    }

    /// Stops the sensors and says what they wrote.
    pub fn stop(self) -> Produced {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join();
        self.outcome.recv().unwrap_or_default()
    }
}

fn feed(env: &Env, log: &dyn LogStore, sensors: usize, stop: &AtomicBool) -> Produced {
    let mut sensors = Sensors::new(sensors, SEED);
    let mut produced = Produced::default();
    while !stop.load(Ordering::Relaxed) {
        let now = env.clock.wall_ms();
        for (index, reading) in sensors.read(now).into_iter().enumerate() {
            let partition = index as i32 % PARTITIONS;
            if let Err(error) = write(log, partition, &reading, now) {
                tracing::warn!("a reading was not written: {error:#}");
                continue;
            }
            produced.records += 1;
            produced.hot += u64::from(reading.kind != ReadingKind::Unreadable && reading.is_hot);
            match reading.kind {
                ReadingKind::Good => {}
                ReadingKind::Late => produced.late += 1,
                ReadingKind::Unreadable => produced.unreadable += 1,
            }
        }
        env.clock.sleep(PERIOD);
    }
    produced
}

fn write(log: &dyn LogStore, partition: i32, reading: &Reading, now: Millis) -> anyhow::Result<()> {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(&NewRecord {
        timestamp: now,
        key: Some(reading.key.as_bytes()),
        value: Some(reading.value.as_bytes()),
        headers: &[],
    })?;
    append_durably(log.partition(INPUT_TOPIC, partition)?.as_ref(), batch.build()?)?;
    Ok(())
}
