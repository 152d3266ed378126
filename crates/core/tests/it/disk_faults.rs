//! Faults on request: errors, lost syncs, a full disk, stalls, short reads, bit flips.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use thalweg_core::env::sim::{FaultPlan, OpKind, SimEnv};
use thalweg_core::env::{Clock, Disk, DiskFile, OpenMode, read_file};

fn file_under(seed: u64, plan: FaultPlan) -> (SimEnv, Box<dyn DiskFile>) {
    let sim = SimEnv::new(seed);
    let file = sim.disk.open(Path::new("/a"), OpenMode::Create).expect("open");
    sim.disk.sync_dir(Path::new("/")).expect("sync");
    sim.disk.faults(plan);
    (sim, file)
}

#[test]
fn a_failed_sync_loses_what_the_next_one_claims_to_keep() {
    for seed in 0..100 {
        let plan = FaultPlan { fail_nth: vec![(OpKind::Sync, 2)], ..FaultPlan::default() };
        let (sim, file) = file_under(seed, plan);
        file.write_at(b"one", 0).expect("write");
        file.sync_data().expect("the first sync is well");
        file.write_at(b"two", 3).expect("write");
        assert!(file.sync_data().is_err(), "the second sync fails");
        assert_eq!(file.len().expect("len"), 6, "the page cache still shows it");
        file.sync_data().expect("the third has nothing to do");
        sim.crash();
        assert_eq!(read_file(&*sim.disk, Path::new("/a"), 100).expect("read"), b"one");
    }
}

#[test]
fn a_failed_directory_sync_loses_the_name() {
    let sim = SimEnv::new(3);
    sim.disk.faults(FaultPlan { fail_nth: vec![(OpKind::SyncDir, 1)], ..FaultPlan::default() });
    sim.disk.open(Path::new("/a"), OpenMode::Create).expect("open");
    assert!(sim.disk.sync_dir(Path::new("/")).is_err());
    sim.disk.sync_dir(Path::new("/")).expect("nothing to do");
    assert!(sim.disk.exists(Path::new("/a")));
    sim.crash();
    assert!(!sim.disk.exists(Path::new("/a")));
}

#[test]
fn the_nth_operation_of_a_kind_fails() {
    let kinds = [(OpKind::Write, 2), (OpKind::Read, 1), (OpKind::Open, 1), (OpKind::List, 1)];
    let (sim, file) = file_under(1, FaultPlan { fail_nth: kinds.into(), ..FaultPlan::default() });
    file.write_at(b"x", 0).expect("first write");
    assert!(file.write_at(b"y", 1).is_err());
    file.write_at(b"z", 1).expect("third write");
    assert!(file.read_at(&mut [0; 2], 0).is_err());
    assert_eq!(file.read_at(&mut [0; 2], 0).expect("second read"), 2);
    let failed = sim.disk.open(Path::new("/new"), OpenMode::Create);
    assert!(failed.is_err() && !sim.disk.exists(Path::new("/new")), "it had no effect");
    assert!(sim.disk.list(Path::new("/")).is_err());
}

#[test]
fn errors_by_chance_keep_to_their_rate() {
    let plan = FaultPlan { fail_per_million: vec![(OpKind::Write, 200_000)], ..Default::default() };
    let (sim, file) = file_under(5, plan);
    let failed = (0..1000).filter(|n| file.write_at(b"x", *n).is_err()).count();
    assert!((120..280).contains(&failed), "{failed} of 1000 at a fifth");
    sim.disk.faults(FaultPlan::default());
    assert!((0..1000).all(|n| file.write_at(b"x", n).is_ok()), "a new plan replaces the old");
}

#[test]
fn a_full_disk_takes_a_part_and_has_room_again_after_removing() {
    let plan = FaultPlan { capacity_bytes: 1000, ..FaultPlan::default() };
    let (sim, file) = file_under(1, plan);
    file.write_at(&[1; 600], 0).expect("fits");
    let other = sim.disk.open(Path::new("/b"), OpenMode::Create).expect("open");
    let error = other.write_at(&[2; 600], 0).expect_err("does not fit");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(other.len().expect("len"), 400);
    assert_eq!(sim.disk.free_bytes(Path::new("/")).expect("free"), 0);
    assert_eq!(other.set_len(401).expect_err("full").kind(), ErrorKind::StorageFull);
    file.write_at(&[3; 600], 0).expect("overwriting needs no room");
    sim.disk.remove_file(Path::new("/a")).expect("remove");
    assert_eq!(sim.disk.free_bytes(Path::new("/")).expect("free"), 600);
    other.write_at(&[2; 600], 400).expect("room again");
    sim.crash();
    assert!(sim.disk.free_bytes(Path::new("/")).expect("free") <= 1000);
}

#[test]
fn a_full_copy_on_write_disk_takes_no_overwrite() {
    const BLOCK: usize = 4096;
    let room_for =
        |capacity_bytes| FaultPlan { capacity_bytes, copy_on_write: true, ..FaultPlan::default() };
    let (sim, file) = file_under(1, room_for(3 * BLOCK as u64));
    file.write_at(&[1; 2 * BLOCK], 0).expect("fits");
    let error = file.write_at(&[2; 2 * BLOCK], 0).expect_err("one block is free");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    let bytes = read_file(&*sim.disk, Path::new("/a"), 2 * BLOCK as u64).expect("read");
    assert_eq!((bytes[BLOCK - 1], bytes[BLOCK]), (2, 1), "a whole block and no more");
    sim.disk.faults(room_for(2 * BLOCK as u64 + 10));
    file.write_at(&[3; 20], 0).expect_err("ten bytes are free");
    let bytes = read_file(&*sim.disk, Path::new("/a"), 2 * BLOCK as u64).expect("read");
    assert_eq!(bytes[0], 2, "no part of a block");
    sim.disk.faults(room_for(2 * BLOCK as u64 + 20));
    file.write_at(&[3; 20], 0).expect("room for the copy");
    file.write_at(&[4; 20], 0).expect("which the old bytes make again");
}

#[test]
fn the_nth_operation_of_a_kind_is_out_of_space() {
    let full_nth = vec![(OpKind::Write, 2), (OpKind::Sync, 1), (OpKind::SyncDir, 1)];
    let (sim, file) = file_under(1, FaultPlan { full_nth, ..FaultPlan::default() });
    file.write_at(b"x", 0).expect("first write");
    let full = |outcome: std::io::Result<()>| outcome.expect_err("full").kind();
    assert_eq!(full(file.write_at(b"y", 0)), ErrorKind::StorageFull);
    assert_eq!(full(sim.disk.sync_dir(Path::new("/"))), ErrorKind::StorageFull);
    assert_eq!(full(file.sync_data()), ErrorKind::StorageFull);
    file.sync_data().expect("nothing to do");
    sim.crash();
    assert_eq!(read_file(&*sim.disk, Path::new("/a"), 9).expect("read"), b"", "as any failed sync");
}

#[test]
fn absurd_offsets_are_refused_without_allocating() {
    let (_sim, file) = file_under(1, FaultPlan::default());
    for offset in [1 << 40, u64::MAX - 1, u64::MAX] {
        let error = file.write_at(b"xy", offset).expect_err("beyond the disk");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(file.set_len(offset).expect_err("too long").kind(), ErrorKind::StorageFull);
        assert_eq!(file.read_at(&mut [0; 2], offset).expect("past the end"), 0);
    }
}

#[test]
fn stalls_move_the_clock() {
    let plan = FaultPlan {
        stall_per_million: 500_000,
        longest_stall: Duration::from_secs(2),
        ..FaultPlan::default()
    };
    let (sim, file) = file_under(1, plan);
    let mut longest = 0;
    for _ in 0..100 {
        let before = sim.clock.monotonic_ns();
        file.write_at(b"x", 0).expect("write");
        longest = longest.max(sim.clock.monotonic_ns() - before);
    }
    assert!((1_000_000_000..=2_000_000_000).contains(&longest), "{longest}");
}

#[test]
fn short_reads_are_made_up_for_by_reading_on() {
    let plan = FaultPlan { short_read_per_million: 900_000, ..FaultPlan::default() };
    let (_sim, file) = file_under(1, plan);
    let pattern: Vec<u8> = (0..=255).collect();
    file.write_at(&pattern, 0).expect("write");
    let mut buf = [0; 256];
    let short = (0..20).any(|_| file.read_at(&mut buf, 0).expect("read") < 256);
    assert!(short);
    buf.fill(0);
    file.read_exact_at(&mut buf, 0).expect("read");
    assert_eq!(buf, *pattern);
}

#[test]
fn a_bit_flips_only_when_asked() {
    let (sim, file) = file_under(1, FaultPlan::default());
    file.write_at(&[0; 100], 0).expect("write");
    file.sync_data().expect("sync");
    let at = sim.disk.corrupt(Path::new("/a"), 40..60).expect("corrupt");
    assert!((40..60).contains(&at));
    sim.crash();
    let after = read_file(&*sim.disk, Path::new("/a"), 100).expect("read");
    let flipped: Vec<_> = (0..100).filter(|&n| after[n] != 0).collect();
    assert_eq!(flipped, [at as usize]);
    assert_eq!(after[at as usize].count_ones(), 1);
    assert!(sim.disk.corrupt(Path::new("/a"), 99..101).is_err());
}

#[test]
fn without_power_nothing_happens_until_the_crash() {
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let plan = FaultPlan { power_off_at: Some(2), ..FaultPlan::default() };
        let (sim, file) = file_under(seed, plan);
        file.write_at(b"one", 0).expect("write");
        assert!(file.sync_data().is_err(), "power fails here");
        assert!(file.write_at(b"two", 0).is_err());
        assert!(sim.disk.open(Path::new("/b"), OpenMode::Create).is_err());
        assert!(!sim.disk.exists(Path::new("/a")) && sim.disk.list(Path::new("/")).is_err());
        sim.crash();
        assert_eq!(sim.disk.list(Path::new("/")).expect("power is back").len(), 1);
        outcomes.insert(read_file(&*sim.disk, Path::new("/a"), 100).expect("read"));
    }
    assert!(outcomes.contains(&b"one"[..]), "the sync that was hit may have done its work");
    assert!(outcomes.contains(&b""[..]), "or not");
    assert!(!outcomes.contains(&b"two"[..]));
}
