//! Snapshots written by earlier versions have to open for ever.

use std::path::Path;

use thalweg_core::env::Env;
use thalweg_core::ids::Epoch;
use thalweg_state::SnapshotStore;

use crate::helpers::batch;

/// Written by `cargo run -p thalweg-state --example write_fixture` when format 1 was new.
#[test]
fn format_1_opens() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let store = SnapshotStore::new(Env::real(), directory);
    let (snapshot, rejected) = store.open_newest().unwrap();
    assert!(rejected.is_empty());
    let snapshot = snapshot.unwrap();
    assert_eq!((snapshot.epoch(), snapshot.meta()), (Epoch(42), &b"fixture of format 1"[..]));
    let stored: Vec<_> = snapshot.read("operator-1").map(Result::unwrap).collect();
    assert_eq!(stored.len(), 2);
    assert_eq!((stored[0].subtask, stored[0].name.as_str()), (0, "groups"));
    assert_eq!(stored[0].rows, batch(1, 12));
    assert_eq!((stored[1].subtask, stored[1].name.as_str()), (1, "groups"));
    assert_eq!(stored[1].rows, batch(2, 3));
}
