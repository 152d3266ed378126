//! Transactions: the last stable offset, markers, and the lists of what was aborted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::env::sim::SimEnv;
use thalweg_core::env::{Disk, OpenMode};
use thalweg_core::ids::ProducerId;
use thalweg_core::partition_log::{
    AbortedTransaction, Isolation, LogError, LogStore, PartitionLog,
};
use thalweg_core::record_batch::{BatchBuilder, Compression, ControlKind, control_batch};
use thalweg_log::Log;

use crate::support::{batch, batch_of, build, limits, manual};

const ROOT: &str = "/log";

struct World {
    sim: SimEnv,
    log: Arc<Log>,
    partition: Arc<dyn PartitionLog>,
}

impl World {
    fn new(segment_bytes: u32) -> Self {
        let sim = SimEnv::new(3);
        let log = Log::open(sim.env(), Path::new(ROOT), manual()).unwrap();
        let config = [("segment.bytes".to_owned(), segment_bytes.to_string())];
        log.create_topic("t", 1, &config).unwrap();
        let partition = log.partition("t", 0).unwrap();
        Self { sim, log, partition }
    }

    fn reopen(&mut self) {
        self.log = Log::open(self.sim.env(), Path::new(ROOT), manual()).unwrap();
        assert_eq!(self.log.alarms(), []);
        self.partition = self.log.partition("t", 0).unwrap();
    }

    fn put(&self, batch: Bytes) -> i64 {
        let appended = self.partition.append(batch).unwrap();
        self.log.commit_step();
        appended.base_offset
    }

    fn lists(&self) -> Vec<PathBuf> {
        let files = self.sim.disk.dump().into_keys();
        files.filter(|path| path.to_string_lossy().ends_with(".aborted")).collect()
    }

    fn aborted(&self, from: i64, to: i64) -> Vec<(i64, i64, i64)> {
        let plain = |a: AbortedTransaction| (a.producer.0, a.first_offset, a.last_offset);
        self.partition.aborted(from, to).unwrap().into_iter().map(plain).collect()
    }
}

fn part(producer: i64, epoch: i16, sequence: i32) -> Bytes {
    let builder = BatchBuilder::new(Compression::None)
        .producer(producer, epoch, sequence)
        .transactional(true);
    build(builder, 1_000, &[b"a", b"b"])
}

fn end(kind: ControlKind, producer: i64, epoch: i16, coordinator: i32) -> Bytes {
    control_batch(kind, producer, epoch, coordinator, 2_000).unwrap()
}

#[test]
fn the_last_stable_offset_waits_for_the_oldest_transaction() {
    let world = World::new(1 << 20);
    world.put(part(1, 0, 0));
    world.put(batch(&[b"plain"]));
    world.put(part(2, 0, 0));
    assert_eq!(limits(world.partition.offsets()), (0, 0, 5, 5));
    let committed = |from| world.partition.read(from, 1 << 20, Isolation::ReadCommitted);
    assert!(committed(0).unwrap().is_empty());
    world.put(end(ControlKind::Commit, 1, 0, 0));
    assert_eq!(limits(world.partition.offsets()), (0, 3, 6, 6));
    assert!(!committed(0).unwrap().is_empty());
    assert!(committed(3).unwrap().is_empty());
    let open = world.partition.producer(ProducerId(2)).unwrap();
    assert_eq!(
        (open.open_since, open.coordinator_epoch, open.last_timestamp),
        (Some(3), -1, 1_001)
    );
    world.put(end(ControlKind::Abort, 2, 0, 7));
    assert_eq!(limits(world.partition.offsets()), (0, 7, 7, 7));
    assert_eq!(world.aborted(0, 7), [(2, 3, 6)]);
    let all = world.partition.producers();
    assert_eq!(all.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((all[1].1.open_since, all[1].1.coordinator_epoch), (None, 7));
    assert_eq!(all[1].1.last_timestamp, 2_000);
}

#[test]
fn markers_fence_and_may_come_again() {
    let world = World::new(1 << 20);
    world.put(part(1, 3, 0));
    let older = world.partition.append(end(ControlKind::Commit, 1, 2, 0));
    assert!(matches!(older, Err(LogError::Fenced { current: 3, found: 2, .. })), "{older:?}");
    let outside = world.partition.append(batch_of(1, 3, 2, &[b"not of it"]));
    assert!(matches!(outside, Err(LogError::InvalidTransactionState { .. })), "{outside:?}");
    // KIP-890: the marker carries the next epoch, with which the sequence begins anew.
    world.put(end(ControlKind::Abort, 1, 4, 5));
    let late = world.partition.append(part(1, 3, 2));
    assert!(matches!(late, Err(LogError::Fenced { current: 4, found: 3, .. })), "{late:?}");
    let position = world.partition.producer(ProducerId(1)).unwrap();
    assert_eq!((position.epoch, position.last_sequence, position.last_offset), (4, -1, -1));
    let gap = world.partition.append(part(1, 4, 2));
    assert!(matches!(gap, Err(LogError::OutOfOrderSequence { expected: 0, .. })), "{gap:?}");
    let replaced = world.partition.append(end(ControlKind::Abort, 1, 4, 4));
    let fenced = matches!(replaced, Err(LogError::CoordinatorFenced { current: 5, found: 4, .. }));
    assert!(fenced, "{replaced:?}");
    world.put(end(ControlKind::Abort, 1, 4, 5));
    world.put(end(ControlKind::Commit, 1, 4, 5));
    assert_eq!(world.aborted(0, 100), [(1, 0, 2)]);
    world.put(part(1, 4, 0));
    world.put(end(ControlKind::Commit, 1, 4, 5));
    assert_eq!(world.aborted(0, 100), [(1, 0, 2)]);
    assert_eq!(limits(world.partition.offsets()), (0, 8, 8, 8));
}

/// Interleaved transactions over many segments, against what the test itself wrote down.
fn interleaved(world: &World) -> Vec<(i64, i64, i64)> {
    let mut expected = Vec::new();
    let mut since = [None; 5];
    let mut sequences = [0; 5];
    for step in 0..400_usize {
        let producer = step * 7 % 5;
        if step % 11 < 7 {
            let at = world.put(part(producer as i64, 0, sequences[producer]));
            sequences[producer] += 2;
            since[producer] = since[producer].or(Some(at));
        } else {
            let kind = if step % 3 == 0 { ControlKind::Commit } else { ControlKind::Abort };
            let at = world.put(end(kind, producer as i64, 0, 0));
            if let (Some(first), ControlKind::Abort) = (since[producer].take(), kind) {
                expected.push((producer as i64, first, at));
            }
        }
    }
    assert!(expected.len() > 50);
    expected.sort_by_key(|found| found.1);
    expected
}

fn assert_lists(world: &World, expected: &[(i64, i64, i64)]) {
    let stable = world.partition.offsets().last_stable;
    for from in (0..stable).step_by(13) {
        for len in [1, 5, 60, 1000] {
            let to = (from + len).min(stable);
            let reach: Vec<_> =
                expected.iter().copied().filter(|a| a.1 < to && a.2 >= from).collect();
            let found = world.aborted(from, to);
            assert_eq!(found, reach, "{from}..{to}");
        }
    }
}

#[test]
fn lists_survive_crashes_and_are_built_again() {
    let mut world = World::new(2048);
    let expected = interleaved(&world);
    assert_lists(&world, &expected);
    world.sim.disk.kill();
    world.reopen();
    assert_lists(&world, &expected);
    world.sim.crash();
    world.reopen();
    assert_lists(&world, &expected);
    world.log.close().unwrap();
    let lists = world.lists();
    assert!(lists.len() > 5, "{lists:?}");
    for way in 0..4 {
        for (number, path) in lists.iter().enumerate() {
            let file = world.sim.disk.open(path, OpenMode::Write).unwrap();
            match way {
                0 => world.sim.disk.remove_file(path).unwrap(),
                1 => file.set_len(0).unwrap(),
                2 => file.write_at(&[0x5a; 30], 70).unwrap(),
                // The list of another segment.
                _ => {
                    let other = &lists[(number + 1) % lists.len()];
                    let other = world.sim.disk.open(other, OpenMode::Read).unwrap();
                    let mut bytes = vec![0; other.len().unwrap() as usize];
                    other.read_exact_at(&mut bytes, 0).unwrap();
                    file.write_at(&bytes, 0).unwrap();
                }
            }
        }
        world.reopen();
        assert_lists(&world, &expected);
        world.log.close().unwrap();
    }
}

#[test]
fn a_transaction_open_over_a_restart_can_be_ended() {
    let mut world = World::new(1024);
    world.put(part(1, 0, 0));
    for _ in 0..30 {
        world.put(batch(&[&[7; 100]]));
    }
    world.sim.crash();
    world.reopen();
    assert_eq!(world.partition.offsets().last_stable, 0);
    assert_eq!(world.partition.producer(ProducerId(1)).unwrap().open_since, Some(0));
    world.put(end(ControlKind::Abort, 1, 0, 0));
    assert_eq!(world.partition.offsets().last_stable, 33);
    assert_eq!(world.aborted(0, 2), [(1, 0, 32)]);
    assert_eq!(world.aborted(20, 21), [(1, 0, 32)]);
    assert_eq!(world.aborted(33, 33), []);
}

#[test]
fn deleted_records_stay_deleted() {
    let mut world = World::new(1024);
    world.put(part(1, 0, 0));
    for _ in 0..30 {
        world.put(batch(&[&[7; 100]]));
    }
    world.partition.pin("job", Some(20));
    let pinned = world.partition.delete_before(21);
    assert!(matches!(pinned, Err(LogError::Pinned { from: 20, .. })), "{pinned:?}");
    world.partition.pin("job", None);
    let beyond = world.partition.delete_before(33);
    assert!(matches!(beyond, Err(LogError::OffsetOutOfRange { .. })), "{beyond:?}");
    assert_eq!(world.partition.delete_before(11).unwrap(), 11);
    assert_eq!(world.partition.delete_before(3).unwrap(), 11);
    assert_eq!(limits(world.partition.offsets()), (11, 11, 32, 32));
    let gone = world.partition.read(10, 1, Isolation::ReadUncommitted);
    assert!(matches!(gone, Err(LogError::OffsetOutOfRange { .. })));
    world.sim.crash();
    world.reopen();
    assert_eq!(limits(world.partition.offsets()), (11, 11, 32, 32));
    world.log.retention_step(0);
    assert_eq!(world.partition.offsets().start, 11);
    assert_eq!(world.partition.delete_before(32).unwrap(), 32);
    world.sim.crash();
    world.reopen();
    assert_eq!(limits(world.partition.offsets()), (32, 32, 32, 32));
    assert_eq!(world.put(batch(&[b"on"])), 32);
}
