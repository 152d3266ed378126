//! Retention deletes nothing that broker or jobs still need: also not while they start.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use thalweg::node::{Answer, NodeOptions};
use thalweg_core::env::{Clock, Disk, DiskFile, DiskLock, Entry, Env, OpenMode};
use thalweg_core::time::Millis;

use crate::harness::Bench;

/// Everything is older than this.
const LATER: Millis = 4_000_000_000_000;

const TABLES: &str = "CREATE TABLE numbers (n INT, pad STRING) WITH (
      'connector' = 'kafka', 'topic' = 'numbers', 'format' = 'json',
      'scan.startup.mode' = 'earliest-offset');
    CREATE TABLE copy (n INT) WITH (
      'connector' = 'kafka', 'topic' = 'copy', 'format' = 'json',
      'scan.startup.mode' = 'earliest-offset');";

/// A bench with a topic that keeps nothing by itself: each record is a segment, and all but
/// the last may go.
fn bench(options: NodeOptions) -> Bench {
    let bench = Bench::with(options);
    let config = [("segment.bytes", "1024"), ("retention.bytes", "0")];
    let config = config.map(|(key, value)| (key.to_owned(), value.to_owned()));
    bench.node().log().create_topic("numbers", 1, &config).expect("a topic");
    let keep = [("retention.ms".to_owned(), "-1".to_owned())];
    bench.node().log().create_topic("copy", 1, &keep).expect("a topic");
    produce(&bench, 1..=5);
    bench.run(TABLES);
    bench
}

fn produce(bench: &Bench, numbers: std::ops::RangeInclusive<i32>) {
    for n in numbers {
        bench.produce("numbers", &format!(r#"{{"n": {n}, "pad": "{}"}}"#, "x".repeat(700)));
    }
}

/// Runs retention; says where the topic starts then.
fn retain(bench: &Bench) -> i64 {
    bench.node().embedded_log().retention_step(LATER);
    bench.node().log().partition("numbers", 0).expect("the partition").offsets().start
}

#[test]
fn what_jobs_need_stays_after_a_restart_too() {
    let mut bench = bench(NodeOptions::default());
    bench.run("CREATE MATERIALIZED VIEW total AS SELECT SUM(n) AS n FROM numbers");
    bench.await_rows("SELECT n FROM total", &[&["15"]]);
    assert_eq!(retain(&bench), 0, "without a snapshot, all is needed");
    bench.reopen();
    assert_eq!(retain(&bench), 0, "one snapshot may be damaged");
    produce(&bench, 6..=6);
    bench.await_rows("SELECT n FROM total", &[&["21"]]);
    bench.run("DROP MATERIALIZED VIEW total");
    // The last segment goes too where it was closed meanwhile.
    assert!(retain(&bench) >= 5, "nobody needs it any more, and retention has begun");
}

/// A stopped job needs its input as much: it may be started again.
#[test]
fn what_a_stopped_job_needs_stays_until_it_is_cancelled() {
    let mut bench = bench(NodeOptions::default());
    let Answer::Job(job) = bench.run("INSERT INTO copy SELECT n FROM numbers") else {
        panic!("a job")
    };
    let name = job.name().to_owned();
    drop(job);
    bench.await_rows("SELECT SUM(n) FROM copy", &[&["15"]]);
    bench.run(&format!("STOP JOB '{name}'"));
    produce(&bench, 6..=8);
    assert_eq!(retain(&bench), 0);
    bench.reopen();
    assert_eq!(retain(&bench), 0);
    bench.run(&format!("RESTART JOB '{name}'"));
    bench.await_rows("SELECT SUM(n) FROM copy", &[&["36"]]);
    bench.run(&format!("STOP JOB '{name}'"));
    bench.reopen();
    bench.run(&format!("CANCEL JOB '{name}'"));
    assert!(retain(&bench) >= 7);
}

/// The clock and the disk of the system, but the first look at a job's snapshots waits until
/// the log has thought of retention twice.
struct Held {
    real: Env,
    looks: Mutex<u32>,
    looked: Condvar,
}

/// How often the log looks at the time before a job may start.
const LOOKS: u32 = 2;

impl Clock for Held {
    fn wall_ms(&self) -> Millis {
        if std::thread::current().name().is_some_and(|name| name.contains("log-tend")) {
            *self.looks.lock() += 1;
            self.looked.notify_all();
            return LATER;
        }
        self.real.clock.wall_ms()
    }

    fn monotonic_ns(&self) -> u64 {
        self.real.clock.monotonic_ns()
    }

    fn sleep(&self, duration: Duration) {
        self.real.clock.sleep(duration);
    }
}

impl Disk for Held {
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        if path.ends_with("snapshots") && self.exists(path) {
            let mut looks = self.looks.lock();
            let patience = Duration::from_secs(60);
            let late = self.looked.wait_while_for(&mut looks, |looks| *looks < LOOKS, patience);
            assert!(!late.timed_out(), "nobody looks after the log");
        }
        self.real.disk.list(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.real.disk.open(path, mode)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.real.disk.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.real.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.real.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.real.disk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.real.disk.sync_dir(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.real.disk.exists(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.real.disk.free_bytes(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.real.disk.lock(path)
    }
}

#[test]
fn retention_waits_until_every_job_has_its_pins() {
    let mut bench = bench(NodeOptions { retention_check_ms: 1_000_000, ..NodeOptions::default() });
    bench.run("CREATE MATERIALIZED VIEW total AS SELECT SUM(n) AS n FROM numbers");
    bench.await_rows("SELECT n FROM total", &[&["15"]]);
    bench.close();
    let real = Env::real();
    let held = Held { real: real.clone(), looks: Mutex::new(0), looked: Condvar::new() };
    let held = Arc::new(held);
    let env = Env { clock: held.clone(), disk: held, ..real };
    bench.open_with(NodeOptions { env, retention_check_ms: 1_000, ..NodeOptions::default() });
    assert_eq!(retain(&bench), 0, "the job was not there yet to say that it needs it");
}
