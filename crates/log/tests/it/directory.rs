//! The directory as a whole: how often it was opened, and by whom.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thalweg_core::env::sim::{FaultPlan, SimEnv};
use thalweg_core::env::{Disk, Env, OpenMode, read_file};
use thalweg_core::partition_log::{LogError, LogStore};
use thalweg_log::{Log, LogOptions};

use crate::support::{batch, manual};

const ROOT: &str = "/log";

fn open(sim: &SimEnv) -> Arc<Log> {
    Log::open(sim.env(), Path::new(ROOT), manual()).unwrap()
}

fn format(sim: &SimEnv) -> Vec<u8> {
    sim.disk.durable(&Path::new(ROOT).join("FORMAT")).unwrap()
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let file = disk.open(path, OpenMode::Create).unwrap();
    file.set_len(0).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
}

#[test]
fn openings_are_counted_however_they_end() {
    let sim = SimEnv::new(1);
    for number in 1..=6 {
        let log = open(&sim);
        assert_eq!(log.incarnation(), number);
        match number % 3 {
            0 => log.close().unwrap(),
            1 => sim.disk.kill(),
            _ => {}
        }
        drop(log);
        sim.crash();
    }
    // A disk without a byte left opens all the same, uncounted.
    sim.disk.faults(FaultPlan { capacity_bytes: 0, ..FaultPlan::default() });
    let log = open(&sim);
    assert_eq!(log.incarnation(), 6);
    log.retention_step(0);
    assert!(!matches!(log.create_topic("t", 1, &[]), Err(LogError::Disk { .. })), "still ours");
}

#[test]
fn a_process_that_lost_the_directory_ends() {
    // What another process would have written there.
    let other = SimEnv::new(1);
    drop(open(&other));
    drop(open(&other));
    let sim = SimEnv::new(1);
    let ended = Arc::new(AtomicBool::new(false));
    let flag = ended.clone();
    let on_fatal = Arc::new(move |_: &str| flag.store(true, Ordering::SeqCst));
    let options = LogOptions { on_fatal, ..manual() };
    let log = Log::open(sim.env(), Path::new(ROOT), options).unwrap();
    log.create_topic("t", 1, &[]).unwrap();
    log.retention_step(0);
    assert!(!ended.load(Ordering::SeqCst));
    write(&*sim.env().disk, &Path::new(ROOT).join("FORMAT"), &format(&other));
    log.retention_step(0);
    assert!(ended.load(Ordering::SeqCst));
    let refused = log.partition("t", 0).unwrap().append(batch(&[b"x"])).unwrap_err().to_string();
    assert!(refused.contains("another process"), "{refused}");
}

/// The FORMAT file of version 2, written once and kept for ever. Made by
/// `THALWEG_WRITE_FIXTURES=format-2`, which refuses to overwrite it.
#[test]
fn version_2_of_the_format_file_is_read() {
    let fixture: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-2");
    let real = Env::real();
    let sim = SimEnv::new(2);
    drop(open(&sim));
    drop(open(&sim));
    if std::env::var("THALWEG_WRITE_FIXTURES").is_ok_and(|wanted| wanted == "format-2") {
        real.disk.create_dir_all(&fixture).unwrap();
        let file = real.disk.open(&fixture.join("FORMAT"), OpenMode::CreateNew).unwrap();
        file.write_at(&format(&sim), 0).unwrap();
    }
    let bytes = read_file(&*real.disk, &fixture.join("FORMAT"), 4096).unwrap();
    write(&*sim.env().disk, &Path::new(ROOT).join("FORMAT"), &bytes);
    assert_eq!(open(&sim).incarnation(), 3);
    assert_eq!(format(&sim)[..8], bytes[..8]);
    assert_eq!(format(&sim)[20..44], bytes[20..44], "still the directory with this id");
}

#[test]
fn a_directory_of_version_1_is_counted_from_now_on() {
    let v1 = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1/FORMAT");
    let bytes = read_file(&*Env::real().disk, &v1, 4096).unwrap();
    let sim = SimEnv::new(3);
    drop(open(&sim));
    write(&*sim.env().disk, &Path::new(ROOT).join("FORMAT"), &bytes);
    assert_eq!(open(&sim).incarnation(), 1);
    assert_eq!(format(&sim)[20..44], bytes[20..44], "still the directory with this id");
}
