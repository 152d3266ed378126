//! Recovery when something is not as it was: other plans, other input, damage, a twin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thalweg_core::partition_log::{Waker, Watch};
use thalweg_engine::inspect::read_journal;
use thalweg_engine::{Job, JobError, JobOptions, JobState, ManualJob};
use thalweg_stream::error::Result;
use thalweg_stream::graph::{Exchange, Graph, NodeId};
use thalweg_stream::source::{
    Available, BatchSink, Cut, Position, Source, SourceBatch, SourceRef, SplitInfo, SplitReader,
};

use crate::support::graph::Builder;
use crate::support::rig::{JOB, Rig, connect};
use crate::support::view::CountingView;

fn copy() -> (Graph, NodeId, NodeId) {
    let mut builder = Builder::default();
    let source = builder.source(None);
    let keyed = builder.pass(&[(source, Exchange::Hash(vec![0]))]);
    let sink = builder.sink(keyed);
    (builder.graph, source, sink)
}

fn rig() -> Rig {
    let rig = Rig::new(1);
    rig.topic("in", 1);
    rig.topic("out", 1);
    rig.append("in", 0, &["a,1,1", "b,2,2", "c,3,3"]);
    rig
}

fn start(rig: &Rig, options: JobOptions) -> Result<ManualJob, JobError> {
    let (graph, source, sink) = copy();
    rig.start(rig.spec(&graph, 1, options), connect(rig, (source, "in"), (sink, "out"), None))
}

#[test]
fn another_plan_is_refused_and_says_why() {
    let rig = rig();
    rig.settle(&start(&rig, JobOptions::default()).unwrap());
    let (mut graph, source, sink) = copy();
    graph.nodes[1].uid = "renamed".into();
    let services = connect(&rig, (source, "in"), (sink, "out"), None);
    let error = rig.start(rig.spec(&graph, 1, JobOptions::default()), services).unwrap_err();
    assert!(error.is_incompatible(), "{error}");
    assert!(error.to_string().contains("renamed"), "{error}");
    // The refused start took nothing over.
    let job = start(&rig, JobOptions::default()).unwrap();
    assert_eq!(job.status().incarnation.0, 1);
}

#[test]
fn another_parallelism_is_refused_while_there_is_something_to_replay() {
    let rig = rig();
    rig.settle(&start(&rig, JobOptions::default()).unwrap());
    let (graph, source, sink) = copy();
    let services = connect(&rig, (source, "in"), (sink, "out"), None);
    let error = rig.start(rig.spec(&graph, 2, JobOptions::default()), services).unwrap_err();
    assert!(error.is_incompatible() && error.to_string().contains("parallelism"), "{error}");
}

#[test]
fn an_older_incarnation_is_fenced() {
    let rig = rig();
    let old = start(&rig, JobOptions::default()).unwrap();
    rig.settle(&old);
    let new = start(&rig, JobOptions::default()).unwrap();
    rig.append("in", 0, &["d,4,4"]);
    rig.settle(&old);
    assert!(matches!(old.error(), Some(JobError::Fenced(_))), "{:?}", old.error());
    rig.settle(&new);
    assert_eq!(new.status().state, JobState::Running);
    assert_eq!(rig.read("out").len(), 4);
}

#[test]
fn a_damaged_snapshot_is_told_and_an_older_one_taken() {
    let rig = rig();
    for line in ["d,4,4", "e,5,5"] {
        let job = start(&rig, JobOptions::default()).unwrap();
        rig.settle(&job);
        job.stop();
        rig.settle(&job);
        assert_eq!(job.status().state, JobState::Stopped);
        rig.append("in", 0, &[line]);
    }
    let mut manifests: Vec<_> = rig.sim.disk.dump().into_iter().collect();
    manifests.retain(|(path, _)| path.to_string_lossy().ends_with("MANIFEST"));
    let (newest, bytes) = manifests.last().unwrap();
    rig.sim.disk.corrupt(newest, 0..bytes.as_ref().unwrap().len() as u64).unwrap();
    let job = start(&rig, JobOptions::default()).unwrap();
    rig.settle(&job);
    assert_eq!(job.status().alarms.len(), 1, "{:?}", job.status().alarms);
    assert!(job.status().replayed > 0);
    assert_eq!(job.status().state, JobState::Running);
    assert_eq!(rig.read("out").len(), 5);
}

#[test]
fn a_topic_created_anew_under_the_name_stops_replay() {
    let rig = rig();
    rig.settle(&start(&rig, JobOptions::default()).unwrap());
    rig.log.eager().delete_topic("in").unwrap();
    rig.topic("in", 1);
    rig.append("in", 0, &["a,1,1", "b,2,2", "c,3,3"]);
    let job = start(&rig, JobOptions::default()).unwrap();
    rig.settle(&job);
    let error = job.error().unwrap();
    assert!(error.is_incompatible(), "{error}");
}

/// A source that gives its rows in another order the second time.
struct Fickle {
    inner: SourceRef,
    second_time: Arc<AtomicBool>,
}

impl Source for Fickle {
    fn splits(&self) -> Result<Vec<SplitInfo>> {
        self.inner.splits()
    }

    fn open(&self, split: &SplitInfo) -> Result<Box<dyn SplitReader>> {
        let inner = self.inner.open(split)?;
        Ok(Box::new(FickleReader { inner, second_time: Arc::clone(&self.second_time) }))
    }

    fn is_bounded(&self) -> bool {
        false
    }

    fn watch(&self, waker: Waker) -> Option<Watch> {
        self.inner.watch(waker)
    }
}

struct FickleReader {
    inner: Box<dyn SplitReader>,
    second_time: Arc<AtomicBool>,
}

impl SplitReader for FickleReader {
    fn available(&mut self) -> Result<Available> {
        self.inner.available()
    }

    fn cut(&mut self, from: Position, max_bytes: u64) -> Result<Cut> {
        self.inner.cut(from, max_bytes)
    }

    fn read(
        &mut self,
        from: Position,
        to: Position,
        batch_rows: usize,
        sink: &mut BatchSink<'_>,
    ) -> Result<()> {
        let less = usize::from(self.second_time.load(Ordering::SeqCst));
        self.inner.read(from, to, batch_rows, &mut |batch: SourceBatch| {
            let rows = batch.rows.slice(less, batch.rows.num_rows() - less);
            sink(SourceBatch { rows, ..batch })
        })
    }
}

#[test]
fn replay_that_gives_something_else_stops_loudly() {
    let rig = rig();
    let second_time = Arc::new(AtomicBool::new(false));
    let start = || {
        let (graph, source, sink) = copy();
        let mut services = connect(&rig, (source, "in"), (sink, "out"), None);
        let fickle = Fickle { inner: rig.source("in"), second_time: Arc::clone(&second_time) };
        services.sources.insert(source, Arc::new(fickle));
        rig.start(rig.spec(&graph, 1, JobOptions::default()), services).unwrap()
    };
    rig.settle(&start());
    assert_eq!(rig.read("out").len(), 3);
    second_time.store(true, Ordering::SeqCst);
    let job = start();
    rig.settle(&job);
    let error = job.error().unwrap();
    let JobError::Diverged { output, partition, .. } = &error else { panic!("{error}") };
    assert_eq!((output.as_str(), *partition), ("sink:sink-2", 0));
    assert_eq!(rig.read("out").len(), 3, "nothing was published");
}

#[test]
fn what_was_committed_but_not_published_is_published_at_the_start() {
    let rig = rig();
    let job = start(&rig, JobOptions::default()).unwrap();
    rig.settle(&job);
    drop(job);
    // The output topic loses what it had, as if publication had not happened.
    rig.log.eager().delete_topic("out").unwrap();
    rig.topic("out", 1);
    let job = start(&rig, JobOptions::default()).unwrap();
    assert_eq!(rig.read("out").len(), 3, "before any replay");
    rig.settle(&job);
    assert_eq!(rig.read("out").len(), 3);
}

#[test]
fn a_crash_with_a_snapshot_replays_only_what_came_after_it() {
    let mut rig = rig();
    let options = JobOptions { snapshot_interval_ms: Some(10), ..JobOptions::default() };
    let job = start(&rig, options.clone()).unwrap();
    rig.settle(&job);
    for n in 0..5 {
        rig.append("in", 0, &[&format!("x,{n},{n}")]);
        rig.pass(&job, 7);
    }
    let (epoch, snapshot) = (job.status().epoch, job.status().snapshot.unwrap());
    assert!(snapshot <= epoch);
    drop(job);
    rig = rig.crash();
    let job = start(&rig, options).unwrap();
    rig.settle(&job);
    assert_eq!(job.status().replayed, epoch.0 - snapshot.0);
    assert_eq!(rig.read("out").len(), 8);
}

#[test]
fn the_journal_is_trimmed_behind_snapshots_and_still_enough() {
    let rig = rig();
    let config = [("segment.bytes".to_owned(), "2048".to_owned())];
    rig.log.eager().create_topic(&format!("__journal.{JOB}"), 1, &config).unwrap();
    let options = JobOptions {
        snapshot_interval_ms: Some(10),
        snapshots_kept: 2,
        snapshot_at_stop: false,
        ..JobOptions::default()
    };
    let job = start(&rig, options.clone()).unwrap();
    rig.settle(&job);
    for n in 0..60 {
        rig.append("in", 0, &[&format!("x,{n},{n}")]);
        rig.pass(&job, 7);
    }
    let epoch = job.status().epoch;
    drop(job);
    rig.log.log.retention_step(0);
    let left = read_journal(&*rig.log.eager(), JOB).unwrap();
    assert!(left[0].0 > 0, "{:?}", left[0]);
    let job = start(&rig, options).unwrap();
    rig.append("in", 0, &["y,1,1"]);
    rig.settle(&job);
    assert!(job.error().is_none(), "{:?}", job.error());
    assert!(job.status().replayed < 5 && job.status().epoch > epoch);
    assert_eq!(rig.read("out").len(), 64);
}

#[test]
fn a_journal_whose_needed_part_is_gone_is_refused() {
    let rig = rig();
    let config = [("segment.bytes".to_owned(), "1024".to_owned())];
    rig.log.eager().create_topic(&format!("__journal.{JOB}"), 1, &config).unwrap();
    let job = start(&rig, JobOptions::default()).unwrap();
    rig.settle(&job);
    for n in 0..20 {
        rig.append("in", 0, &[&format!("x,{n},{n}")]);
        rig.settle(&job);
    }
    drop(job);
    let journal = rig.log.eager().partition(&format!("__journal.{JOB}"), 0).unwrap();
    journal.pin(&format!("job {JOB}"), None);
    journal.release(10);
    rig.log.log.retention_step(0);
    let error = start(&rig, JobOptions::default()).unwrap_err();
    assert!(error.is_incompatible(), "{error}");
}

/// A rig whose topic `in` keeps nothing that is not pinned, `number` lines of one segment each.
fn forgetful_rig(number: i64) -> Rig {
    let rig = Rig::new(1);
    let config = [("segment.bytes", "1024"), ("retention.bytes", "0")];
    let config = config.map(|(key, value)| (key.to_owned(), value.to_owned()));
    rig.log.eager().create_topic("in", 1, &config).unwrap();
    rig.topic("out", 1);
    append_segments(&rig, 0..number);
    rig
}

fn append_segments(rig: &Rig, numbers: std::ops::Range<i64>) {
    for n in numbers {
        rig.append("in", 0, &[&format!("{},{n},{n}", "k".repeat(700))]);
    }
}

/// Runs retention; says where `in` starts then.
fn retain(rig: &Rig) -> i64 {
    rig.log.log.retention_step(0);
    rig.log.eager().partition("in", 0).unwrap().offsets().start
}

#[test]
fn input_is_kept_from_a_jobs_start_until_snapshots_stand_for_it() {
    let rig = forgetful_rig(5);
    let options = JobOptions { snapshot_at_stop: false, ..JobOptions::default() };
    let job = start(&rig, options.clone()).unwrap();
    rig.settle(&job);
    assert_eq!(retain(&rig), 0, "a crash now is followed by a replay of everything");
    drop(job);
    let rig = rig.crash();
    let job = start(&rig, options).unwrap();
    rig.settle(&job);
    assert!(job.error().is_none(), "{:?}", job.error());
    assert_eq!((retain(&rig), rig.read("out").len()), (0, 5), "pinned while it replays, too");
    job.unpin();
    assert_eq!(retain(&rig), 4);
}

#[test]
fn a_job_at_rest_keeps_what_it_needs() {
    let rig = forgetful_rig(3);
    let options = JobOptions { snapshots_kept: 1, ..JobOptions::default() };
    let (graph, source, sink) = copy();
    let spec = rig.spec(&graph, 1, options.clone());
    let services = || connect(&rig, (source, "in"), (sink, "out"), None);
    let nothing = Job::rest(&spec, &services()).unwrap();
    assert_eq!((nothing.status().epoch.0, nothing.views_restored()), (0, false));

    let job = start(&rig, options.clone()).unwrap();
    rig.settle(&job);
    job.stop();
    rig.settle(&job);
    let stopped = job.status();
    assert_eq!(stopped.state, JobState::Stopped);
    drop(job);
    append_segments(&rig, 3..9);
    let rig = rig.crash();

    let services = connect(&rig, (source, "in"), (sink, "out"), None);
    let resting = Job::rest(&spec, &services).unwrap();
    let status = resting.status();
    assert_eq!(status.state, JobState::Stopped);
    assert_eq!((status.epoch, status.totals), (stopped.epoch, stopped.totals));
    assert_eq!(status.splits[0].position, 3);
    assert_eq!(retain(&rig), 3, "what it has read may go, what it has not read stays");
    let job = start(&rig, options).unwrap();
    rig.settle(&job);
    assert_eq!(rig.read("out").len(), 9);
    job.unpin();
    assert_eq!(retain(&rig), 8);
}

#[test]
fn views_of_a_job_at_rest_are_what_they_were() {
    for snapshot_at_stop in [true, false] {
        let rig = rig();
        let mut builder = Builder::default();
        let source = builder.source(None);
        let view = builder.view(source);
        let options = JobOptions { snapshot_at_stop, ..JobOptions::default() };
        let spec = rig.spec(&builder.graph, 1, options);
        let services = |kept: &Arc<CountingView>| {
            let mut services = rig.services();
            services.sources.insert(source, rig.source("in"));
            services.views.insert(view, Arc::clone(kept) as _);
            services
        };
        let kept = Arc::new(CountingView::default());
        let job = rig.start(spec.clone(), services(&kept)).unwrap();
        rig.settle(&job);
        job.stop();
        rig.settle(&job);
        assert_eq!(kept.rows().len(), 3);
        let again = Arc::new(CountingView::default());
        let resting = Job::rest(&spec, &services(&again)).unwrap();
        assert_eq!(resting.views_restored(), snapshot_at_stop);
        if snapshot_at_stop {
            assert_eq!((again.rows(), again.epoch()), (kept.rows(), kept.epoch()));
        } else {
            assert!(again.rows().is_empty(), "only a replay could say what was in it");
        }
    }
}
