//! Damage of every kind: found, told, never repaired by deleting.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::env::sim::SimEnv;
use thalweg_core::env::{Disk, OpenMode};
use thalweg_core::partition_log::{Isolation, LogError, LogStore, PartitionLog};
use thalweg_log::Log;

use crate::support::{batch_at, limits, manual, read_from};

const ROOT: &str = "/log";
/// Where the batches of a segment begin.
const DATA_START: u64 = 8192;

struct World {
    sim: SimEnv,
    /// What was appended.
    batches: Vec<(i64, Bytes)>,
}

impl World {
    /// A partition of several segments with 40 batches, closed.
    fn new() -> Self {
        let sim = SimEnv::new(1);
        let mut world = Self { sim, batches: Vec::new() };
        let log = world.open();
        let config = [("segment.bytes".to_owned(), "4096".to_owned())];
        log.create_topic("t", 1, &config).unwrap();
        let partition = log.partition("t", 0).unwrap();
        for number in 0..40_u8 {
            let value = [number; 350];
            partition.append(batch_at(1000 + i64::from(number), &[&value, b"-"])).unwrap();
            log.commit_step();
        }
        world.batches = read_from(&*partition, 0, 1 << 20).unwrap();
        log.close().unwrap();
        assert_eq!(world.batches.len(), 40);
        assert!(world.segments().len() >= 4);
        world
    }

    fn open(&self) -> Arc<Log> {
        Log::open(self.sim.env(), Path::new(ROOT), manual()).unwrap()
    }

    fn partition(&self, log: &Arc<Log>) -> Arc<dyn PartitionLog> {
        log.partition("t", 0).unwrap()
    }

    fn files(&self, suffix: &str) -> Vec<PathBuf> {
        let files = self.sim.disk.dump().into_keys();
        files.filter(|path| path.to_string_lossy().ends_with(suffix)).collect()
    }

    fn segments(&self) -> Vec<PathBuf> {
        self.files(".log")
    }

    fn len(&self, path: &Path) -> u64 {
        self.sim.disk.open(path, OpenMode::Read).unwrap().len().unwrap()
    }

    fn write(&self, path: &Path, at: u64, bytes: &[u8]) {
        let file = self.sim.disk.open(path, OpenMode::Write).unwrap();
        file.write_at(bytes, at).unwrap();
        file.sync_data().unwrap();
    }

    /// The partition takes no appends, tells why, and keeps every byte.
    fn assert_read_only(&self, log: &Arc<Log>, says: &str) {
        let alarms = log.alarms();
        assert_eq!(alarms.len(), 1, "no alarm");
        assert!(alarms[0].reason.contains(says), "{}", alarms[0].reason);
        let refused = self.partition(log).append(batch_at(1, &[b"x"]));
        assert!(matches!(refused, Err(LogError::ReadOnly { .. })), "{refused:?}");
    }

    fn assert_readable(&self, log: &Arc<Log>, offsets: std::ops::Range<i64>) {
        let partition = self.partition(log);
        for offset in offsets {
            let bytes = partition.read(offset, 1, Isolation::ReadUncommitted).unwrap();
            assert_eq!(bytes, self.batches[offset as usize / 2].1, "offset {offset}");
        }
    }
}

#[test]
fn a_flipped_bit_is_found_on_reading() {
    let world = World::new();
    let second = world.segments()[1].clone();
    let before = world.len(&second);
    let at = world.sim.disk.corrupt(&second, DATA_START + 100..DATA_START + 400).unwrap();
    let log = world.open();
    assert!(log.alarms().is_empty(), "not looked at yet, byte {at}");
    let partition = world.partition(&log);
    let base: i64 = second.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let bad = partition.read(base, 1, Isolation::ReadUncommitted);
    assert!(matches!(bad, Err(LogError::Corrupt { offset, .. }) if offset == base), "{bad:?}");
    world.assert_read_only(&log, "is damaged");
    world.assert_readable(&log, 0..base);
    world.assert_readable(&log, base + 2..80);
    // A long read gives the good batches before it.
    let good = partition.read(base - 2, 1 << 20, Isolation::ReadUncommitted).unwrap();
    assert_eq!(good, world.batches[base as usize / 2 - 1].1);
    assert_eq!(world.len(&second), before);
    log.close().unwrap();
}

#[test]
fn scrubbing_finds_it_too() {
    let world = World::new();
    world.sim.disk.corrupt(&world.segments()[2], DATA_START + 21..DATA_START + 300).unwrap();
    let log = world.open();
    log.scrub();
    world.assert_read_only(&log, "is damaged");
}

#[test]
fn a_damaged_header_does_not_hide_what_follows() {
    let world = World::new();
    let first = world.segments()[0].clone();
    let size = world.batches[0].1.len() as u64;
    // Length and magic of the third batch.
    world.write(&first, DATA_START + 2 * size + 8, &[0xff; 9]);
    for index in world.files(".index") {
        world.sim.disk.remove_file(&index).unwrap();
    }
    let log = world.open();
    world.assert_readable(&log, 0..4);
    let bad = world.partition(&log).read(4, 1, Isolation::ReadUncommitted);
    assert!(matches!(bad, Err(LogError::Corrupt { offset: 4, .. })), "{bad:?}");
    world.assert_readable(&log, 6..80);
}

#[test]
fn a_missing_segment_is_noticed() {
    for missing in [0, 1, usize::MAX] {
        let world = World::new();
        let segments = world.segments();
        let missing = missing.min(segments.len() - 1);
        world.sim.disk.remove_file(&segments[missing]).unwrap();
        let log = world.open();
        world.assert_read_only(&log, "missing");
        let offset =
            |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<i64>().unwrap();
        let from = offset(&segments[missing]);
        let to = segments.get(missing + 1).map_or(80, offset);
        world.assert_readable(&log, 0..from);
        world.assert_readable(&log, to..80);
        if to < 80 {
            let gone = world.partition(&log).read(from, 1, Isolation::ReadUncommitted);
            assert!(matches!(gone, Err(LogError::Corrupt { .. })), "{gone:?}");
        }
    }
}

#[test]
fn bytes_lost_from_the_durable_end_are_damage() {
    let world = World::new();
    let last = world.segments().pop().unwrap();
    let file = world.sim.disk.open(&last, OpenMode::Write).unwrap();
    let len = file.len().unwrap();
    file.set_len(len - 10).unwrap();
    file.sync_data().unwrap();
    let log = world.open();
    world.assert_read_only(&log, "were durable");
    world.assert_readable(&log, 0..78);
    drop(log);
    assert_eq!(world.len(&last), len - 10, "nothing is cut");
}

#[test]
fn bytes_behind_the_durable_end_are_a_torn_tail() {
    let world = World::new();
    let last = world.segments().pop().unwrap();
    let len = world.len(&last);
    // A hole, and a whole batch of the right offset behind it: nobody was promised it.
    let mut later = batch_at(5, &[b"later"]).to_vec();
    thalweg_core::record_batch::set_base_offset(&mut later, 82);
    world.write(&last, len + 100, &later);
    let log = world.open();
    assert_eq!(log.alarms(), []);
    assert_eq!(limits(world.partition(&log).offsets()), (0, 80, 80, 80));
    assert_eq!(world.len(&last), len);
    let names = world.sim.disk.list(last.parent().unwrap()).unwrap();
    let kept = names.iter().find(|entry| entry.name.ends_with(".cut")).expect("kept for a human");
    assert_eq!(kept.len, 100 + later.len() as u64);
    world.partition(&log).append(batch_at(1, &[b"new"])).unwrap();
    log.commit_step();
    assert_eq!(read_from(&*world.partition(&log), 80, 1).unwrap().len(), 1);
}

#[test]
fn a_damaged_head_is_damage() {
    let world = World::new();
    let second = world.segments()[1].clone();
    world.write(&second, 30, &[0xaa; 20]);
    world.write(&second, 4096 + 30, &[0xaa; 20]);
    let log = world.open();
    world.assert_read_only(&log, "head");
    world.assert_readable(&log, 0..80);
}

/// A way to damage an index.
type Way<'a> = &'a dyn Fn(&World, &Path);

#[test]
fn indexes_are_never_trusted() {
    let garbage = |world: &World, path: &Path| world.write(path, 70, &[0x5a; 40]);
    let gone = |world: &World, path: &Path| world.sim.disk.remove_file(path).unwrap();
    let empty = |world: &World, path: &Path| {
        let file = world.sim.disk.open(path, OpenMode::Write).unwrap();
        file.set_len(0).unwrap();
        file.sync_data().unwrap();
    };
    // The index of another segment is whole, and wrong.
    let swapped = |world: &World, path: &Path| {
        let other = world.files(".index").into_iter().find(|other| other != path).unwrap();
        let bytes = world.sim.disk.durable(&other).unwrap_or_default();
        world.write(path, 0, &bytes);
    };
    let ways: [Way<'_>; 4] = [&garbage, &gone, &empty, &swapped];
    for (number, way) in ways.into_iter().enumerate() {
        let world = World::new();
        // Derived files are not synced: make them part of the durable image.
        let indexes: Vec<PathBuf> =
            world.segments().iter().map(|path| path.with_extension("index")).collect();
        for index in &indexes {
            let file = world.sim.disk.open(index, OpenMode::Write).unwrap();
            file.sync_data().unwrap();
            world.sim.disk.sync_dir(index.parent().unwrap()).unwrap();
        }
        for index in &indexes {
            way(&world, index);
        }
        let log = world.open();
        world.assert_readable(&log, 0..80);
        let partition = world.partition(&log);
        for time in [0, 1000, 1017, 1040] {
            let found = partition.offset_for_time(time).unwrap();
            let expected = match time {
                0 => Some((0, 1000)),
                1040 => Some((79, 1040)),
                // The second record of a batch is one millisecond later.
                _ if time == 1000 => Some((0, 1000)),
                _ => Some((2 * (time - 1000) - 1, time)),
            };
            assert_eq!(found, expected, "way {number}, time {time}");
        }
        assert_eq!(partition.max_timestamp().unwrap(), Some((79, 1040)));
        assert_eq!(log.alarms(), [], "way {number}");
    }
}

#[test]
fn a_newer_version_is_refused() {
    // The version is in bytes 8 and 9 of an envelope; with a checksum that fits.
    let newer = |bytes: &mut [u8]| {
        bytes[8..10].copy_from_slice(&9_u16.to_be_bytes());
        let len = u32::from_be_bytes(bytes[12..16].try_into().unwrap()) as usize;
        let mut summed = bytes[..16].to_vec();
        summed.extend_from_slice(&bytes[20..20 + len]);
        bytes[16..20].copy_from_slice(&crc32c::crc32c(&summed).to_be_bytes());
    };
    let world = World::new();
    let mut files = vec![world.segments()[1].clone()];
    files.extend(["FORMAT", "catalog"].map(|name| Path::new(ROOT).join(name)));
    for path in files {
        let original = world.sim.disk.durable(&path).unwrap();
        let mut changed = original.clone();
        let slot = if original[..8] == [0; 8] { 4096 } else { 0 };
        newer(&mut changed[slot..]);
        world.write(&path, 0, &changed);
        let error = Log::open(world.sim.env(), Path::new(ROOT), manual()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("version 9"), "{}: {text}", path.display());
        world.write(&path, 0, &original);
    }
    world.open();
}

#[test]
fn a_damaged_catalog_is_refused() {
    let world = World::new();
    let catalog = Path::new(ROOT).join("catalog");
    let byte = world.sim.disk.corrupt(&catalog, DATA_START..DATA_START + 20).unwrap();
    let error = Log::open(world.sim.env(), Path::new(ROOT), manual()).unwrap_err().to_string();
    assert!(error.contains("catalog is damaged"), "byte {byte}: {error}");
    world.sim.disk.remove_file(&catalog).unwrap();
    let error = Log::open(world.sim.env(), Path::new(ROOT), manual()).unwrap_err().to_string();
    assert!(error.contains("catalog is missing"), "{error}");
}

#[test]
fn one_process_at_a_time_and_only_in_a_log() {
    let world = World::new();
    let log = world.open();
    let open = || Log::open(world.sim.env(), Path::new(ROOT), manual());
    assert!(open().unwrap_err().to_string().contains("in use by another process"));
    log.close().unwrap();
    drop(log);
    open().unwrap();

    world.sim.disk.create_dir_all(Path::new("/letters")).unwrap();
    world.sim.disk.open(Path::new("/letters/letter.txt"), OpenMode::Create).unwrap();
    let foreign = Log::open(world.sim.env(), Path::new("/letters"), manual()).unwrap_err();
    assert!(foreign.to_string().contains("'letter.txt'"), "{foreign}");
}
