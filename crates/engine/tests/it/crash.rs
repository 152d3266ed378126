//! Every crash point of the commit protocol: power fails at each disk operation in turn,
//! and again while the job recovers.
//!
//! A failing history prints its seed, variant and crash points; `THALWEG_SIM_REPLAY`
//! runs that one alone. `THALWEG_SIM_SEEDS` sets how many seeds are explored.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::env::sim::{FaultPlan, OpKind, SimEnv};
use thalweg_core::env::{Random, SeededRandom};
use thalweg_core::partition_log::{LogError, LogStore};
use thalweg_engine::inspect::{JournalItem, read_journal};
use thalweg_engine::{
    Job, JobError, JobId, JobOptions, JobServices, JobSpec, JobState, ManualJob, Step,
};
use thalweg_stream::graph::Exchange;
use xxhash_rust::xxh3::xxh3_64;

use crate::support::expression::{Divide, NO_LINE, NULL_TIME, bad_line};
use crate::support::graph::Builder;
use crate::support::sim::SimLog;
use crate::support::sink::{TopicSink, read_all, read_topic};
use crate::support::source::{TopicSource, append_lines, parse};
use crate::support::view::CountingView;

const JOB: JobId = JobId(9);
const PARTITIONS: i32 = 2;

/// What is switched on in a history.
#[derive(Clone, Copy, Debug)]
struct Variant {
    snapshots: bool,
    /// Edges hold nothing: every batch spills.
    spill: bool,
    /// All output is staged in files.
    staged: bool,
    parallelism: usize,
}

fn variants() -> Vec<Variant> {
    let variant =
        |snapshots, spill, staged, parallelism| Variant { snapshots, spill, staged, parallelism };
    vec![
        variant(false, false, false, 1),
        variant(true, false, false, 2),
        variant(true, true, true, 2),
        variant(false, true, true, 3),
    ]
}

/// The input: lines by partition. Some come late, one has no event time, one is no line, and
/// on one a division fails.
fn input() -> Vec<Vec<String>> {
    let line = |n: usize| format!("k{},{n},{}", n % 5, n * 100);
    let mut partitions = vec![Vec::new(); PARTITIONS as usize];
    for n in 0..36 {
        partitions[n % PARTITIONS as usize].push(line(n));
    }
    for at in [9, 17] {
        partitions[0].insert(at, format!("k1,{},5", 100 + at));
        partitions[1].insert(at, format!("k2,{},205", 200 + at));
    }
    partitions[0].insert(7, "not a line".to_owned());
    partitions[1].insert(3, "k0,300,".to_owned());
    partitions
}

/// Topics that the job writes.
const OUTPUTS: [&str; 4] = ["out", "windows", "late", "bad"];

/// A machine with a disk, on which the job runs again and again.
struct World {
    sim: SimEnv,
    variant: Variant,
    random: SeededRandom,
}

/// The journal has a log of its own, so that what is published can be durable before
/// what is committed, where the engine lets it.
struct Logs {
    journal: SimLog,
    data: SimLog,
}

impl Logs {
    fn open(sim: &SimEnv) -> Result<Self, LogError> {
        let (journal, data) = (SimLog::open(sim, "/journal")?, SimLog::open(sim, "/data")?);
        Ok(Self { journal, data })
    }
}

/// What one process was able to do.
enum Run {
    /// The job ended.
    Over(Box<Ended>),
    /// Power failed.
    PowerFailed,
}

struct Ended {
    logs: Logs,
    view: Arc<CountingView>,
    job: ManualJob,
}

impl World {
    fn new(seed: u64, variant: Variant) -> Self {
        let sim = SimEnv::new(seed);
        let log = SimLog::open(&sim, "/data").unwrap();
        log.log.create_topic("in", PARTITIONS, &[]).unwrap();
        for topic in OUTPUTS {
            log.log.create_topic(topic, PARTITIONS, &[]).unwrap();
        }
        for (number, lines) in input().iter().enumerate() {
            let partition = log.log.partition("in", number as i32).unwrap();
            append_lines(&*partition, lines, 3);
        }
        log.log.commit_step();
        log.log.close().unwrap();
        drop(log);
        sim.crash();
        Self { sim, variant, random: SeededRandom::for_part(seed, 99) }
    }

    /// Starts a process on the disk and lets the job run to its end, or power fail.
    fn process(&self, power_off_at: Option<u64>) -> Result<Run, JobError> {
        self.process_with(FaultPlan { power_off_at, ..FaultPlan::default() })
    }

    /// The same, on a disk with other faults.
    fn process_with(&self, faults: FaultPlan) -> Result<Run, JobError> {
        let power_off_at = faults.power_off_at;
        self.sim.disk.faults(faults);
        let before = self.sim.disk.operations();
        let off = |world: &Self| {
            power_off_at.is_some_and(|at| world.sim.disk.operations() >= before + at)
        };
        let logs = match Logs::open(&self.sim) {
            Ok(logs) => logs,
            Err(_) if off(self) => return Ok(Run::PowerFailed),
            Err(error) => return Err(error.into()),
        };
        let view = Arc::new(CountingView::default());
        logs.journal.set_at_once(true);
        let job = match self.start(&logs, &view) {
            Ok(job) => job,
            Err(_) if off(self) => return Ok(Run::PowerFailed),
            Err(error) => return Err(error),
        };
        logs.journal.set_at_once(false);
        self.drive(&logs, &job);
        if off(self) {
            return Ok(Run::PowerFailed);
        }
        match job.error() {
            Some(error) => Err(error),
            None => Ok(Run::Over(Box::new(Ended { logs, view, job }))),
        }
    }

    /// Lets things happen in random order until the job is over.
    fn drive(&self, logs: &Logs, job: &ManualJob) {
        let log = &logs.journal.log;
        for _ in 0..100_000 {
            match self.random.below(10) {
                0 => drop(log.commit_step()),
                1 => self.sim.clock.advance(Duration::from_millis(self.random.below(20))),
                2 if self.random.below(8) == 0 => {
                    log.mark_step();
                    logs.data.log.mark_step();
                }
                _ => match job.step(&self.random) {
                    Step::Over => return,
                    Step::Worked => {}
                    Step::Idle { .. } => {
                        log.commit_step();
                        self.sim.clock.advance(Duration::from_millis(1));
                    }
                },
            }
        }
        panic!("the job does not end: {:?}", job.status());
    }

    fn start(&self, logs: &Logs, view: &Arc<CountingView>) -> Result<ManualJob, JobError> {
        let mut builder = Builder::default();
        let source = builder.source(None);
        let pass = builder.pass(&[(source, Exchange::Forward)]);
        builder.filter(pass, Divide { tells: false, compares: true });
        let keyed = builder.pass(&[(pass, Exchange::Hash(vec![0]))]);
        // A diamond: the same rows once more, over an edge of their own.
        let both =
            builder.pass(&[(keyed, Exchange::Hash(vec![1])), (pass, Exchange::Hash(vec![1]))]);
        let sink = builder.sink(both);
        let window = builder.tumble(keyed, Exchange::Hash(vec![0]), 1_000);
        let windows = builder.sink(window);
        let group = builder.group(pass, Exchange::Hash(vec![0]));
        let kept = builder.view(group);
        let variant = self.variant;
        let options = JobOptions {
            epoch_bytes_min: 500,
            epoch_bytes_max: 700,
            epochs_in_flight: 3,
            batch_rows: 4,
            edge_bytes: if variant.spill { 0 } else { 1 << 20 },
            inline_bytes: if variant.staged { 0 } else { 1 << 20 },
            writer_bytes: if variant.staged { 40 } else { 1 << 20 },
            output_bytes: if variant.staged { 100 } else { 1 << 20 },
            snapshot_interval_ms: variant.snapshots.then_some(5),
            snapshot_at_stop: variant.snapshots,
            snapshots_kept: 2,
            replay_target_ms: 1 << 40,
            ..JobOptions::default()
        };
        let eager = logs.data.eager();
        let services = JobServices {
            env: self.sim.env(),
            log: logs.journal.lazy(),
            sources: BTreeMap::from([(source, TopicSource::bounded(eager.clone(), "in") as _)]),
            sinks: BTreeMap::from([
                (sink, TopicSink::new(eager.clone(), "out") as _),
                (windows, TopicSink::new(eager.clone(), "windows") as _),
            ]),
            views: BTreeMap::from([(kept, Arc::clone(view) as _)]),
            late: BTreeMap::from([(window, TopicSink::new(eager.clone(), "late") as _)]),
            bad: BTreeMap::from([(source, TopicSink::new(eager, "bad") as _)]),
            dir: PathBuf::from("/job"),
        };
        let spec = JobSpec {
            id: JOB,
            name: "sim".into(),
            graph: builder.graph,
            parallelism: variant.parallelism,
            options,
        };
        Job::start_manual(spec, services)
    }

    /// A history: a crash at each of the given operations, then a run to the end.
    fn history(&self, crashes: &[u64]) -> Result<Ended, JobError> {
        for &at in crashes {
            match self.process(Some(at))? {
                Run::PowerFailed => {}
                // The end came before the power failed.
                Run::Over(ended) => drop(ended),
            }
            self.sim.crash();
        }
        match self.process(None)? {
            Run::Over(ended) => Ok(*ended),
            Run::PowerFailed => unreachable!("power does not fail"),
        }
    }
}

/// What must be true at the end of any history.
fn check(world: &mut World, ended: Ended) {
    assert_eq!(ended.job.status().state, JobState::Finished);
    let store: Arc<dyn LogStore> = ended.logs.data.log.clone();
    check_published(&ended.logs);
    let rows = rows();
    let bad = input().iter().flatten().count() - rows.len();
    let mut want: Vec<_> = rows.iter().map(|row| format!("+I[{}]", text(row))).collect();
    want = want.iter().flat_map(|line| [line.clone(), line.clone()]).collect();
    want.sort();
    assert_eq!(sorted(read_all(&*store, "out")), want, "every row once over each edge");
    assert_eq!(sorted(read_all(&*store, "bad")), sorted(bad_lines()));
    let late = read_all(&*store, "late");
    assert_eq!(sorted(read_all(&*store, "windows")), windows_without(&rows, &late));
    assert_eq!(ended.view.rows(), groups(&rows), "the view is the fold of its changes");
    let status = ended.job.status();
    assert_eq!(ended.view.epoch(), status.epoch.0);
    assert_eq!(status.totals.rows_in as usize, rows.len() + bad);
    assert_eq!((status.totals.bad as usize, status.totals.late as usize), (bad, late.len()));
    drop(ended);
    check_replay(world, &groups(&rows));
}

type Row = (String, i64, i64);

/// The rows of the input that are rows.
fn rows() -> Vec<Row> {
    let parsed = input().into_iter().flatten().filter_map(|line| parse(&line));
    let rows = parsed.filter_map(|(key, value, time)| Some((key, value, time?)));
    rows.filter(|(_, value, _)| *value != 0).collect()
}

/// The others, as they came, with their offsets.
fn bad_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for (partition, input) in input().iter().enumerate() {
        for (offset, line) in input.iter().enumerate() {
            let reason = match parse(line) {
                None => NO_LINE,
                Some((_, _, None)) => NULL_TIME,
                Some((_, 0, _)) => "10 / v < 100: division by zero",
                Some(_) => continue,
            };
            lines.push(bad_line(line, &partition.to_string(), offset, reason));
        }
    }
    assert_eq!(lines.len(), 3);
    lines
}

fn text((key, value, time): &Row) -> String {
    format!("{key}, {value}, {}", format_time(*time))
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// A batch model of the windows, over the rows that were not late.
fn windows_without(rows: &[Row], late: &[String]) -> Vec<String> {
    let mut windows: BTreeMap<(String, i64), (i64, i64)> = BTreeMap::new();
    for row in rows {
        let start = format!("+I[{}, ", text(row));
        if !late.iter().any(|late| late.starts_with(&start)) {
            let window = windows.entry((row.0.clone(), row.2 / 1000)).or_default();
            window.0 += 1;
            window.1 += row.1;
        }
    }
    let lines = windows.iter().map(|((key, second), (count, sum))| {
        let (start, end) = (second * 1000, second * 1000 + 1000);
        let [start, end, last] = [start, end, end - 1].map(format_time);
        format!("+I[{key}, {count}, {sum}, {start}, {end}, {last}]")
    });
    sorted(lines.collect())
}

/// A batch model of the view.
fn groups(rows: &[Row]) -> BTreeMap<String, i64> {
    let mut groups: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for (key, value, _) in rows {
        let group = groups.entry(key).or_default();
        group.0 += 1;
        group.1 += value;
    }
    let line = |(key, (count, sum)): (&&str, &(i64, i64))| (format!("[{key}, {count}, {sum}]"), 1);
    groups.iter().map(line).collect()
}

fn format_time(time: i64) -> String {
    let (seconds, millis) = (time / 1000, time % 1000);
    let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
    format!("1970-01-01T00:00:{seconds:02}{fraction}")
}

/// The published output of every sink is the chunks of the committed entries, in order,
/// once: compared by hash.
fn check_published(logs: &Logs) {
    let store: &dyn LogStore = &*logs.data.log;
    let mut next: BTreeMap<(String, i32), u64> = BTreeMap::new();
    for (_, item) in read_journal(&*logs.journal.log, JOB).unwrap() {
        let JournalItem::Epoch(epoch) = item else { continue };
        for chunk in epoch.chunks {
            let topic = topic_of(&chunk.sink);
            let place = next.entry((topic.to_owned(), chunk.partition)).or_default();
            assert_eq!(chunk.first_sequence, *place, "sequences have no gap");
            let lines = read_topic(store, topic, chunk.partition);
            let end = *place + u64::from(chunk.count);
            assert!(lines.len() as u64 >= end, "epoch {} is published", epoch.epoch);
            let bytes = lines[*place as usize..end as usize].join("\n");
            assert_eq!(xxh3_64(bytes.as_bytes()), chunk.hash, "as the journal says");
            *place = end;
        }
    }
    for topic in OUTPUTS {
        for partition in 0..PARTITIONS {
            let there = read_topic(store, topic, partition).len() as u64;
            let said = next.get(&(topic.to_owned(), partition)).copied().unwrap_or(0);
            assert_eq!(there, said, "nothing but what the journal says in {topic}-{partition}");
        }
    }
}

fn topic_of(sink: &str) -> &'static str {
    match sink.split_once(':') {
        Some(("bad", _)) => "bad",
        Some(("late", _)) => "late",
        _ if sink.ends_with("-4") => "out",
        _ => "windows",
    }
}

/// Without any snapshot, and with edges that spill where they did not, the journal alone
/// gives the same again: a difference would be `Diverged`.
fn check_replay(world: &mut World, want: &BTreeMap<String, i64>) {
    world.sim.crash();
    world.variant.spill = !world.variant.spill;
    let disk = &world.sim.env().disk;
    let snapshots = PathBuf::from("/job/snapshots");
    if disk.exists(&snapshots) {
        disk.remove_dir_all(&snapshots).unwrap();
    }
    let Ok(Run::Over(ended)) = world.process(None) else { panic!("the journal replays") };
    let status = ended.job.status();
    assert_eq!(status.replayed, status.epoch.0, "{status:?}");
    assert_eq!(ended.view.rows(), *want);
    check_published(&ended.logs);
}

/// Runs a history and says how to run it again where it fails.
fn explore(seed: u64, variant: usize, crashes: &[u64]) -> u64 {
    let told = Told { seed, variant, crashes: crashes.to_vec() };
    let mut world = World::new(seed, variants()[variant]);
    let before = world.sim.disk.operations();
    let ended = match world.history(crashes) {
        Ok(ended) => ended,
        Err(error) => panic!("{error}"),
    };
    let operations = world.sim.disk.operations() - before;
    check(&mut world, ended);
    std::mem::forget(told);
    operations
}

struct Told {
    seed: u64,
    variant: usize,
    crashes: Vec<u64>,
}

impl Drop for Told {
    fn drop(&mut self) {
        let crashes: Vec<_> = self.crashes.iter().map(u64::to_string).collect();
        eprintln!(
            "replay with: THALWEG_SIM_REPLAY={}/{}/{} cargo test -p thalweg-engine --test it crash",
            self.seed,
            self.variant,
            crashes.join(",")
        );
    }
}

fn seeds() -> u64 {
    std::env::var("THALWEG_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(0)
}

/// One history of `THALWEG_SIM_REPLAY`, if that is what is wanted.
fn replays_one() -> bool {
    let Ok(replay) = std::env::var("THALWEG_SIM_REPLAY") else { return false };
    let parts: Vec<_> = replay.split('/').collect();
    let crashes = parts[2].split(',').filter(|at| !at.is_empty());
    let crashes: Vec<_> = crashes.map(|at| at.parse().unwrap()).collect();
    explore(parts[0].parse().unwrap(), parts[1].parse().unwrap(), &crashes);
    true
}

/// Without `THALWEG_SIM_SEEDS` every ninth crash point of one seed, for everyday use.
fn every_crash_point(variant: usize) {
    if replays_one() {
        return;
    }
    let stride = if seeds() == 0 { 9 } else { 1 };
    for seed in 0..seeds().max(1) {
        let operations = explore(seed, variant, &[]);
        for at in (1 + variant as u64..=operations).step_by(stride) {
            explore(seed, variant, &[at]);
        }
    }
}

#[test]
fn every_crash_point_without_snapshots() {
    every_crash_point(0);
}

#[test]
fn every_crash_point_with_snapshots() {
    every_crash_point(1);
}

#[test]
fn every_crash_point_with_everything_on_disk() {
    every_crash_point(2);
}

#[test]
fn every_crash_point_with_spilled_edges_and_three_subtasks() {
    every_crash_point(3);
}

#[test]
fn crashes_during_recovery_leave_it_to_the_next_one() {
    let random = SeededRandom::new(4711);
    for round in 0..25 * seeds().max(1) {
        let variant = random.below(variants().len() as u64) as usize;
        let number = 1 + random.below(4);
        let crashes: Vec<_> = (0..number).map(|_| 1 + random.below(300)).collect();
        explore(1000 + round, variant, &crashes);
    }
}

#[test]
fn disk_errors_end_the_job_and_lose_nothing() {
    let kinds = [OpKind::Write, OpKind::Sync, OpKind::SyncDir, OpKind::Open, OpKind::Rename];
    for round in 0..25 * seeds().max(1) {
        let seed = 2000 + round;
        let random = SeededRandom::for_part(seed, 5);
        let variant = random.below(variants().len() as u64) as usize;
        let mut world = World::new(seed, variants()[variant]);
        for _ in 0..1 + random.below(3) {
            let kind = kinds[random.below(kinds.len() as u64) as usize];
            let nth = 1 + random.below(80);
            let faults = FaultPlan { fail_nth: vec![(kind, nth)], ..FaultPlan::default() };
            // It ends with an error, or nothing that counts was hit; never with a wrong one.
            if let Err(error) = world.process_with(faults) {
                assert!(!error.is_incompatible(), "seed {seed}: {error}");
                assert!(!matches!(error, JobError::Diverged { .. }), "seed {seed}: {error}");
            }
            // After a failed sync what the next process sees is not what is on the disk.
            let unsure = matches!(kind, OpKind::Sync | OpKind::SyncDir);
            if unsure || random.below(2) == 0 {
                world.sim.crash();
            } else {
                world.sim.disk.kill();
            }
        }
        match world.process(None) {
            Ok(Run::Over(ended)) => check(&mut world, *ended),
            Ok(Run::PowerFailed) => unreachable!("power does not fail"),
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
}

/// The simulation itself: the same seed gives the same operations on the disk.
#[test]
fn a_seed_gives_the_same_history_twice() {
    let trace = |seed| {
        let world = World::new(seed, variants()[2]);
        drop(world.history(&[90, 150]).unwrap());
        world.sim.disk.trace_hash()
    };
    assert_eq!(trace(31), trace(31));
    assert_ne!(trace(31), trace(32));
}
