//! One life of a topic, cut by a power loss at every single disk operation.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::env::Disk;
use thalweg_core::env::sim::{FaultPlan, SimEnv};
use thalweg_core::partition_log::{LogError, LogStore, PartitionLog};
use thalweg_log::Log;

use crate::support::{batch, batch_of, limits, manual, read_from};

const ROOT: &str = "/data/log";

/// What the scenario was told before the power failed.
#[derive(Default)]
struct Told {
    created: bool,
    deleting: bool,
    deleted: bool,
    /// Offset up to which records were durable.
    durable: i64,
    start: i64,
    successor: bool,
}

fn open(sim: &SimEnv) -> Result<Arc<Log>, LogError> {
    Log::open(sim.env(), Path::new(ROOT), manual())
}

fn value(offset: i64) -> Vec<u8> {
    vec![offset as u8; 300]
}

fn append(partition: &dyn PartitionLog, sequence: i32) -> Result<(), LogError> {
    let end = partition.offsets().end;
    partition.append(batch_of(5, 0, sequence, &[&value(end)]))?;
    Ok(())
}

fn scenario(sim: &SimEnv, told: &mut Told) -> Result<(), LogError> {
    let log = open(sim)?;
    let config = [("segment.bytes", "1024"), ("retention.bytes", "2000")];
    let config = config.map(|(name, value)| (name.to_owned(), value.to_owned()));
    log.create_topic("t", 2, &config)?;
    told.created = true;
    let partition = log.partition("t", 1)?;
    let mut sequence = 0;
    for _ in 0..10 {
        append(&*partition, sequence)?;
        sequence += 1;
        if sequence % 3 != 0 {
            log.commit_step();
        }
        told.durable = partition.offsets().high_watermark;
    }
    log.mark_step();
    log.retention_step(0);
    told.start = partition.offsets().start;
    for _ in 0..3 {
        append(&*partition, sequence)?;
        sequence += 1;
    }
    log.close()?;
    told.durable = 13;
    drop((partition, log));
    let log = open(sim)?;
    let partition = log.partition("t", 1)?;
    append(&*partition, sequence)?;
    log.commit_step();
    told.durable = partition.offsets().high_watermark;
    log.retention_step(0);
    told.start = partition.offsets().start;
    told.deleting = true;
    log.delete_topic("t")?;
    told.deleted = true;
    log.create_topic("u", 1, &[])?;
    told.successor = true;
    Ok(())
}

fn check(sim: &SimEnv, told: &Told) {
    let log = open(sim).expect("a log that only lost power opens");
    assert_eq!(log.alarms(), []);
    assert!(!told.successor || log.topic("u").is_some());
    let known = log.topics().len();
    let directories = sim.disk.list(Path::new(ROOT)).unwrap();
    assert!(directories.iter().filter(|entry| entry.is_dir).count() <= known, "remains");
    let Ok(partition) = log.partition("t", 1) else {
        assert!(!told.created || told.deleting, "the topic is gone");
        return;
    };
    assert!(!told.deleted, "the topic came back");
    let (start, stable, durable, end) = limits(partition.offsets());
    assert!(start >= told.start && durable >= told.durable, "{start} {durable}");
    assert!(stable == durable && durable == end && end <= 14);
    let found = read_from(&*partition, start, 700).unwrap();
    let offsets: Vec<i64> = found.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, (start..end).collect::<Vec<_>>());
    for (offset, bytes) in &found {
        let expected: Bytes = batch_of(5, 0, *offset as i32, &[&value(*offset)]);
        assert_eq!(bytes[21..], expected[21..], "offset {offset}");
    }
    if end > start {
        append(&*partition, end as i32).unwrap();
    }
    partition.append(batch(&[b"life goes on"])).unwrap();
    log.commit_step();
    let appended = partition.offsets().high_watermark;
    drop((partition, log));
    sim.crash();
    let log = open(sim).unwrap();
    assert_eq!(log.partition("t", 1).unwrap().offsets().end, appended);
}

#[test]
fn every_disk_operation_may_be_the_last() {
    let calm = SimEnv::new(0);
    scenario(&calm, &mut Told::default()).unwrap();
    let operations = calm.disk.operations();
    assert!(operations > 200, "{operations}");
    for number in 1..=operations {
        for seed in 0..4 {
            let sim = SimEnv::new(seed);
            let plan = FaultPlan { power_off_at: Some(number), ..FaultPlan::default() };
            sim.disk.faults(plan);
            let mut told = Told::default();
            let outcome = scenario(&sim, &mut told);
            assert!(outcome.is_err() || number == operations, "operation {number}");
            sim.crash();
            let checked = catch_unwind(AssertUnwindSafe(|| check(&sim, &told)));
            assert!(checked.is_ok(), "power lost at operation {number}, seed {seed}");
        }
    }
}

/// The next segment's mark does not tell yet where the log starts, so the segment before
/// it has to stay.
#[test]
fn records_deleted_up_to_a_segment_that_was_only_begun_stay_deleted() {
    let sim = SimEnv::new(5);
    let log = open(&sim).unwrap();
    log.create_topic("t", 1, &[("segment.bytes".to_owned(), "1024".to_owned())]).unwrap();
    let partition = log.partition("t", 0).unwrap();
    append(&*partition, 0).unwrap();
    append(&*partition, 1).unwrap();
    log.commit_step();
    append(&*partition, 2).unwrap();
    assert_eq!(partition.offsets().high_watermark, 2);
    assert_eq!(partition.delete_before(2).unwrap(), 2);
    drop((partition, log));
    for _ in 0..2 {
        sim.crash();
        let log = open(&sim).unwrap();
        assert_eq!(log.alarms(), []);
        assert_eq!(log.partition("t", 0).unwrap().offsets().start, 2);
    }
    let log = open(&sim).unwrap();
    let partition = log.partition("t", 0).unwrap();
    append(&*partition, 2).unwrap();
    log.commit_step();
    log.retention_step(0);
    assert_eq!(partition.offsets().start, 2);
    let topic = sim.disk.list(Path::new(ROOT)).unwrap();
    let topic = topic.iter().find(|entry| entry.name.starts_with("t-")).unwrap();
    let files = sim.disk.list(&Path::new(ROOT).join(&topic.name).join("0")).unwrap();
    let segments = files.iter().filter(|file| file.name.ends_with(".log"));
    assert_eq!(segments.count(), 1, "the old segment goes once the next one is written to");
}
