//! Many threads at one log on the real disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use thalweg_core::env::Env;
use thalweg_core::partition_log::{Isolation, LogStore, PartitionLog, append_durably};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, ControlKind, NewRecord, RecordBatch, control_batch, split,
};
use thalweg_log::{Log, LogOptions};

use crate::support::{batch, batch_of};

const PRODUCERS: i64 = 4;
const PARTITIONS: i32 = 2;
const ROUNDS: i32 = 60;

/// Producers append durably, each with a retry of every batch; readers follow by waking;
/// segments roll all the time and few files may be open. Every acknowledged batch is
/// read once, in the order of its producer.
#[test]
fn producers_and_readers_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        LogOptions { max_open_files: 2, index_interval_bytes: 512, ..LogOptions::default() };
    let log = Log::open(Env::real(), dir.path(), options).unwrap();
    let config = [("segment.bytes".to_owned(), "8192".to_owned())];
    log.create_topic("t", PARTITIONS, &config).unwrap();
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let log = &log;
            scope.spawn(move || produce(log, producer));
        }
        for partition in 0..PARTITIONS {
            let log = &log;
            scope.spawn(move || follow(log, partition));
        }
    });
    assert_eq!(log.alarms(), []);
    log.close().unwrap();
}

fn produce(log: &Arc<Log>, producer: i64) {
    let partition = log.partition("t", (producer % i64::from(PARTITIONS)) as i32).unwrap();
    for sequence in 0..ROUNDS {
        let value = [producer as u8; 200];
        let bytes = batch_of(producer, 0, sequence, &[&value]);
        let first = append_durably(&*partition, bytes.clone()).unwrap();
        let again = append_durably(&*partition, bytes).unwrap();
        assert!(!first.duplicate && again.duplicate);
        assert_eq!(first.base_offset, again.base_offset);
        assert!(partition.offsets().high_watermark >= first.next_offset);
    }
}

fn follow(log: &Arc<Log>, number: i32) {
    let partition = log.partition("t", number).unwrap();
    let (woken, wait) = sync_channel(1);
    let _watch = partition.watch(Arc::new(move || {
        let _ = woken.try_send(());
    }));
    let total = PRODUCERS / i64::from(PARTITIONS) * i64::from(ROUNDS);
    let mut next_sequence = [0; PRODUCERS as usize];
    let mut next = 0;
    while next < total {
        let bytes = partition.read(next, 3000, Isolation::ReadUncommitted).unwrap();
        if bytes.is_empty() {
            match wait.recv_timeout(Duration::from_secs(60)) {
                Ok(()) => continue,
                Err(RecvTimeoutError::Timeout) => panic!("nobody woke the reader at {next}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the watch is gone"),
            }
        }
        for batch in split(&bytes) {
            let batch: RecordBatch<'_> = batch.unwrap();
            let header = batch.header();
            assert_eq!(header.base_offset, next);
            let expected = &mut next_sequence[header.producer_id as usize];
            assert_eq!(header.base_sequence, *expected);
            *expected += 1;
            next = header.next_offset();
        }
    }
}

/// Retention at full speed beside a producer and a reader that holds a pin.
#[test]
fn a_pinned_reader_is_never_overtaken() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(Env::real(), dir.path(), LogOptions::default()).unwrap();
    let config = [("segment.bytes", "2048"), ("retention.bytes", "2048")];
    let config = config.map(|(name, value)| (name.to_owned(), value.to_owned()));
    log.create_topic("t", 1, &config).unwrap();
    let partition = log.partition("t", 0).unwrap();
    partition.pin("reader", Some(0));
    let position = AtomicI64::new(0);
    let ended = AtomicBool::new(false);
    let total = 200;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..total {
                append_durably(&*partition, batch(&[&[1; 300]])).unwrap();
            }
        });
        scope.spawn(|| {
            while !ended.load(Ordering::Acquire) {
                log.retention_step(0);
                let start = partition.offsets().start;
                assert!(start <= position.load(Ordering::Acquire));
            }
        });
        while position.load(Ordering::Acquire) < total {
            let next = position.load(Ordering::Acquire);
            let bytes = partition.read(next, 1000, Isolation::ReadUncommitted).unwrap();
            if let Some(last) = split(&bytes).last() {
                position.store(last.unwrap().header().next_offset(), Ordering::Release);
                partition.pin("reader", Some(position.load(Ordering::Acquire)));
            } else {
                std::thread::yield_now();
            }
        }
        ended.store(true, Ordering::Release);
    });
    log.retention_step(0);
    assert!(partition.offsets().start > 0, "retention did its work");
}

const KEYS: usize = 7;
const UPDATES: i64 = 800;

/// Keys are updated while the log is compacted all the time and readers go through all of
/// it: each sees every key's newest acknowledged value, offsets in order, nothing aborted.
#[test]
fn readers_do_not_notice_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        max_open_files: 3,
        index_interval_bytes: 256,
        compaction_check_ms: 1,
        compaction_map_bytes: 2_000,
        ..LogOptions::default()
    };
    let log = Log::open(Env::real(), dir.path(), options).unwrap();
    let config = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "16384"),
        ("min.cleanable.dirty.ratio", "0"),
        // A reader asks for the aborts after the records: longer than a thread stands still.
        ("delete.retention.ms", "5000"),
    ];
    let config = config.map(|(name, value)| (name.to_owned(), value.to_owned()));
    log.create_topic("t", 1, &config).unwrap();
    let partition = log.partition("t", 0).unwrap();
    let newest: [AtomicI64; KEYS] = Default::default();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            update_keys(&*partition, &newest);
            done.store(true, Ordering::SeqCst);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    check_keys(&*partition, &newest);
                }
            });
        }
    });
    check_keys(&*partition, &newest);
    assert_eq!(log.alarms(), []);
    // What is left to compact; an hour later no marker is needed any more.
    for hour in 1..4 {
        log.compaction_step(Env::real().clock.wall_ms() + hour * 3_600_000);
    }
    check_keys(&*partition, &newest);
    let (left, appended) = (partition.size_bytes(), UPDATES as u64 * KEYS as u64 * 150);
    assert!(left < appended / 5, "{left} of {appended} bytes are left");
    log.close().unwrap();
}

/// Every other update comes with an aborted one that would be wrong.
fn update_keys(partition: &dyn PartitionLog, newest: &[AtomicI64; KEYS]) {
    for update in 1..=UPDATES {
        for (key, newest) in newest.iter().enumerate() {
            if update % 2 == 0 {
                let builder = BatchBuilder::new(Compression::None);
                let sequence = (update / 2 - 1) as i32;
                let builder = builder.producer(key as i64, 0, sequence).transactional(true);
                partition.append(update_of(builder, key, -1)).unwrap();
                let marker = control_batch(ControlKind::Abort, key as i64, 0, 0, 1).unwrap();
                partition.append(marker).unwrap();
            }
            let batch = update_of(BatchBuilder::new(Compression::None), key, update);
            if update % 50 == 0 {
                append_durably(partition, batch).unwrap();
                newest.store(update, Ordering::SeqCst);
            } else {
                partition.append(batch).unwrap();
            }
        }
    }
}

fn update_of(mut builder: BatchBuilder, key: usize, update: i64) -> Bytes {
    let (key, value) = ([key as u8], update.to_be_bytes());
    let record = NewRecord { key: Some(&key), value: Some(&value), ..NewRecord::default() };
    builder.push(&record).unwrap();
    builder.build().unwrap()
}

fn check_keys(partition: &dyn PartitionLog, newest: &[AtomicI64; KEYS]) {
    let least: Vec<i64> = newest.iter().map(|newest| newest.load(Ordering::SeqCst)).collect();
    let mut found = [0; KEYS];
    let mut next = 0;
    let mut scratch = Vec::new();
    loop {
        let bytes =
            partition.read(next, 1 + next as usize % 3000, Isolation::ReadCommitted).unwrap();
        if bytes.is_empty() {
            break;
        }
        let from = next;
        next = split(&bytes).last().unwrap().unwrap().header().next_offset();
        let aborted = partition.aborted(from, next).unwrap();
        let mut last = -1;
        for batch in split(&bytes) {
            let batch = batch.unwrap();
            let header = *batch.header();
            assert!(header.base_offset > last && header.last_offset() >= from);
            last = header.last_offset();
            if header.attributes.is_control() || aborted.iter().any(|gone| gone.covers(&header)) {
                continue;
            }
            for record in batch.records(&mut scratch, &Default::default()).unwrap() {
                let record = record.unwrap();
                let key = usize::from(record.key.unwrap()[0]);
                let update = i64::from_be_bytes(record.value.unwrap().try_into().unwrap());
                assert!(update > found[key], "key {key}: {update} after {}", found[key]);
                found[key] = update;
            }
        }
    }
    for (key, (found, least)) in found.iter().zip(&least).enumerate() {
        assert!(found >= least, "key {key}: {least} was acknowledged, {found} is the newest");
    }
}
