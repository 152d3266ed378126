//! `compression.type` of a topic: what is stored in which codec.

use std::path::Path;
use std::sync::Arc;

use thalweg_core::env::sim::SimEnv;
use thalweg_core::ids::ProducerId;
use thalweg_core::partition_log::{LogError, LogStore, PartitionLog};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, ControlKind, RecordBatch, control_batch,
};
use thalweg_log::Log;

use crate::support::{batch, build, limits, manual, read_from, values};

const NAMES: [(&str, Compression); 5] = [
    ("uncompressed", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

fn open(sim: &SimEnv) -> Arc<Log> {
    Log::open(sim.env(), Path::new("/log"), manual()).unwrap()
}

fn with(codec: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    std::iter::once(own(("compression.type", codec))).chain(more.iter().copied().map(own)).collect()
}

fn stored(partition: &dyn PartitionLog) -> Vec<Compression> {
    let batches = read_from(partition, 0, 1 << 20).unwrap();
    let codec = |bytes: &[u8]| {
        let batch = RecordBatch::parse(bytes).unwrap();
        batch.verify_crc().unwrap();
        batch.header().attributes.compression().unwrap()
    };
    batches.iter().map(|(_, bytes)| codec(bytes)).collect()
}

#[test]
fn a_topic_has_its_codec() {
    for (name, codec) in NAMES {
        let sim = SimEnv::new(1);
        let log = open(&sim);
        log.create_topic("t", 1, &with(name, &[])).unwrap();
        let partition = log.partition("t", 0).unwrap();
        assert!(partition.append_may_wait(100), "not on a thread that serves others");
        let mut expected = Vec::new();
        for (number, sent) in Compression::ALL.into_iter().enumerate() {
            let sequence = number as i32 * 2;
            let text = vec![number as u8; 4000];
            let builder = BatchBuilder::new(sent).producer(7, 1, sequence).transactional(true);
            let bytes = build(builder, 1_000, &[b"first", &text]);
            let appended = partition.append(bytes.clone()).unwrap();
            assert_eq!((appended.base_offset, appended.duplicate), (2 * number as i64, false));
            let again = partition.append(bytes).unwrap();
            assert_eq!((again.base_offset, again.duplicate), (2 * number as i64, true));
            expected.extend([b"first".to_vec(), text]);
        }
        assert_eq!(partition.producer(ProducerId(7)).unwrap().last_sequence, 9);
        log.commit_step();
        assert_eq!(stored(&*partition), [codec; 5], "{name}");
        assert_eq!(values(&partition, 0), expected, "{name}");
        // An end of a transaction is none's business but the log's.
        partition.append(control_batch(ControlKind::Commit, 7, 1, 0, 9).unwrap()).unwrap();
        log.commit_step();
        assert_eq!(stored(&*partition)[5..], [Compression::None]);
        assert_eq!(limits(partition.offsets()), (0, 11, 11, 11));
        drop((log, partition));
        sim.crash();
        let log = open(&sim);
        let partition = log.partition("t", 0).unwrap();
        assert_eq!(values(&partition, 0)[..10], expected, "{name}, after a crash");
        assert_eq!(partition.producer(ProducerId(7)).unwrap().last_sequence, 9);
    }
}

#[test]
fn batches_of_the_right_codec_stay_as_they_were_sent() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    log.create_topic("t", 1, &with("snappy", &[])).unwrap();
    let partition = log.partition("t", 0).unwrap();
    let sent = build(BatchBuilder::new(Compression::Snappy), 1_000, &[&[7; 3000]]);
    partition.append(sent.clone()).unwrap();
    log.alter_topic("t", &[("compression.type".into(), Some("producer".into()))]).unwrap();
    let plain = batch(&[b"plain"]);
    partition.append(plain.clone()).unwrap();
    log.commit_step();
    let batches = read_from(&*partition, 0, 1 << 20).unwrap();
    for ((_, stored), sent) in batches.iter().zip([sent, plain]) {
        // Behind the base offset and the leader epoch, which are the log's.
        assert_eq!(stored[16..], sent[16..]);
    }
    assert_eq!(batches.len(), 2);
}

#[test]
fn the_stored_batch_counts_too() {
    let sim = SimEnv::new(1);
    let log = open(&sim);
    let settings = with(
        "uncompressed",
        &[("max.message.bytes", "2000"), ("message.timestamp.type", "LogAppendTime")],
    );
    log.create_topic("t", 1, &settings).unwrap();
    let partition = log.partition("t", 0).unwrap();
    let zeros = |len| build(BatchBuilder::new(Compression::Zstd), 1_000, &[&vec![0; len]]);
    let refused = partition.append(zeros(3000));
    let Err(LogError::TooLarge { size, limit: 2000, .. }) = refused else { panic!("{refused:?}") };
    assert!((3061..3100).contains(&size), "{size}");
    assert_eq!(partition.offsets().end, 0);
    let stamped = partition.append(zeros(1000)).unwrap();
    assert!(stamped.append_time > 0);
    log.commit_step();
    assert_eq!(stored(&*partition), [Compression::None]);
    let header =
        *RecordBatch::parse(&read_from(&*partition, 0, 1 << 20).unwrap()[0].1).unwrap().header();
    assert_eq!(header.max_timestamp, stamped.append_time);
}
