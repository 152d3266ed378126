//! The catalog's log: definitions and the lives of jobs, as records of the internal topic
//! `__catalog`. Reading it from the start rebuilds everything that was defined.
//!
//! A record's value is a JSON object with a `version`; the checksum is that of the record
//! batch around it. A newer version is refused rather than half understood.
//!
//! At a start the log is written anew behind itself where most of it is past: what is still
//! [`live`], between a record that begins the rewriting and one that ends it with their
//! number. Only with the last one durable do these entries stand for all before them, and
//! what is before the first one is deleted; cut short, they are passed over.

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

use super::catalog_live::live;

/// Name of the topic.
pub(super) const CATALOG_TOPIC: &str = "__catalog";

/// The newest version of a record that this program reads. 2: [`CatalogEvent::JobRestarted`];
/// 3: [`Entry`].
const VERSION: u32 = 3;

/// A shorter log is not written anew.
const REWRITTEN_FROM: usize = 64;

/// Bytes of a batch of rewritten entries, about: far below what a topic takes.
const REWRITE_BATCH_BYTES: usize = 256 << 10;

/// Bytes of a segment, so that what was deleted leaves the disk.
const SEGMENT_BYTES: &str = "1048576";

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

/// A record of the log that is no event by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Entry {
    /// From here on the log is written anew.
    RewriteBegan,
    /// An event from before that still says something.
    Rewritten {
        /// The event.
        event: CatalogEvent,
    },
    /// The log is the rewritten events and what comes behind this record.
    RewriteEnded {
        /// How many they are.
        events: usize,
    },
    /// What happened.
    #[serde(untagged)]
    Event(CatalogEvent),
}

#[derive(Serialize, Deserialize)]
struct Versioned {
    version: u32,
    #[serde(flatten)]
    event: serde_json::Value,
}

/// What the log says, while it is read.
#[derive(Default)]
struct Reading {
    events: Vec<CatalogEvent>,
    /// Where the last rewriting began, and its events so far.
    rewriting: Option<(Offset, Vec<CatalogEvent>)>,
    /// Where the log starts, since everything before was written anew.
    start: Offset,
}

impl Reading {
    fn take(&mut self, offset: Offset, entry: Entry) -> anyhow::Result<()> {
        match entry {
            Entry::Event(event) => self.events.push(event),
            Entry::RewriteBegan => self.rewriting = Some((offset, Vec::new())),
            Entry::Rewritten { event } => match &mut self.rewriting {
                Some((_, events)) => events.push(event),
                None => anyhow::bail!("a rewritten entry without a beginning"),
            },
            Entry::RewriteEnded { events: number } => match self.rewriting.take() {
                Some((start, events)) if events.len() == number => {
                    (self.start, self.events) = (start, events);
                }
                _ => anyhow::bail!("the rewritten entries are not the {number} that they were"),
            },
        }
        Ok(())
    }
}

/// Appends to the catalog's log.
pub struct CatalogLog {
    log: Arc<dyn PartitionLog>,
    appending: Mutex<()>,
}

impl CatalogLog {
    /// Opens the topic, creating it where it is missing, and reads what happened, as far as
    /// it still matters. A log of which most is past is written anew.
    ///
    /// # Errors
    /// The log's, and a record of a newer version or of no version at all.
    pub fn open(store: &dyn LogStore, now: Millis) -> anyhow::Result<(Self, Vec<CatalogEvent>)> {
        let config = [("retention.ms", "-1"), ("segment.bytes", SEGMENT_BYTES)];
        let config = config.map(|(name, value)| (name.to_owned(), value.to_owned()));
        match store.create_topic(CATALOG_TOPIC, 1, &config) {
            Ok(_) | Err(LogError::TopicExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let log = store.partition(CATALOG_TOPIC, 0)?;
        let mut reading = Reading { start: log.offsets().start, ..Reading::default() };
        let mut next = reading.start;
        while next < log.offsets().high_watermark {
            next = read(log.as_ref(), next, &mut reading)?;
        }
        let Reading { mut events, mut start, .. } = reading;
        let catalog = Self { log, appending: Mutex::new(()) };
        let live = live(&events);
        let past = live.iter().filter(|live| !**live).count();
        if events.len() >= REWRITTEN_FROM && past > events.len() / 2 {
            let kept: Vec<CatalogEvent> = events
                .iter()
                .zip(&live)
                .filter(|(_, live)| **live)
                .map(|(e, _)| e.clone())
                .collect();
            match catalog.rewrite(&kept, now) {
                Ok(began) => (events, start) = (kept, began),
                // It is no worse than it was.
                Err(error) => tracing::warn!("{CATALOG_TOPIC} was not written anew: {error:#}"),
            }
        }
        // Also what an earlier process could not delete any more.
        if start > catalog.log.offsets().start
            && let Err(error) = catalog.log.delete_before(start)
        {
            tracing::warn!("what is past of {CATALOG_TOPIC} was not deleted: {error}");
        }
        Ok((catalog, events))
    }

    /// Writes the log anew behind itself; where that begins.
    fn rewrite(&self, events: &[CatalogEvent], now: Millis) -> anyhow::Result<Offset> {
        let rewritten = events.iter().map(|event| Entry::Rewritten { event: event.clone() });
        let ended = Entry::RewriteEnded { events: events.len() };
        let entries = std::iter::once(Entry::RewriteBegan).chain(rewritten).chain([ended]);
        let _one_at_a_time = self.appending.lock();
        let mut began = None;
        let mut batch = BatchBuilder::new(Compression::None);
        let mut bytes = 0;
        let mut flush = |batch: BatchBuilder| -> anyhow::Result<()> {
            let appended = append_durably(self.log.as_ref(), batch.build()?)?;
            began.get_or_insert(appended.base_offset);
            Ok(())
        };
        for entry in entries {
            let value = encode(&entry)?;
            if bytes > 0 && bytes + value.len() > REWRITE_BATCH_BYTES {
                flush(std::mem::replace(&mut batch, BatchBuilder::new(Compression::None)))?;
                bytes = 0;
            }
            bytes += value.len();
            batch.push(&NewRecord {
                timestamp: now,
                value: Some(&value),
                ..NewRecord::default()
            })?;
        }
        flush(batch)?;
        began.ok_or_else(|| anyhow::anyhow!("nothing was written"))
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
            let value = Some(encode(&Entry::Event(event.clone()))?);
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

fn read(log: &dyn PartitionLog, from: Offset, reading: &mut Reading) -> anyhow::Result<Offset> {
    let bytes = log.read(from, READ_BYTES, Isolation::ReadCommitted)?;
    let mut next = from;
    let mut scratch = Vec::new();
    for batch in split(&bytes) {
        let batch = batch?;
        for record in batch.records(&mut scratch, &DecompressionLimits::default())? {
            let record = record?;
            if record.offset >= from {
                decode(record.value.unwrap_or_default())
                    .and_then(|entry| reading.take(record.offset, entry))
                    .map_err(|error| {
                        anyhow::anyhow!("{CATALOG_TOPIC} offset {}: {error}", record.offset)
                    })?;
            }
            next = record.offset + 1;
        }
    }
    anyhow::ensure!(next > from, "{CATALOG_TOPIC}: nothing readable at offset {from}");
    Ok(next)
}

fn encode(entry: &Entry) -> anyhow::Result<Vec<u8>> {
    // The lowest that knows it, so that an older program reads what it can.
    let version = match entry {
        Entry::Event(CatalogEvent::JobRestarted { .. }) => 2,
        Entry::Event(_) => 1,
        _ => 3,
    };
    Ok(serde_json::to_vec(&Versioned { version, event: serde_json::to_value(entry)? })?)
}

fn decode(value: &[u8]) -> anyhow::Result<Entry> {
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

    /// Records as versions 1 to 3 wrote them: they must be read for ever.
    const FIXTURE: &str = include_str!("../../tests/fixtures/catalog-v1.jsonl");
    const FIXTURE_2: &str = include_str!("../../tests/fixtures/catalog-v2.jsonl");
    const FIXTURE_3: &str = include_str!("../../tests/fixtures/catalog-v3.jsonl");

    fn entries() -> Vec<Entry> {
        let settings = BTreeMap::from([("parallelism.default".to_owned(), "2".to_owned())]);
        let table = CatalogEvent::Definition {
            sql: "CREATE TABLE t (a INT) WITH ('connector' = 'blackhole')".to_owned(),
            catalog: "default_catalog".to_owned(),
            database: "default_database".to_owned(),
        };
        let events = vec![
            table.clone(),
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
        ];
        let rewriting = vec![
            Entry::RewriteBegan,
            Entry::Rewritten { event: table },
            Entry::RewriteEnded { events: 1 },
        ];
        events.into_iter().map(Entry::Event).chain(rewriting).collect()
    }

    #[test]
    fn every_version_is_read_as_it_was_written() {
        let lines = || FIXTURE.lines().chain(FIXTURE_2.lines()).chain(FIXTURE_3.lines());
        let read: Vec<Entry> =
            lines().map(|line| decode(line.as_bytes()).expect("an entry")).collect();
        assert_eq!(read, entries());
        for (line, entry) in lines().zip(entries()) {
            let written: serde_json::Value =
                serde_json::from_slice(&encode(&entry).expect("encoded")).expect("json");
            assert_eq!(written, serde_json::from_str::<serde_json::Value>(line).expect("json"));
        }
    }

    #[test]
    fn a_rewriting_counts_only_once_it_is_whole() {
        let read = |entries: &[Entry]| {
            let mut reading = Reading::default();
            for (offset, entry) in entries.iter().enumerate() {
                reading.take(offset as Offset, entry.clone())?;
            }
            anyhow::Ok((reading.start, reading.events.len()))
        };
        let entries = entries();
        assert_eq!(read(&entries).expect("read"), (5, 1));
        assert_eq!(read(&entries[..7]).expect("read"), (0, 5));
        // What was cut short is passed over by the next one.
        let again = [&entries[..7], &entries[..2], &entries[5..]].concat();
        assert_eq!(read(&again).expect("read"), (9, 1));
        let fewer = [&entries[..6], &entries[7..]].concat();
        assert!(read(&fewer).is_err());
        assert!(read(&entries[6..]).is_err());
    }

    #[test]
    fn a_newer_version_is_refused() {
        let error = decode(br#"{"version":4,"kind":"something_new"}"#).expect_err("refused");
        assert!(error.to_string().contains("version 4"), "{error}");
        assert!(decode(b"not json").is_err());
    }
}
