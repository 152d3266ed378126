//! What hostile bytes can make the log allocate: at most 8 times their size and 1 MiB.
//!
//! A binary of its own, since every allocation in it is counted. What a decoder of LZ4
//! sets aside for the blocks that a frame announces comes on top, and is never filled
//! beyond what the frame really holds; the window of Zstandard is not seen here (it is
//! taken by a C library, up to 8 MiB or what may come out, and filled as needed).

#![allow(clippy::unwrap_used, reason = "tests say so by panicking")]

mod fuzz;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use thalweg_core::env::sim::SimEnv;
use thalweg_core::env::{Disk, OpenMode, Random, SeededRandom, read_file};
use thalweg_core::partition_log::{Isolation, LogStore};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, ControlKind, DecompressionLimits, NewRecord, RecordBatch,
    control_batch, split,
};
use thalweg_log::{Log, LogOptions};

/// What may come on top of a multiple of the input.
const FLOOR: u64 = 1 << 20;
/// Two blocks of 4 MiB to write into, one to read from, and a window.
const LZ4_BLOCKS: u64 = 13 << 20;
const ROUNDS: u64 = 3_000;

/// Runs something on an input and checks what it held at its worst.
fn bounded<T>(what: &str, size: usize, extra: u64, run: impl FnOnce() -> T) -> T {
    let mut result = None;
    let counted = allocation_counter::measure(|| result = Some(run()));
    let bound = 8 * size as u64 + FLOOR + extra;
    assert!(counted.bytes_max <= bound, "{what}: {} bytes for {size}", counted.bytes_max);
    result.unwrap()
}

fn batch(random: &SeededRandom, codec: Compression) -> Vec<u8> {
    let mut batch = BatchBuilder::new(codec).producer(random.below(3) as i64, 0, 0);
    if random.chance(300_000) {
        batch = batch.transactional(true);
    }
    for _ in 0..1 + random.below(20) {
        let len = random.below(if random.chance(20_000) { 200_000 } else { 300 }) as usize;
        let value = vec![random.next_u64() as u8; len];
        let key = [random.below(9) as u8];
        let key = random.chance(900_000).then_some(&key[..]);
        let headers = [("name", Some(&b"text"[..]))];
        let headers = &headers[..random.below(2) as usize];
        batch.push(&NewRecord { timestamp: 1, key, value: Some(&value), headers }).unwrap();
    }
    batch.build().unwrap().to_vec()
}

/// Damages bytes, mostly where lengths and counts stand; sometimes makes the checksum fit.
fn damage(random: &SeededRandom, bytes: &mut Vec<u8>) {
    for _ in 0..1 + random.below(4) {
        let near = if random.chance(700_000) { 90.min(bytes.len()) } else { bytes.len() };
        let at = random.below(near as u64) as usize;
        let wild = [0, 1, 0x7f, 0x80, 0xff, random.next_u64() as u8];
        bytes[at] = wild[random.below(6) as usize];
    }
    if random.chance(100_000) {
        bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
    }
    if random.chance(800_000) && bytes.len() > 61 {
        let len = bytes.len() as i32 - 12;
        bytes[8..12].copy_from_slice(&len.to_be_bytes());
        bytes[16] = 2;
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
}

fn lz4_blocks(bytes: &[u8]) -> u64 {
    // Damage may have made it any codec.
    let codec = bytes.get(22).map_or(0, |attributes| attributes & 7);
    if codec == Compression::Lz4 as u8 { LZ4_BLOCKS } else { 0 }
}

#[test]
fn batches() {
    let random = SeededRandom::new(1);
    let (mut whole, mut outlined) = (0, 0);
    for round in 0..ROUNDS {
        let codec = Compression::ALL[(round % 5) as usize];
        let mut bytes = batch(&random, codec);
        if random.chance(900_000) {
            damage(&random, &mut bytes);
        }
        let extra = lz4_blocks(&bytes);
        bounded("outline", bytes.len(), extra, || {
            for batch in split(&bytes) {
                let Ok(batch) = batch else { return };
                whole += u32::from(batch.verify_crc().is_ok());
                let seen = batch.outline(&DecompressionLimits::default(), |_| {});
                outlined += u32::from(seen.is_ok());
            }
        });
        if codec == Compression::None && bytes.get(22).is_some_and(|bits| bits & 7 == 0) {
            bounded("records", bytes.len(), 0, || {
                let Ok(batch) = RecordBatch::parse(&bytes) else { return };
                let mut scratch = Vec::new();
                let Ok(records) = batch.records(&mut scratch, &Default::default()) else { return };
                records.map_while(Result::ok).map(|record| record.headers.count()).sum::<usize>();
            });
        }
    }
    assert!(whole > 1_000 && outlined > 100, "{whole} {outlined}: mostly refused at the door");
}

#[test]
fn bombs() {
    // A megabyte of zeros in a few kilobytes, and claims of gigabytes in a few bytes.
    for codec in Compression::ALL {
        let mut batch = BatchBuilder::new(codec);
        let zeros = vec![0; 16 << 20];
        batch.push(&NewRecord { value: Some(&zeros), ..NewRecord::default() }).unwrap();
        let bytes = batch.build().unwrap();
        bounded("bomb", bytes.len(), lz4_blocks(&bytes), || {
            let batch = RecordBatch::parse(&bytes).unwrap();
            let _ = batch.outline(&DecompressionLimits::default(), |_| {});
        });
    }
}

fn options() -> LogOptions {
    LogOptions {
        background: false,
        reserve_bytes: 0,
        compaction_map_bytes: 64 << 10,
        ..LogOptions::default()
    }
}

fn compacted() -> [(String, String); 1] {
    [("cleanup.policy".to_owned(), "compact".to_owned())]
}

#[test]
fn appends() {
    let random = SeededRandom::new(2);
    let sim = SimEnv::new(1);
    let log = Log::open(sim.env(), Path::new("/log"), options()).unwrap();
    log.create_topic("plain", 1, &[]).unwrap();
    log.create_topic("compacted", 1, &compacted()).unwrap();
    let mut taken = 0;
    for round in 0..ROUNDS {
        let name = ["plain", "compacted"][random.below(2) as usize];
        let partition = log.partition(name, 0).unwrap();
        let mut bytes = batch(&random, Compression::ALL[(round % 5) as usize]);
        damage(&random, &mut bytes);
        if random.chance(300_000) {
            bytes.extend(batch(&random, Compression::None));
        }
        let (size, extra) = (bytes.len(), lz4_blocks(&bytes));
        let bytes = Bytes::from(bytes);
        let appended = bounded(name, size, extra, || partition.append(bytes));
        taken += u32::from(appended.is_ok());
        log.commit_step();
    }
    assert!(taken > 100, "{taken}: mostly refused at the door");
    // Whatever was taken can be read again in the same bounds.
    for name in ["plain", "compacted"] {
        let partition = log.partition(name, 0).unwrap();
        let mut at = 0;
        while at < partition.offsets().high_watermark {
            let limit = 100_000;
            let read = || partition.read(at, limit, Isolation::ReadUncommitted).unwrap();
            let bytes = bounded("read", limit, 0, read);
            at = split(&bytes).last().unwrap().unwrap().header().next_offset();
        }
    }
}

/// A log with one of each file, closed; returns the files.
fn files(sim: &SimEnv) -> Vec<PathBuf> {
    let log = Log::open(sim.env(), Path::new("/log"), options()).unwrap();
    let segments = ("segment.bytes".to_owned(), "2048".to_owned());
    log.create_topic("t", 1, &[compacted()[0].clone(), segments]).unwrap();
    let partition = log.partition("t", 0).unwrap();
    for number in 0..60 {
        let builder = BatchBuilder::new(Compression::None);
        let mut batch = builder.producer(7, 0, number).transactional(true);
        let value = [number as u8; 90];
        batch
            .push(&NewRecord { key: Some(b"k"), value: Some(&value), ..NewRecord::default() })
            .unwrap();
        partition.append(batch.build().unwrap()).unwrap();
        if number % 4 == 3 {
            let end = control_batch(ControlKind::Abort, 7, 0, 0, 1).unwrap();
            partition.append(end).unwrap();
        }
        log.commit_step();
    }
    log.close().unwrap();
    let all = sim.disk.dump().into_iter();
    // What was removed a moment ago may still be on the platter.
    all.filter(|(_, contents)| contents.as_ref().is_some_and(|bytes| !bytes.is_empty()))
        .map(|(path, _)| path)
        .filter(|path| sim.disk.open(path, OpenMode::Read).is_ok())
        .collect()
}

/// Damages a file, and makes the checksum of its envelope fit where it has one.
fn damage_file(random: &SeededRandom, sim: &SimEnv, path: &Path) {
    let mut bytes = read_file(&*sim.disk, path, 1 << 30).unwrap();
    let slot = if bytes.get(..8).is_some_and(|magic| magic == [0; 8]) { 4096 } else { 0 };
    for _ in 0..1 + random.below(3) {
        let near = if random.chance(800_000) { slot + 200 } else { bytes.len() };
        let at = slot.min(bytes.len() - 1)
            + random.below((near.min(bytes.len()) - slot.min(bytes.len() - 1)) as u64) as usize;
        bytes[at] = [0, 0x7f, 0xff, random.next_u64() as u8][random.below(4) as usize];
    }
    if let Some(envelope) = bytes.get_mut(slot..).filter(|envelope| envelope.len() > 20) {
        let len = u32::from_be_bytes(envelope[12..16].try_into().unwrap()) as usize;
        if let Some(payload) = envelope.get(20..20_usize.saturating_add(len)) {
            let crc = crc32c::crc32c_append(crc32c::crc32c(&envelope[..16]), payload);
            envelope[16..20].copy_from_slice(&crc.to_be_bytes());
        }
    }
    let file = sim.disk.open(path, OpenMode::Write).unwrap();
    file.write_at(&bytes, 0).unwrap();
    file.sync_data().unwrap();
}

#[test]
fn damaged_files() {
    let random = SeededRandom::new(3);
    let mut opened = 0;
    for _ in 0..300 {
        let sim = SimEnv::new(1);
        let files = files(&sim);
        let total = files.iter().map(|path| sim.disk.durable(path).map_or(0, |f| f.len())).sum();
        let path = &files[random.below(files.len() as u64) as usize];
        damage_file(&random, &sim, path);
        let what = path.display().to_string();
        bounded(&what, total, 0, || {
            let Ok(log) = Log::open(sim.env(), Path::new("/log"), options()) else { return };
            opened += 1;
            let Ok(partition) = log.partition("t", 0) else { return };
            let end = partition.offsets().high_watermark;
            for at in 0..end.min(100) {
                let _ = partition.read(at, 100, Isolation::ReadCommitted);
                let _ = partition.aborted(at, at + 10);
            }
            let _ = partition.offset_for_time(0);
            let _ = partition.max_timestamp();
            log.scrub();
            log.compaction_step(sim.env().clock.wall_ms());
        });
    }
    assert!(opened > 100, "{opened}");
}
