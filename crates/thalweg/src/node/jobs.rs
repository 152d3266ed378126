//! The jobs of a node: graphs with their sources, sinks and views, running in the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_connect::{bad_sink, late_sink};
use thalweg_core::env::Clock;
use thalweg_engine::{
    Job as EngineJob, JobError, JobHandle, JobId, JobOptions, JobOutcome, JobServices, JobSpec,
    JobState, JobStatus, Totals, late_schema,
};
use thalweg_serve::view::Fold;
use thalweg_stream::connector::Connectors;
use thalweg_stream::graph::{Graph, Operator};

use super::Node;

/// A job of this process.
pub struct Job {
    id: JobId,
    name: String,
    sql: String,
    views: Vec<String>,
    parallelism: usize,
    bounded: bool,
    life: Life,
}

/// What there is of a job in this process.
enum Life {
    Started(JobHandle),
    /// It could not be started: its state is kept for another try.
    Refused(JobError),
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("id", &self.id).field("name", &self.name).finish()
    }
}

impl Job {
    /// Its identity, for ever.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Its name; also that of the consumer group that shows its positions.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The statement that it runs.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The views that it keeps.
    pub fn views(&self) -> &[String] {
        &self.views
    }

    /// Its parallelism.
    pub fn parallelism(&self) -> usize {
        self.parallelism
    }

    /// Whether all its input ends by itself.
    pub fn is_bounded(&self) -> bool {
        self.bounded
    }

    /// The job as of now.
    pub fn status(&self) -> JobStatus {
        match &self.life {
            Life::Started(handle) => handle.status(),
            Life::Refused(error) => JobStatus {
                state: JobState::Failed,
                error: Some(error.to_string()),
                ..JobStatus::default()
            },
        }
    }

    /// Blocks until it has ended.
    pub fn wait(&self) -> JobOutcome {
        match &self.life {
            Life::Started(handle) => handle.wait(),
            Life::Refused(error) => JobOutcome {
                state: JobState::Failed,
                error: Some(error.clone()),
                totals: Totals::default(),
                seconds: 0.0,
            },
        }
    }

    /// Asks for a clean end.
    pub fn request_stop(&self) {
        if let Life::Started(handle) = &self.life {
            handle.stop();
        }
    }

    /// What `--stats json` prints.
    pub fn stats_json(&self) -> String {
        let status = self.status();
        let seconds = status.seconds.max(1e-9);
        serde_json::json!({
            "job": self.name,
            "state": status.state.as_str(),
            "rows_in": status.totals.rows_in,
            "rows_out": status.totals.rows_out,
            "late": status.totals.late,
            "bad": status.totals.bad,
            "seconds": status.seconds,
            "rows_per_s": (status.totals.rows_in as f64 / seconds).round(),
            "peak_rss_bytes": peak_rss_bytes(),
        })
        .to_string()
    }
}

/// Largest resident size of this process so far.
fn peak_rss_bytes() -> u64 {
    // `ru_maxrss` counts kibibytes on Linux, bytes on macOS.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF);
    usage.map_or(0, |usage| usage.max_rss().unsigned_abs() * unit)
}

/// What is to be started.
#[derive(Debug)]
pub(crate) struct NewJob {
    pub(crate) id: JobId,
    pub(crate) name: String,
    pub(crate) sql: String,
    pub(crate) graph: Graph,
    pub(crate) parallelism: usize,
    pub(crate) options: JobOptions,
}

/// What is known of a job that cannot be started.
#[derive(Clone, Debug)]
pub(crate) struct RefusedJob {
    pub(crate) id: JobId,
    pub(crate) name: String,
    pub(crate) sql: String,
    pub(crate) views: Vec<String>,
}

/// The jobs of a node, by id.
#[derive(Debug)]
pub struct Jobs {
    dir: PathBuf,
    jobs: Mutex<BTreeMap<JobId, Arc<Job>>>,
}

impl Jobs {
    /// No jobs yet; their state lives below `dir`.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, jobs: Mutex::new(BTreeMap::new()) }
    }

    /// All jobs, ended ones too.
    pub fn list(&self) -> Vec<Arc<Job>> {
        self.jobs.lock().values().cloned().collect()
    }

    /// A job by id or name; of several of one name the newest.
    pub fn find(&self, id_or_name: &str) -> Option<Arc<Job>> {
        let jobs = self.jobs.lock();
        let by_id = id_or_name.parse().ok().and_then(|id| jobs.get(&JobId(id)));
        let by_name = || jobs.values().rev().find(|job| job.name == id_or_name);
        by_id.or_else(by_name).cloned()
    }

    /// Starts a job, or goes on with it where its journal says it was.
    pub(crate) fn start(&self, node: &Node, new: NewJob) -> Result<Arc<Job>, JobError> {
        let (services, views) = self.services(node, &new)?;
        let spec = JobSpec {
            id: new.id,
            name: new.name.clone(),
            graph: new.graph,
            parallelism: new.parallelism,
            options: new.options,
        };
        let bounded = services.sources.values().all(|source| source.is_bounded());
        let handle = EngineJob::start(spec, services).inspect_err(|_| {
            for view in &views {
                let _ = node.views.drop_view(view);
            }
        })?;
        let job = Arc::new(Job {
            id: new.id,
            name: new.name,
            sql: new.sql,
            views,
            parallelism: new.parallelism,
            bounded,
            life: Life::Started(handle),
        });
        self.jobs.lock().insert(job.id, Arc::clone(&job));
        Ok(job)
    }

    /// Keeps a job that cannot be started in the list, with the reason, so that it can be
    /// seen, stopped and dropped, and is tried again at the next start.
    pub(crate) fn refuse(&self, refused: RefusedJob, error: JobError) -> Arc<Job> {
        let job = Arc::new(Job {
            id: refused.id,
            name: refused.name,
            sql: refused.sql,
            views: refused.views,
            parallelism: 0,
            bounded: false,
            life: Life::Refused(error),
        });
        self.jobs.lock().insert(job.id, Arc::clone(&job));
        job
    }

    /// A name that no other job has which runs or is to run: jobs publish their positions
    /// and keep their late rows under it.
    pub(crate) fn free_name(&self, wanted: &str) -> String {
        let jobs = self.jobs.lock();
        let taken = |name: &str| {
            let lives = |job: &Job| match job.status().state {
                JobState::Stopped | JobState::Finished => false,
                JobState::Recovering
                | JobState::Running
                | JobState::Stopping
                | JobState::Failed => true,
            };
            jobs.values().any(|job| job.name == name && lives(job))
        };
        let numbered = (2..).map(|number| format!("{wanted}-{number}"));
        std::iter::once(wanted.to_owned())
            .chain(numbered)
            .find(|name| !taken(name))
            .unwrap_or_default()
    }

    /// Deletes journals and state directories that belong to no job: a process that ended
    /// between the start of a job and its record left them.
    pub(crate) fn sweep(&self, node: &Node, known: impl Fn(JobId) -> bool) {
        let journals = node.log().topics().into_iter();
        let journals = journals.filter_map(|topic| JobId::of_journal(&topic.name));
        let entries = node.env.disk.list(&self.dir).unwrap_or_default();
        let directories = entries.iter().filter_map(|entry| entry.name.parse().ok().map(JobId));
        let strays: BTreeSet<JobId> =
            journals.chain(directories).filter(|id| !known(*id)).collect();
        for id in strays {
            tracing::info!("job {id} was never recorded: its journal and state are deleted");
            if let Err(error) = self.delete_state(node, id) {
                tracing::warn!("what job {id} left cannot be deleted: {error}");
            }
        }
    }

    /// Forgets a job that has ended, with its state and its views.
    pub(crate) fn remove(&self, node: &Node, job: &Job) -> Result<(), JobError> {
        self.jobs.lock().remove(&job.id);
        for view in &job.views {
            let _ = node.views.drop_view(view);
        }
        self.delete_state(node, job.id)
    }

    /// Deletes the journal and the state of a job that does not run.
    pub(crate) fn delete_state(&self, node: &Node, id: JobId) -> Result<(), JobError> {
        EngineJob::delete_state(id, &self.bare_services(node, id))
    }

    /// Blocks until every job has replayed its journal. A view that is read before shows
    /// less than it did when the process ended.
    pub(crate) fn wait_until_resumed(&self, clock: &dyn Clock) {
        let recovering = |job: &Arc<Job>| job.status().state == JobState::Recovering;
        let mut said = clock.monotonic_ns();
        while let Some(job) = self.list().into_iter().find(recovering) {
            clock.sleep(Duration::from_millis(1));
            let now = clock.monotonic_ns();
            if Duration::from_nanos(now.saturating_sub(said)) >= SAY_AFTER {
                said = now;
                let status = job.status();
                tracing::info!(
                    "waiting for job '{}' to replay its journal: {} epochs so far",
                    job.name(),
                    status.replayed
                );
            }
        }
    }

    /// Stops every job after a last snapshot and waits for all of them.
    pub(crate) fn stop_all(&self) -> Vec<Arc<Job>> {
        let jobs = self.list();
        jobs.iter().for_each(|job| job.request_stop());
        for job in &jobs {
            job.wait();
        }
        jobs
    }

    fn bare_services(&self, node: &Node, id: JobId) -> JobServices {
        JobServices {
            env: node.env.clone(),
            log: node.log(),
            sources: BTreeMap::new(),
            sinks: BTreeMap::new(),
            views: BTreeMap::new(),
            late: BTreeMap::new(),
            bad: BTreeMap::new(),
            dir: self.dir.join(id.to_string()),
        }
    }

    /// The sources, sinks and views of each node of the graph.
    fn services(&self, node: &Node, new: &NewJob) -> Result<(JobServices, Vec<String>), JobError> {
        let mut services = self.bare_services(node, new.id);
        let mut views = Vec::new();
        let group = node.views.group();
        for (id, step) in new.graph.nodes.iter().enumerate() {
            match &step.operator {
                Operator::Source(source) => {
                    let table = &source.table;
                    services.sources.insert(id, node.connectors.source(table, &source.columns)?);
                    let topic = topic_name(table.short_name(), "bad");
                    services.bad.insert(id, bad_sink(node.log(), &topic, &new.name)?);
                }
                Operator::Sink { table } => {
                    services.sinks.insert(id, node.connectors.sink(table)?);
                }
                Operator::View { name, key } => {
                    let view = node
                        .views
                        .create_in(&group, name, step.schema.clone(), key, Fold::Multiset)
                        .map_err(|error| JobError::Invalid(error.to_string()))?;
                    services.views.insert(id, view);
                    views.push(name.clone());
                }
                Operator::WindowAggregate(_) => {
                    let schema = late_schema(&new.graph, id);
                    let topic = topic_name(&new.name, "late");
                    services.late.insert(id, late_sink(node.log(), &topic, schema)?);
                }
                Operator::Calc { .. }
                | Operator::AssignWindow { .. }
                | Operator::GroupAggregate(_) => {}
            }
        }
        Ok((services, views))
    }
}

/// After so long a start says what it waits for.
const SAY_AFTER: Duration = Duration::from_secs(5);

/// Longest name that Kafka gives a topic.
const TOPIC_NAME_MAX: usize = 249;

/// A topic's name for what belongs to a table or job: `name.suffix`, with what Kafka does
/// not allow in a name replaced.
pub(crate) fn topic_name(name: &str, suffix: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = name.chars().map(|c| if legal(c) { c } else { '_' }).collect();
    let kept = name.len().min(TOPIC_NAME_MAX - suffix.len() - 1);
    format!("{}.{suffix}", &name[..kept])
}
