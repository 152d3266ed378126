//! Power fails at every step of writing and pruning snapshots, on the simulated disk.

use thalweg_core::env::sim::{FaultPlan, OpKind, SimEnv};
use thalweg_core::ids::Epoch;
use thalweg_state::{SnapshotStore, StateError};

use crate::helpers::batch;

const DIRECTORY: &str = "/jobs/1/snapshots";
const KEPT: usize = 2;

fn meta(epoch: u64) -> Vec<u8> {
    format!("meta of {epoch}").into_bytes()
}

fn write(store: &SnapshotStore, epoch: u64) -> Result<(), StateError> {
    let mut writer = store.begin(Epoch(epoch), &meta(epoch))?;
    writer.add("count", 0, "groups", &batch(epoch as i64, 40))?;
    writer.add("count", 1, "groups", &batch(epoch as i64 + 100, 7))?;
    writer.finish()?;
    Ok(())
}

/// Writes snapshots 1, 2... and prunes, until something fails; gives the last one that
/// was finished.
fn write_until_failure(store: &SnapshotStore, first: u64, count: u64) -> u64 {
    let mut finished = first - 1;
    for epoch in first..first + count {
        if write(store, epoch).is_err() {
            break;
        }
        finished = epoch;
        if store.prune(KEPT).is_err() {
            break;
        }
    }
    finished
}

/// The newest snapshot is there, whole, and not older than `finished`.
fn check(store: &SnapshotStore, finished: u64, what: &str) -> u64 {
    let (snapshot, rejected) = store.open_newest().unwrap();
    assert!(rejected.is_empty(), "{what}: {rejected:?}");
    for id in store.list().unwrap() {
        assert!(store.open(id).is_ok_and(|found| found.is_some()), "{what}: {id} is half removed");
    }
    let Some(snapshot) = snapshot else {
        assert_eq!(finished, 0, "{what}: snapshot {finished} is lost");
        return 0;
    };
    let epoch = snapshot.epoch().0;
    assert!(epoch == finished || epoch == finished + 1, "{what}: {epoch} after {finished}");
    assert_eq!(snapshot.meta(), meta(epoch), "{what}");
    let stored: Vec<_> = snapshot.read("count").map(Result::unwrap).collect();
    assert_eq!(stored.len(), 2, "{what}");
    assert_eq!(stored[0].rows, batch(epoch as i64, 40), "{what}");
    assert_eq!(stored[1].rows, batch(epoch as i64 + 100, 7), "{what}");
    epoch
}

fn operations_of_a_run() -> u64 {
    let sim = SimEnv::new(0);
    let before = sim.disk.operations();
    write_until_failure(&SnapshotStore::new(sim.env(), DIRECTORY), 1, 4);
    sim.disk.operations() - before
}

#[test]
fn a_crash_at_any_step_leaves_a_complete_snapshot() {
    let operations = operations_of_a_run();
    assert!(operations > 50);
    for step in 1..=operations {
        for seed in 0..4 {
            let what = format!("power fails at step {step}, seed {seed}");
            let sim = SimEnv::new(seed);
            let store = SnapshotStore::new(sim.env(), DIRECTORY);
            sim.disk.faults(FaultPlan { power_off_at: Some(step), ..FaultPlan::default() });
            let finished = write_until_failure(&store, 1, 4);
            sim.crash();

            let epoch = check(&store, finished, &what);
            // Life goes on: the next ones are written, and what was left is cleared.
            let finished = write_until_failure(&store, epoch + 1, 3);
            assert_eq!(finished, epoch + 3, "{what}");
            sim.crash();
            assert_eq!(check(&store, finished, &what), finished);
            assert_eq!(store.list().unwrap().len(), KEPT, "{what}");
        }
    }
}

#[test]
fn an_operation_that_fails_costs_one_snapshot_at_most() {
    let kinds = [
        OpKind::Open,
        OpKind::CreateDir,
        OpKind::Rename,
        OpKind::Write,
        OpKind::Sync,
        OpKind::SyncDir,
    ];
    for kind in kinds {
        for nth in 1..=12 {
            let what = format!("{kind:?} {nth} fails");
            let sim = SimEnv::new(nth);
            let store = SnapshotStore::new(sim.env(), DIRECTORY);
            sim.disk.faults(FaultPlan { fail_nth: vec![(kind, nth)], ..FaultPlan::default() });
            let finished = write_until_failure(&store, 1, 4);
            // After a failed sync the process ends; power may fail as well.
            sim.crash();
            sim.disk.faults(FaultPlan::default());
            check(&store, finished, &what);
        }
    }
}

#[test]
fn a_full_disk_is_an_error_and_nothing_worse() {
    let sim = SimEnv::new(1);
    let store = SnapshotStore::new(sim.env(), DIRECTORY);
    write(&store, 1).unwrap();
    sim.disk.faults(FaultPlan { capacity_bytes: 8 << 10, ..FaultPlan::default() });
    let finished = write_until_failure(&store, 2, 40);
    assert!(finished < 41);
    let error = write(&store, finished + 1).unwrap_err();
    assert!(matches!(error, StateError::Io { .. }), "{error}");
    check(&store, finished, "no space");
}

#[test]
fn any_flipped_bit_makes_it_fall_back() {
    for seed in 0..200 {
        let sim = SimEnv::new(seed);
        let store = SnapshotStore::new(sim.env(), DIRECTORY);
        write(&store, 1).unwrap();
        write(&store, 2).unwrap();
        let newest = format!("{DIRECTORY}/snapshot-{:020}-00000", 2);
        let file = ["MANIFEST", "000000.arrow", "000001.arrow"][seed as usize % 3];
        let path = std::path::PathBuf::from(format!("{newest}/{file}"));
        let len = sim.disk.durable(&path).unwrap().len() as u64;
        sim.disk.corrupt(&path, 0..len).unwrap();
        let (snapshot, rejected) = store.open_newest().unwrap();
        assert_eq!(snapshot.unwrap().epoch(), Epoch(1), "seed {seed}");
        assert_eq!(rejected.len(), 1, "seed {seed}");
    }
}
