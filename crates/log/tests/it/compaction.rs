//! Compaction: what stays, what goes when, and that neither crashes nor readers notice.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_core::env::Disk;
use thalweg_core::env::sim::{FaultPlan, SimEnv};
use thalweg_core::ids::{Offset, ProducerId};
use thalweg_core::partition_log::{Isolation, LogError, LogStore, PartitionLog};
use thalweg_core::record_batch::{
    BatchBuilder, BatchHeader, Compression, ControlKind, NewRecord, control_batch, split,
};
use thalweg_core::refused_records::RecordFault;
use thalweg_log::{Log, LogOptions};

use crate::support::{limits, manual, read_from};

const ROOT: &str = "/log";
const DAY_MS: u64 = 86_400_000;

pub(crate) struct World {
    pub(crate) sim: SimEnv,
    pub(crate) log: Arc<Log>,
    pub(crate) partition: Arc<dyn PartitionLog>,
    options: LogOptions,
}

/// Offset, key, value; no value is a tombstone.
type Plain = (Offset, String, Option<String>);

impl World {
    fn new(settings: &[(&str, &str)]) -> Self {
        Self::with(settings, manual())
    }

    fn with(settings: &[(&str, &str)], options: LogOptions) -> Self {
        let sim = SimEnv::new(9);
        let log = Log::open(sim.env(), Path::new(ROOT), options.clone()).unwrap();
        let mut all = vec![("cleanup.policy", "compact"), ("segment.bytes", "1024")];
        all.push(("min.cleanable.dirty.ratio", "0"));
        all.extend(settings);
        let all: BTreeMap<_, _> =
            all.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        log.create_topic("t", 1, &all.into_iter().collect::<Vec<_>>()).unwrap();
        let partition = log.partition("t", 0).unwrap();
        Self { sim, log, partition, options }
    }

    fn reopen(&mut self) {
        self.log = Log::open(self.sim.env(), Path::new(ROOT), self.options.clone()).unwrap();
        assert_eq!(self.log.alarms(), []);
        self.partition = self.log.partition("t", 0).unwrap();
    }

    fn now(&self) -> i64 {
        self.sim.env().clock.wall_ms()
    }

    fn append(&self, batch: Bytes) -> Offset {
        let appended = self.partition.append(batch).unwrap();
        self.log.commit_step();
        appended.base_offset
    }

    fn put(&self, records: &[(&str, Option<&str>)]) -> Offset {
        self.append(keyed(BatchBuilder::new(Compression::None), self.now(), records))
    }

    /// Begins another segment, so that all before can be compacted.
    fn roll(&self) {
        self.put(&[("roll", Some(&"x".repeat(1100)))]);
        self.put(&[("roll", Some("y"))]);
    }

    fn compact(&self) -> usize {
        self.log.compaction_step(self.now())
    }

    fn all(&self) -> Vec<Plain> {
        records(&*self.partition)
    }

    /// All records but those that end segments.
    fn rest(&self) -> Vec<Plain> {
        self.all().into_iter().filter(|record| record.1 != "roll").collect()
    }
}

fn keyed(mut builder: BatchBuilder, time: i64, records: &[(&str, Option<&str>)]) -> Bytes {
    for (key, value) in records {
        let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
        builder.push(&NewRecord { timestamp: time, key, value, headers: &[] }).unwrap();
    }
    builder.build().unwrap()
}

fn records(partition: &dyn PartitionLog) -> Vec<Plain> {
    let mut scratch = Vec::new();
    let mut out = Vec::new();
    for (_, bytes) in read_from(partition, partition.offsets().start, 3000).unwrap() {
        for batch in split(&bytes) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            if batch.header().attributes.is_control() {
                continue;
            }
            for record in batch.records(&mut scratch, &Default::default()).unwrap() {
                let record = record.unwrap();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                out.push((record.offset, text(record.key.unwrap()), record.value.map(text)));
            }
        }
    }
    out
}

fn headers(partition: &dyn PartitionLog) -> Vec<BatchHeader> {
    let all = read_from(partition, partition.offsets().start, 3000).unwrap();
    all.iter().map(|(_, bytes)| BatchHeader::parse(bytes).unwrap()).collect()
}

fn plain(offset: Offset, key: &str, value: Option<&str>) -> Plain {
    (offset, key.to_owned(), value.map(str::to_owned))
}

#[test]
fn the_newest_of_each_key_stays_where_it_was() {
    let mut world = World::new(&[]);
    for round in 0..20 {
        for key in 0..5 {
            let (key, value) = (format!("k{key}"), format!("{round}"));
            world.put(&[(&key, Some(&value)), ("same", Some("0"))]);
        }
    }
    let before = world.all();
    world.roll();
    let end = world.partition.offsets().end;
    let size = world.partition.size_bytes();
    assert_eq!(world.compact(), 1);
    assert!(world.partition.size_bytes() < size / 4);
    let newest: BTreeMap<_, _> = before.iter().map(|record| (&record.1, record)).collect();
    let mut expected: Vec<Plain> = newest.into_values().cloned().collect();
    expected.sort();
    assert_eq!(world.rest(), expected);
    assert_eq!(limits(world.partition.offsets()), (0, end, end, end));
    assert_eq!(world.compact(), 0, "nothing new");
    for _ in 0..2 {
        // From every offset, there or not.
        for from in 0..end {
            let bytes = world.partition.read(from, 1, Isolation::ReadUncommitted).unwrap();
            let header = BatchHeader::parse(&bytes).unwrap();
            assert!(header.last_offset() >= from);
            let skipped = expected.iter().filter(|record| record.0 >= from);
            assert!(skipped.map(|record| record.0).min().is_none_or(|o| o >= header.base_offset));
        }
        assert_eq!(world.partition.read(end, 1, Isolation::ReadUncommitted).unwrap(), Bytes::new());
        let first = world.partition.offset_for_time(0).unwrap();
        assert_eq!(first.map(|found| found.0), Some(expected[0].0));
        world.log.scrub();
        assert_eq!(world.log.alarms(), []);
        world.sim.crash();
        world.reopen();
        assert_eq!(world.rest(), expected);
    }
    // What was compacted is compacted again, together with what is new.
    world.put(&[("k0", Some("new")), ("k1", Some("new"))]);
    world.roll();
    assert_eq!(world.compact(), 1);
    let keys: Vec<_> = world.rest().into_iter().map(|record| record.1).collect();
    assert_eq!(keys, ["k2", "k3", "k4", "same", "k0", "k1"]);
}

#[test]
fn codecs_headers_and_times_stay() {
    let world = World::new(&[]);
    let mut builder = BatchBuilder::new(Compression::Zstd);
    let headers = [("h", Some(&b"v"[..]))];
    for (number, key) in ["a", "b", "c"].iter().enumerate() {
        let (key, timestamp) = (Some(key.as_bytes()), 500 - number as i64);
        let value = Some(&b"value"[..]);
        builder.push(&NewRecord { timestamp, key, value, headers: &headers }).unwrap();
    }
    world.append(builder.build().unwrap());
    world.put(&[("a", Some("later"))]);
    world.roll();
    world.compact();
    let (_, first) = read_from(&*world.partition, 0, 1).unwrap().remove(0);
    let batch = split(&first).next().unwrap().unwrap();
    assert_eq!(batch.header().attributes.compression(), Ok(Compression::Zstd));
    assert_eq!((batch.header().base_offset, batch.header().last_offset()), (0, 2));
    assert_eq!(batch.header().max_timestamp, 499);
    let mut scratch = Vec::new();
    let records = batch.records(&mut scratch, &Default::default()).unwrap();
    let found: Vec<_> = records
        .map(Result::unwrap)
        .map(|record| (record.offset, record.timestamp, record.headers.count()))
        .collect();
    assert_eq!(found, [(1, 499, 1), (2, 498, 1)]);
    assert_eq!(world.partition.offset_for_time(499).unwrap(), Some((1, 499)));
}

#[test]
fn tombstones_stay_for_their_time() {
    let world = World::new(&[("delete.retention.ms", "86400000")]);
    world.put(&[("gone", Some("1")), ("kept", Some("1"))]);
    world.put(&[("gone", None)]);
    world.roll();
    world.compact();
    assert_eq!(world.rest(), [plain(1, "kept", Some("1")), plain(2, "gone", None)]);
    let horizon = headers(&*world.partition).iter().find_map(BatchHeader::delete_horizon);
    assert_eq!(horizon, Some(world.now() + DAY_MS as i64));
    world.sim.clock.advance(Duration::from_millis(DAY_MS - 1));
    assert_eq!(world.compact(), 0, "not yet");
    world.sim.clock.advance(Duration::from_millis(1));
    assert_eq!(world.compact(), 1, "without anything new");
    assert_eq!(world.rest(), [plain(1, "kept", Some("1"))]);
    assert_eq!(world.compact(), 0);
}

#[test]
fn a_tombstone_may_be_followed_by_a_value() {
    let world = World::new(&[("delete.retention.ms", "0")]);
    world.put(&[("k", Some("1"))]);
    world.put(&[("k", None)]);
    world.roll();
    world.compact();
    world.put(&[("k", Some("2"))]);
    world.roll();
    world.compact();
    assert_eq!(world.rest().last().unwrap().2.as_deref(), Some("2"));
    assert_eq!(world.rest().len(), 1);
}

#[test]
fn aborted_records_go_and_markers_when_they_may() {
    let world = World::new(&[("delete.retention.ms", "1000")]);
    let part = |producer, sequence, records: &[(&str, Option<&str>)]| {
        let builder = BatchBuilder::new(Compression::Lz4);
        let builder = builder.producer(producer, 0, sequence).transactional(true);
        world.append(keyed(builder, 5, records))
    };
    let end = |kind, producer| world.append(control_batch(kind, producer, 0, 0, 6).unwrap());
    let markers = || {
        let all = headers(&*world.partition).into_iter();
        all.filter(|header| header.attributes.is_control())
            .map(|h| h.base_offset)
            .collect::<Vec<_>>()
    };
    world.put(&[("a", Some("old"))]);
    part(1, 0, &[("a", Some("aborted")), ("b", Some("aborted"))]);
    part(2, 0, &[("c", Some("committed"))]);
    let abort = end(ControlKind::Abort, 1);
    let commit = end(ControlKind::Commit, 2);
    // Later data of both, so that nothing stays for the sake of producer state.
    part(1, 2, &[("d", Some("1"))]);
    part(2, 1, &[("d", Some("2"))]);
    let last = [end(ControlKind::Commit, 1), end(ControlKind::Commit, 2)];
    world.roll();
    assert_eq!(world.compact(), 1);
    let kept = [plain(0, "a", Some("old")), plain(3, "c", Some("committed"))];
    assert_eq!(world.rest()[..2], kept);
    assert_eq!(world.rest().len(), 3, "{:?}", world.rest());
    assert_eq!(markers(), [abort, commit, last[0], last[1]]);
    // A reader that has the aborted records in its hands still learns of them.
    let listed = world.partition.aborted(0, 5).unwrap();
    assert_eq!(listed.iter().map(|a| (a.producer.0, a.first_offset)).collect::<Vec<_>>(), [(1, 1)]);
    // The marker without records gets its horizon now, and goes after it.
    world.sim.clock.advance(Duration::from_secs(1));
    assert_eq!(world.compact(), 1);
    assert_eq!(markers(), [abort, commit, last[0], last[1]]);
    world.sim.clock.advance(Duration::from_secs(1));
    assert_eq!(world.compact(), 1);
    assert_eq!(markers(), [commit, last[0], last[1]], "the committed record is still there");
    assert_eq!(world.partition.aborted(0, 5).unwrap(), []);
    // Its value superseded, the committed transaction's marker goes, too.
    world.put(&[("c", Some("new"))]);
    world.roll();
    world.compact();
    world.put(&[("x", Some("new"))]);
    world.roll();
    world.compact();
    world.sim.clock.advance(Duration::from_secs(1));
    world.compact();
    assert_eq!(markers(), last, "their producers are remembered by batches before them");
}

#[test]
fn open_transactions_and_pins_hold_compaction_back() {
    let world = World::new(&[]);
    world.put(&[("a", Some("1"))]);
    world.put(&[("a", Some("2"))]);
    world.roll();
    world.partition.pin("job", Some(0));
    assert_eq!(world.compact(), 0);
    world.partition.pin("job", None);
    let builder = BatchBuilder::new(Compression::None).producer(1, 0, 0).transactional(true);
    world.append(keyed(builder, 1, &[("a", Some("open"))]));
    world.put(&[("b", Some("1"))]);
    world.put(&[("b", Some("2"))]);
    world.roll();
    world.compact();
    let found: Vec<_> = world.rest().into_iter().map(|record| record.2.unwrap()).collect();
    assert_eq!(found, ["2", "open", "1", "2"]);
}

#[test]
fn producers_are_remembered_from_what_is_left() {
    let mut world = World::new(&[]);
    for sequence in 0..6 {
        let builder = BatchBuilder::new(Compression::None).producer(7, 2, sequence);
        world.append(keyed(builder, 1, &[("k", Some("v"))]));
    }
    world.append(control_batch(ControlKind::Abort, 8, 4, 1, 9).unwrap());
    world.put(&[("k", Some("newest"))]);
    world.roll();
    world.compact();
    assert_eq!(world.rest().len(), 1);
    let before = world.partition.producers();
    world.sim.crash();
    for path in world.sim.disk.dump().into_keys() {
        if path.extension().is_some_and(|extension| extension == "producers") {
            world.sim.disk.remove_file(&path).unwrap();
        }
    }
    world.reopen();
    assert_eq!(world.partition.producers(), before);
    assert_eq!(world.partition.producer(ProducerId(7)).unwrap().last_sequence, 5);
    let again = BatchBuilder::new(Compression::None).producer(7, 2, 5);
    let again = world.partition.append(keyed(again, 1, &[("k", Some("v"))])).unwrap();
    assert_eq!((again.duplicate, again.base_offset), (true, 5));
    assert_eq!(world.partition.offsets().last_stable, world.partition.offsets().end);
}

#[test]
fn records_without_a_key_are_refused() {
    let world = World::new(&[]);
    for codec in Compression::ALL {
        let mut builder = BatchBuilder::new(codec);
        for key in [Some(&b"k"[..]), None, Some(b"l"), None] {
            builder.push(&NewRecord { key, value: Some(b"v"), ..NewRecord::default() }).unwrap();
        }
        let refused = world.partition.append(builder.build().unwrap());
        let Err(LogError::RefusedRecords { records, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(records.named(), [(1, RecordFault::NoKey), (3, RecordFault::NoKey)]);
    }
    assert_eq!(world.partition.offsets().end, 0);
    // Once the policy is another, at once.
    let policy = |value: &str| [("cleanup.policy".to_owned(), Some(value.to_owned()))];
    let keyless = || {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(&NewRecord { value: Some(b"v"), ..NewRecord::default() }).unwrap();
        world.partition.append(builder.build().unwrap())
    };
    world.log.alter_topic("t", &policy("delete")).unwrap();
    keyless().unwrap();
    world.log.alter_topic("t", &policy("delete,compact")).unwrap();
    assert!(keyless().is_err());
    // Those from before have no key to be compacted by.
    world.roll();
    world.compact();
    assert_eq!(world.rest(), []);
}

#[test]
fn compacted_and_deleted() {
    let world = World::new(&[("cleanup.policy", "compact, delete"), ("retention.ms", "1000")]);
    world.put(&[("a", Some("1"))]);
    world.roll();
    world.log.retention_step(world.now());
    world.compact();
    assert_eq!(world.rest().len(), 1);
    world.sim.clock.advance(Duration::from_secs(2));
    world.roll();
    world.log.retention_step(world.now());
    assert_eq!(world.rest(), []);
    let only = World::new(&[("retention.ms", "1000"), ("retention.bytes", "1")]);
    only.put(&[("a", Some("1"))]);
    only.roll();
    only.sim.clock.advance(Duration::from_secs(2));
    only.roll();
    assert_eq!(only.log.retention_step(only.now()), 0);
}

#[test]
fn lags_are_kept_to() {
    let world = World::new(&[("min.compaction.lag.ms", "5000")]);
    world.put(&[("a", Some("1"))]);
    world.put(&[("a", Some("2"))]);
    world.roll();
    assert_eq!(world.compact(), 0, "too young");
    world.sim.clock.advance(Duration::from_secs(6));
    assert_eq!(world.compact(), 1);
    assert_eq!(world.rest().len(), 1);
    let world =
        World::new(&[("max.compaction.lag.ms", "5000"), ("min.cleanable.dirty.ratio", "1")]);
    world.put(&[("a", Some("1"))]);
    world.put(&[("a", Some("2"))]);
    assert_eq!(world.compact(), 0);
    world.sim.clock.advance(Duration::from_secs(5));
    world.compact();
    world.log.commit_step();
    world.compact();
    assert_eq!(world.rest(), [plain(1, "a", Some("2"))], "out of the last segment, too");
}

#[test]
fn a_small_map_takes_several_passes() {
    let options = LogOptions { compaction_map_bytes: 0, ..manual() };
    let world = World::with(&[], options);
    for round in 0..4 {
        for key in 0..50 {
            let (key, value) = (format!("k{key:02}"), format!("{round}"));
            world.put(&[(&key, Some(&value))]);
        }
    }
    world.roll();
    let mut passes = 0;
    while world.compact() > 0 {
        passes += 1;
        assert!(passes < 100, "no end");
    }
    assert!(passes > 4, "{passes}");
    let found = world.rest();
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|record| record.2.as_deref() == Some("3")), "{found:?}");
}

/// Power fails at each disk operation of a compaction, and again in the recovery after it.
#[test]
fn every_disk_operation_may_be_the_last() {
    let fill = |world: &World| {
        for round in 0..6 {
            for key in 0..4 {
                let (key, value) = (format!("k{key}"), format!("{round:030}"));
                world.put(&[(&key, Some(&value))]);
            }
            let builder = BatchBuilder::new(Compression::None);
            let builder = builder.producer(1, 0, round).transactional(true);
            world.append(keyed(builder, 5, &[("k0", Some("aborted"))]));
            world.append(control_batch(ControlKind::Abort, 1, 0, 0, 5).unwrap());
        }
        world.roll();
    };
    let newest = |world: &World| -> BTreeMap<String, Option<String>> {
        let aborted = world.partition.aborted(0, world.partition.offsets().last_stable).unwrap();
        let gone: Vec<Offset> = aborted.iter().map(|a| a.first_offset).collect();
        let valid = world.all().into_iter().filter(|record| !gone.contains(&record.0));
        valid.map(|record| (record.1, record.2)).collect()
    };
    let settings = [("delete.retention.ms", "0")];
    let whole = World::new(&settings);
    fill(&whole);
    let expected = newest(&whole);
    let before = whole.sim.disk.operations();
    while whole.compact() > 0 {
        whole.sim.clock.advance(Duration::from_millis(1));
    }
    let operations = whole.sim.disk.operations() - before;
    assert!(operations > 30, "{operations}");
    assert_eq!(newest(&whole), expected);
    for last in 1..=operations {
        let mut world = World::new(&settings);
        fill(&world);
        let end = world.partition.offsets().end;
        world.sim.disk.faults(FaultPlan { power_off_at: Some(last), ..FaultPlan::default() });
        while world.compact() > 0 {
            world.sim.clock.advance(Duration::from_millis(1));
        }
        world.sim.crash();
        // Power fails in the recovery, too.
        let again = Some(1 + last % 17);
        world.sim.disk.faults(FaultPlan { power_off_at: again, ..FaultPlan::default() });
        let _ = Log::open(world.sim.env(), Path::new(ROOT), manual());
        world.sim.disk.faults(FaultPlan::default());
        world.sim.crash();
        world.reopen();
        assert_eq!(newest(&world), expected, "power lost at operation {last}");
        assert_eq!(world.partition.offsets().end, end);
        world.log.scrub();
        assert_eq!(world.log.alarms(), [], "operation {last}");
        while world.compact() > 0 {
            world.sim.clock.advance(Duration::from_millis(1));
        }
        assert_eq!(newest(&world), expected, "compacted after operation {last}");
        let compacted = world.rest().len();
        assert_eq!(compacted, 4, "operation {last}: {:?}", world.rest());
    }
}
