//! Behind the durable mark: what is a torn tail, what is damage; and what becomes of a
//! partition whose files cannot be read or are gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::env::sim::{FaultPlan, OpKind, SimEnv};
use thalweg_core::env::{Disk, OpenMode, read_file};
use thalweg_core::partition_log::{Isolation, LogError, LogStore, PartitionLog};
use thalweg_core::record_batch::{set_base_offset, set_leader_epoch};
use thalweg_log::Log;

use crate::support::{batch_at, limits, manual, read_from, values};

const ROOT: &str = "/log";

fn open(sim: &SimEnv) -> Arc<Log> {
    Log::open(sim.env(), Path::new(ROOT), manual()).unwrap()
}

fn partition(log: &Arc<Log>) -> Arc<dyn PartitionLog> {
    log.partition("t", 0).unwrap()
}

/// A batch of one record of 350 bytes, none of them zero.
fn one(number: u8) -> Bytes {
    batch_at(1000 + i64::from(number), &[&[number + 1; 350]])
}

/// A log of `marked` batches that was closed.
fn closed(marked: u8, config: &[(&str, &str)]) -> SimEnv {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    let config: Vec<_> = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    log.create_topic("t", 1, &config).unwrap();
    for number in 0..marked {
        partition(&log).append(one(number)).unwrap();
        log.commit_step();
    }
    log.close().unwrap();
    sim
}

fn files(sim: &SimEnv, suffix: &str) -> Vec<PathBuf> {
    let files = sim.disk.dump().into_keys();
    files.filter(|path| path.to_string_lossy().ends_with(suffix)).collect()
}

fn contents(sim: &SimEnv, path: &Path) -> Vec<u8> {
    read_file(&*sim.disk, path, 1 << 30).unwrap()
}

/// Everything that is not derived.
fn segments(sim: &SimEnv) -> BTreeMap<PathBuf, Vec<u8>> {
    files(sim, ".log").into_iter().map(|path| (path.clone(), contents(sim, &path))).collect()
}

fn write(sim: &SimEnv, path: &Path, at: u64, bytes: &[u8]) {
    let file = sim.disk.open(path, OpenMode::Write).unwrap();
    file.write_at(bytes, at).unwrap();
    file.sync_data().unwrap();
}

/// Batches from an offset on as the log would have written them.
fn stored(from: u8, to: u8) -> Vec<u8> {
    let batch = |number: u8| {
        let mut batch = one(number).to_vec();
        set_base_offset(&mut batch, i64::from(number));
        set_leader_epoch(&mut batch, 0);
        batch
    };
    (from..to).flat_map(batch).collect()
}

#[test]
fn a_bit_that_flipped_in_the_last_group_is_not_cut() {
    let size = one(0).len() as u64;
    for (bad, from) in [(4, 70), (5, 3), (4, 16), (5, 9), (6, 200)] {
        let sim = closed(4, &[]);
        let segment = files(&sim, ".log").remove(0);
        let end = contents(&sim, &segment).len() as u64;
        // Synced and acknowledged, but the power failed before their mark was durable.
        write(&sim, &segment, end, &stored(4, 8));
        let at = end + (bad - 4) * size + from;
        sim.disk.corrupt(&segment, at..at + 1).unwrap();
        let before = segments(&sim);
        let log = open(&sim);
        let alarms = log.alarms();
        assert_eq!(alarms.len(), 1, "byte {from} of batch {bad}");
        assert!(alarms[0].reason.contains("may have been acknowledged"), "{}", alarms[0].reason);
        let refused = partition(&log).append(one(9));
        assert!(matches!(refused, Err(LogError::ReadOnly { .. })), "{refused:?}");
        assert_eq!(segments(&sim), before, "nothing is cut");
        // What is good before and behind it can be read.
        for offset in (0..8).filter(|&offset| offset != bad as i64) {
            let good = partition(&log).read(offset, 1, Isolation::ReadUncommitted).unwrap();
            assert_eq!(good, stored(offset as u8, offset as u8 + 1), "offset {offset}");
        }
        let damaged = partition(&log).read(bad as i64, 1, Isolation::ReadUncommitted);
        assert!(matches!(damaged, Err(LogError::Corrupt { .. })), "{damaged:?}");
        log.close().unwrap();
        drop(log);
        assert_eq!(open(&sim).alarms().len(), 1, "still so at the next start");
        assert_eq!(segments(&sim), before);
    }
}

#[test]
fn a_lost_sector_before_whole_batches_is_a_torn_tail() {
    let sim = closed(4, &[]);
    let segment = files(&sim, ".log").remove(0);
    let end = contents(&sim, &segment).len() as u64;
    let mut tail = stored(4, 8);
    // The second sector of what was written never came.
    let lost = (512 - end as usize % 512)..(1024 - end as usize % 512);
    tail[lost].fill(0);
    write(&sim, &segment, end, &tail);
    let log = open(&sim);
    assert_eq!(log.alarms(), []);
    let whole = if end % 512 + one(0).len() as u64 <= 512 { 5 } else { 4 };
    assert_eq!(limits(partition(&log).offsets()), (0, whole, whole, whole));
    let cut = files(&sim, ".cut");
    assert_eq!(cut.len(), 1);
    assert_eq!(contents(&sim, &cut[0]), tail[(whole as usize - 4) * one(0).len()..]);
    partition(&log).append(one(100)).unwrap();
    log.commit_step();
    assert_eq!(values(&partition(&log), whole), [[101; 350]]);
}

#[test]
fn all_that_is_cut_is_put_aside_however_much() {
    let sim = closed(4, &[]);
    let segment = files(&sim, ".log").remove(0);
    let end = contents(&sim, &segment).len() as u64;
    let garbage: Vec<u8> = (0..20 << 20).map(|n: u32| (n % 251) as u8).collect();
    write(&sim, &segment, end, &garbage);
    let log = open(&sim);
    assert_eq!(log.alarms(), []);
    assert_eq!(partition(&log).offsets().end, 4);
    assert!(contents(&sim, &files(&sim, ".cut")[0]) == garbage, "durable, and whole");
    assert_eq!(contents(&sim, &segment).len() as u64, end);
    drop(log);
    // The same once more is another file.
    sim.disk.kill();
    write(&sim, &segment, end, b"other garbage");
    open(&sim);
    let mut kept: Vec<_> =
        files(&sim, ".cut").iter().map(|path| contents(&sim, path).len()).collect();
    kept.sort_unstable();
    assert_eq!(kept, [13, 20 << 20]);
}

/// A log of four marked batches and eight more in several segments, which a killed process
/// left without a mark.
fn killed_with_segments_behind_the_mark() -> SimEnv {
    let sim = closed(4, &[("segment.bytes", "1024")]);
    let log = open(&sim);
    for number in 4..12 {
        partition(&log).append(one(number)).unwrap();
    }
    drop(log);
    sim.disk.kill();
    assert!(files(&sim, ".log").len() >= 5);
    sim
}

/// Where the batch with an offset begins.
fn place(sim: &SimEnv, offset: u8) -> (PathBuf, u64) {
    let wanted = stored(offset, offset + 1);
    let found = files(sim, ".log").into_iter().find_map(|path| {
        let bytes = contents(sim, &path);
        let at = bytes.windows(wanted.len()).position(|window| window == wanted)?;
        Some((path, at as u64))
    });
    found.expect("the batch is there")
}

#[test]
fn later_segments_are_put_aside_whole() {
    let sim = killed_with_segments_behind_the_mark();
    let (segment, at) = place(&sim, 5);
    write(&sim, &segment, at, &vec![0; one(5).len()]);
    let before = segments(&sim);
    let log = open(&sim);
    assert_eq!(log.alarms(), []);
    assert_eq!(limits(partition(&log).offsets()), (0, 5, 5, 5));
    let later = before.iter().filter(|(path, _)| **path > segment);
    let mut count = 0;
    for (path, bytes) in later {
        let aside = PathBuf::from(format!("{}.cut", path.display()));
        assert!(&contents(&sim, &aside) == bytes, "{}", aside.display());
        assert!(!sim.disk.exists(path));
        count += 1;
    }
    assert!(count >= 3);
    drop(log);
    sim.crash();
    assert_eq!(files(&sim, ".cut").len(), count, "durable");
    let log = open(&sim);
    assert_eq!(limits(partition(&log).offsets()), (0, 5, 5, 5));
}

#[test]
fn later_segments_stay_behind_a_bad_bit() {
    let sim = killed_with_segments_behind_the_mark();
    let (segment, at) = place(&sim, 5);
    write(&sim, &segment, at + 70, b"!");
    let before = segments(&sim);
    let log = open(&sim);
    assert!(log.alarms()[0].reason.contains("may have been acknowledged"));
    assert_eq!(segments(&sim), before);
    for offset in [4, 6, 11] {
        assert!(partition(&log).read(offset, 1, Isolation::ReadUncommitted).is_ok(), "{offset}");
    }
}

#[test]
fn without_space_to_put_it_aside_nothing_is_cut() {
    let sim = closed(4, &[]);
    let segment = files(&sim, ".log").remove(0);
    let end = contents(&sim, &segment).len() as u64;
    write(&sim, &segment, end, &stored(4, 8)[..1000]);
    sim.disk.remove_file(&Path::new(ROOT).join("CLEAN")).unwrap();
    let before = segments(&sim);
    let capacity_bytes = (1 << 30) - sim.disk.free_bytes(Path::new(ROOT)).unwrap() + 100;
    sim.disk.faults(FaultPlan { capacity_bytes, ..FaultPlan::default() });
    let log = open(&sim);
    assert!(log.alarms()[0].reason.contains("free some and start again"), "{:?}", log.alarms());
    assert_eq!(segments(&sim), before);
    assert_eq!(values(&partition(&log), 0).len(), 6, "what is good can be read");
    drop(log);
    sim.disk.kill();
    sim.disk.faults(FaultPlan::default());
    let log = open(&sim);
    assert_eq!(log.alarms(), []);
    assert_eq!(partition(&log).offsets().end, 6);
    assert_eq!(files(&sim, ".cut").len(), 1);
}

#[test]
fn what_was_put_aside_goes_with_what_was_around_it() {
    let sim = closed(4, &[("segment.bytes", "1024"), ("retention.bytes", "1024")]);
    let last = files(&sim, ".log").pop().unwrap();
    let end = contents(&sim, &last).len() as u64;
    write(&sim, &last, end, b"torn");
    let log = open(&sim);
    assert_eq!(files(&sim, ".cut").len(), 1);
    for number in 4..12 {
        partition(&log).append(one(number)).unwrap();
        log.commit_step();
    }
    assert!(log.retention_step(0) > 0);
    drop(log);
    sim.disk.kill();
    open(&sim);
    let names = sim.disk.list(last.parent().unwrap()).unwrap();
    assert!(!names.iter().any(|entry| entry.name.ends_with(".cut")), "{names:?}");
}

/// Two topics of three segments; the process was killed.
fn two_topics() -> SimEnv {
    let sim = SimEnv::new(7);
    let log = open(&sim);
    for name in ["t", "u"] {
        let config = [("segment.bytes".to_owned(), "1024".to_owned())];
        log.create_topic(name, 1, &config).unwrap();
        for number in 0..6 {
            log.partition(name, 0).unwrap().append(one(number)).unwrap();
            log.commit_step();
        }
    }
    drop(log);
    sim.disk.kill();
    sim
}

#[test]
fn a_partition_that_cannot_be_read_does_not_keep_the_others_from_it() {
    for kind in [OpKind::Read, OpKind::Open, OpKind::List, OpKind::Write] {
        let (mut alarmed, mut number) = (0, 1);
        loop {
            let sim = two_topics();
            let fail_nth = vec![(kind, number)];
            sim.disk.faults(FaultPlan { fail_nth, ..FaultPlan::default() });
            let opened = Log::open(sim.env(), Path::new(ROOT), manual());
            let hit = sim.disk.count(kind) >= number;
            sim.disk.faults(FaultPlan::default());
            if let Ok(log) = &opened {
                let alarms = log.alarms();
                assert!(alarms.len() <= 1, "{alarms:?}");
                alarmed += alarms.len();
                for name in ["t", "u"] {
                    let bad = alarms.iter().any(|alarm| alarm.partition.topic == name);
                    let partition = log.partition(name, 0).unwrap();
                    let appended = partition.append(one(7));
                    if bad {
                        assert!(matches!(appended, Err(LogError::ReadOnly { .. })));
                        assert_eq!(read_from(&*partition, 0, 1 << 20).unwrap().len(), 6);
                    } else {
                        assert_eq!(appended.unwrap().base_offset, 6, "{kind:?} {number}");
                        assert_eq!(read_from(&*partition, 0, 1 << 20).unwrap().len(), 6);
                    }
                }
            } else if let Err(error) = opened {
                // What all partitions share: no log without it.
                let text = error.to_string();
                assert!(!text.contains("t-0") && !text.contains("u-0"), "{text}");
            }
            if !hit {
                break;
            }
            number += 1;
        }
        assert!(alarmed >= 2, "{kind:?}: both topics were hit");
    }
}

#[test]
fn segments_that_are_all_gone_are_missed() {
    for left in [".index", ".producers"] {
        let sim = closed(6, &[("segment.bytes", "1024")]);
        let dir = files(&sim, ".log")[0].parent().unwrap().to_owned();
        for entry in sim.disk.list(&dir).unwrap() {
            if !entry.name.ends_with(left) {
                sim.disk.remove_file(&dir.join(&entry.name)).unwrap();
            }
        }
        assert!(!sim.disk.list(&dir).unwrap().is_empty(), "there is an {left}");
        let log = open(&sim);
        assert!(log.alarms()[0].reason.contains("segments are missing"), "{:?}", log.alarms());
        let refused = partition(&log).append(one(0));
        assert!(matches!(refused, Err(LogError::ReadOnly { .. })), "{refused:?}");
        assert!(partition(&log).offsets().end >= 4, "offsets are not given again");
        let gone = partition(&log).read(0, 1, Isolation::ReadUncommitted);
        assert!(matches!(gone, Err(LogError::Corrupt { .. })), "{gone:?}");
    }
}
