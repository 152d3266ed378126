//! What a simulated crash may and may not do, over many seeds.

use std::collections::BTreeSet;
use std::path::Path;

use thalweg_core::env::sim::SimEnv;
use thalweg_core::env::{Disk, DiskFile, OpenMode, read_file, replace_file};

const SECTOR: usize = 512;

fn root() -> &'static Path {
    Path::new("/")
}

/// A simulation with a durable empty file.
fn with_file(seed: u64, path: &str) -> (SimEnv, Box<dyn DiskFile>) {
    let sim = SimEnv::new(seed);
    let file = sim.disk.open(Path::new(path), OpenMode::CreateNew).expect("open");
    sim.disk.sync_dir(root()).expect("sync");
    (sim, file)
}

fn read(sim: &SimEnv, path: &str) -> Option<Vec<u8>> {
    read_file(&*sim.disk, Path::new(path), 1 << 20).ok()
}

#[test]
fn synced_bytes_survive_and_unsynced_ones_may_not() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let (sim, file) = with_file(seed, "/a");
        file.write_at(b"durable", 0).expect("write");
        file.sync_data().expect("sync");
        file.write_at(b" pending", 7).expect("write");
        assert_eq!(read(&sim, "/a").as_deref(), Some(&b"durable pending"[..]));
        sim.crash();
        let after = read(&sim, "/a").expect("the name is durable");
        assert!(after.starts_with(b"durable"), "seed {seed}: {after:?}");
        outcomes.insert(after);
    }
    let expected = [&b"durable"[..], b"durable pending", b"durable\0\0\0\0\0\0\0\0"];
    assert_eq!(outcomes, expected.into_iter().map(<[u8]>::to_vec).collect());
}

#[test]
fn closing_syncs_nothing() {
    let lost = (0..50).any(|seed| {
        let (sim, file) = with_file(seed, "/a");
        file.write_at(b"x", 0).expect("write");
        drop(file);
        sim.crash();
        read(&sim, "/a").as_deref() == Some(b"")
    });
    assert!(lost);
}

#[test]
fn overwrites_are_torn_at_sectors_only() {
    let (mut torn, mut whole) = (0, 0);
    for seed in 0..300 {
        let (sim, file) = with_file(seed, "/a");
        file.write_at(&[b'o'; 8 * SECTOR], 0).expect("write");
        file.sync_data().expect("sync");
        file.write_at(&[b'n'; 4 * SECTOR], 700).expect("write");
        sim.crash();
        let after = read(&sim, "/a").expect("there");
        assert_eq!(after.len(), 8 * SECTOR);
        let mut seen = BTreeSet::new();
        for (number, sector) in after.chunks(SECTOR).enumerate() {
            let begin = number * SECTOR;
            let covered: BTreeSet<_> = (begin..begin + SECTOR)
                .filter(|at| (700..700 + 4 * SECTOR).contains(at))
                .map(|at| after[at])
                .collect();
            assert!(covered.len() <= 1, "seed {seed}: sector {number} is half written");
            assert!(sector.iter().all(|byte| b"on".contains(byte)));
            seen.extend(covered);
        }
        if seen.len() == 2 { torn += 1 } else { whole += 1 }
    }
    assert!(torn > 20 && whole > 20, "{torn} torn, {whole} whole");
}

#[test]
fn a_later_write_may_survive_an_earlier_one() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..300 {
        let (sim, file) = with_file(seed, "/a");
        file.set_len(2 * SECTOR as u64).expect("preallocate");
        file.sync_data().expect("sync");
        file.write_at(b"1", 0).expect("write");
        file.write_at(b"2", SECTOR as u64).expect("write");
        sim.crash();
        let after = read(&sim, "/a").expect("there");
        outcomes.insert((after[0] == b'1', after[SECTOR] == b'2'));
    }
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
}

#[test]
fn a_cut_may_be_undone() {
    let mut lengths = BTreeSet::new();
    for seed in 0..100 {
        let (sim, file) = with_file(seed, "/a");
        file.write_at(b"0123456789", 0).expect("write");
        file.sync_data().expect("sync");
        file.set_len(4).expect("cut");
        sim.crash();
        let after = read(&sim, "/a").expect("there");
        assert_eq!(after, b"0123456789"[..after.len()]);
        lengths.insert(after.len());
    }
    assert_eq!(lengths, [4, 10].into());
}

#[test]
fn names_wait_for_their_directory() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let sim = SimEnv::new(seed);
        for name in ["/a", "/b"] {
            let file = sim.disk.open(Path::new(name), OpenMode::Create).expect("open");
            file.write_at(b"1", 0).expect("write");
            file.sync_data().expect("syncing the file does not make its name durable");
        }
        sim.crash();
        outcomes.insert((read(&sim, "/a"), read(&sim, "/b")));
    }
    let some = Some(b"1".to_vec());
    let all = [(None, None), (some.clone(), None), (None, some.clone()), (some.clone(), some)];
    assert_eq!(outcomes, all.into());
}

#[test]
fn a_synced_directory_below_an_unsynced_one_may_go_with_it() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..100 {
        let sim = SimEnv::new(seed);
        sim.disk.create_dir_all(Path::new("/old")).expect("directory");
        sim.disk.open(Path::new("/old/file"), OpenMode::Create).expect("open");
        sim.disk.sync_dir(Path::new("/old")).expect("sync");
        sim.disk.rename(Path::new("/old"), Path::new("/new")).expect("rename");
        sim.disk.open(Path::new("/new/second"), OpenMode::Create).expect("open");
        sim.disk.sync_dir(Path::new("/new")).expect("sync");
        sim.crash();
        let names: Vec<_> = sim.disk.dump().into_keys().map(|p| p.display().to_string()).collect();
        outcomes.insert(names.join(" "));
    }
    let expected = ["/ /new /new/file /new/second", "/ /old /old/file /old/second"];
    assert_eq!(outcomes, expected.map(String::from).into());
}

#[test]
fn created_directories_are_durable_at_once() {
    for seed in 0..50 {
        let sim = SimEnv::new(seed);
        sim.disk.create_dir_all(Path::new("/a/b/c")).expect("directory");
        sim.crash();
        assert!(sim.disk.exists(Path::new("/a/b/c")), "seed {seed}");
    }
}

#[test]
fn renames_are_atomic() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let (sim, old) = with_file(seed, "/target");
        old.write_at(b"old", 0).expect("write");
        old.sync_data().expect("sync");
        let new = sim.disk.open(Path::new("/temporary"), OpenMode::Create).expect("open");
        new.write_at(b"new", 0).expect("write");
        new.sync_data().expect("sync");
        sim.disk.rename(Path::new("/temporary"), Path::new("/target")).expect("rename");
        sim.crash();
        outcomes.insert((read(&sim, "/target"), read(&sim, "/temporary")));
    }
    let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    let expected = [(old.clone(), None), (old, new.clone()), (new, None)];
    assert_eq!(outcomes, expected.into(), "never lost, never under both names");
}

#[test]
fn a_name_keeps_a_prefix_of_its_history() {
    // Each step makes another file the owner of the one name, and the last one alone
    // would destroy the only copy if the steps before it could be lost on their own.
    for seed in 0..300 {
        let (sim, one) = with_file(seed, "/a");
        one.write_at(b"1", 0).expect("write");
        one.sync_data().expect("sync");
        sim.disk.rename(Path::new("/a"), Path::new("/b")).expect("rename");
        sim.disk.open(Path::new("/a"), OpenMode::CreateNew).expect("open");
        if seed % 2 == 0 {
            sim.crash();
        } else {
            sim.disk.create_dir_all(Path::new("/d")).expect("syncs the root");
            sim.crash();
        }
        let first = [read(&sim, "/a"), read(&sim, "/b")];
        assert!(first.contains(&Some(b"1".to_vec())), "seed {seed}: the synced file is gone");
    }
}

#[test]
fn syncing_one_directory_leaves_others_waiting() {
    let lost = (0..50).any(|seed| {
        let sim = SimEnv::new(seed);
        sim.disk.create_dir_all(Path::new("/a")).expect("directory");
        sim.disk.create_dir_all(Path::new("/b")).expect("directory");
        sim.disk.open(Path::new("/a/file"), OpenMode::Create).expect("open");
        sim.disk.open(Path::new("/b/file"), OpenMode::Create).expect("open");
        sim.disk.sync_dir(Path::new("/b")).expect("sync");
        sim.crash();
        assert!(sim.disk.exists(Path::new("/b/file")), "seed {seed}");
        !sim.disk.exists(Path::new("/a/file"))
    });
    assert!(lost);
}

#[test]
fn moving_between_directories_needs_the_new_one_synced() {
    let mut kept = BTreeSet::new();
    for seed in 0..100 {
        let (sim, _) = with_file(seed, "/file");
        sim.disk.create_dir_all(Path::new("/d")).expect("directory");
        sim.disk.rename(Path::new("/file"), Path::new("/d/file")).expect("rename");
        let synced = if seed < 50 { "/d" } else { "/" };
        sim.disk.sync_dir(Path::new(synced)).expect("sync");
        sim.crash();
        let places = [sim.disk.exists(Path::new("/file")), sim.disk.exists(Path::new("/d/file"))];
        assert_ne!(places[0], places[1], "seed {seed}: in exactly one place");
        kept.insert((synced, places[1]));
    }
    assert_eq!(kept, [("/d", true), ("/", false), ("/", true)].into());
}

#[test]
fn syncing_a_reused_name_keeps_what_moved_away_from_it() {
    for seed in 0..50 {
        let (sim, file) = with_file(seed, "/a");
        file.write_at(b"1", 0).expect("write");
        file.sync_data().expect("sync");
        sim.disk.create_dir_all(Path::new("/d")).expect("directory");
        sim.disk.rename(Path::new("/a"), Path::new("/d/moved")).expect("rename");
        sim.disk.open(Path::new("/a"), OpenMode::CreateNew).expect("open");
        sim.disk.sync_dir(root()).expect("the new name of /a builds upon the rename");
        sim.crash();
        assert_eq!(read(&sim, "/a").as_deref(), Some(&b""[..]), "seed {seed}");
        assert_eq!(read(&sim, "/d/moved").as_deref(), Some(&b"1"[..]), "seed {seed}");
    }
}

#[test]
fn replace_file_is_all_or_nothing() {
    for seed in 0..300 {
        let sim = SimEnv::new(seed);
        let path = Path::new("/config");
        replace_file(&*sim.disk, path, b"first").expect("replace");
        let all = sim.disk.operations();
        let plan = |power_off_at| thalweg_core::env::sim::FaultPlan {
            power_off_at: Some(power_off_at),
            ..Default::default()
        };
        sim.disk.faults(plan(1 + seed % all));
        let result = replace_file(&*sim.disk, path, &[b's'; 3000]);
        sim.crash();
        let after = read(&sim, "/config").expect("one of the two");
        assert!(after == b"first" || after == [b's'; 3000], "seed {seed}: torn");
        assert!(result.is_err(), "power failed before the end");
    }
}

#[test]
fn handles_and_locks_do_not_outlive_a_crash() {
    let (sim, file) = with_file(1, "/a");
    let lock = sim.disk.lock(Path::new("/lock")).expect("lock");
    sim.disk.sync_dir(root()).expect("sync");
    sim.crash();
    assert!(file.read_at(&mut [0], 0).is_err());
    assert!(file.write_at(b"x", 0).is_err());
    assert!(file.sync_data().is_err() && file.set_len(9).is_err() && file.len().is_err());
    let again = sim.disk.lock(Path::new("/lock")).expect("the crash let go");
    drop((lock, file));
    assert!(sim.disk.lock(Path::new("/lock")).is_err(), "a dead lock lets nothing go");
    drop(again);
}

#[test]
fn a_killed_process_leaves_the_page_cache() {
    for seed in 0..50 {
        let (sim, file) = with_file(seed, "/a");
        file.write_at(b"pending", 0).expect("write");
        sim.disk.kill();
        assert!(file.len().is_err());
        assert_eq!(read(&sim, "/a").as_deref(), Some(&b"pending"[..]));
    }
    let lost = (0..50).any(|seed| {
        let (sim, file) = with_file(seed, "/a");
        file.write_at(b"pending", 0).expect("write");
        sim.disk.kill();
        sim.crash();
        read(&sim, "/a").as_deref() != Some(b"pending")
    });
    assert!(lost, "it was still pending");
}
