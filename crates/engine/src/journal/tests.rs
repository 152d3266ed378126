//! Journal records and snapshot meta keep their bytes: fixtures of every version are read
//! for ever. `THALWEG_WRITE_FIXTURES=1` writes those of the current version, once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::env::{Env, OpenMode, read_file};
use thalweg_core::ids::{Epoch, Incarnation, Offset, ProducerId, TopicId, TopicPartition};
use thalweg_core::partition_log::{
    AbortedTransaction, Appended, DurableCallback, Isolation, LogError, LogOffsets, PartitionLog,
    ProducerPosition, Waker, Watch,
};
use thalweg_core::time::Millis;
use thalweg_stream::source::SplitInfo;

use super::*;
use crate::epoch::{EpochInput, Event, SplitRange};
use crate::error::JobError;
use crate::ledger::{Ledger, PinPoint, SplitState};
use crate::snapshot::SnapshotMeta;
use crate::status::Totals;
use crate::watermark::ChannelEnd;

fn header() -> Header {
    Header {
        incarnation: Incarnation(3),
        result_version: 1,
        plan_fingerprint: 0x0123_4567_89ab_cdef,
        plan: "0 source\n1 sink\n".into(),
        parallelism: 2,
        key_groups: 128,
        time_zone_version: "2026a".into(),
        sinks: vec![SinkPin {
            key: "sink:out".into(),
            partitions: 4,
            producer: ProducerId((1 << 62) | 77),
        }],
        views: vec!["c.d.v".into()],
        sources: vec!["in".into()],
        started_at: 1_700_000_000_000,
        job: "averages".into(),
    }
}

fn totals() -> Totals {
    Totals { rows_in: 300, rows_out: 7, late: 2, bad: 1, bytes_in: 4096 }
}

fn entry() -> EpochEntry {
    let new = |id: &str, end| Event::NewSplit {
        source: 0,
        id: id.into(),
        fingerprint: "f".into(),
        start: 5,
        end,
    };
    let chunk = |partition, place| ChunkRecord {
        sink: 0,
        subtask: 1,
        partition,
        first_sequence: 1 << 40,
        count: 3,
        len: 3,
        hash: u64::MAX - 1,
        place,
    };
    EpochEntry {
        incarnation: Incarnation(3),
        input: EpochInput {
            epoch: Epoch(42),
            now: 1_700_000_000_123,
            last: true,
            events: vec![
                new("0", None),
                new("1", Some(9)),
                Event::Idle(0),
                Event::EndOfSplit(1),
                Event::Skip { split: 0, to: 17 },
            ],
            ranges: vec![SplitRange { split: 1, from: 5, to: 9, bytes: 4096 }],
        },
        published_through: Epoch(40),
        totals: totals(),
        watermark: -1,
        chunks: vec![
            chunk(0, ChunkPlace::Inline(Bytes::from_static(b"abc"))),
            chunk(3, ChunkPlace::Staged { file: 0, offset: 1 << 33 }),
        ],
        staged: vec![StagedFile { name: "00000003-00000000.staged".into(), len: 1 << 34 }],
        views: vec![ViewRecord { view: 0, count: 4, hash: 99 }],
    }
}

fn meta() -> SnapshotMeta {
    let split = |id: &str, finished: bool| SplitState {
        source: 0,
        info: SplitInfo { id: id.into(), fingerprint: "f".into(), start: 5, end: Some(9) },
        position: 9,
        watermark: 1234,
        idle: !finished,
        finished,
    };
    SnapshotMeta {
        header: header(),
        ledger: Ledger {
            epoch: Epoch(42),
            now: 1_700_000_000_123,
            finished: false,
            splits: vec![split("0", false), split("1", true)],
            subtasks: vec![Vec::new(), vec![ChannelEnd { watermark: i64::MIN, idle: true }; 2]],
            sequences: [((0, 3), 12)].into(),
            totals: totals(),
            journal: 44,
            pins: vec![PinPoint { epoch: Epoch(30), journal: 31, positions: vec![6, 7] }],
        },
    }
}

fn progress() -> Progress {
    Progress {
        incarnation: Incarnation(3),
        epoch: Epoch(42),
        published_through: Epoch(42),
        end: EndState::Finished,
    }
}

fn records() -> Vec<(&'static str, Record)> {
    vec![
        ("header", Record::Header(Box::new(header()))),
        ("epoch", Record::Epoch(Box::new(entry()))),
        ("progress", Record::Progress(progress())),
        ("fence", Record::Fence(Incarnation(32_767))),
    ]
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal-v1").join(name)
}

fn load(name: &str, now: &[u8]) -> Vec<u8> {
    let disk = Env::real().disk;
    let path = fixture(&format!("{name}.bin"));
    if std::env::var("THALWEG_WRITE_FIXTURES").is_ok() {
        disk.open(&path, OpenMode::CreateNew).unwrap().write_at(now, 0).unwrap();
    }
    read_file(&*disk, &path, 1 << 20).unwrap()
}

#[test]
fn records_of_version_1_are_read_and_written_as_ever() {
    for (name, record) in records() {
        let bytes = record.encode();
        let stored = load(name, &bytes);
        assert_eq!(Record::decode(&stored).unwrap(), record, "{name}");
        assert_eq!(bytes, stored, "{name}");
    }
}

#[test]
fn snapshot_meta_of_version_1_is_read_and_written_as_ever() {
    let bytes = meta().encode();
    let stored = load("snapshot-meta", &bytes);
    assert_eq!(SnapshotMeta::decode(&stored).unwrap(), meta());
    assert_eq!(bytes, stored);
    let mut newer = bytes;
    newer[4] = 2;
    assert!(matches!(SnapshotMeta::decode(&newer), Err(JobError::Incompatible(_))));
}

#[test]
fn a_newer_version_is_refused() {
    let mut bytes = records()[0].1.encode().to_vec();
    bytes[4] = 2;
    let error = Record::decode(&bytes).unwrap_err();
    assert!(matches!(error, JobError::Incompatible(_)), "{error}");
}

#[test]
fn any_flipped_bit_is_noticed() {
    for (name, record) in records() {
        let bytes = record.encode().to_vec();
        for at in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert!(Record::decode(&damaged).is_err(), "{name}, bit {at}");
        }
        for len in 0..bytes.len() {
            assert!(Record::decode(&bytes[..len]).is_err(), "{name}, {len} bytes");
        }
    }
}

/// Where a producer id's epochs are used up, a fence ends it, so that incarnations on both
/// sides of the seam fence each other too.
#[test]
fn the_seam_between_two_producer_ids_fences() {
    let temp = tempfile::tempdir().unwrap();
    let log = thalweg_log::Log::open(Env::real(), temp.path(), Default::default()).unwrap();
    let journal = open(&*log, crate::JobId(1)).unwrap();
    let take_over = |incarnation| {
        let incarnation = Incarnation(incarnation);
        let record = Record::Header(Box::new(Header { incarnation, ..header() }));
        JournalWriter::take_over(Arc::clone(&journal), incarnation, &record, 1)
    };
    let progress = Record::Progress(progress());
    let mut last = take_over(32_766).unwrap();
    last.append_durably(&progress, 1).unwrap();
    let mut first = take_over(32_767).unwrap();
    first.append_durably(&progress, 1).unwrap();
    let error = last.append_durably(&progress, 1).unwrap_err();
    assert!(matches!(error, JobError::Fenced(_)), "{error}");
    assert!(matches!(take_over(32_767), Err(JobError::Fenced(_))), "it is taken");
    log.close().unwrap();
}

#[test]
fn a_journal_is_replayed_with_its_own_time_zones() {
    let saved = header();
    let now = Header { time_zone_version: "2026b".into(), ..header() };
    let error = saved.check(&now, false).unwrap_err().to_string();
    assert!(error.contains("time zones '2026a' is needed to replay the journal"), "{error}");
    saved.check(&now, true).unwrap();
    let unknown = Header { time_zone_version: String::new(), ..header() };
    unknown.check(&now, false).unwrap();
}

/// A log that gives the first batch whatever is asked for.
struct Stale(Arc<dyn PartitionLog>);

impl PartitionLog for Stale {
    fn topic_id(&self) -> TopicId {
        self.0.topic_id()
    }

    fn name(&self) -> &TopicPartition {
        self.0.name()
    }

    fn offsets(&self) -> LogOffsets {
        self.0.offsets()
    }

    fn append(&self, batches: Bytes) -> Result<Appended, LogError> {
        self.0.append(batches)
    }

    fn when_durable(&self, offset: Offset, done: DurableCallback) {
        self.0.when_durable(offset, done);
    }

    fn read(&self, _: Offset, _: usize, isolation: Isolation) -> Result<Bytes, LogError> {
        self.0.read(0, 1, isolation)
    }

    fn offset_for_time(&self, timestamp: Millis) -> Result<Option<(Offset, Millis)>, LogError> {
        self.0.offset_for_time(timestamp)
    }

    fn max_timestamp(&self) -> Result<Option<(Offset, Millis)>, LogError> {
        self.0.max_timestamp()
    }

    fn producer(&self, producer: ProducerId) -> Option<ProducerPosition> {
        self.0.producer(producer)
    }

    fn producers(&self) -> Vec<(ProducerId, ProducerPosition)> {
        self.0.producers()
    }

    fn aborted(&self, from: Offset, to: Offset) -> Result<Vec<AbortedTransaction>, LogError> {
        self.0.aborted(from, to)
    }

    fn delete_before(&self, offset: Offset) -> Result<Offset, LogError> {
        self.0.delete_before(offset)
    }

    fn watch(&self, waker: Waker) -> Watch {
        self.0.watch(waker)
    }

    fn pin(&self, holder: &str, from: Option<Offset>) {
        self.0.pin(holder, from);
    }

    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }
}

/// A log without the entry that has to be there is corrupt; asking again would not help.
#[test]
fn a_journal_that_does_not_give_the_next_entry_is_corrupt() {
    let temp = tempfile::tempdir().unwrap();
    let log = thalweg_log::Log::open(Env::real(), temp.path(), Default::default()).unwrap();
    let journal = open(&*log, crate::JobId(1)).unwrap();
    let record = Record::Header(Box::new(header()));
    let mut writer =
        JournalWriter::take_over(Arc::clone(&journal), header().incarnation, &record, 1).unwrap();
    writer.append_durably(&Record::Progress(progress()), 1).unwrap();
    let mut reader = JournalReader::new(Arc::new(Stale(journal)), 0);
    assert_eq!(reader.next().unwrap().map(|(offset, _)| offset), Some(0));
    let error = reader.next().unwrap_err();
    assert!(matches!(error, JobError::Corrupt(_)), "{error}");
    assert!(error.to_string().contains("journal at offset 1"), "{error}");
    log.close().unwrap();
}
