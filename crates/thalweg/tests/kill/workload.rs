//! Producers that send readings all the time, and the ledger of what became of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use krafka::producer::{Producer, Record};
use krafka::{CloseOptions, Compression, KrafkaError};
use parking_lot::Mutex;
use thalweg_core::env::{Random, SeededRandom};
use tokio::sync::{Semaphore, watch};

use crate::kafka;
use crate::model::{ALERT_QUARTERS, BASE_MS, Reading};

/// The topic that all readings go to.
pub(crate) const TOPIC: &str = "temperature";
/// Its number of partitions.
pub(crate) const PARTITIONS: i32 = 3;
/// Sensors that always use the same partition: `s-<n>` partition n modulo 3.
const PINNED: u64 = 9;
/// Sensors `r-<n>` that use any partition.
const ROAMING: u64 = 2;
/// Records of one producer whose outcome is open.
const IN_FLIGHT: usize = 100;

/// What a producer was told about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing yet, or that nobody knows: it may be in the topic or not.
    Unknown,
    /// It is in the topic, at this offset where the server said which.
    Acked(Option<i64>),
    /// It never left the producer.
    NotSent,
}

/// A record handed to a producer.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) id: u64,
    /// One life of one idempotent producer, whose records keep their order; `None` where
    /// the producer is not idempotent, so that a retry may write a record twice.
    pub(crate) idempotent: Option<u64>,
    pub(crate) partition: usize,
    pub(crate) value: Bytes,
    pub(crate) outcome: Outcome,
}

/// Everything that was handed to producers, in the order of each one.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Vec<Sent>>);

impl Ledger {
    fn intend(&self, sent: Sent) -> usize {
        let mut ledger = self.0.lock();
        ledger.push(sent);
        ledger.len() - 1
    }

    fn settle(&self, index: usize, outcome: Outcome) {
        self.0.lock()[index].outcome = outcome;
    }

    pub(crate) fn entries(&self) -> Vec<Sent> {
        self.0.lock().clone()
    }
}

/// What all producers share.
pub(crate) struct Shared {
    pub(crate) address: String,
    pub(crate) ledger: Ledger,
    /// Event time of the next reading.
    clock_ms: AtomicI64,
    next_id: AtomicU64,
    next_life: AtomicU64,
    /// Mean time between two records of one producer.
    pause: Duration,
}

/// How a producer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Idempotent, tries for a minute.
    Patient(Compression),
    /// Idempotent, gives up soon, and is thrown away now and then with records open.
    Impatient,
    /// Not idempotent.
    Plain,
}

/// The producers of a run.
pub(crate) const STYLES: [Style; 4] = [
    Style::Patient(Compression::None),
    Style::Patient(Compression::Lz4),
    Style::Impatient,
    Style::Plain,
];

impl Shared {
    /// Producers that send `rate` records a second together.
    pub(crate) fn new(address: String, rate: u32) -> Self {
        Self {
            address,
            ledger: Ledger::default(),
            clock_ms: AtomicI64::new(BASE_MS),
            next_id: AtomicU64::new(1),
            next_life: AtomicU64::new(1),
            pause: Duration::from_secs(STYLES.len() as u64) / rate,
        }
    }

    /// Makes up the next record: mostly a reading on time, sometimes a late one or
    /// something that cannot be decoded.
    fn next_record(&self, random: &SeededRandom) -> (u64, usize, Bytes) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sensor, partition) = sensor(random);
        // Event time runs at about three times the speed of the clock on the wall.
        let now = self.clock_ms.fetch_add(10, Ordering::Relaxed);
        let behind = match random.below(100) {
            0..=2 => 5_000 + random.below(30_000),
            _ => random.below(1_900),
        };
        let at_ms = (now - behind as i64).max(BASE_MS);
        let quarters = 200 + random.below((ALERT_QUARTERS as u64 - 200) * 10 / 9) as i64;
        let reading = Reading { id, sensor, quarters, at_ms };
        let value = match random.below(100) {
            0 => undecodable(&reading, random),
            1 => padded(&reading),
            _ => reading.json().into_bytes(),
        };
        (id, partition, Bytes::from(value))
    }

    /// A reading on each partition, so far ahead that every window before it fires.
    pub(crate) fn closing_records(&self) -> Vec<Reading> {
        let at_ms = self.clock_ms.load(Ordering::Relaxed) + 3_600_000;
        let reading = |sensor| Reading {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            sensor: format!("s-{sensor}"),
            quarters: 280,
            at_ms,
        };
        (0..PARTITIONS).map(reading).collect()
    }
}

/// The partition that a sensor always uses, if it does.
pub(crate) fn pinned_to(sensor: &str) -> Option<usize> {
    let number: usize = sensor.strip_prefix("s-")?.parse().ok()?;
    Some(number % PARTITIONS as usize)
}

fn sensor(random: &SeededRandom) -> (String, usize) {
    let number = random.below(PINNED + ROAMING);
    match number.checked_sub(PINNED) {
        None => (format!("s-{number}"), (number % PARTITIONS as u64) as usize),
        Some(roaming) => (format!("r-{roaming}"), random.below(PARTITIONS as u64) as usize),
    }
}

/// Five ways to write a reading that no decoder can take for one; the id keeps them apart.
fn undecodable(reading: &Reading, random: &SeededRandom) -> Vec<u8> {
    let json = reading.json();
    match random.below(5) {
        0 => json.as_bytes()[..json.len() - 12].to_vec(),
        1 => format!("reading {} is lost", reading.id).into_bytes(),
        2 => json.replace("\"celsius\": ", "\"celsius\": \"hot\", \"was\": ").into_bytes(),
        3 => json.replace("2026-", "yesterday-").into_bytes(),
        _ => [b"\xff\xfe".as_slice(), json.as_bytes()].concat(),
    }
}

/// A reading with a column that nobody asked for, so that segments fill up.
fn padded(reading: &Reading) -> Vec<u8> {
    let note = "x".repeat(6_000);
    reading.json().replacen('{', &format!("{{\"note\": \"{note}\", "), 1).into_bytes()
}

/// Sends until told to stop, then waits for the open records.
pub(crate) async fn produce(
    shared: Arc<Shared>,
    style: Style,
    random: SeededRandom,
    mut stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        let life = shared.next_life.fetch_add(1, Ordering::Relaxed);
        let producer = tokio::select! {
            producer = build(&shared.address, style) => producer,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let records = match style {
            Style::Impatient => 50 + random.below(400),
            Style::Patient(_) | Style::Plain => u64::MAX,
        };
        let idempotent = (style != Style::Plain).then_some(life);
        let permits = Arc::new(Semaphore::new(IN_FLIGHT));
        for _ in 0..records {
            let room = Arc::clone(&permits).acquire_owned();
            let permit = tokio::select! {
                permit = room => permit.expect("never closed"),
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let (id, partition, value) = shared.next_record(&random);
            let sent =
                Sent { id, idempotent, partition, value: value.clone(), outcome: Outcome::Unknown };
            let index = shared.ledger.intend(sent);
            let record = Record::new(TOPIC, value).partition(partition as i32);
            match producer.enqueue(record).await {
                Ok(delivery) => {
                    let shared = Arc::clone(&shared);
                    tokio::spawn(async move {
                        shared.ledger.settle(index, outcome(delivery.await));
                        drop(permit);
                    });
                }
                // Nothing is queued where queueing failed.
                Err(_) => shared.ledger.settle(index, Outcome::NotSent),
            }
            let pause = shared.pause.mul_f64(random.below(2_000) as f64 / 1_000.0);
            tokio::time::sleep(pause).await;
        }
        match style {
            // Thrown away with its records open: nobody will ever know about them.
            Style::Impatient if !*stop.borrow() => {
                let _ = producer.close_with(CloseOptions::new().timeout(Duration::ZERO)).await;
            }
            // An open record that still fails is `Unknown` in the ledger.
            _ => drop(producer.close().await),
        }
        // Every outcome is in the ledger once all permits are back.
        let _ = permits.acquire_many(IN_FLIGHT as u32).await;
    }
}

/// Builds a producer, as often as it takes while the server is down.
async fn build(address: &str, style: Style) -> Producer {
    loop {
        match try_build(address, style).await {
            Ok(producer) => return producer,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn try_build(address: &str, style: Style) -> krafka::Result<Producer> {
    let (patience, delivery) = match style {
        Style::Impatient => (Duration::from_millis(400), Duration::from_millis(600)),
        Style::Patient(_) | Style::Plain => (Duration::from_secs(5), Duration::from_secs(120)),
    };
    let kafka = kafka::connect(address, patience).await?;
    let builder = kafka.producer().delivery_timeout(delivery).metrics_push(false);
    let builder = match style {
        Style::Patient(codec) => builder.compression(codec),
        Style::Impatient => builder.compression(Compression::Snappy).linger(Duration::ZERO),
        Style::Plain => builder.idempotent(false).compression(Compression::Gzip),
    };
    builder.build().await
}

fn outcome(result: krafka::Result<krafka::producer::RecordMetadata>) -> Outcome {
    match result {
        Ok(metadata) if metadata.is_success() => Outcome::Acked(Some(metadata.offset)),
        Ok(metadata) if metadata.is_persisted() => Outcome::Acked(None),
        Err(KrafkaError::DeliveryTimeout { possibly_written: false, .. }) => Outcome::NotSent,
        Ok(_) | Err(_) => Outcome::Unknown,
    }
}

/// Sends the records that end a run, each acknowledged.
pub(crate) async fn close(shared: &Shared) -> anyhow::Result<()> {
    let producer = try_build(&shared.address, Style::Patient(Compression::None)).await?;
    let life = shared.next_life.fetch_add(1, Ordering::Relaxed);
    for (partition, reading) in shared.closing_records().into_iter().enumerate() {
        let value = Bytes::from(reading.json());
        let metadata =
            producer.send(Record::new(TOPIC, value.clone()).partition(partition as i32)).await?;
        shared.ledger.intend(Sent {
            id: reading.id,
            idempotent: Some(life),
            partition,
            value,
            outcome: Outcome::Acked(Some(metadata.offset)),
        });
    }
    producer.close().await?;
    Ok(())
}
