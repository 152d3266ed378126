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
    JobState, JobStatus, RestingJob, Totals, late_schema,
};
use thalweg_serve::view::Fold;
use thalweg_sql::catalog::{Catalog, JobObject};
use thalweg_stream::connector::Connectors;
use thalweg_stream::graph::{Graph, Operator};

use super::Node;
use super::side_tables::late_suffixes;

/// A job of this process.
pub struct Job {
    id: JobId,
    name: String,
    sql: String,
    views: Vec<String>,
    parallelism: usize,
    bounded: bool,
    life: Life,
    /// To start it again; `None` where it cannot be planned any more.
    new: Option<NewJob>,
}

/// What there is of a job in this process.
enum Life {
    Started(JobHandle),
    /// It was stopped in an earlier process.
    Resting(RestingJob),
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
            Life::Resting(resting) => resting.status().clone(),
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
            Life::Resting(resting) => JobOutcome {
                state: JobState::Stopped,
                error: None,
                totals: resting.status().totals,
                seconds: 0.0,
            },
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

    /// What it was started as; `None` where it cannot be planned any more.
    pub(super) fn as_new(&self) -> Option<&NewJob> {
        self.new.as_ref()
    }

    /// Lets go of the records that it keeps from retention: it will not be started again.
    pub(super) fn unpin(&self) {
        match &self.life {
            Life::Started(handle) => handle.unpin(),
            Life::Resting(resting) => resting.unpin(),
            Life::Refused(_) => {}
        }
    }

    /// Whether its views show what it committed.
    fn has_views(&self) -> bool {
        match &self.life {
            Life::Started(_) => true,
            Life::Resting(resting) => resting.views_restored(),
            Life::Refused(_) => false,
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
#[derive(Clone, Debug)]
pub(crate) struct NewJob {
    pub(crate) id: JobId,
    pub(crate) name: String,
    pub(crate) sql: String,
    pub(crate) graph: Graph,
    pub(crate) parallelism: usize,
    pub(crate) options: JobOptions,
    /// As the catalog has it while it runs.
    pub(crate) object: JobObject,
}

impl NewJob {
    /// Full names of the views that it keeps.
    pub(crate) fn views(&self) -> impl Iterator<Item = &String> {
        self.graph.nodes.iter().filter_map(|node| match &node.operator {
            Operator::View { name, .. } => Some(name),
            _ => None,
        })
    }

    fn spec(&self) -> JobSpec {
        JobSpec {
            id: self.id,
            name: self.name.clone(),
            graph: self.graph.clone(),
            parallelism: self.parallelism,
            options: self.options.clone(),
        }
    }

    fn into_job(self, bounded: bool, life: Life) -> Job {
        Job {
            id: self.id,
            name: self.name.clone(),
            sql: self.sql.clone(),
            views: self.views().cloned().collect(),
            parallelism: self.parallelism,
            bounded,
            life,
            new: Some(self),
        }
    }
}

/// What is known of a job that cannot be planned.
#[derive(Clone, Debug)]
pub(crate) struct UnplannedJob {
    pub(crate) id: JobId,
    pub(crate) name: String,
    pub(crate) sql: String,
}

/// The jobs of a node, by id.
#[derive(Debug)]
pub struct Jobs {
    dir: PathBuf,
    jobs: Mutex<BTreeMap<JobId, Arc<Job>>>,
    /// Jobs that are being stopped or started just now.
    changing: Mutex<BTreeSet<JobId>>,
}

/// The right to stop or start a job; nobody else has it meanwhile.
#[derive(Debug)]
pub(super) struct JobChange<'a> {
    jobs: &'a Jobs,
    id: JobId,
}

impl Drop for JobChange<'_> {
    fn drop(&mut self) {
        self.jobs.changing.lock().remove(&self.id);
    }
}

/// Views that were made for a job; they go again unless it comes to something.
struct MadeViews<'a> {
    node: &'a Node,
    names: Vec<String>,
}

impl MadeViews<'_> {
    fn keep(mut self) {
        self.names.clear();
    }
}

impl Drop for MadeViews<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = self.node.views.drop_view(name);
        }
    }
}

impl Jobs {
    /// No jobs yet; their state lives below `dir`.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, jobs: Mutex::default(), changing: Mutex::default() }
    }

    /// Begins to stop or start a job; `None` where somebody else does.
    pub(super) fn change(&self, id: JobId) -> Option<JobChange<'_>> {
        self.changing.lock().insert(id).then_some(JobChange { jobs: self, id })
    }

    /// All jobs, ended ones too.
    pub fn list(&self) -> Vec<Arc<Job>> {
        self.jobs.lock().values().cloned().collect()
    }

    /// A job by id or name, or by the full name of its view; of several of one name the one
    /// that runs, else any.
    pub fn find(&self, wanted: &str) -> Option<Arc<Job>> {
        let jobs = self.jobs.lock();
        if let Some(job) = wanted.parse().ok().and_then(|id| jobs.get(&JobId(id))) {
            return Some(Arc::clone(job));
        }
        let is_it = |job: &&Arc<Job>| job.name == wanted || job.views.iter().any(|v| v == wanted);
        let found = jobs.values().filter(is_it);
        found.min_by_key(|job| job.status().state.is_over()).cloned()
    }

    /// Tells the catalog which jobs run just now: what they use is not to be dropped. Whoever
    /// asks keeps others from starting any; one may end meanwhile.
    pub(crate) fn note_running(&self, catalog: &Catalog) {
        let runs = |job: &Arc<Job>| !job.status().state.is_over();
        let running: Vec<Arc<Job>> = self.list().into_iter().filter(runs).collect();
        for noted in catalog.jobs() {
            catalog.remove_job(noted.id);
        }
        for new in running.iter().filter_map(|job| job.as_new()) {
            catalog.put_job(JobObject { name: new.name.clone(), ..new.object.clone() });
        }
    }

    /// Starts a job, or goes on with it where its journal says it was.
    pub(crate) fn start(&self, node: &Node, new: NewJob) -> Result<Arc<Job>, JobError> {
        let (mut services, made) = self.inputs_and_views(node, &new)?;
        add_outputs(node, &new, &mut services)?;
        let bounded = services.sources.values().all(|source| source.is_bounded());
        let handle = EngineJob::start(new.spec(), services)?;
        made.keep();
        Ok(self.add(new.into_job(bounded, Life::Started(handle))))
    }

    /// Takes up a job that was stopped in an earlier process. What it needs to be started
    /// again is kept from now on; its views show what they showed last.
    pub(crate) fn rest(&self, node: &Node, new: NewJob) -> Result<Arc<Job>, JobError> {
        let (services, made) = self.inputs_and_views(node, &new)?;
        let resting = EngineJob::rest(&new.spec(), &services)?;
        if resting.views_restored() {
            made.keep();
        }
        Ok(self.add(new.into_job(false, Life::Resting(resting))))
    }

    fn add(&self, job: Job) -> Arc<Job> {
        let job = Arc::new(job);
        self.jobs.lock().insert(job.id, Arc::clone(&job));
        job
    }

    /// Keeps a job that cannot be started in the list, with the reason, so that it can be
    /// seen, stopped and dropped, and is tried again at the next start.
    pub(crate) fn refuse(&self, new: NewJob, error: JobError) -> Arc<Job> {
        self.add(new.into_job(false, Life::Refused(error)))
    }

    /// The same with a job that cannot be planned.
    pub(crate) fn refuse_unplanned(&self, job: UnplannedJob, error: JobError) -> Arc<Job> {
        let UnplannedJob { id, name, sql } = job;
        let (views, life) = (Vec::new(), Life::Refused(error));
        self.add(Job { id, name, sql, views, parallelism: 0, bounded: false, life, new: None })
    }

    /// A name that no other job has which runs or may run again: jobs publish their
    /// positions and keep their late rows under it.
    pub(crate) fn free_name(&self, wanted: &str) -> String {
        let jobs = self.jobs.lock();
        let taken = |name: &str| {
            let lives = |job: &Job| job.status().state != JobState::Finished;
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
        job.unpin();
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

    /// The sources and views of a job. A view that the job kept before it was stopped stays:
    /// its readers see what it shows until the job is past that.
    fn inputs_and_views<'a>(
        &self,
        node: &'a Node,
        new: &NewJob,
    ) -> Result<(JobServices, MadeViews<'a>), JobError> {
        let mut services = self.bare_services(node, new.id);
        let mut made = MadeViews { node, names: Vec::new() };
        let group = node.views.group();
        let known = self.jobs.lock().get(&new.id).is_some_and(|job| job.has_views());
        for (id, step) in new.graph.nodes.iter().enumerate() {
            match &step.operator {
                Operator::Source(source) => {
                    let table = &source.table;
                    services.sources.insert(id, node.connectors.source(table, &source.columns)?);
                }
                Operator::View { name, key } => {
                    let view = match node.views.get(name).filter(|_| known) {
                        Some(view) => view,
                        None => {
                            let schema = Arc::clone(&step.schema);
                            let view =
                                node.views.create_in(&group, name, schema, key, Fold::Multiset);
                            let view =
                                view.map_err(|error| JobError::Invalid(error.to_string()))?;
                            made.names.push(name.clone());
                            view
                        }
                    };
                    services.views.insert(id, view);
                }
                _ => {}
            }
        }
        Ok((services, made))
    }
}

/// Connects what a job writes to, besides its views. What is not there is created.
fn add_outputs(node: &Node, new: &NewJob, services: &mut JobServices) -> Result<(), JobError> {
    for (id, step) in new.graph.nodes.iter().enumerate() {
        match &step.operator {
            Operator::Source(source) => {
                let topic = topic_name(source.table.short_name(), "bad");
                services.bad.insert(id, bad_sink(node.log(), &topic, &new.name)?);
            }
            Operator::Sink { table } => {
                services.sinks.insert(id, node.connectors.sink(table)?);
            }
            Operator::View { .. }
            | Operator::Calc { .. }
            | Operator::AssignWindow { .. }
            | Operator::WindowAggregate(_)
            | Operator::GroupAggregate(_) => {}
        }
    }
    for (id, suffix) in late_suffixes(&new.graph) {
        let schema = late_schema(&new.graph, id);
        let topic = topic_name(&new.name, &suffix);
        services.late.insert(id, late_sink(node.log(), &topic, schema)?);
    }
    Ok(())
}

/// The topics in which rows stand that a job could not use.
pub(crate) fn side_topics(new: &NewJob) -> Vec<String> {
    let bad = new.graph.sources().map(|(_, source)| topic_name(source.table.short_name(), "bad"));
    let late = late_suffixes(&new.graph).into_iter();
    let late = late.map(|(_, suffix)| topic_name(&new.name, &suffix));
    bad.chain(late).collect()
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
