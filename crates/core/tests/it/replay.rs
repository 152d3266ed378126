//! The simulation itself is deterministic: a seed and the same calls give the same
//! trace and the same bytes, and another seed gives others.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use thalweg_core::env::sim::{FaultPlan, OpKind, SimEnv};
use thalweg_core::env::{DiskFile, Env, OpenMode, Random};

/// A workload that uses everything and stops at nothing: errors are part of the story.
fn history(seed: u64) -> (SimEnv, Vec<u64>) {
    let sim = SimEnv::new(seed);
    let mut hashes = Vec::new();
    for _round in 0..5 {
        sim.disk.faults(FaultPlan {
            capacity_bytes: 50_000,
            fail_per_million: vec![(OpKind::Sync, 20_000), (OpKind::Write, 10_000)],
            stall_per_million: 10_000,
            longest_stall: Duration::from_millis(100),
            short_read_per_million: 50_000,
            power_off_at: sim.random.chance(300_000).then(|| 1 + sim.random.below(100)),
            ..FaultPlan::default()
        });
        work(&sim.env());
        sim.crash();
        hashes.extend([
            sim.disk.trace_hash(),
            sim.disk.durable_hash(),
            sim.env().random.next_u64(),
        ]);
    }
    (sim, hashes)
}

fn work(env: &Env) {
    let random = &env.random;
    let mut files: Vec<Box<dyn DiskFile>> = Vec::new();
    let path = || PathBuf::from(format!("/d{}/f{}", random.below(3), random.below(4)));
    for _ in 0..100 {
        let name = path();
        let parent = name.parent().expect("has one");
        let file = random.below(files.len() as u64) as usize;
        // What fails here fails in the rerun as well: that is what is under test.
        let _ = match random.below(9) {
            0 => env.disk.create_dir_all(parent),
            1 | 2 => env.disk.open(&name, OpenMode::Create).map(|file| files.push(file)),
            3 => env.disk.rename(&name, &path()),
            4 => env.disk.remove_file(&name),
            5 => env.disk.sync_dir(parent),
            _ if files.is_empty() => Ok(()),
            6 => files[file].write_at(&[random.below(256) as u8; 1500], random.below(3000)),
            7 => files[file].sync_data(),
            _ => files[file].read_at(&mut [0; 700], random.below(2000)).map(drop),
        };
    }
}

#[test]
fn same_seed_same_bytes() {
    let mut distinct = BTreeSet::new();
    for seed in 0..100 {
        let (first, hashes) = history(seed);
        let (second, again) = history(seed);
        assert_eq!(hashes, again, "seed {seed}");
        assert_eq!(first.disk.dump(), second.disk.dump(), "seed {seed}");
        distinct.insert(first.disk.trace_hash());
    }
    assert_eq!(distinct.len(), 100, "other seeds, other histories");
}

/// A second crash with nothing in between changes nothing: what was read after the
/// first is durable.
#[test]
fn what_a_crash_leaves_is_durable() {
    for seed in 0..100 {
        let (sim, _) = history(seed);
        let left = sim.disk.dump();
        sim.crash();
        assert_eq!(sim.disk.dump(), left, "seed {seed}");
    }
}
