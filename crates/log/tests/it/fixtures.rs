//! The files of each format version as they were written once, kept for ever: this program
//! must read them.
//!
//! They were made by `THALWEG_WRITE_FIXTURES=v2 cargo test -p thalweg-log --test it
//! fixtures`, which refuses to overwrite them. A new version gets a directory of its own.
//! Version 2 came with compaction and lists of aborted transactions; what made version 1
//! is kept for the record.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::env::sim::SimEnv;
use thalweg_core::env::{Disk, Env, OpenMode, read_file};
use thalweg_core::ids::{ProducerId, TopicId};
use thalweg_core::partition_log::{LogStore, TopicMeta};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, ControlKind, NewRecord, RecordBatch, control_batch,
};
use thalweg_log::{Log, LogOptions};

use crate::support::{batch_at, batch_of, build, limits, manual, read_from, values};

const ROOT: &str = "/log";

fn fixtures(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version)
}

/// One of everything that version 1 ever wrote to disk.
fn write_v1(sim: &SimEnv) {
    let log = Log::open(sim.env(), Path::new(ROOT), manual()).unwrap();
    let settings = [("segment.bytes", "2048"), ("retention.ms", "-1"), ("retention.bytes", "4000")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    log.create_topic("temperature", 1, &settings).unwrap();
    log.add_partitions("temperature", 2).unwrap();
    log.create_topic("gone", 1, &[]).unwrap();
    log.delete_topic("gone").unwrap();
    log.create_topic("alerts", 1, &[]).unwrap();
    log.set_topic_config("alerts", &[("retention.bytes".to_owned(), "1000000".to_owned())])
        .unwrap();
    let partition = log.partition("temperature", 1).unwrap();
    for number in 0..12_u8 {
        let value = [b'a' + number; 500];
        partition.append(batch_at(1_000_000 + i64::from(number), &[&value])).unwrap();
        log.commit_step();
    }
    for sequence in 0..7 {
        partition.append(batch_of(41, 2, sequence, &[b"idempotent"])).unwrap();
    }
    let open = BatchBuilder::new(Compression::Zstd).producer(42, 0, 0).transactional(true);
    partition.append(build(open, 1_000_100, &[b"open", b"transaction"])).unwrap();
    log.commit_step();
    log.retention_step(0);
    log.close().unwrap();
}

/// What version 2 added: a compacted partition with transactions, one of them open.
fn write_v2(sim: &SimEnv) {
    let log = Log::open(sim.env(), Path::new(ROOT), manual()).unwrap();
    let settings = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0"),
        ("segment.bytes", "1024"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    log.create_topic("latest", 1, &settings).unwrap();
    let partition = log.partition("latest", 0).unwrap();
    let put = |batch| {
        partition.append(batch).unwrap();
        log.commit_step();
    };
    let part = |producer, sequence, key: &str, value: Option<&str>| {
        let builder = BatchBuilder::new(Compression::Lz4).producer(producer, 0, sequence);
        put(keyed(builder.transactional(true), key, value));
    };
    let end = |kind, producer, epoch| put(control_batch(kind, producer, epoch, 3, 9).unwrap());
    for number in 0..12 {
        let value = format!("{number:0100}");
        put(keyed(BatchBuilder::new(Compression::None), &format!("k{}", number % 3), Some(&value)));
    }
    part(51, 0, "k0", Some("aborted"));
    part(52, 0, "k1", Some("committed"));
    part(52, 1, "k2", None);
    end(ControlKind::Abort, 51, 1);
    end(ControlKind::Commit, 52, 0);
    put(keyed(BatchBuilder::new(Compression::None), "roll", Some(&"r".repeat(1000))));
    assert_eq!(log.compaction_step(sim.env().clock.wall_ms()), 1);
    part(52, 2, "k0", Some("aborted as well"));
    end(ControlKind::Abort, 52, 0);
    part(53, 0, "k0", Some("open"));
    log.close().unwrap();
}

fn keyed(mut builder: BatchBuilder, key: &str, value: Option<&str>) -> Bytes {
    let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
    builder.push(&NewRecord { timestamp: 7, key, value, headers: &[] }).unwrap();
    builder.build().unwrap()
}

fn write_fixtures(to: &Path, write: impl FnOnce(&SimEnv)) {
    let (sim, root) = (SimEnv::new(1), Path::new(ROOT));
    write(&sim);
    let real = Env::real();
    // Indexes are never synced by the log: do it here, so that they can be dumped.
    let segments = sim.disk.dump();
    for path in segments.keys().filter(|path| path.extension().is_some_and(|e| e == "log")) {
        sim.disk.open(&path.with_extension("index"), OpenMode::Write).unwrap().sync_data().unwrap();
        sim.disk.sync_dir(path.parent().unwrap()).unwrap();
    }
    for (path, contents) in sim.disk.dump() {
        let Ok(inside) = path.strip_prefix(root) else { continue };
        match contents {
            None => real.disk.create_dir_all(&to.join(inside)).unwrap(),
            Some(contents) if path.file_name().is_some_and(|name| name != "LOCK") => {
                let file = real.disk.open(&to.join(inside), OpenMode::CreateNew).unwrap();
                file.write_at(&contents, 0).unwrap();
            }
            Some(_) => {}
        }
    }
}

fn copy(disk: &dyn Disk, from: &Path, to: &Path) {
    disk.create_dir_all(to).unwrap();
    for entry in disk.list(from).unwrap() {
        let (from, to) = (from.join(&entry.name), to.join(&entry.name));
        if entry.is_dir {
            copy(disk, &from, &to);
        } else {
            let contents = read_file(disk, &from, 1 << 20).unwrap();
            disk.open(&to, OpenMode::CreateNew).unwrap().write_at(&contents, 0).unwrap();
        }
    }
}

fn check_v1(log: &Arc<Log>) {
    assert_eq!(log.alarms(), []);
    let id = |meta: &TopicMeta| meta.id;
    let topics = log.topics();
    let names: Vec<_> = topics.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["alerts", "temperature"]);
    assert_ne!(id(&topics[0]), TopicId(0));
    assert_eq!(topics[0].config, [("retention.bytes".to_owned(), "1000000".to_owned())]);
    assert_eq!(topics[1].partitions, 2);
    let partition = log.partition("temperature", 1).unwrap();
    assert_eq!(limits(partition.offsets()), (6, 19, 21, 21));
    let found = values(&partition, 6);
    assert_eq!(found.len(), 15);
    assert_eq!(found[0], [b'g'; 500]);
    assert_eq!(found[14], b"transaction");
    assert_eq!(partition.offset_for_time(1_000_009).unwrap(), Some((9, 1_000_009)));
    assert_eq!(partition.max_timestamp().unwrap(), Some((20, 1_000_101)));
    let position = partition.producer(ProducerId(41)).unwrap();
    assert_eq!((position.epoch, position.last_sequence, position.last_offset), (2, 6, 18));
    let again = partition.append(batch_of(41, 2, 3, &[b"idempotent"])).unwrap();
    assert_eq!((again.duplicate, again.base_offset), (true, 15));
}

fn check_v2(log: &Arc<Log>) {
    assert_eq!(log.alarms(), []);
    let partition = log.partition("latest", 0).unwrap();
    assert_eq!(limits(partition.offsets()), (0, 20, 21, 21));
    let mut scratch = Vec::new();
    let mut found = Vec::new();
    for (_, bytes) in read_from(&*partition, 0, 1 << 20).unwrap() {
        let batch = RecordBatch::parse(&bytes).unwrap();
        if !batch.header().attributes.is_control() {
            let records = batch.records(&mut scratch, &Default::default()).unwrap();
            found.extend(records.map(|record| record.unwrap()).map(|record| {
                let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                (record.offset, key, record.value.map(<[u8]>::len))
            }));
        }
    }
    let expected = [
        (9, "k0", Some(100)),
        (13, "k1", Some(9)),
        (14, "k2", None),
        (17, "roll", Some(1000)),
        (18, "k0", Some(15)),
        (20, "k0", Some(4)),
    ];
    assert_eq!(found, expected.map(|(offset, key, len)| (offset, key.to_owned(), len)));
    let aborted = partition.aborted(0, 20).unwrap();
    let mut plain: Vec<_> =
        aborted.iter().map(|a| (a.producer.0, a.first_offset, a.last_offset)).collect();
    // The records of this one are gone: a list built again does not have it.
    plain.retain(|found| *found != (51, 12, 15));
    assert_eq!(plain, [(52, 18, 19)]);
    let known = |producer| partition.producer(ProducerId(producer)).unwrap();
    let bumped = known(51);
    assert_eq!((bumped.epoch, bumped.last_sequence, bumped.coordinator_epoch), (1, -1, 3));
    let open = known(53);
    assert_eq!((open.open_since, open.last_sequence, open.last_offset), (Some(20), 0, 20));
    let again = batch_of(52, 0, 2, &[b""]);
    assert!(partition.append(again).is_err(), "it has no key");
}

#[test]
fn every_version_is_read() {
    type Write = fn(&SimEnv);
    type Check = fn(&Arc<Log>);
    let versions: [(&str, Write, Check); 2] =
        [("v1", write_v1, check_v1), ("v2", write_v2, check_v2)];
    for (version, write, check) in versions {
        if std::env::var("THALWEG_WRITE_FIXTURES").is_ok_and(|wanted| wanted == version) {
            write_fixtures(&fixtures(version), write);
        }
        read_version(version, check);
    }
}

fn read_version(version: &str, check: fn(&Arc<Log>)) {
    let env = Env::real();
    // As it was closed, and without everything that is derived.
    for derived_too in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("log");
        copy(&*env.disk, &fixtures(version), &root);
        if !derived_too {
            remove_derived(&*env.disk, &root);
        }
        let options = LogOptions { background: false, ..LogOptions::default() };
        let log = Log::open(env.clone(), &root, options).unwrap();
        check(&log);
        log.close().unwrap();
    }
}

/// Without the snapshots, the producers are rebuilt from the batches that are left.
fn remove_derived(disk: &dyn Disk, dir: &Path) {
    for entry in disk.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            remove_derived(disk, &path);
        } else if [".index", ".producers", ".aborted"]
            .iter()
            .any(|suffix| entry.name.ends_with(suffix))
            || entry.name == "CLEAN"
        {
            disk.remove_file(&path).unwrap();
        }
    }
}
