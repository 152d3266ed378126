//! A node: the log, the catalog, the jobs and the views of one process, wired together.
//!
//! ```text
//! doors ──> session ──> sql (plan) ──> jobs ──> engine
//!              │                        │  connect (sources, sinks), serve (views)
//!              └── catalog log          └── all of them over one log
//! ```

mod access;
mod bounded_read;
mod catalog_live;
mod catalog_log;
mod doors;
mod insert_values;
mod job_life;
mod jobs;
mod offsets;
mod options;
mod overview;
mod pg_service;
mod query;
mod resume;
mod rows;
mod script;
mod session;
mod show;
mod side_tables;
mod views;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_broker::{Broker, BrokerState, GroupOptions, TransactionOptions};
use thalweg_connect::ConnectorRegistry;
use thalweg_core::authorizer::Authorizer;
use thalweg_core::env::Env;
use thalweg_core::partition_log::LogStore;
use thalweg_log::{Log, LogOptions};
use thalweg_serve::view::{ViewLimits, ViewStore};
use thalweg_sql::catalog::Catalog;

pub use catalog_log::{CatalogEvent, CatalogLog, EndReason};
pub use doors::{BoundDoors, DoorOptions, Doors};
pub use jobs::{Job, Jobs};
pub use options::{NodeOptions, ResultMode};
pub(crate) use rows::to_text;
pub use script::Script;
pub use session::{Answer, Session};

/// One process's everything.
pub struct Node {
    env: Env,
    data_dir: PathBuf,
    /// Whether the data directory goes with the process.
    temporary: bool,
    log: Arc<Log>,
    catalog: Catalog,
    catalog_log: CatalogLog,
    /// Held while something that is kept changes.
    changing: Mutex<()>,
    connectors: Arc<ConnectorRegistry>,
    views: Arc<ViewStore>,
    broker: BrokerState,
    jobs: Jobs,
    parallelism: usize,
    authorizer: Arc<dyn Authorizer>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl Node {
    /// Opens the data directory, rebuilds the catalog and resumes every job.
    ///
    /// Retention begins only at the end: pins are not durable, and before broker and jobs
    /// have taken theirs it would delete what they need.
    ///
    /// # Errors
    /// A directory that another process holds or that is not ours, damaged metadata, a
    /// stored statement that this program cannot plan.
    pub fn open(options: NodeOptions) -> anyhow::Result<Arc<Self>> {
        let env = options.env;
        let temporary = options.data_dir.is_none();
        let data_dir = options.data_dir.unwrap_or_else(|| temporary_dir(&env));
        env.disk.create_dir_all(&data_dir)?;
        let log = Log::open(
            env.clone(),
            &data_dir.join("log"),
            LogOptions {
                reserve_bytes: options.reserve_bytes,
                retention_check_ms: options.retention_check_ms,
                retention_held: true,
                on_fatal: Arc::new(end_process),
                ..LogOptions::default()
            },
        )?;
        let store: Arc<dyn LogStore> = Arc::clone(&log) as _;
        let (groups, transactions) = (GroupOptions::default(), TransactionOptions::default());
        let broker = Broker::open(env.clone(), Arc::clone(&store), groups, transactions)?;
        let connectors = Arc::new(
            ConnectorRegistry::new(env.clone(), Arc::clone(&store), options.stdout)
                .with_positions(offsets::publisher(broker.offsets()))
                .with_committed(offsets::finder(broker.offsets())),
        );
        let (catalog_log, events) = CatalogLog::open(store.as_ref(), env.clock.wall_ms())?;
        let node = Arc::new(Self {
            env,
            temporary,
            log,
            catalog: Catalog::default(),
            catalog_log,
            changing: Mutex::new(()),
            connectors,
            views: Arc::new(ViewStore::new(ViewLimits::default())),
            broker,
            jobs: Jobs::new(data_dir.join("jobs")),
            parallelism: options.parallelism,
            authorizer: options.authorizer,
            data_dir,
        });
        resume::resume(&node, events)?;
        node.jobs.wait_until_resumed(node.env.clock.as_ref());
        node.log.begin_retention();
        Ok(node)
    }

    /// The environment.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Where everything is kept.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The log.
    pub fn log(&self) -> Arc<dyn LogStore> {
        Arc::clone(&self.log) as _
    }

    /// Who may do what, at every door.
    pub fn authorizer(&self) -> Arc<dyn Authorizer> {
        Arc::clone(&self.authorizer)
    }

    /// The log as what it is: alarms, retention, figures.
    pub fn embedded_log(&self) -> &Arc<Log> {
        &self.log
    }

    /// The broker's state, for its door.
    pub(crate) fn broker(&self) -> BrokerState {
        self.broker.clone()
    }

    /// All jobs of this process, by id.
    pub fn jobs(&self) -> Vec<Arc<Job>> {
        self.jobs.list()
    }

    /// Stops every job after a last snapshot and closes the log. The jobs' last states.
    pub fn stop(&self) -> Vec<Arc<Job>> {
        let jobs = self.jobs.stop_all();
        if let Err(error) = self.log.close() {
            tracing::error!("the log was not closed cleanly: {error}");
        }
        if self.temporary
            && let Err(error) = self.env.disk.remove_dir_all(&self.data_dir)
        {
            tracing::warn!("{} was not removed: {error}", self.data_dir.display());
        }
        jobs
    }
}

fn temporary_dir(env: &Env) -> PathBuf {
    std::env::temp_dir().join(format!("thalweg-{:016x}", env.random.next_u64()))
}

/// After a failed sync nobody knows what is on disk: say it and end, so that the next
/// start recovers from what is really there.
fn end_process(what: &str) {
    eprintln!("error: {what}\nthe process ends; start it again to recover from disk");
    std::process::exit(1);
}
