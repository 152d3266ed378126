//! The ordinary life of a log, on the real disk with its threads.

use std::sync::Arc;
use std::sync::mpsc;

use thalweg_core::env::Env;
use thalweg_core::partition_log::{Isolation, LogError, LogStore, append_durably};
use thalweg_log::{Log, LogOptions};

use crate::support::{batch, limits, values};

fn config(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn appended_read_closed_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Log::open(Env::real(), dir.path(), LogOptions::default()).unwrap();
    let log = open();
    let meta = log.create_topic("t", 3, &config(&[("segment.bytes", "4096")])).unwrap();
    let partition = log.partition("t", 1).unwrap();
    for round in 0..100_u32 {
        let value = [round as u8; 300];
        let appended = append_durably(&*partition, batch(&[&value, b"x"])).unwrap();
        assert_eq!(
            (appended.base_offset, appended.next_offset),
            (2 * i64::from(round), 2 * i64::from(round) + 2)
        );
    }
    assert_eq!(limits(partition.offsets()), (0, 200, 200, 200));
    let before = values(&partition, 0);
    assert_eq!(before.len(), 200);
    assert_eq!(values(&partition, 151)[0], b"x");
    log.close().unwrap();
    assert!(matches!(partition.append(batch(&[b"late"])), Err(LogError::Stopped)));
    drop((log, partition));

    let log = open();
    assert_eq!(log.topics(), [meta]);
    let partition = log.partition("t", 1).unwrap();
    assert_eq!(limits(partition.offsets()), (0, 200, 200, 200));
    assert_eq!(values(&partition, 0), before);
    append_durably(&*partition, batch(&[b"more"])).unwrap();
    assert_eq!(values(&partition, 200), [b"more"]);
    assert_eq!(values(&log.partition("t", 0).unwrap(), 0).len(), 0);
    assert!(log.alarms().is_empty());
}

#[test]
fn nothing_is_seen_before_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { background: false, ..LogOptions::default() };
    let log = Log::open(Env::real(), dir.path(), options).unwrap();
    log.create_topic("t", 1, &[]).unwrap();
    let partition = log.partition("t", 0).unwrap();
    let (sender, receiver) = mpsc::channel();
    let woken = sender.clone();
    let watch = partition.watch(Arc::new(move || woken.send("woken").unwrap()));
    let appended = partition.append(batch(&[b"a"])).unwrap();
    let done = Box::new(move |outcome: Result<(), LogError>| {
        outcome.unwrap();
        sender.send("durable").unwrap();
    });
    partition.when_durable(appended.next_offset, done);
    assert_eq!(limits(partition.offsets()), (0, 0, 0, 1));
    assert!(partition.read(0, 1000, Isolation::ReadUncommitted).unwrap().is_empty());
    assert!(receiver.try_recv().is_err());
    assert_eq!(log.commit_step(), 1);
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["durable", "woken"]);
    assert_eq!(values(&partition, 0), [b"a"]);
    drop(watch);
    partition.append(batch(&[b"b"])).unwrap();
    log.commit_step();
    assert!(receiver.try_recv().is_err(), "the watch has ended");
    assert!(matches!(
        partition.read(3, 1000, Isolation::ReadUncommitted),
        Err(LogError::OffsetOutOfRange { offset: 3, start: 0, end: 2, .. })
    ));
}
