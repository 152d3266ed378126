//! Writing, opening, falling back and pruning on a real disk.

use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use thalweg_core::env::{Env, OpenMode};
use thalweg_core::ids::Epoch;
use thalweg_state::{SnapshotId, SnapshotStore, StateError, StoredBatch};

use crate::helpers::batch;

fn write(store: &SnapshotStore, epoch: u64) -> SnapshotId {
    let mut writer = store.begin(Epoch(epoch), format!("meta {epoch}").as_bytes()).unwrap();
    writer.add("count", 0, "groups", &batch(epoch as i64, 10)).unwrap();
    writer.add("count", 1, "groups", &batch(epoch as i64, 0)).unwrap();
    writer.add("window", 0, "panes", &batch(-1, 100_000)).unwrap();
    writer.finish().unwrap()
}

fn path_of(directory: &Path, id: SnapshotId, file: &str) -> PathBuf {
    directory.join(format!("snapshot-{:020}-{:05}", id.epoch.0, id.attempt)).join(file)
}

/// Changes one byte of a file in place.
fn damage(path: &Path, at: u64) {
    let file = Env::real().disk.open(path, OpenMode::Write).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_at(&[byte[0] ^ 0x10], at).unwrap();
}

#[test]
fn what_is_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotStore::new(Env::real(), directory.path().join("deep/er"));
    assert!(store.open_newest().unwrap().0.is_none());
    let id = write(&store, 3);

    let (snapshot, rejected) = store.open_newest().unwrap();
    let snapshot = snapshot.unwrap();
    assert!(rejected.is_empty());
    assert_eq!((snapshot.id(), snapshot.epoch()), (id, Epoch(3)));
    assert_eq!(snapshot.meta(), b"meta 3");
    assert_eq!(snapshot.operators(), ["count", "window"]);
    let read = |uid| -> Vec<(usize, String, RecordBatch)> {
        let batches = snapshot.read(uid).map(Result::unwrap);
        batches.map(|StoredBatch { subtask, name, rows }| (subtask, name, rows)).collect()
    };
    let groups = "groups".to_owned();
    assert_eq!(read("count"), [(0, groups.clone(), batch(3, 10)), (1, groups, batch(3, 0))]);
    assert_eq!(read("window"), [(0, "panes".to_owned(), batch(-1, 100_000))]);
    assert!(read("other").is_empty());
    assert!(snapshot.bytes() > 1_000_000);
}

#[test]
fn an_unfinished_snapshot_never_happened() {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotStore::new(Env::real(), directory.path());
    let first = write(&store, 1);
    let mut unfinished = store.begin(Epoch(2), b"").unwrap();
    unfinished.add("count", 0, "groups", &batch(2, 10)).unwrap();
    drop(unfinished);

    assert_eq!(store.list().unwrap(), [first]);
    let (snapshot, rejected) = store.open_newest().unwrap();
    assert_eq!(snapshot.unwrap().id(), first);
    assert!(rejected.is_empty());
    let again = write(&store, 2);
    assert_eq!(again, SnapshotId { epoch: Epoch(2), attempt: 1 });
    assert_eq!(store.open_newest().unwrap().0.unwrap().id(), again);
}

#[test]
fn damage_makes_it_fall_back_and_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotStore::new(Env::real(), directory.path());
    let ids = [1, 2, 3, 4].map(|epoch| write(&store, epoch));
    damage(&path_of(directory.path(), ids[3], "000000.arrow"), 300);
    damage(&path_of(directory.path(), ids[2], "MANIFEST"), 40);
    Env::real().disk.remove_file(&path_of(directory.path(), ids[1], "000002.arrow")).unwrap();

    let (snapshot, rejected) = store.open_newest().unwrap();
    assert_eq!(snapshot.unwrap().id(), ids[0]);
    assert_eq!(rejected.iter().map(|r| r.id).collect::<Vec<_>>(), [ids[3], ids[2], ids[1]]);
    assert!(matches!(rejected[0].error, StateError::Corrupt { .. }));
    assert!(matches!(rejected[1].error, StateError::Corrupt { .. }));
    assert!(matches!(rejected[2].error, StateError::Io { .. }));
    assert!(rejected[0].error.to_string().contains("000000.arrow: the checksum differs"));
}

#[test]
fn damage_after_opening_is_noticed_at_reading() {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotStore::new(Env::real(), directory.path());
    let id = write(&store, 1);
    let snapshot = store.open(id).unwrap().unwrap();
    damage(&path_of(directory.path(), id, "000000.arrow"), 200);
    let results: Vec<_> = snapshot.read("count").collect();
    assert!(matches!(results[0], Err(StateError::Corrupt { .. })));
    assert!(results[1].is_ok());
}

#[test]
fn pruning_keeps_the_newest_and_clears_what_was_unfinished() {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotStore::new(Env::real(), directory.path());
    let ids = [1, 2, 3].map(|epoch| write(&store, epoch));
    drop(store.begin(Epoch(9), b"").unwrap());
    store.prune(2).unwrap();
    assert_eq!(store.list().unwrap(), [ids[2], ids[1]]);
    assert_eq!(Env::real().disk.list(directory.path()).unwrap().len(), 2);
    store.prune(2).unwrap();
    assert_eq!(store.list().unwrap(), [ids[2], ids[1]]);
}
