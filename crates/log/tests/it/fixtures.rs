//! The files of format version 1 as they were written once, kept for ever: this program
//! must read them.
//!
//! They were made by `THALWEG_WRITE_FIXTURES=1 cargo test -p thalweg-log --test it
//! fixtures`, which refuses to overwrite them. A new version gets a directory of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thalweg_core::env::sim::SimEnv;
use thalweg_core::env::{Disk, Env, OpenMode, read_file};
use thalweg_core::ids::{ProducerId, TopicId};
use thalweg_core::partition_log::{LogStore, TopicMeta};
use thalweg_core::record_batch::{BatchBuilder, Compression};
use thalweg_log::{Log, LogOptions};

use crate::support::{batch_at, batch_of, build, limits, manual, values};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

/// One of everything that is ever written to disk.
fn write_fixtures(to: &Path) {
    let sim = SimEnv::new(1);
    let root = Path::new("/log");
    let log = Log::open(sim.env(), root, manual()).unwrap();
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

fn check(log: &Arc<Log>) {
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

#[test]
fn version_1_is_read() {
    if std::env::var("THALWEG_WRITE_FIXTURES").is_ok() {
        write_fixtures(&fixtures());
    }
    let env = Env::real();
    // As it was closed, and without everything that is derived.
    for derived_too in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("log");
        copy(&*env.disk, &fixtures(), &root);
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
        } else if [".index", ".producers"].iter().any(|suffix| entry.name.ends_with(suffix))
            || entry.name == "CLEAN"
        {
            disk.remove_file(&path).unwrap();
        }
    }
}
