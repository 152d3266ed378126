//! Jobs: what starts one, and the handle to it while it runs.
//!
//! ```no_run
//! # use thalweg_engine::{Job, JobError, JobServices, JobSpec};
//! # fn start(spec: JobSpec, services: JobServices) -> Result<(), JobError> {
//! let job = Job::start(spec, services)?;
//! println!("{} rows in", job.status().totals.rows_in);
//! job.stop();
//! let outcome = job.wait();
//! # let _ = outcome; Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::env::{Env, JoinHandle, Random};
use thalweg_core::partition_log::{LogError, LogStore};
use thalweg_stream::graph::{Graph, NodeId};
use thalweg_stream::sink::SinkRef;
use thalweg_stream::source::SourceRef;
use thalweg_stream::view::ViewRef;

use crate::error::{JobError, Result};
use crate::journal;
use crate::options::JobOptions;
use crate::recover::{self, RestingJob};
use crate::schedule::{Core, Step, start_threads};
use crate::status::{JobState, JobStatus, Totals};

/// Identity of a job, for ever. Its journal and directory are named after it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct JobId(pub u64);

impl JobId {
    /// The job whose journal a topic of this name is.
    pub fn of_journal(topic: &str) -> Option<Self> {
        let id = Self(topic.strip_prefix(journal::TOPIC_PREFIX)?.parse().ok()?);
        (journal::topic_name(id) == topic).then_some(id)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is to run.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// Its identity.
    pub id: JobId,
    /// Its name, for people, and for the consumer group that shows its positions.
    pub name: String,
    /// The planned query.
    pub graph: Graph,
    /// Subtasks of each stage.
    pub parallelism: usize,
    /// How it runs.
    pub options: JobOptions,
}

/// What a job runs on. Sources, sinks and views are given for each node that needs one.
#[derive(Clone)]
pub struct JobServices {
    /// Time, randomness, disk, threads.
    pub env: Env,
    /// Where the journal lives.
    pub log: Arc<dyn LogStore>,
    /// By source node.
    pub sources: BTreeMap<NodeId, SourceRef>,
    /// By sink node.
    pub sinks: BTreeMap<NodeId, SinkRef>,
    /// By view node.
    pub views: BTreeMap<NodeId, ViewRef>,
    /// Where late rows of a node go, with the columns of [`crate::late_schema`]. Rows of
    /// nodes that are not in here are counted only.
    pub late: BTreeMap<NodeId, SinkRef>,
    /// Where bad records of a source go, with the columns of [`crate::bad_schema`].
    pub bad: BTreeMap<NodeId, SinkRef>,
    /// A directory of the job's own, for state, staged output and spilled rows.
    pub dir: PathBuf,
}

/// Starts jobs.
#[derive(Clone, Copy, Debug)]
pub struct Job;

impl Job {
    /// Starts a job, or goes on with it where its journal says it was. What was committed
    /// and not published yet is published before this returns; the rest of the recovery
    /// goes on in the job's threads.
    ///
    /// # Errors
    /// [`JobError::Incompatible`] where what is stored does not fit; whatever else keeps it
    /// from starting.
    pub fn start(spec: JobSpec, services: JobServices) -> Result<JobHandle> {
        let workers = spec.parallelism;
        let core = recover::open(spec, services)?;
        let threads = start_threads(&core, workers)?;
        Ok(JobHandle { core, threads: Mutex::new(threads) })
    }

    /// The same without threads, for simulation: [`ManualJob::step`] runs it.
    ///
    /// # Errors
    /// As [`Job::start`].
    pub fn start_manual(spec: JobSpec, services: JobServices) -> Result<ManualJob> {
        Ok(ManualJob { core: recover::open(spec, services)? })
    }

    /// Takes up a job that is not to run: pins its journal, and its input from its oldest
    /// snapshot on, and puts its views back where its newest snapshot has all that it
    /// committed, as it has after a clean stop. Pins are not durable: the process does this
    /// for each such job at its start, before retention runs. Of the services only log,
    /// sources and views are used.
    ///
    /// # Errors
    /// What log and disk say; [`JobError::Incompatible`] where what is stored does not fit.
    pub fn rest(spec: &JobSpec, services: &JobServices) -> Result<RestingJob> {
        recover::rest(spec, services)
    }

    /// Removes everything that a job has stored: its journal, state and staged output. It
    /// must not be running.
    ///
    /// # Errors
    /// What log and disk say.
    pub fn delete_state(id: JobId, services: &JobServices) -> Result<()> {
        match services.log.delete_topic(&journal::topic_name(id)) {
            Ok(()) | Err(LogError::UnknownPartition { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let disk = &services.env.disk;
        if disk.exists(&services.dir) {
            let failed = |error| JobError::disk(&services.dir, &error, false);
            disk.remove_dir_all(&services.dir).map_err(failed)?;
        }
        Ok(())
    }
}

/// How a job ended.
#[derive(Clone, Debug)]
pub struct JobOutcome {
    /// Stopped, finished or failed.
    pub state: JobState,
    /// Why it failed.
    pub error: Option<JobError>,
    /// Rows over its whole life.
    pub totals: Totals,
    /// How long it ran.
    pub seconds: f64,
}

impl Core {
    fn outcome(&self) -> JobOutcome {
        let (state, error) = self.wait();
        let status = self.status();
        JobOutcome { state, error, totals: status.totals, seconds: status.seconds }
    }
}

/// A running job. Dropping it stops the job at once, as a crash would: nothing that was
/// committed is lost.
pub struct JobHandle {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle>>,
}

impl JobHandle {
    /// Asks for a clean end: what was cut is published, a snapshot taken. Returns at once.
    pub fn stop(&self) {
        self.core.stop();
    }

    /// Ends the job at once, as a crash would.
    pub fn abort(&self) {
        self.core.abort();
    }

    /// Blocks until the job has ended and its threads are gone.
    pub fn wait(&self) -> JobOutcome {
        let outcome = self.core.outcome();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // A worker that panicked has failed the job, which the outcome says.
            let _ = thread.join();
        }
        outcome
    }

    /// The job as of now.
    pub fn status(&self) -> JobStatus {
        self.core.status()
    }

    /// Lets go of all input and of the journal, which are otherwise kept until the process
    /// ends: for a job that is over and will not be started again.
    pub fn unpin(&self) {
        self.core.unpin();
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        self.core.abort();
    }
}

impl fmt::Debug for JobHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobHandle").field(&self.status()).finish()
    }
}

/// A job without threads: a simulator runs its actions one by one.
pub struct ManualJob {
    core: Arc<Core>,
}

impl ManualJob {
    /// Runs one of the actions that are ready, chosen by `random`.
    pub fn step(&self, random: &dyn Random) -> Step {
        self.core.step(random)
    }

    /// Asks for a clean end.
    pub fn stop(&self) {
        self.core.stop();
    }

    /// The job as of now.
    pub fn status(&self) -> JobStatus {
        self.core.status()
    }

    /// Why it failed, if it did.
    pub fn error(&self) -> Option<JobError> {
        self.core.error()
    }

    /// As [`JobHandle::unpin`].
    pub fn unpin(&self) {
        self.core.unpin();
    }
}

impl Drop for ManualJob {
    fn drop(&mut self) {
        self.core.abort();
    }
}

impl fmt::Debug for ManualJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualJob").field(&self.status()).finish()
    }
}
