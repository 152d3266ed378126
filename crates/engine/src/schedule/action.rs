//! Running actions, and what follows from them.

use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::Ordering;

use thalweg_core::ids::Epoch;
use thalweg_core::partition_log::DurableCallback;
use thalweg_stream::source::SplitInfo;

use super::Core;
use super::state::{Action, Ending, Export, State};
use crate::commit::{CommittedEpoch, Committer};
use crate::driver::{Driven, Driver};
use crate::epoch::{EpochPlan, Event};
use crate::error::{JobError, Result};
use crate::journal::EndState;
use crate::ledger::PinPoint;
use crate::publish::Publisher;
use crate::recover;
use crate::snapshot::{self, SnapshotDraft, SnapshotMeta};
use crate::status::JobState;
use crate::task::{Task, UnitOutput};

/// What an action left behind.
pub(super) enum Done {
    Unit {
        stage: usize,
        subtask: usize,
        task: Box<Task>,
        plan: Arc<EpochPlan>,
        output: Box<UnitOutput>,
        ns: u64,
    },
    Driven {
        driver: Box<Driver>,
        driven: Driven,
    },
    Committed {
        committer: Box<Committer>,
        epoch: CommittedEpoch,
    },
    Published {
        publisher: Box<Publisher>,
        epoch: Epoch,
        bytes: u64,
        draft: Option<Box<SnapshotDraft>>,
    },
    Exported {
        export: Box<Export>,
        draft: Box<SnapshotDraft>,
    },
    Snapshot {
        epoch: Epoch,
        outcome: Result<()>,
        ns: u64,
    },
    Finishing {
        committer: Box<Committer>,
    },
}

impl Core {
    /// Runs an action, outside of the lock.
    pub(super) fn perform(self: &Arc<Self>, action: Action) -> Result<Done> {
        Ok(match action {
            Action::Unit { stage, subtask, mut task, plan, inputs } => {
                let start = self.env.clock.monotonic_ns();
                let output = Box::new(task.run(&plan, inputs)?);
                let ns = self.env.clock.monotonic_ns().saturating_sub(start);
                Done::Unit { stage, subtask, task, plan, output, ns }
            }
            Action::Drive { mut driver, input } => {
                let driven = driver.drive(&input)?;
                self.pin_new_splits(&driven);
                Done::Driven { driver, driven }
            }
            Action::Commit { mut committer, done } => {
                let durable = durable_callback(self, Some(done.plan.epoch()));
                let epoch = committer.commit(*done, durable)?;
                Done::Committed { committer, epoch }
            }
            Action::Publish { publisher, epoch } => self.publish(publisher, *epoch)?,
            Action::Export(export) => {
                let draft = Box::new(self.export(&export)?);
                Done::Exported { export, draft }
            }
            Action::Snapshot(draft) => {
                let epoch = draft.meta.ledger.epoch;
                let start = self.env.clock.monotonic_ns();
                let outcome = self.write_snapshot(&draft);
                let ns = self.env.clock.monotonic_ns().saturating_sub(start);
                Done::Snapshot { epoch, outcome, ns }
            }
            Action::Finish { mut committer, finished } => {
                let end = if finished { EndState::Finished } else { EndState::Stopped };
                self.publish_positions(true);
                committer.finish(end, durable_callback(self, None))?;
                Done::Finishing { committer }
            }
        })
    }

    fn publish(&self, mut publisher: Box<Publisher>, mut epoch: CommittedEpoch) -> Result<Done> {
        publisher.publish(&epoch)?;
        self.published.fetch_max(epoch.epoch.0, Ordering::AcqRel);
        let mut draft = epoch.snapshot.take();
        if let Some(draft) = &mut draft {
            draft.views = export_views(&publisher)?;
        }
        let (number, bytes, replayed) = (epoch.epoch, epoch.bytes_in, epoch.replayed);
        let through = epoch.published_through;
        // Lets go of staged chunks before their files are looked at.
        drop(epoch);
        if !replayed {
            self.staging.release_through(through);
            self.publish_positions(false);
        }
        Ok(Done::Published { publisher, epoch: number, bytes, draft })
    }

    /// A snapshot of everything at rest.
    fn export(&self, export: &Export) -> Result<SnapshotDraft> {
        let mut state = Vec::new();
        for task in export.tasks.iter().flatten() {
            state.extend(task.snapshot()?);
        }
        let header = export.committer.header.clone();
        let ledger = self.ledger.lock().clone();
        let meta = SnapshotMeta { header, ledger };
        Ok(SnapshotDraft { meta, state, views: export_views(&export.publisher)? })
    }

    /// Writes a snapshot, then lets go of what only older ones needed.
    fn write_snapshot(&self, draft: &SnapshotDraft) -> Result<()> {
        let keep = self.options.snapshots_kept.max(1);
        snapshot::write(&self.snapshots, draft, keep)?;
        let pins = {
            let mut ledger = self.ledger.lock();
            ledger.pins.push(draft.meta.ledger.pin_point());
            let surplus = ledger.pins.len().saturating_sub(keep);
            ledger.pins.drain(..surplus);
            // Until there are as many as are kept, the job's start is needed.
            (ledger.pins.len() >= keep).then(|| ledger.pins[0].clone())
        };
        if let Some(oldest) = pins {
            self.pin(&oldest);
        }
        Ok(())
    }

    /// Keeps all of a new split: a job without a snapshot is replayed from its start.
    fn pin_new_splits(&self, driven: &Driven) {
        for event in driven.epoch.iter().flat_map(|epoch| &epoch.events) {
            if let Event::NewSplit { source, id, fingerprint, start, end } = event {
                let (id, fingerprint) = (id.clone(), fingerprint.clone());
                let info = SplitInfo { id, fingerprint, start: *start, end: *end };
                self.sources[*source].pin(&info, &recover::holder(self.id), Some(*start));
            }
        }
    }

    /// Keeps nothing any more.
    pub(crate) fn unpin(&self) {
        let holder = recover::holder(self.id);
        self.journal.pin(&holder, None);
        for (source, info) in self.known_splits() {
            self.sources[source].pin(&info, &holder, None);
        }
    }

    /// A copy: a source may call back.
    fn known_splits(&self) -> Vec<(usize, SplitInfo)> {
        let ledger = self.ledger.lock();
        ledger.splits.iter().map(|split| (split.source, split.info.clone())).collect()
    }

    /// Keeps input and journal from a point on.
    pub(crate) fn pin(&self, point: &PinPoint) {
        let holder = recover::holder(self.id);
        self.journal.pin(&holder, Some(point.journal));
        self.journal.release(point.journal);
        for (number, (source, info)) in self.known_splits().iter().enumerate() {
            let from = point.positions.get(number).copied().unwrap_or(info.start);
            self.sources[*source].pin(info, &holder, Some(from));
        }
    }

    /// Takes the outcome of an action in.
    pub(super) fn settle(&self, state: &mut State, done: Done) {
        let now_ns = self.env.clock.monotonic_ns();
        match done {
            Done::Unit { stage, subtask, task, plan, output, ns } => {
                let slot = &mut state.tasks[stage][subtask];
                slot.timer = task.next_timer();
                slot.task = Some(task);
                slot.next = plan.epoch().next();
                state.policy.worked(ns);
                let number = plan.epoch();
                let epoch = state.running.iter_mut().find(|epoch| epoch.plan.epoch() == number);
                if let Some(epoch) = epoch {
                    epoch.left[stage] -= 1;
                    epoch.outputs[stage][subtask] = Some(*output);
                }
            }
            Done::Driven { driver, driven } => self.settle_driven(state, driver, driven, now_ns),
            Done::Committed { committer, epoch } => {
                state.committer = Some(committer);
                state.replayed += u64::from(epoch.replayed);
                state.committed.push_back(epoch);
            }
            Done::Published { publisher, epoch, bytes, draft } => {
                state.publisher = Some(publisher);
                state.published = epoch;
                state.in_flight -= 1;
                state.in_flight_bytes -= bytes;
                state.drafts.extend(draft.map(|draft| *draft));
            }
            Done::Exported { export, draft } => {
                for (slots, tasks) in state.tasks.iter_mut().zip(export.tasks) {
                    for (slot, task) in slots.iter_mut().zip(tasks) {
                        slot.task = Some(Box::new(task));
                    }
                }
                state.committer = Some(export.committer);
                state.publisher = Some(export.publisher);
                state.writing_snapshot = false;
                state.snapshot_begun = draft.meta.ledger.epoch;
                state.policy.begin(now_ns);
                state.drafts.push_back(*draft);
            }
            Done::Snapshot { epoch, outcome, ns } => {
                state.writing_snapshot = false;
                state.policy.finish(ns);
                match outcome {
                    Ok(()) => state.snapshot = Some(epoch),
                    Err(error) if error.is_fatal() => state.fail(error, now_ns),
                    // The journal goes on without it; the next one is tried again.
                    Err(error) => {
                        if state.ending < Ending::Snapshot {
                            state.snapshot_begun = state.snapshot.unwrap_or(Epoch(0));
                        }
                        state.alarm(format!("snapshot of epoch {epoch} failed: {error}"));
                    }
                }
            }
            Done::Finishing { committer } => state.committer = Some(committer),
        }
        self.advance(state);
    }

    fn settle_driven(
        &self,
        state: &mut State,
        driver: Box<Driver>,
        mut driven: Driven,
        now_ns: u64,
    ) {
        state.driver = Some(driver);
        state.call |= driven.more || driven.epoch.is_some();
        state.again_ns = driven.again_ns;
        state.live |= driven.live;
        state.ended |= driven.ended;
        if !driven.available.is_empty() {
            state.available = std::mem::take(&mut driven.available);
        }
        let replayed = driven.recorded.is_some();
        let last = driven.epoch.as_ref().is_some_and(|epoch| epoch.last);
        let snapshot =
            driven.epoch.is_some() && !replayed && !last && state.policy.begin_if_due(now_ns);
        if let Some(epoch) = driven.plan(snapshot) {
            if snapshot {
                state.snapshot_begun = epoch.epoch();
            }
            state.add_epoch(epoch, &self.plan);
        }
    }

    /// Moves the job's life on.
    pub(super) fn advance(&self, state: &mut State) {
        if state.phase.is_over() {
            return;
        }
        if state.phase == JobState::Recovering
            && state.live
            && state.published >= state.replay_until
        {
            state.phase = JobState::Running;
        }
        if state.ending == Ending::No && (state.stop || state.ended) {
            state.ending = Ending::Draining;
            state.phase = JobState::Stopping;
        }
        if state.ending == Ending::Draining && state.is_drained() {
            state.ending = Ending::Snapshot;
        }
        if state.ending == Ending::Snapshot {
            let wanted = self.options.snapshot_at_stop && state.snapshot_begun < state.published;
            let busy = state.writing_snapshot || !state.drafts.is_empty();
            if !self.options.snapshot_at_stop {
                state.snapshot_begun = state.published;
            }
            if !wanted && !busy {
                state.ending = Ending::Progress;
            }
        }
    }

    /// The last record of the journal is durable.
    pub(super) fn ended_well(&self, state: &mut State) {
        if !state.phase.is_over() {
            state.phase = if state.ended { JobState::Finished } else { JobState::Stopped };
            state.ended_ns = Some(self.env.clock.monotonic_ns());
        }
    }
}

fn export_views(publisher: &Publisher) -> Result<Vec<Vec<arrow_array::RecordBatch>>> {
    publisher.views.iter().map(|view| Ok(view.export()?.1)).collect()
}

/// Called by the log when an entry, or the last record, is on disk, or never will be.
fn durable_callback(core: &Arc<Core>, epoch: Option<Epoch>) -> DurableCallback {
    let core: Weak<Core> = Arc::downgrade(core);
    Box::new(move |outcome| {
        let Some(core) = core.upgrade() else { return };
        let mut state = core.state.lock();
        match (outcome, epoch) {
            (Err(error), _) => {
                let now_ns = core.env.clock.monotonic_ns();
                state.fail(JobError::from(error), now_ns);
            }
            (Ok(()), Some(epoch)) => state.durable = state.durable.max(epoch),
            (Ok(()), None) => core.ended_well(&mut state),
        }
        core.notify(&state);
    })
}
