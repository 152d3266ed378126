//! Building a job that has taken its journal over: tasks, driver, committer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use thalweg_core::env::Env;
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{PartitionLog, Waker, Watch};
use thalweg_state::{Snapshot, SnapshotStore};
use thalweg_stream::graph::Operator;

use super::{Connected, Found, STAGED, needed_from};
use crate::clock::EpochClock;
use crate::commit::Committer;
use crate::driver::{Driver, LiveDriver, Replay, SourceFeed};
use crate::error::Result;
use crate::exchange::{EdgeBudget, SpillDir};
use crate::job::JobSpec;
use crate::journal::{Header, JournalReader, JournalWriter};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::publish::Publisher;
use crate::schedule::{Core, CoreParts, State, StateParts};
use crate::snapshot::SnapshotPolicy;
use crate::staging::Staging;
use crate::task::{Restored, Task, TaskBuilder};

/// A job that has taken its journal over.
pub(super) struct Opening {
    pub(super) spec: JobSpec,
    pub(super) env: Env,
    pub(super) dir: PathBuf,
    pub(super) plan: Arc<Plan>,
    pub(super) parts: Connected,
    pub(super) header: Header,
    pub(super) ledger: Ledger,
    pub(super) journal: Arc<dyn PartitionLog>,
    pub(super) journal_start: Offset,
    pub(super) found: Found,
    pub(super) store: SnapshotStore,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) alarms: Vec<String>,
}

impl Opening {
    /// Builds tasks, driver and committer, and starts to listen to the sources.
    pub(super) fn finish(
        mut self,
        journal: JournalWriter,
        publisher: Publisher,
    ) -> Result<Arc<Core>> {
        let options = self.spec.options.clone();
        let staging = Arc::new(Staging::new(
            self.env.clone(),
            self.dir.join(STAGED),
            self.header.incarnation,
            options.output_bytes,
        ));
        let tasks = self.tasks(&staging)?;
        let (feeds, listeners) = self.feeds();
        let live = LiveDriver::new(self.env.clone(), feeds, &options);
        let replay = (self.found.last > self.found.restored).then(|| {
            let reader = JournalReader::new(Arc::clone(&self.journal), self.journal_start);
            Replay::new(reader, self.found.last)
        });
        let driver = Driver::new(self.ledger.clone(), replay, live);
        let clock = EpochClock::new(Arc::clone(&self.env.clock), self.ledger.now);
        let policy = SnapshotPolicy::new(&options, self.env.clock.monotonic_ns());
        let cut_now = self.ledger.now;
        let oldest = needed_from(&self.ledger, options.snapshots_kept);
        let ledger = Arc::new(Mutex::new(self.ledger));
        let published = Arc::new(AtomicU64::new(self.found.last.0));
        let committer = Committer {
            journal,
            header: self.header.clone(),
            staging: Arc::clone(&staging),
            inline_bytes: options.inline_bytes,
            ledger: Arc::clone(&ledger),
            published: Arc::clone(&published),
            view_count: self.plan.views.len(),
        };
        let state = State::new(StateParts {
            driver,
            tasks,
            committer,
            publisher,
            clock,
            cut_now,
            policy,
            restored: self.found.restored,
            last: self.found.last,
            alarms: std::mem::take(&mut self.alarms),
            snapshot: self.snapshot.as_ref().map(Snapshot::epoch),
        });
        let core = Core::new(
            CoreParts {
                env: self.env,
                id: self.spec.id,
                name: self.spec.name,
                incarnation: self.header.incarnation,
                plan: self.plan,
                options,
                sources: self.parts.sources,
                journal: self.journal,
                ledger,
                published,
                staging,
                snapshots: self.store,
            },
            state,
        );
        core.pin(&oldest);
        listeners.listen(&core);
        Ok(core)
    }

    fn tasks(&self, staging: &Arc<Staging>) -> Result<Vec<Vec<Task>>> {
        let spill = SpillDir::new(self.env.clone(), self.dir.join("spill"))?;
        let builder = TaskBuilder {
            plan: &self.plan,
            options: &self.spec.options,
            sources: &self.parts.sources,
            sinks: &self.parts.sinks,
            budget: EdgeBudget::new(self.spec.options.edge_bytes, spill),
            staging: Arc::clone(staging),
            restored: Restored { ledger: &self.ledger, snapshot: self.snapshot.as_ref() },
        };
        builder.build()
    }

    /// The sources as the driver sees them, and what calls it.
    fn feeds(&self) -> (Vec<SourceFeed>, Listeners) {
        let listeners = Listeners::default();
        let mut feeds = Vec::new();
        for (source, &node) in self.parts.sources.iter().zip(&self.plan.sources) {
            let idle_timeout = match &self.plan.graph.nodes[node].operator {
                Operator::Source(node) => {
                    node.watermark.as_ref().and_then(|watermark| watermark.idle_timeout)
                }
                _ => None,
            };
            let watch = source.watch(listeners.waker());
            let calls = watch.is_some();
            listeners.watches.lock().extend(watch);
            feeds.push(SourceFeed { source: Arc::clone(source), idle_timeout, calls });
        }
        (feeds, listeners)
    }
}

/// Calls from sources, before and after there is a core to call.
#[derive(Default)]
struct Listeners {
    core: Arc<Mutex<std::sync::Weak<Core>>>,
    watches: Mutex<Vec<Watch>>,
}

impl Listeners {
    fn waker(&self) -> Waker {
        let core = Arc::clone(&self.core);
        Arc::new(move || {
            let core = core.lock().upgrade();
            if let Some(core) = core {
                core.call_driver();
            }
        })
    }

    /// From here on calls reach the core. Those that came before are no loss: the driver
    /// looks at all sources at its start.
    fn listen(self, core: &Arc<Core>) {
        *self.core.lock() = Arc::downgrade(core);
        core.keep_watches(std::mem::take(&mut *self.watches.lock()));
    }
}
