//! Topics: creation, settings, retention, transactions, space.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use thalweg_core::env::sim::{FaultPlan, OpKind, SimEnv};
use thalweg_core::env::{Clock, Disk};
use thalweg_core::partition_log::{Isolation, LogError, LogStore, PartitionLog};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, ControlKind, NewRecord, RecordBatch, control_batch, split,
};
use thalweg_core::refused_records::RecordFault;
use thalweg_log::topic_config::ConfigSource;
use thalweg_log::{Log, LogOptions};

use crate::support::{batch, batch_at, batch_of, build, limits, manual, read_from, values};

const ROOT: &str = "/log";

fn open(sim: &SimEnv) -> Arc<Log> {
    Log::open(sim.env(), Path::new(ROOT), manual()).unwrap()
}

fn config(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn partition(log: &Arc<Log>) -> Arc<dyn PartitionLog> {
    log.partition("t", 0).unwrap()
}

#[test]
fn names_numbers_and_settings_are_checked() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    for name in ["", ".", "..", "a/b", "a b", "é", &"x".repeat(250)] {
        let refused = log.create_topic(name, 1, &[]);
        assert!(matches!(refused, Err(LogError::InvalidTopic { .. })), "{name}");
    }
    for partitions in [0, -1, 10_001] {
        assert!(log.create_topic("t", partitions, &[]).is_err());
    }
    let refused = log.create_topic("t", 1, &config(&[("cleanup.policy", "shred")]));
    assert!(refused.unwrap_err().to_string().contains("must be of compact, delete"));
    log.create_topic("t", 2, &[]).unwrap();
    assert!(matches!(log.create_topic("t", 1, &[]), Err(LogError::TopicExists { .. })));
    assert!(matches!(log.add_partitions("t", 2), Err(LogError::InvalidTopic { .. })));
    assert!(log.partition("t", 2).is_err());
    log.add_partitions("t", 3).unwrap();
    assert!(log.partition("t", 2).is_ok());
    assert!(log.partition("t", -1).is_err());
    log.set_topic_config("t", &config(&[("retention.ms", "77")])).unwrap();
    drop(log);
    sim.crash();
    let log = open(&sim);
    let meta = log.topic("t").unwrap();
    assert_eq!((meta.partitions, meta.config), (3, config(&[("retention.ms", "77")])));
    let described = log.describe_topic("t").unwrap();
    let entry = described.iter().find(|entry| entry.name == "retention.ms").unwrap();
    assert_eq!((entry.value.as_str(), entry.source), ("77", ConfigSource::Topic));
}

#[test]
fn altered_settings_are_in_force_at_once_and_durable() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    log.create_topic("t", 1, &config(&[("retention.ms", "77")])).unwrap();
    let partition = partition(&log);
    let change = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
    let alter = |changes: &[_]| log.alter_topic("t", changes);
    let meta = alter(&[change("max.message.bytes", Some("100")), change("retention.ms", None)]);
    assert_eq!(meta.unwrap().config, config(&[("max.message.bytes", "100")]));
    let large = batch(&[&[0; 100]]);
    assert!(matches!(partition.append(large.clone()), Err(LogError::TooLarge { .. })));
    for (name, value) in [
        ("max.message.bytes", Some("many")),
        ("max.message.byte", Some("1")),
        ("max.message.byte", None),
    ] {
        let refused = alter(&[change("retention.ms", Some("1")), change(name, value)]);
        assert!(matches!(refused, Err(LogError::InvalidTopic { .. })), "{refused:?}");
    }
    let unknown = log.alter_topic("u", &[]);
    assert!(matches!(unknown, Err(LogError::UnknownPartition { .. })));
    assert_eq!(log.topic("t").unwrap().config, config(&[("max.message.bytes", "100")]));
    sim.crash();
    drop((log, partition));
    let log = open(&sim);
    assert_eq!(log.topic("t").unwrap().config, config(&[("max.message.bytes", "100")]));
    log.alter_topic("t", &[change("max.message.bytes", None)]).unwrap();
    log.partition("t", 0).unwrap().append(large).unwrap();
    log.alter_topic("t", &[change("message.timestamp.type", Some("LogAppendTime"))]).unwrap();
    let stamped = log.partition("t", 0).unwrap().append(batch(&[b"x"])).unwrap();
    assert_eq!(stamped.append_time, sim.clock.wall_ms());
}

/// Every record counts, not only the newest of its batch.
#[test]
fn timestamps_out_of_range_are_refused() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    let settings =
        [("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "500")];
    log.create_topic("t", 1, &config(&settings)).unwrap();
    let partition = partition(&log);
    let now = sim.clock.wall_ms();
    for codec in Compression::ALL {
        let append = |ages: &[i64]| {
            let mut builder = BatchBuilder::new(codec);
            for age in ages {
                let timestamp = now - age;
                builder.push(&NewRecord { timestamp, ..NewRecord::default() }).unwrap();
            }
            partition.append(builder.build().unwrap())
        };
        append(&[0, 1000, -500]).unwrap();
        for (ages, index, by) in [([0, 1001], 1, 1001), ([0, -501], 1, -501), ([1001, 0], 0, 1001)]
        {
            let refused = append(&ages);
            let Err(LogError::RefusedRecords { records, .. }) = refused else {
                panic!("{refused:?}")
            };
            let timestamp = now - by;
            let fault = match by {
                1.. => RecordFault::Behind { timestamp, by },
                _ => RecordFault::Ahead { timestamp, by: -by },
            };
            assert_eq!(records.named(), [(index, fault)]);
            assert!(records.has_untimely());
        }
    }
}

#[test]
fn a_deleted_topic_is_gone_and_its_successor_another() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    let first = log.create_topic("t", 1, &[]).unwrap();
    let old = partition(&log);
    old.append(batch(&[b"old"])).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    old.when_durable(1, Box::new(move |outcome| sender.send(outcome).unwrap()));
    log.delete_topic("t").unwrap();
    assert!(matches!(receiver.recv().unwrap(), Err(LogError::UnknownPartition { .. })));
    assert!(matches!(old.append(batch(&[b"x"])), Err(LogError::UnknownPartition { .. })));
    assert!(old.read(0, 1, Isolation::ReadUncommitted).is_err());
    assert!(matches!(log.delete_topic("t"), Err(LogError::UnknownPartition { .. })));
    let second = log.create_topic("t", 1, &[]).unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(limits(partition(&log).offsets()), (0, 0, 0, 0));
    log.commit_step();
    drop((log, old));
    sim.crash();
    let log = open(&sim);
    assert_eq!(log.topics(), [second]);
    let directories = sim.disk.list(Path::new(ROOT)).unwrap();
    assert_eq!(directories.iter().filter(|entry| entry.is_dir).count(), 0);
}

#[test]
fn what_is_released_goes_but_for_what_is_pinned() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    let settings = [("segment.bytes", "1024"), ("retention.ms", "-1"), ("retention.bytes", "-1")];
    log.create_topic("t", 1, &config(&settings)).unwrap();
    let partition = partition(&log);
    let now = sim.clock.wall_ms();
    for _ in 0..20 {
        partition.append(batch_at(now, &[&[0; 400]])).unwrap();
        log.commit_step();
    }
    log.retention_step(now);
    assert_eq!(partition.offsets().start, 0);
    partition.release(9);
    partition.pin("job", Some(5));
    log.retention_step(now);
    assert_eq!(partition.offsets().start, 4);
    partition.pin("job", Some(9));
    log.retention_step(now);
    assert_eq!(partition.offsets().start, 8, "two a segment, and the one with 9 is needed");
}

#[test]
fn retention_by_time_size_and_pins() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    let settings = [("segment.bytes", "1024"), ("retention.ms", "-1"), ("retention.bytes", "3000")];
    log.create_topic("t", 1, &config(&settings)).unwrap();
    let partition = partition(&log);
    let start_ms = sim.clock.wall_ms();
    for number in 0..20 {
        partition.append(batch_at(start_ms + number * 1000, &[&[0; 400]])).unwrap();
        log.commit_step();
    }
    let now = start_ms + 20_000;
    partition.pin("job", Some(3));
    log.retention_step(now);
    assert_eq!(partition.offsets().start, 2, "two a segment, and the one with 3 is pinned");
    partition.pin("job", None);
    partition.pin("other", Some(1_000));
    log.retention_step(now);
    assert_eq!(partition.offsets().start, 12);
    assert!((3000..4000).contains(&partition.size_bytes()), "{}", partition.size_bytes());
    let gone = partition.read(11, 1, Isolation::ReadUncommitted);
    assert!(matches!(gone, Err(LogError::OffsetOutOfRange { start: 12, .. })), "{gone:?}");

    log.set_topic_config("t", &config(&[("segment.bytes", "1024"), ("retention.ms", "5000")]))
        .unwrap();
    log.retention_step(now);
    assert_eq!(partition.offsets().start, 14, "newest of 14 and 15 is 5 s old, not more");
    drop(partition);
    drop(log);
    sim.crash();
    let log = open(&sim);
    let partition = self::partition(&log);
    assert_eq!(limits(partition.offsets()), (14, 20, 20, 20));
    assert_eq!(read_from(&*partition, 14, 1).unwrap().len(), 6);
    // All too old: the last segment is closed and goes the next time.
    log.retention_step(now + 60_000);
    log.commit_step();
    log.retention_step(now + 60_000);
    assert_eq!(limits(partition.offsets()), (20, 20, 20, 20));
    assert_eq!(partition.size_bytes(), 0);
    partition.append(batch(&[b"on"])).unwrap();
    log.commit_step();
    assert_eq!(values(&partition, 20), [b"on"]);
}

#[test]
fn retention_waits_for_those_who_pin() {
    let sim = SimEnv::new(1);
    let options = LogOptions { retention_held: true, ..manual() };
    let log = Log::open(sim.env(), Path::new(ROOT), options).unwrap();
    let settings = [("segment.bytes", "1024"), ("retention.bytes", "0")];
    log.create_topic("t", 1, &config(&settings)).unwrap();
    let partition = partition(&log);
    for _ in 0..20 {
        partition.append(batch(&[&[0; 400]])).unwrap();
        log.commit_step();
    }
    let now = sim.clock.wall_ms();
    assert_eq!((log.retention_step(now), partition.offsets().start), (0, 0));
    partition.pin("job", Some(4));
    log.begin_retention();
    assert_eq!((log.retention_step(now), partition.offsets().start), (2, 4));
}

#[test]
fn log_append_time_is_stamped_and_checked_again() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    let stamped = [("message.timestamp.type", "LogAppendTime")];
    log.create_topic("t", 1, &config(&stamped)).unwrap();
    let partition = partition(&log);
    let first = sim.clock.wall_ms();
    let retry = batch_of(4, 0, 0, &[b"a", b"b"]);
    let appended = partition.append(retry.clone()).unwrap();
    assert_eq!(appended.append_time, first);
    log.commit_step();
    sim.clock.advance(Duration::from_secs(5));
    let again = partition.append(retry).unwrap();
    assert_eq!((again.duplicate, again.append_time), (true, first));
    let bytes = partition.read(0, 1 << 20, Isolation::ReadUncommitted).unwrap();
    let batch = RecordBatch::parse(&bytes).unwrap();
    batch.verify_crc().unwrap();
    let mut scratch = Vec::new();
    let times: Vec<i64> = batch
        .records(&mut scratch, &Default::default())
        .unwrap()
        .map(|record| record.unwrap().timestamp)
        .collect();
    assert_eq!(times, [first, first]);
    assert_eq!(partition.offset_for_time(first).unwrap(), Some((0, first)));
}

#[test]
fn what_cannot_be_appended_leaves_nothing() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    let settings = [("max.message.bytes", "500"), ("message.timestamp.after.max.ms", "1000")];
    log.create_topic("t", 1, &config(&settings)).unwrap();
    let partition = partition(&log);
    let good = batch(&[b"good"]);
    let mut flipped = good.to_vec();
    flipped[70] ^= 1;
    let mut old_magic = good.to_vec();
    old_magic[16] = 1;
    let cut = good.slice(..good.len() - 1);
    let joined = [&good[..], &flipped].concat();
    let far = sim.clock.wall_ms() + 10_000;
    assert!(matches!(partition.append(flipped.into()), Err(LogError::Checksum { .. })));
    for bad in [old_magic.into(), cut, bytes::Bytes::new()] {
        let refused = partition.append(bad);
        assert!(matches!(refused, Err(LogError::InvalidBatch { .. })), "{refused:?}");
    }
    let late = partition.append(batch_at(far, &[b"x"]));
    assert!(matches!(late, Err(LogError::RefusedRecords { .. })), "{late:?}");
    let large = partition.append(batch(&[&[0; 500]]));
    assert!(matches!(large, Err(LogError::TooLarge { limit: 500, .. })), "{large:?}");
    assert!(partition.append(joined.into()).is_err(), "a bad batch refuses them all");
    assert_eq!(limits(partition.offsets()), (0, 0, 0, 0));
    assert_eq!(partition.append(good).unwrap().base_offset, 0);
}

#[test]
fn open_transactions_hold_back_readers_of_committed() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    log.create_topic("t", 1, &[]).unwrap();
    let partition = partition(&log);
    let transactional = |sequence| {
        BatchBuilder::new(Compression::None).producer(3, 0, sequence).transactional(true)
    };
    partition.append(batch(&[b"plain"])).unwrap();
    partition.append(build(transactional(0), 5, &[b"a", b"b"])).unwrap();
    partition.append(batch(&[b"plain"])).unwrap();
    log.commit_step();
    assert_eq!(limits(partition.offsets()), (0, 1, 4, 4));
    let committed = partition.read(0, 1 << 20, Isolation::ReadCommitted).unwrap();
    assert_eq!(split(&committed).count(), 1);
    assert!(partition.read(1, 1 << 20, Isolation::ReadCommitted).unwrap().is_empty());
    assert_eq!(read_from(&*partition, 0, 1 << 20).unwrap().len(), 3);
    drop((partition, log));
    sim.crash();
    let log = open(&sim);
    let partition = self::partition(&log);
    assert_eq!(limits(partition.offsets()), (0, 1, 4, 4), "known again after a crash");
    partition.append(control_batch(ControlKind::Abort, 3, 0, 0, 9).unwrap()).unwrap();
    assert_eq!(partition.offsets().last_stable, 1, "not durable yet");
    log.commit_step();
    assert_eq!(limits(partition.offsets()), (0, 5, 5, 5));
    drop((partition, log));
    sim.crash();
    assert_eq!(limits(self::partition(&open(&sim)).offsets()), (0, 5, 5, 5));
}

#[test]
fn a_full_disk_refuses_and_recovers_without_a_restart() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    log.create_topic("t", 1, &config(&[("segment.bytes", "2048")])).unwrap();
    let partition = partition(&log);
    partition.append(batch(&[b"before"])).unwrap();
    log.commit_step();
    let used: usize = sim.disk.dump().values().flatten().map(Vec::len).sum();
    let capacity_bytes = used as u64 + 1000;
    sim.disk.faults(FaultPlan { capacity_bytes, ..FaultPlan::default() });
    let mut appended = 0;
    let error = loop {
        match partition.append(batch(&[&[7; 300]])) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::StorageFull { .. }), "{error}");
    assert!(appended >= 1);
    log.commit_step();
    assert_eq!(partition.offsets().high_watermark, 1 + appended);
    assert_eq!(values(&partition, 0).len() as i64, 1 + appended, "reading goes on");
    sim.disk.faults(FaultPlan::default());
    partition.append(batch(&[b"after"])).unwrap();
    log.commit_step();
    drop((partition, log));
    sim.crash();
    let log = open(&sim);
    assert_eq!(values(&self::partition(&log), 1 + appended), [b"after"]);
}

#[test]
fn appends_stop_before_the_reserve_is_touched() {
    let sim = SimEnv::new(1);
    let options = LogOptions { reserve_bytes: 100_000, ..manual() };
    let log = Log::open(sim.env(), Path::new(ROOT), options).unwrap();
    log.create_topic("t", 1, &[]).unwrap();
    let used: usize = sim.disk.dump().values().flatten().map(Vec::len).sum();
    let capacity_bytes = used as u64 + 150_000;
    sim.disk.faults(FaultPlan { capacity_bytes, ..FaultPlan::default() });
    let partition = partition(&log);
    let refused = (0..1000).find_map(|_| partition.append(batch(&[&[1; 5000]])).err());
    assert!(matches!(refused, Some(LogError::StorageFull { .. })), "{refused:?}");
    assert!(sim.disk.free_bytes(Path::new(ROOT)).unwrap() >= 90_000);
    log.delete_topic("t").unwrap();
    log.create_topic("u", 1, &[]).unwrap();
    log.partition("u", 0).unwrap().append(batch(&[b"room again"])).unwrap();
}

#[test]
fn the_reserve_holds_where_others_fill_the_disk() {
    let sim = SimEnv::new(1);
    let options = LogOptions { reserve_bytes: 100_000, ..manual() };
    let log = Log::open(sim.env(), Path::new(ROOT), options).unwrap();
    log.create_topic("t", 1, &[]).unwrap();
    let partition = partition(&log);
    partition.append(batch(&[b"much is free"])).unwrap();
    let used: usize = sim.disk.dump().values().flatten().map(Vec::len).sum();
    // What others write leaves less room.
    let capacity_bytes = used as u64 + 90_000;
    sim.disk.faults(FaultPlan { capacity_bytes, ..FaultPlan::default() });
    log.space_step();
    let refused = partition.append(batch(&[b"x"]));
    assert!(matches!(refused, Err(LogError::StorageFull { .. })), "{refused:?}");
    sim.disk.faults(FaultPlan::default());
    partition.append(batch(&[b"and goes on"])).unwrap();
    log.commit_step();
    assert_eq!(values(&partition, 0), [&b"much is free"[..], b"and goes on"]);
}

#[test]
fn a_failed_sync_ends_everything() {
    let sim = SimEnv::new(1);
    let told = Arc::new(AtomicUsize::new(0));
    let counter = told.clone();
    let on_fatal = Arc::new(move |_: &str| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let options = LogOptions { on_fatal, ..manual() };
    let log = Log::open(sim.env(), Path::new(ROOT), options).unwrap();
    log.create_topic("t", 2, &[]).unwrap();
    let partition = partition(&log);
    partition.append(batch(&[b"durable"])).unwrap();
    log.commit_step();
    partition.append(batch(&[b"lost"])).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    partition.when_durable(2, Box::new(move |outcome| sender.send(outcome).unwrap()));
    sim.disk.faults(FaultPlan { fail_nth: vec![(OpKind::Sync, 1)], ..FaultPlan::default() });
    log.commit_step();
    assert!(matches!(receiver.recv().unwrap(), Err(LogError::Disk { .. })));
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert_eq!(partition.offsets().high_watermark, 1);
    let other = log.partition("t", 1).unwrap();
    assert!(matches!(other.append(batch(&[b"x"])), Err(LogError::Disk { .. })));
    assert!(log.create_topic("u", 1, &[]).is_err());
    assert!(log.close().is_err());
    assert_eq!(values(&partition, 0), [b"durable"], "reading goes on");
    assert_eq!(told.load(Ordering::SeqCst), 1, "once");
}

#[test]
fn one_large_batch_comes_whole() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    log.create_topic("t", 1, &[]).unwrap();
    let partition = partition(&log);
    let value = vec![9; 900_000];
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(&NewRecord { timestamp: 1, value: Some(&value), ..NewRecord::default() }).unwrap();
    partition.append(builder.build().unwrap()).unwrap();
    partition.append(batch(&[b"small"])).unwrap();
    log.commit_step();
    let bytes = partition.read(0, 10, Isolation::ReadUncommitted).unwrap();
    assert_eq!(split(&bytes).map(|batch| batch.unwrap().header().size).sum::<usize>(), bytes.len());
    assert!(bytes.len() > 900_000);
    assert_eq!(split(&bytes).count(), 1);
}

#[test]
fn what_did_not_fit_never_comes_back() {
    for seed in 0..60 {
        let sim = SimEnv::new(seed);
        let log = open(&sim);
        log.create_topic("t", 1, &[]).unwrap();
        let partition = partition(&log);
        partition.append(batch(&[b"first"])).unwrap();
        log.commit_step();
        let used: usize = sim.disk.dump().values().flatten().map(Vec::len).sum();
        // Room for the first of two batches.
        let capacity_bytes = used as u64 + 700;
        sim.disk.faults(FaultPlan { capacity_bytes, ..FaultPlan::default() });
        let both = [&batch(&[&[1; 400]])[..], &batch(&[&[2; 400]])].concat();
        let refused = partition.append(both.into());
        assert!(matches!(refused, Err(LogError::StorageFull { .. })), "{refused:?}");
        drop((partition, log));
        sim.crash();
        sim.disk.faults(FaultPlan::default());
        assert_eq!(self::partition(&open(&sim)).offsets().end, 1, "seed {seed}");
    }
}

#[test]
fn a_disk_without_a_byte_left_opens_reads_and_deletes() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    let settings = [("segment.bytes", "1024"), ("retention.bytes", "2000")];
    log.create_topic("t", 1, &config(&settings)).unwrap();
    log.create_topic("u", 1, &[]).unwrap();
    for _ in 0..12 {
        partition(&log).append(batch(&[&[1; 400]])).unwrap();
    }
    log.commit_step();
    let kept = values(&partition(&log), 0);
    drop(log);
    sim.disk.kill();
    for derived in ["index", "producers"] {
        // Nor is there space for what is derived.
        let files = sim.disk.dump().into_keys();
        for path in files.filter(|path| path.extension().is_some_and(|found| found == derived)) {
            sim.disk.remove_file(&path).unwrap();
        }
    }
    let full = FaultPlan { capacity_bytes: 0, ..FaultPlan::default() };
    sim.disk.faults(full);
    let log = open(&sim);
    assert_eq!(log.alarms(), []);
    let found = values(&partition(&log), 0);
    assert_eq!(found, kept);
    let refused = partition(&log).append(batch(&[b"x"]));
    assert!(matches!(refused, Err(LogError::StorageFull { .. })), "{refused:?}");
    assert!(log.retention_step(0) >= 1, "retention makes room");
    log.delete_topic("u").unwrap();
    assert!(partition(&log).offsets().start > 0);
    log.close().unwrap();
}

#[test]
fn a_disk_that_does_not_keep_up_is_not_flooded() {
    let sim = SimEnv::new(1);
    let options = LogOptions { max_unsynced_bytes: 2000, ..manual() };
    let log = Log::open(sim.env(), Path::new(ROOT), options).unwrap();
    log.create_topic("t", 1, &[]).unwrap();
    let partition = partition(&log);
    let large = batch(&[&[1; 5000]]);
    partition.append(large.clone()).unwrap();
    let refused = partition.append(batch(&[b"x"]));
    assert!(matches!(refused, Err(LogError::StorageFull { .. })), "{refused:?}");
    log.commit_step();
    assert_eq!(partition.append(large).unwrap().base_offset, 1, "caught up");
}

#[test]
fn word_of_a_clean_end_is_taken_once() {
    let sim = SimEnv::new(1);
    let clean = Path::new(ROOT).join("CLEAN");
    let log = open(&sim);
    log.create_topic("t", 1, &[]).unwrap();
    log.close().unwrap();
    assert!(sim.disk.durable(&clean).is_some());
    drop(log);
    let log = open(&sim);
    assert!(sim.disk.durable(&clean).is_none(), "gone for good before anything is written");
    drop(log);
    assert!(!sim.disk.exists(&clean));
}

#[test]
fn a_log_that_is_dropped_lets_go_of_everything() {
    let sim = SimEnv::new(3);
    let log = open(&sim);
    log.create_topic("t", 1, &[]).unwrap();
    let (told, alive) = (Arc::new(()), Arc::downgrade(&partition(&log)));
    let held = told.clone();
    partition(&log).append(batch(&[b"never synced"])).unwrap();
    partition(&log).when_durable(1, Box::new(move |_| drop(held)));
    drop(log);
    assert!(alive.upgrade().is_none());
    assert_eq!(Arc::strong_count(&told), 1);
}

/// Topics follow the log's defaults where they have nothing of their own; internal ones never
/// do. The defaults are not remembered here.
#[test]
fn topics_follow_the_defaults() {
    let log = open(&SimEnv::new(1));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for name in ["follows", "__own"] {
        log.create_topic(name, 1, &[]).unwrap();
    }
    log.create_topic("set", 1, &[pair("max.message.bytes", "1000000")]).unwrap();
    let large = batch(&[&[b'x'; 9_000]]);
    let taken = |name: &str| {
        log.partition(name, 0).unwrap().append(large.clone()).map_err(|error| error.to_string())
    };
    log.set_topic_defaults(&[pair("max.message.bytes", "5000")]).unwrap();
    log.create_topic("new", 1, &[]).unwrap();
    for (name, is_taken) in [("follows", false), ("new", false), ("set", true), ("__own", true)] {
        assert_eq!(taken(name).is_ok(), is_taken, "{name}: {:?}", taken(name));
    }
    // What is set on the topic wins from then on, and its end brings the default back.
    let change =
        |value: Option<&str>| vec![("max.message.bytes".to_owned(), value.map(Into::into))];
    log.alter_topic("follows", &change(Some("9999999"))).unwrap();
    assert!(taken("follows").is_ok());
    log.alter_topic("follows", &change(None)).unwrap();
    assert!(taken("follows").is_err());
    let refused = log.set_topic_defaults(&[pair("max.message.bytes", "-1")]);
    assert!(matches!(refused, Err(LogError::InvalidTopic { .. })), "{refused:?}");
    assert_eq!(log.topic_defaults(), [pair("max.message.bytes", "5000")]);
    log.set_topic_defaults(&[]).unwrap();
    assert!(taken("follows").is_ok());
}
