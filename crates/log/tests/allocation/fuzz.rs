//! Batches that no producer makes: every field of the header, and inside the compressed part
//! every length of a record, in turn or together; then what the log does with them.

use bytes::Bytes;
use thalweg_core::env::{Random, SeededRandom};
use thalweg_core::partition_log::{Isolation, LogStore, PartitionLog};
use thalweg_core::record_batch::{
    Compression, ControlKind, DecompressionLimits, NewRecord, RecordBatch, compress, control_batch,
    parse_control_record, split,
};
use thalweg_log::Log;
use thalweg_testkit::fuzz::Fuzz;
use thalweg_testkit::memory::used;
use thalweg_testkit::mutate::{below, extreme, mutate, pick, varint};

use super::{LZ4_BLOCKS, SimEnv, compacted, lz4_blocks, options};

/// Bytes of a batch before its records.
const HEADER_BYTES: usize = 61;
/// Where the fields of the header are that say something of the records, and their sizes:
/// attributes, offset of the last, times, producer, epoch, sequence, count.
const FIELDS: [(usize, usize); 8] =
    [(21, 2), (23, 4), (27, 8), (35, 8), (43, 8), (51, 2), (53, 4), (57, 4)];

#[test]
fn record_batches() {
    let test = "-p thalweg-log --test allocation record_batches";
    Fuzz { name: "record_batches", folder: env!("CARGO_MANIFEST_DIR"), test, rounds: 1_500 }
        .run(generate, target);
}

/// Batches as a produce request brings them: they are taken or refused, and what was taken
/// can be read, searched, compacted and opened again.
fn target(input: &[u8]) {
    look(input);
    let sim = SimEnv::new(1);
    let log = Log::open(sim.env(), "/log".as_ref(), options()).unwrap();
    log.create_topic("plain", 1, &[]).unwrap();
    log.create_topic("compacted", 1, &compacted()).unwrap();
    let other_codec = [("compression.type", "zstd"), ("max.message.bytes", "65536")];
    let other_codec = other_codec.map(|(name, value)| (name.to_owned(), value.to_owned()));
    log.create_topic("other-codec", 1, &other_codec).unwrap();
    for topic in ["plain", "compacted", "other-codec"] {
        let partition = log.partition(topic, 0).unwrap();
        // What a producer did before, so that sequences and epochs have something to meet.
        let begun = control_batch(ControlKind::Commit, 7, 0, 0, 1).unwrap();
        partition.append(begun).unwrap();
        bounded(topic, input, || partition.append(Bytes::copy_from_slice(input)).is_ok());
        while log.commit_step() > 0 {}
        bounded("reading", input, || read(&*partition));
    }
    bounded("housekeeping", input, || {
        log.retention_step(sim.env().clock.wall_ms());
        log.scrub();
    });
    // Compaction has to look at keys and unpacks a batch at a time, as far as the limits of
    // decompression let it: that is not counted.
    log.compaction_step(sim.env().clock.wall_ms());
    let before = ends(&log);
    log.close().unwrap();
    drop(log);
    let log = Log::open(sim.env(), "/log".as_ref(), options()).unwrap();
    assert_eq!(ends(&log), before, "not what was there before");
    let partition = log.partition("plain", 0).unwrap();
    bounded("reading again", input, || read(&*partition));
}

fn bounded<T>(what: &str, input: &[u8], run: impl FnOnce() -> T) -> T {
    let (result, mut used) = used(run);
    if split(input).map_while(Result::ok).any(|batch| lz4_blocks(batch.bytes()) > 0) {
        used.peak_bytes = used.peak_bytes.saturating_sub(LZ4_BLOCKS);
    }
    used.check(what, input.len());
    result
}

/// All that looks at batches without keeping them.
fn look(input: &[u8]) {
    let limits = DecompressionLimits::default();
    bounded("outline", input, || {
        for batch in split(input).map_while(Result::ok) {
            let _ = batch.verify_crc();
            let _ = batch.header().check_produced();
            let _ = batch.outline(&limits, |_| {});
        }
    });
    for batch in split(input).map_while(Result::ok) {
        // As much may come out as the limits say, and a little that shows that it was too
        // much; what is built from it may not be more.
        let mut scratch = Vec::with_capacity(limits.for_input(input.len()) + (64 << 10));
        bounded("records", input, || {
            let Ok(records) = batch.records(&mut scratch, &limits) else { return };
            for record in records.map_while(Result::ok) {
                let _ = parse_control_record(&record);
                record.headers.for_each(drop);
            }
        });
    }
}

fn read(partition: &dyn PartitionLog) {
    let offsets = partition.offsets();
    for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
        let mut at = offsets.start;
        while at < offsets.last_stable {
            let bytes = partition.read(at, 1_000, isolation).unwrap();
            let Some(last) = split(&bytes).last() else { break };
            at = last.unwrap().header().next_offset();
        }
    }
    partition.aborted(offsets.start, offsets.end).unwrap();
    for time in [i64::MIN, -1, 0, 1, i64::MAX] {
        partition.offset_for_time(time).unwrap();
    }
    partition.max_timestamp().unwrap();
    partition.producers();
}

fn ends(log: &Log) -> Vec<String> {
    let of = |topic| log.partition(topic, 0).unwrap().offsets();
    ["plain", "compacted", "other-codec"].map(|topic| format!("{:?}", of(topic))).into()
}

fn generate(random: &SeededRandom) -> Vec<u8> {
    let mut input = one(random);
    while random.chance(300_000) {
        input.extend(one(random));
    }
    if random.chance(100_000) {
        mutate(random, &mut input, &one(random));
    }
    input
}

/// A batch made by hand, most often with a length and checksum that fit.
fn one(random: &SeededRandom) -> Vec<u8> {
    let codec = *pick(random, &Compression::ALL);
    let control = random.chance(150_000);
    let count = 1 + below(random, 4);
    let mut records = Vec::new();
    for number in 0..count {
        let record = record(random, number as i64, control);
        // The length of a record is written zigzag.
        let length = match random.chance(30_000) {
            true => extreme(random, record.len()),
            false => record.len() as i64,
        };
        records.extend(zigzag(length));
        records.extend(record);
    }
    if random.chance(20_000) {
        records.resize(below(random, 20 << 20), 0);
    }
    if random.chance(200_000) {
        let donor = records.clone();
        mutate(random, &mut records, &donor[..donor.len().min(500)]);
    }
    let mut body = Vec::new();
    compress(codec, &records, &mut body).unwrap();
    if random.chance(100_000) {
        mutate(random, &mut body, &records[..records.len().min(500)]);
    }
    let (transactional, producer) = (random.chance(300_000), random.chance(500_000));
    let attributes = codec as i16 | i16::from(transactional) << 4 | i16::from(control) << 5;
    let has_producer = producer || transactional || control;
    let (id, epoch) = if has_producer { (7, 0) } else { (-1_i64, -1_i16) };
    let mut batch = vec![0; HEADER_BYTES];
    batch[16] = 2;
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[23..27].copy_from_slice(&(count as i32 - 1).to_be_bytes());
    batch[43..51].copy_from_slice(&id.to_be_bytes());
    batch[51..53].copy_from_slice(&epoch.to_be_bytes());
    batch[53..57].copy_from_slice(&(i32::from(has_producer) - 1).to_be_bytes());
    batch[57..61].copy_from_slice(&(count as i32).to_be_bytes());
    for _ in 0..*pick(random, &[0, 0, 0, 1, 2]) {
        let (at, size) = *pick(random, &FIELDS);
        let value = extreme(random, count).to_be_bytes();
        batch[at..at + size].copy_from_slice(&value[8 - size..]);
    }
    batch.extend(body);
    let length = match random.chance(30_000) {
        true => extreme(random, batch.len() - 12),
        false => batch.len() as i64 - 12,
    };
    batch[8..12].copy_from_slice(&(length as i32).to_be_bytes());
    if random.chance(970_000) {
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    batch
}

/// A record without its length: attributes, differences of time and offset, key, value and
/// headers, any of whose numbers may be wrong.
fn record(random: &SeededRandom, number: i64, control: bool) -> Vec<u8> {
    let mut out = vec![0];
    let off = |value: i64| match random.chance(30_000) {
        true => extreme(random, value as usize),
        false => value,
    };
    out.extend(zigzag(off(0)));
    out.extend(zigzag(off(number)));
    let key = if control { &[0, 0, 0, 1][..] } else { b"key" };
    let value: &[u8] = if control { &[0, 0, 0, 0, 0, 0] } else { b"some value" };
    for part in [key, value] {
        match random.below(12) {
            0 => out.extend(zigzag(-1)),
            1 => out.extend(zigzag(0)),
            _ => {
                out.extend(zigzag(off(part.len() as i64)));
                out.extend(part);
            }
        }
    }
    let headers = *pick(random, &[0, 0, 1, 2]);
    out.extend(zigzag(off(headers)));
    for _ in 0..headers {
        out.extend(zigzag(off(4)));
        out.extend(b"name");
        out.extend(zigzag(off(-1)));
    }
    out
}

fn zigzag(value: i64) -> Vec<u8> {
    varint(value << 1 ^ value >> 63)
}

/// The mutations leave enough whole to get inside.
#[test]
fn most_batches_get_beyond_the_checksum() {
    let random = SeededRandom::new(1);
    let (mut whole, mut readable) = (0, 0);
    for _ in 0..500 {
        let bytes = one(&random);
        let Ok(batch) = RecordBatch::parse(&bytes) else { continue };
        whole += u32::from(batch.verify_crc().is_ok());
        readable += u32::from(batch.outline(&DecompressionLimits::default(), |_| {}).is_ok());
    }
    assert!(whole > 300 && (100..450).contains(&readable), "{whole} {readable}");
    // Made by hand as the builder makes it.
    let mut by_builder = thalweg_core::record_batch::BatchBuilder::new(Compression::None);
    by_builder.push(&NewRecord { key: Some(b"k"), ..NewRecord::default() }).unwrap();
    let built = by_builder.build().unwrap();
    assert_eq!(built[HEADER_BYTES..], [zigzag(7), vec![0, 0, 0, 2, b'k', 1, 0]].concat());
}
