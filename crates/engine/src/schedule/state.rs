//! What is ready, what is running, what is done.

use std::collections::VecDeque;
use std::sync::Arc;

use thalweg_core::ids::Epoch;
use thalweg_core::time::Millis;

use super::Lane;
use crate::clock::EpochClock;
use crate::commit::{CommittedEpoch, Committer, DoneEpoch};
use crate::driver::{DriveInput, Driver};
use crate::epoch::EpochPlan;
use crate::error::{JobError, Result};
use crate::options::JobOptions;
use crate::plan::Plan;
use crate::publish::Publisher;
use crate::snapshot::{SnapshotDraft, SnapshotPolicy};
use crate::status::JobState;
use crate::task::{EdgeInput, InputRun, Task, UnitOutput};

/// Alarms that are kept.
const ALARMS: usize = 64;

/// A subtask at home, or out on a thread.
pub(super) struct TaskSlot {
    pub(super) task: Option<Box<Task>>,
    /// The next epoch that it runs.
    pub(super) next: Epoch,
    /// Its earliest processing-time timer.
    pub(super) timer: Option<Millis>,
}

/// An epoch whose units run.
pub(super) struct RunningEpoch {
    pub(super) plan: Arc<EpochPlan>,
    /// Units that are not done, by stage.
    pub(super) left: Vec<usize>,
    /// Output of the units that are, by stage and subtask.
    pub(super) outputs: Vec<Vec<Option<UnitOutput>>>,
}

impl RunningEpoch {
    fn is_done(&self) -> bool {
        self.left.iter().all(|&left| left == 0)
    }
}

/// An action that could start now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Candidate {
    Unit { epoch: usize, stage: usize, subtask: usize },
    Drive,
    Commit,
    Publish,
    Export,
    Snapshot,
    Finish,
}

/// An action with what it needs.
pub(super) enum Action {
    Unit {
        stage: usize,
        subtask: usize,
        task: Box<Task>,
        plan: Arc<EpochPlan>,
        inputs: Vec<EdgeInput>,
    },
    Drive {
        driver: Box<Driver>,
        input: DriveInput,
    },
    Commit {
        committer: Box<Committer>,
        done: Box<DoneEpoch>,
    },
    Publish {
        publisher: Box<Publisher>,
        epoch: Box<CommittedEpoch>,
    },
    Export(Box<Export>),
    Snapshot(Box<SnapshotDraft>),
    Finish {
        committer: Box<Committer>,
        finished: bool,
    },
}

/// Everything at rest, for the snapshot of a clean end.
pub(super) struct Export {
    pub(super) tasks: Vec<Vec<Task>>,
    pub(super) committer: Box<Committer>,
    pub(super) publisher: Box<Publisher>,
}

/// How far a clean end is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Ending {
    /// Nobody asked for it.
    No,
    /// What was cut is being finished.
    Draining,
    /// The last snapshot is being written.
    Snapshot,
    /// The last record of the journal is being written.
    Progress,
    /// It is on its way to the disk.
    Durable,
}

/// What a job starts with.
pub(crate) struct StateParts {
    pub(crate) driver: Driver,
    pub(crate) tasks: Vec<Vec<Task>>,
    pub(crate) committer: Committer,
    pub(crate) publisher: Publisher,
    pub(crate) clock: EpochClock,
    /// Time of the last epoch.
    pub(crate) cut_now: Millis,
    pub(crate) policy: SnapshotPolicy,
    /// Last epoch of the state that tasks start from, and of the journal.
    pub(crate) restored: Epoch,
    pub(crate) last: Epoch,
    pub(crate) alarms: Vec<String>,
    pub(crate) snapshot: Option<Epoch>,
}

/// The moving parts of a job.
pub(crate) struct State {
    pub(super) phase: JobState,
    pub(super) error: Option<JobError>,
    pub(super) ended_ns: Option<u64>,
    pub(super) stop: bool,
    pub(super) ending: Ending,
    pub(super) alarms: Vec<String>,

    pub(super) driver: Option<Box<Driver>>,
    /// Somebody called the driver.
    pub(super) call: bool,
    pub(super) again_ns: Option<u64>,
    pub(super) live: bool,
    pub(super) ended: bool,
    pub(super) cut_now: Millis,
    pub(super) available: Vec<u64>,
    pub(super) clock: EpochClock,

    pub(super) tasks: Vec<Vec<TaskSlot>>,
    pub(super) running: VecDeque<RunningEpoch>,
    pub(super) committer: Option<Box<Committer>>,
    pub(super) committed: VecDeque<CommittedEpoch>,
    /// Everything up to here is in the journal for good.
    pub(super) durable: Epoch,
    /// The journal's last epoch when this run started.
    pub(super) replay_until: Epoch,
    pub(super) replayed: u64,
    pub(super) publisher: Option<Box<Publisher>>,
    pub(super) published: Epoch,
    pub(super) in_flight: usize,
    pub(super) in_flight_bytes: u64,

    pub(super) policy: SnapshotPolicy,
    pub(super) drafts: VecDeque<SnapshotDraft>,
    pub(super) writing_snapshot: bool,
    /// Epoch of the newest snapshot, and of the newest one begun.
    pub(super) snapshot: Option<Epoch>,
    pub(super) snapshot_begun: Epoch,
}

impl State {
    pub(crate) fn new(parts: StateParts) -> Self {
        let slot = |task: Task| TaskSlot {
            timer: task.next_timer(),
            task: Some(Box::new(task)),
            next: parts.restored.next(),
        };
        let tasks = parts.tasks.into_iter();
        Self {
            phase: JobState::Recovering,
            error: None,
            ended_ns: None,
            stop: false,
            ending: Ending::No,
            alarms: parts.alarms,
            driver: Some(Box::new(parts.driver)),
            call: true,
            again_ns: None,
            live: false,
            ended: false,
            cut_now: parts.cut_now,
            available: Vec::new(),
            clock: parts.clock,
            tasks: tasks.map(|subtasks| subtasks.into_iter().map(slot).collect()).collect(),
            running: VecDeque::new(),
            committer: Some(Box::new(parts.committer)),
            committed: VecDeque::new(),
            durable: parts.last,
            replay_until: parts.last,
            replayed: 0,
            publisher: Some(Box::new(parts.publisher)),
            published: parts.restored,
            in_flight: 0,
            in_flight_bytes: 0,
            policy: parts.policy,
            drafts: VecDeque::new(),
            writing_snapshot: false,
            snapshot: parts.snapshot,
            snapshot_begun: parts.restored,
        }
    }

    /// The actions of a lane that could start, most urgent first; `each` stops by
    /// returning true.
    pub(super) fn candidates(
        &self,
        lane: Lane,
        now_ns: u64,
        plan: &Plan,
        options: &JobOptions,
        each: &mut dyn FnMut(Candidate) -> bool,
    ) {
        if self.phase.is_over() {
            return;
        }
        let ready = match lane {
            Lane::Work => {
                if self.units(plan, each) {
                    return;
                }
                self.drive_is_due(now_ns, options).then_some(Candidate::Drive)
            }
            Lane::Commit if self.committer.is_none() => None,
            Lane::Commit if self.running.front().is_some_and(RunningEpoch::is_done) => {
                Some(Candidate::Commit)
            }
            Lane::Commit => (self.ending == Ending::Progress).then_some(Candidate::Finish),
            Lane::Publish => {
                let next = self.committed.front();
                let ready = next.is_some_and(|next| next.replayed || next.epoch <= self.durable);
                (ready && self.publisher.is_some()).then_some(Candidate::Publish)
            }
            Lane::Snapshot if self.writing_snapshot => None,
            Lane::Snapshot if !self.drafts.is_empty() => Some(Candidate::Snapshot),
            Lane::Snapshot => self.export_is_due().then_some(Candidate::Export),
        };
        if let Some(ready) = ready {
            each(ready);
        }
    }

    fn units(&self, plan: &Plan, each: &mut dyn FnMut(Candidate) -> bool) -> bool {
        for (place, epoch) in self.running.iter().enumerate() {
            for (stage, subtasks) in self.tasks.iter().enumerate() {
                if epoch.left[stage] == 0
                    || plan.stages[stage].inputs.iter().any(|edge| epoch.left[edge.from] > 0)
                {
                    continue;
                }
                for (subtask, slot) in subtasks.iter().enumerate() {
                    if slot.task.is_some()
                        && slot.next == epoch.plan.epoch()
                        && each(Candidate::Unit { epoch: place, stage, subtask })
                    {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn drive_is_due(&self, now_ns: u64, options: &JobOptions) -> bool {
        let room = self.in_flight < options.epochs_in_flight.max(1)
            && self.in_flight_bytes < options.epoch_bytes_max.saturating_mul(2);
        self.driver.is_some()
            && !self.ended
            && !self.stop
            && room
            && (self.call || self.wake_at_ns().is_some_and(|at| at <= now_ns))
    }

    /// When the driver is to look although nobody calls it.
    pub(super) fn wake_at_ns(&self) -> Option<u64> {
        if self.driver.is_none() || self.ended || self.stop {
            return None;
        }
        // A timer that an epoch in flight may still fire is not due for another one.
        let timer = self.timer().filter(|&timer| timer > self.cut_now);
        let timer = timer.map(|timer| self.clock.monotonic_at(timer));
        self.again_ns.into_iter().chain(timer).min()
    }

    /// The earliest processing-time timer of all tasks.
    fn timer(&self) -> Option<Millis> {
        self.tasks.iter().flatten().filter_map(|slot| slot.timer).min()
    }

    /// Whether everything that was cut is published.
    pub(super) fn is_drained(&self) -> bool {
        self.in_flight == 0 && self.driver.is_some()
    }

    fn export_is_due(&self) -> bool {
        self.ending == Ending::Snapshot && self.snapshot_begun < self.published
    }

    /// Takes what an action needs.
    pub(super) fn take(
        &mut self,
        candidate: Candidate,
        now_ns: u64,
        plan: &Plan,
    ) -> Result<Action> {
        let gone = || JobError::Internal(format!("{candidate:?} is not ready any more"));
        Ok(match candidate {
            Candidate::Unit { epoch, stage, subtask } => {
                let inputs = self.inputs(epoch, stage, subtask, plan);
                let slot = &mut self.tasks[stage][subtask];
                let task = slot.task.take().ok_or_else(gone)?;
                let plan = Arc::clone(&self.running[epoch].plan);
                Action::Unit { stage, subtask, task, plan, inputs }
            }
            Candidate::Drive => {
                self.call = false;
                let driver = self.driver.take().ok_or_else(gone)?;
                let now = self.clock.now();
                if let Some(alarm) = self.clock.alarm() {
                    self.alarm(alarm);
                }
                let input = DriveInput { now, now_ns, timer: self.timer() };
                Action::Drive { driver, input }
            }
            Candidate::Commit => {
                let committer = self.committer.take().ok_or_else(gone)?;
                let epoch = self.running.pop_front().ok_or_else(gone)?;
                let outputs = epoch.outputs.into_iter();
                let outputs = outputs.map(|subtasks| subtasks.into_iter().flatten().collect());
                let done = DoneEpoch { plan: epoch.plan, outputs: outputs.collect() };
                Action::Commit { committer, done: Box::new(done) }
            }
            Candidate::Publish => {
                let publisher = self.publisher.take().ok_or_else(gone)?;
                let epoch = self.committed.pop_front().ok_or_else(gone)?;
                Action::Publish { publisher, epoch: Box::new(epoch) }
            }
            Candidate::Export => {
                self.writing_snapshot = true;
                let home = self.tasks.iter_mut();
                let tasks: Option<Vec<Vec<_>>> = home
                    .map(|subtasks| {
                        subtasks.iter_mut().map(|slot| slot.task.take().map(|t| *t)).collect()
                    })
                    .collect();
                Action::Export(Box::new(Export {
                    tasks: tasks.ok_or_else(gone)?,
                    committer: self.committer.take().ok_or_else(gone)?,
                    publisher: self.publisher.take().ok_or_else(gone)?,
                }))
            }
            Candidate::Snapshot => {
                self.writing_snapshot = true;
                Action::Snapshot(Box::new(self.drafts.pop_front().ok_or_else(gone)?))
            }
            Candidate::Finish => {
                self.ending = Ending::Durable;
                let committer = self.committer.take().ok_or_else(gone)?;
                Action::Finish { committer, finished: self.ended }
            }
        })
    }

    /// What a unit reads: its part of what the units upstream moved, by edge and channel.
    fn inputs(
        &mut self,
        epoch: usize,
        stage: usize,
        subtask: usize,
        plan: &Plan,
    ) -> Vec<EdgeInput> {
        let outputs = &mut self.running[epoch].outputs;
        let edges = plan.stages[stage].inputs.iter();
        edges
            .map(|edge| {
                let mut input = EdgeInput::default();
                let is_source = plan.stages[edge.from].source.is_some();
                for (upstream, output) in outputs[edge.from].iter_mut().enumerate() {
                    let Some(output) = output else { continue };
                    for run in &mut output.edges[edge.edge] {
                        let buffer = std::mem::take(&mut run.buffers[subtask]);
                        input.runs.push(InputRun { channel: run.channel, buffer });
                    }
                    if is_source {
                        let ends = output.splits.iter();
                        input.ends.extend(ends.map(|&(split, watermark)| {
                            (split, crate::watermark::ChannelEnd { watermark, idle: false })
                        }));
                    } else {
                        input.ends.extend(output.end.map(|end| (upstream, end)));
                    }
                }
                input.runs.sort_by_key(|run| run.channel);
                input
            })
            .collect()
    }

    /// Puts an epoch in flight.
    pub(super) fn add_epoch(&mut self, epoch: EpochPlan, plan: &Plan) {
        self.in_flight += 1;
        self.in_flight_bytes += epoch.input.bytes();
        self.cut_now = epoch.input.now;
        let subtasks = plan.stages.iter().map(|stage| stage.parallelism);
        self.running.push_back(RunningEpoch {
            plan: Arc::new(epoch),
            left: subtasks.clone().collect(),
            outputs: subtasks.map(|number| (0..number).map(|_| None).collect()).collect(),
        });
    }

    /// Keeps something odd for people to see; the newest ones.
    pub(super) fn alarm(&mut self, alarm: String) {
        tracing::warn!("{alarm}");
        if self.alarms.len() == ALARMS {
            self.alarms.remove(0);
        }
        self.alarms.push(alarm);
    }

    /// Ends the job with an error; the first one counts.
    pub(super) fn fail(&mut self, error: JobError, now_ns: u64) {
        if !self.phase.is_over() {
            self.phase = JobState::Failed;
            self.error = Some(error);
            self.ended_ns = Some(now_ns);
        }
    }
}
