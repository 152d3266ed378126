//! The core of a running job: what its threads, its handle and its callbacks share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard};
use thalweg_core::env::{Env, Random};
use thalweg_core::ids::Incarnation;
use thalweg_core::partition_log::{PartitionLog, Watch};
use thalweg_state::SnapshotStore;
use thalweg_stream::source::SourceRef;

use super::Lane;
use super::action::Done;
use super::state::{Action, State};
use crate::error::{JobError, Result};
use crate::job::JobId;
use crate::ledger::Ledger;
use crate::options::JobOptions;
use crate::plan::Plan;
use crate::staging::Staging;
use crate::status::{JobState, JobStatus, SplitStatus};

/// What a core is made of besides its state.
pub(crate) struct CoreParts {
    pub env: Env,
    pub id: JobId,
    pub name: String,
    pub incarnation: Incarnation,
    pub plan: Arc<Plan>,
    pub options: JobOptions,
    pub sources: Vec<SourceRef>,
    pub journal: Arc<dyn PartitionLog>,
    pub ledger: Arc<Mutex<Ledger>>,
    pub published: Arc<AtomicU64>,
    pub staging: Arc<Staging>,
    pub snapshots: SnapshotStore,
}

/// A running job.
pub(crate) struct Core {
    pub(super) env: Env,
    pub(super) id: JobId,
    pub(super) name: String,
    incarnation: Incarnation,
    pub(super) plan: Arc<Plan>,
    pub(super) options: JobOptions,
    pub(super) sources: Vec<SourceRef>,
    pub(super) journal: Arc<dyn PartitionLog>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) published: Arc<AtomicU64>,
    pub(super) staging: Arc<Staging>,
    pub(super) snapshots: SnapshotStore,
    pub(super) state: Mutex<State>,
    /// By lane.
    wakeups: [Condvar; 4],
    over: Condvar,
    started_ns: u64,
    positions_at_ns: Mutex<Option<u64>>,
    /// Calls of the sources; dropped with the job.
    watches: Mutex<Vec<Watch>>,
}

/// What a step of the simulator did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// An action ran.
    Worked,
    /// Nothing is ready. The driver will look again at this monotonic time, if at any.
    Idle {
        /// In nanoseconds.
        until_ns: Option<u64>,
    },
    /// The job has ended.
    Over,
}

impl Core {
    pub(crate) fn new(parts: CoreParts, state: State) -> Arc<Self> {
        Arc::new(Self {
            started_ns: parts.env.clock.monotonic_ns(),
            env: parts.env,
            id: parts.id,
            name: parts.name,
            incarnation: parts.incarnation,
            plan: parts.plan,
            options: parts.options,
            sources: parts.sources,
            journal: parts.journal,
            ledger: parts.ledger,
            published: parts.published,
            staging: parts.staging,
            snapshots: parts.snapshots,
            state: Mutex::new(state),
            wakeups: Default::default(),
            over: Condvar::new(),
            positions_at_ns: Mutex::new(None),
            watches: Mutex::default(),
        })
    }

    /// Keeps a source's calls for as long as the job runs.
    pub(crate) fn keep_watches(&self, watches: Vec<Watch>) {
        *self.watches.lock() = watches;
    }

    /// A source may have more.
    pub(crate) fn call_driver(&self) {
        let mut state = self.state.lock();
        state.call = true;
        self.notify(&state);
    }

    /// Asks for a clean end.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stop = true;
        self.advance(&mut state);
        self.notify(&state);
    }

    /// Ends the job as a crash would.
    pub(crate) fn abort(&self) {
        let mut state = self.state.lock();
        let now_ns = self.env.clock.monotonic_ns();
        state.fail(JobError::Aborted, now_ns);
        self.notify(&state);
    }

    /// Why it failed, if it did.
    pub(crate) fn error(&self) -> Option<JobError> {
        self.state.lock().error.clone()
    }

    /// Blocks until the job has ended.
    pub(crate) fn wait(&self) -> (JobState, Option<JobError>) {
        let mut state = self.state.lock();
        while !state.phase.is_over() {
            self.over.wait(&mut state);
        }
        (state.phase, state.error.clone())
    }

    /// Runs one ready action, chosen by `random` out of those of all lanes.
    pub(crate) fn step(self: &Arc<Self>, random: &dyn Random) -> Step {
        let now_ns = self.env.clock.monotonic_ns();
        let action = {
            let mut state = self.state.lock();
            if state.phase.is_over() {
                return Step::Over;
            }
            let mut ready = Vec::new();
            for lane in Lane::ALL {
                state.candidates(lane, now_ns, &self.plan, &self.options, &mut |candidate| {
                    ready.push(candidate);
                    false
                });
            }
            if ready.is_empty() {
                return Step::Idle { until_ns: state.wake_at_ns() };
            }
            let chosen = ready[random.below(ready.len() as u64) as usize];
            state.take(chosen, now_ns, &self.plan)
        };
        self.run(action);
        Step::Worked
    }

    /// The most urgent action of a lane; waits for one. `None`: the job has ended.
    pub(super) fn next_action(&self, lane: Lane) -> Option<Result<Action>> {
        let mut state = self.state.lock();
        loop {
            if state.phase.is_over() {
                return None;
            }
            let now_ns = self.env.clock.monotonic_ns();
            let mut first = None;
            state.candidates(lane, now_ns, &self.plan, &self.options, &mut |candidate| {
                first = Some(candidate);
                true
            });
            if let Some(candidate) = first {
                return Some(state.take(candidate, now_ns, &self.plan));
            }
            self.sleep(&mut state, lane, now_ns);
        }
    }

    fn sleep(&self, state: &mut MutexGuard<'_, State>, lane: Lane, now_ns: u64) {
        let wakeup = &self.wakeups[lane as usize];
        match state.wake_at_ns().filter(|_| lane == Lane::Work) {
            // What is due but has no room yet waits for the room.
            Some(at) if at > now_ns => {
                wakeup.wait_for(state, std::time::Duration::from_nanos(at - now_ns));
            }
            _ => wakeup.wait(state),
        }
    }

    /// Runs an action and takes its outcome in. A panic is a defect of the action and ends
    /// the job, not the process.
    pub(super) fn run(self: &Arc<Self>, action: Result<Action>) {
        let outcome: Result<Done> = action.and_then(|action| {
            let run = std::panic::AssertUnwindSafe(|| self.perform(action));
            std::panic::catch_unwind(run).unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                Err(JobError::Internal(text.unwrap_or("a panic").to_owned()))
            })
        });
        let mut state = self.state.lock();
        match outcome {
            Ok(done) => self.settle(&mut state, done),
            Err(error) => {
                tracing::error!(job = %self.name, %error, "job failed");
                state.fail(error, self.env.clock.monotonic_ns());
            }
        }
        self.notify(&state);
    }

    /// Wakes the lanes that have something to do.
    pub(super) fn notify(&self, state: &State) {
        if state.phase.is_over() {
            self.wakeups.iter().for_each(|wakeup| {
                wakeup.notify_all();
            });
            self.over.notify_all();
            return;
        }
        let now_ns = self.env.clock.monotonic_ns();
        for lane in Lane::ALL {
            let mut ready = 0;
            state.candidates(lane, now_ns, &self.plan, &self.options, &mut |_| {
                ready += 1;
                ready > 1
            });
            match ready {
                0 => {}
                1 => {
                    self.wakeups[lane as usize].notify_one();
                }
                _ => {
                    self.wakeups[lane as usize].notify_all();
                }
            }
        }
    }

    /// Tells the sources how far the job has committed, now and then.
    pub(super) fn publish_positions(&self, at_once: bool) {
        let Some(interval_ms) = self.options.publish_positions_ms else { return };
        let now_ns = self.env.clock.monotonic_ns();
        {
            let mut at = self.positions_at_ns.lock();
            if !at_once && at.is_some_and(|at| now_ns < at) {
                return;
            }
            *at = Some(now_ns.saturating_add(interval_ms.saturating_mul(1_000_000)));
        }
        let mut positions = vec![Vec::new(); self.sources.len()];
        for split in &self.ledger.lock().splits {
            positions[split.source].push((split.info.id.clone(), split.position));
        }
        for (source, positions) in self.sources.iter().zip(&positions) {
            source.publish_positions(&self.name, positions);
        }
    }

    /// The job as of now.
    pub(crate) fn status(&self) -> JobStatus {
        let state = self.state.lock();
        let ledger = self.ledger.lock();
        let end_ns = state.ended_ns.unwrap_or_else(|| self.env.clock.monotonic_ns());
        let splits = ledger.splits.iter().enumerate().map(|(number, split)| SplitStatus {
            source: self.plan.graph.nodes[self.plan.sources[split.source]].uid.clone(),
            split: split.info.id.clone(),
            position: split.position,
            available: state.available.get(number).copied().unwrap_or(split.position),
            watermark: split.watermark,
            idle: split.idle,
            finished: split.finished,
        });
        JobStatus {
            state: state.phase,
            incarnation: self.incarnation,
            epoch: ledger.epoch.min(state.durable),
            published: thalweg_core::ids::Epoch(self.published.load(Ordering::Acquire)),
            in_flight: state.in_flight,
            replayed: state.replayed,
            snapshot: state.snapshot,
            totals: ledger.totals,
            splits: splits.collect(),
            watermark: ledger.watermark(),
            error: state.error.as_ref().map(ToString::to_string),
            seconds: end_ns.saturating_sub(self.started_ns) as f64 / 1e9,
            alarms: state.alarms.clone(),
        }
    }
}
