//! The catalog's log: definitions and the lives of jobs, as records of the internal topic
//! `__catalog`. Reading it from the start rebuilds everything that was defined.
//!
//! A record's value is a JSON object with a `version`; the checksum is that of the record
//! batch around it. A newer version is refused rather than half understood.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{Isolation, LogError, LogStore, PartitionLog, append_durably};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, DecompressionLimits, NewRecord, split,
};
use thalweg_core::time::Millis;

/// Name of the topic.
pub(super) const CATALOG_TOPIC: &str = "__catalog";

/// The newest version of a record that this program reads. 2: [`CatalogEvent::JobRestarted`].
const VERSION: u32 = 2;

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// One thing that happened to the catalog.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CatalogEvent {
    /// A statement that defines or drops something was carried out.
    Definition {
        /// The statement.
        sql: String,
        /// Current catalog when it was said.
        catalog: String,
        /// Current database when it was said.
        database: String,
    },
    /// A job was started. For a materialized view the statement defines it, too.
    JobStarted {
        /// The job.
        job: u64,
        /// Its name.
        name: String,
        /// The statement that it runs.
        sql: String,
        /// Current catalog when it was said.
        catalog: String,
        /// Current database when it was said.
        database: String,
        /// The session's settings that it was planned with.
        settings: BTreeMap<String, String>,
        /// Its parallelism.
        parallelism: usize,
    },
    /// A job that was stopped was started again.
    JobRestarted {
        /// The job.
        job: u64,
    },
    /// A job ended and is not to be resumed.
    JobEnded {
        /// The job.
        job: u64,
        /// Why.
        reason: EndReason,
    },
}

/// Why a job is not to be resumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// All its input ended.
    Finished,
    /// Somebody stopped it; it can be started again.
    Stopped,
    /// Its view was dropped, or it was cancelled: its state goes.
    Dropped,
}

#[derive(Serialize, Deserialize)]
struct Versioned {
    version: u32,
    #[serde(flatten)]
    event: serde_json::Value,
}

/// Appends to the catalog's log.
pub struct CatalogLog {
    log: Arc<dyn PartitionLog>,
    appending: Mutex<()>,
}

impl CatalogLog {
    /// Opens the topic, creating it where it is missing, and reads all that happened.
    ///
    /// # Errors
    /// The log's, and a record of a newer version or of no version at all.
    pub fn open(store: &dyn LogStore) -> anyhow::Result<(Self, Vec<CatalogEvent>)> {
        let config = [("retention.ms".to_owned(), "-1".to_owned())];
        match store.create_topic(CATALOG_TOPIC, 1, &config) {
            Ok(_) | Err(LogError::TopicExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let log = store.partition(CATALOG_TOPIC, 0)?;
        let mut events = Vec::new();
        let mut next = log.offsets().start;
        while next < log.offsets().high_watermark {
            next = read(log.as_ref(), next, &mut events)?;
        }
        Ok((Self { log, appending: Mutex::new(()) }, events))
    }

    /// Appends events together: all of them are durable when this returns, and after a
    /// crash before there are all or none.
    ///
    /// # Errors
    /// The log's; then none was appended.
    pub fn append(&self, events: &[CatalogEvent], now: Millis) -> anyhow::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut batch = BatchBuilder::new(Compression::None);
        for event in events {
            let value = Some(encode(event)?);
            let value = value.as_deref();
            batch.push(&NewRecord { timestamp: now, value, ..NewRecord::default() })?;
        }
        let batch = batch.build()?;
        let _one_at_a_time = self.appending.lock();
        append_durably(self.log.as_ref(), batch)?;
        Ok(())
    }
}

impl std::fmt::Debug for CatalogLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CatalogLog")
    }
}

fn read(
    log: &dyn PartitionLog,
    from: Offset,
    events: &mut Vec<CatalogEvent>,
) -> anyhow::Result<Offset> {
    let bytes = log.read(from, READ_BYTES, Isolation::ReadCommitted)?;
    let mut next = from;
    let mut scratch = Vec::new();
    for batch in split(&bytes) {
        let batch = batch?;
        for record in batch.records(&mut scratch, &DecompressionLimits::default())? {
            let record = record?;
            if record.offset >= from {
                let event = decode(record.value.unwrap_or_default()).map_err(|error| {
                    anyhow::anyhow!("{CATALOG_TOPIC} offset {}: {error}", record.offset)
                })?;
                events.push(event);
            }
            next = record.offset + 1;
        }
    }
    anyhow::ensure!(next > from, "{CATALOG_TOPIC}: nothing readable at offset {from}");
    Ok(next)
}

fn encode(event: &CatalogEvent) -> anyhow::Result<Vec<u8>> {
    // The lowest that knows it, so that an older program reads what it can.
    let version = match event {
        CatalogEvent::JobRestarted { .. } => 2,
        _ => 1,
    };
    Ok(serde_json::to_vec(&Versioned { version, event: serde_json::to_value(event)? })?)
}

fn decode(value: &[u8]) -> anyhow::Result<CatalogEvent> {
    let versioned: Versioned = serde_json::from_slice(value)?;
    anyhow::ensure!(
        versioned.version <= VERSION,
        "the record has version {}, this program reads up to {VERSION}; run a newer one",
        versioned.version
    );
    Ok(serde_json::from_value(versioned.event)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records as versions 1 and 2 wrote them: they must be read for ever.
    const FIXTURE: &str = include_str!("../../tests/fixtures/catalog-v1.jsonl");
    const FIXTURE_2: &str = include_str!("../../tests/fixtures/catalog-v2.jsonl");

    fn events() -> Vec<CatalogEvent> {
        let settings = BTreeMap::from([("parallelism.default".to_owned(), "2".to_owned())]);
        vec![
            CatalogEvent::Definition {
                sql: "CREATE TABLE t (a INT) WITH ('connector' = 'blackhole')".to_owned(),
                catalog: "default_catalog".to_owned(),
                database: "default_database".to_owned(),
            },
            CatalogEvent::JobStarted {
                job: 7,
                name: "insert-into_t".to_owned(),
                sql: "INSERT INTO t SELECT * FROM t".to_owned(),
                catalog: "default_catalog".to_owned(),
                database: "db".to_owned(),
                settings,
                parallelism: 2,
            },
            CatalogEvent::JobEnded { job: 7, reason: EndReason::Finished },
            CatalogEvent::JobEnded { job: 8, reason: EndReason::Stopped },
            CatalogEvent::JobRestarted { job: 8 },
        ]
    }

    #[test]
    fn every_version_is_read_as_it_was_written() {
        let lines = || FIXTURE.lines().chain(FIXTURE_2.lines());
        let read: Vec<CatalogEvent> =
            lines().map(|line| decode(line.as_bytes()).expect("event")).collect();
        assert_eq!(read, events());
        for (line, event) in lines().zip(events()) {
            let written: serde_json::Value =
                serde_json::from_slice(&encode(&event).expect("encoded")).expect("json");
            assert_eq!(written, serde_json::from_str::<serde_json::Value>(line).expect("json"));
        }
    }

    #[test]
    fn a_newer_version_is_refused() {
        let error = decode(br#"{"version":3,"kind":"something_new"}"#).expect_err("refused");
        assert!(error.to_string().contains("version 3"), "{error}");
        assert!(decode(b"not json").is_err());
    }
}
