//! Space that runs out where it hurts: at marks that overwrite (on a file system that
//! copies on write), at the catalog, at a sync.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thalweg_core::env::Disk;
use thalweg_core::env::sim::{FaultPlan, OpKind, SimEnv};
use thalweg_core::partition_log::{LogError, LogStore, PartitionLog};
use thalweg_log::{Log, LogOptions};

use crate::support::{batch, limits, manual, values};

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

/// So full a disk that an overwrite has room for this many bytes.
fn full_but(sim: &SimEnv, bytes: u64) -> FaultPlan {
    let capacity_bytes = (1 << 30) - sim.disk.free_bytes(Path::new(ROOT)).unwrap() + bytes;
    FaultPlan { capacity_bytes, copy_on_write: true, ..FaultPlan::default() }
}

fn segments(sim: &SimEnv) -> Vec<PathBuf> {
    let files = sim.disk.dump().into_keys();
    files.filter(|path| path.extension().is_some_and(|suffix| suffix == "log")).collect()
}

#[test]
fn without_space_for_the_mark_no_segment_goes() {
    for part in [0, 50] {
        let sim = SimEnv::new(1);
        let log = open(&sim);
        let settings = [("segment.bytes", "1024"), ("retention.bytes", "1500")];
        log.create_topic("t", 1, &config(&settings)).unwrap();
        for _ in 0..8 {
            partition(&log).append(batch(&[&[1; 400]])).unwrap();
            log.commit_step();
        }
        let before = segments(&sim);
        sim.disk.faults(full_but(&sim, part));
        assert_eq!(log.retention_step(0), 0);
        assert_eq!(segments(&sim), before);
        assert_eq!(partition(&log).offsets().start, 0, "what was not deleted can be read");
        assert_eq!(values(&partition(&log), 0).len(), 8);
        drop(log);
        sim.crash();
        sim.disk.faults(FaultPlan::default());
        let log = open(&sim);
        assert_eq!(log.alarms(), []);
        assert_eq!(limits(partition(&log).offsets()), (0, 8, 8, 8));
        assert!(log.retention_step(0) > 0, "with space it goes on");
        assert_eq!(partition(&log).offsets().start, 4);
    }
}

#[test]
fn marks_that_fail_leave_the_good_one_alone() {
    for (rounds, per_round) in [(1, 1), (2, 1), (3, 1), (2, 4)] {
        let sim = SimEnv::new(1);
        let log = open(&sim);
        log.create_topic("t", 1, &config(&[("segment.bytes", "1024")])).unwrap();
        partition(&log).append(batch(&[b"first"])).unwrap();
        log.commit_step();
        for _ in 0..rounds {
            sim.disk.faults(FaultPlan::default());
            for _ in 0..per_round {
                partition(&log).append(batch(&[&[7; 300]])).unwrap();
            }
            // A part of each slot is written, and the rest is not.
            sim.disk.faults(full_but(&sim, 50));
            log.commit_step();
        }
        let end = 1 + rounds * per_round;
        assert_eq!(partition(&log).offsets().high_watermark, end, "durable all the same");
        sim.disk.faults(FaultPlan::default());
        drop(log);
        sim.disk.kill();
        let log = open(&sim);
        assert_eq!(log.alarms(), [], "{rounds} rounds of {per_round}");
        assert_eq!(limits(partition(&log).offsets()), (0, end, end, end));
        assert_eq!(values(&partition(&log), 1).len() as i64, end - 1);
    }
}

/// Out of space at the `n`-th operation of a kind.
fn full_at(kind: OpKind, n: u64) -> FaultPlan {
    FaultPlan { full_nth: vec![(kind, n)], ..FaultPlan::default() }
}

#[test]
fn a_refused_topic_never_appears_and_a_promised_one_stays() {
    for number in 1..=2 {
        let sim = SimEnv::new(1);
        let log = open(&sim);
        // First the event is written, then the mark that covers it.
        sim.disk.faults(full_at(OpKind::Write, number));
        let created = log.create_topic("t", 1, &[]);
        match number {
            1 => assert!(matches!(created, Err(LogError::StorageFull { .. })), "{created:?}"),
            _ => drop(created.unwrap()),
        }
        let created = number == 2;
        assert_eq!(log.topic("t").is_some(), created);
        log.create_topic("later", 1, &[]).unwrap();
        drop(log);
        sim.crash();
        sim.disk.faults(FaultPlan::default());
        let log = open(&sim);
        assert_eq!(log.topic("t").is_some(), created);
        assert!(log.topic("later").is_some());
    }
}

#[test]
fn a_catalog_whose_mark_has_no_space_opens() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    sim.disk.faults(full_at(OpKind::Write, 2));
    log.create_topic("t", 1, &[]).unwrap();
    drop(log);
    sim.crash();
    for _ in 0..3 {
        // FORMAT and the event are written again, the mark is not.
        sim.disk.faults(full_at(OpKind::Write, 3));
        let log = open(&sim);
        assert!(log.topic("t").is_some());
        drop(log);
        sim.crash();
    }
}

#[test]
fn a_catalog_that_cannot_be_synced_ends_the_log() {
    for number in 1..=2 {
        let sim = SimEnv::new(1);
        let log = open(&sim);
        sim.disk.faults(full_at(OpKind::Sync, number));
        let created = log.create_topic("t", 1, &[]);
        assert!(matches!(created, Err(LogError::Disk { .. })), "sync {number}: {created:?}");
        let later = log.create_topic("u", 1, &[]);
        assert!(matches!(later, Err(LogError::Disk { .. })), "sync {number}: {later:?}");
    }
}

#[test]
fn an_event_lost_before_a_whole_one_is_damage() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    let full_nth = vec![(OpKind::Write, 2), (OpKind::Write, 4)];
    sim.disk.faults(FaultPlan { full_nth, ..FaultPlan::default() });
    log.create_topic("first", 1, &[]).unwrap();
    log.create_topic("second", 1, &[]).unwrap();
    drop(log);
    sim.crash();
    sim.disk.faults(FaultPlan::default());
    // No mark covers either, but the second was written after the first was synced.
    sim.disk.corrupt(&Path::new(ROOT).join("catalog"), 8192..8192 + 20).unwrap();
    let refused = Log::open(sim.env(), Path::new(ROOT), manual()).unwrap_err().to_string();
    assert!(refused.contains("catalog is damaged"), "{refused}");
}

/// Appends until that is refused; how often it was not.
fn fill(log: &Arc<Log>, topic: &str) -> usize {
    let partition = log.partition(topic, 0).unwrap();
    let taken = (0..1000).take_while(|_| match partition.append(batch(&[&[1; 5000]])) {
        Ok(_) => true,
        Err(LogError::StorageFull { detail, .. }) => {
            assert!(detail.contains("delete topics"), "{detail}");
            false
        }
        Err(other) => panic!("{other}"),
    });
    let taken = taken.count();
    log.commit_step();
    assert_eq!(partition.offsets().high_watermark, taken as i64);
    taken
}

#[test]
fn internal_topics_go_on_where_others_are_refused() {
    let sim = SimEnv::new(1);
    let reserved = || LogOptions { reserve_bytes: 100_000, ..manual() };
    let log = Log::open(sim.env(), Path::new(ROOT), reserved()).unwrap();
    log.create_topic("t", 1, &[]).unwrap();
    log.create_topic("__state", 1, &[]).unwrap();
    sim.disk.faults(FaultPlan { copy_on_write: false, ..full_but(&sim, 250_000) });
    log.space_step();
    assert_eq!(log.disk_space().alarm, None);
    let free = || sim.disk.free_bytes(Path::new(ROOT)).unwrap();
    assert!(fill(&log, "t") > 20);
    let left = free();
    assert!((90_000..106_000).contains(&left), "{left}");
    log.space_step();
    let alarm = log.disk_space().alarm.expect("nearly full");
    assert!(alarm.contains(&format!("{left} bytes are free")), "{alarm}");
    assert!(fill(&log, "__state") >= 7);
    let left = free();
    assert!((40_000..56_000).contains(&left), "{left}");
    drop(log);
    sim.crash();
    let log = Log::open(sim.env(), Path::new(ROOT), reserved()).unwrap();
    assert_eq!(log.alarms(), []);
    assert!(log.disk_space().alarm.is_some(), "told at the start");
    log.delete_topic("t").unwrap();
    log.space_step();
    assert_eq!(log.disk_space().alarm, None, "{} bytes are free", free());
    for topic in ["u", "__state"] {
        if topic == "u" {
            log.create_topic(topic, 1, &[]).unwrap();
        }
        log.partition(topic, 0).unwrap().append(batch(&[b"room again"])).unwrap();
    }
}
