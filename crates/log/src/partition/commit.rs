//! Group commit: one sync covers every append since the one before.
//!
//! ```text
//!  append: write, then Idle -> Queued            (or Committing -> CommittingAgain)
//!  committer: Queued -> Committing, sync, publish, then Idle (or Queued once more)
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use thalweg_core::env::DiskFile;
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{DurableCallback, LogError};

use super::{Marks, Partition, Writer};
use crate::mark::{self, Mark};
use crate::segment::{self, MaxTime, Segment};
use crate::shared::is_storage_full;

/// Where a partition stands with the committers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum CommitState {
    /// Nothing to do.
    Idle,
    /// In the queue.
    Queued,
    /// A committer is at it.
    Committing,
    /// A committer is at it, and more has been written since it began.
    CommittingAgain,
}

impl CommitState {
    fn of(state: u8) -> Self {
        match state {
            0 => Self::Idle,
            1 => Self::Queued,
            2 => Self::Committing,
            _ => Self::CommittingAgain,
        }
    }
}

/// What one commit makes durable.
struct Group {
    /// Segments before the last one with unsynced bytes.
    full: Vec<Arc<dyn DiskFile>>,
    /// The last segment, where it has any.
    active: Option<Arc<dyn DiskFile>>,
    begun: Vec<Mark>,
    /// Base offset of the segment that the group ends in, and where it ends there.
    base: Offset,
    position: u64,
    end: Offset,
    max_time: MaxTime,
    first_open: Option<Offset>,
}

impl Partition {
    /// Something was written: a committer has to come.
    pub(super) fn mark_dirty(&self) {
        let next = |state| match CommitState::of(state) {
            CommitState::Idle => Some(CommitState::Queued as u8),
            CommitState::Committing => Some(CommitState::CommittingAgain as u8),
            CommitState::Queued | CommitState::CommittingAgain => None,
        };
        let before = self.commit_state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        if before == Ok(CommitState::Idle as u8)
            && let Some(this) = self.this.upgrade()
        {
            self.shared.queue.push(this);
        }
    }

    /// Commits a partition taken out of the queue.
    pub(crate) fn commit_queued(&self) {
        self.commit_state.store(CommitState::Committing as u8, Ordering::Release);
        let outcome = self.commit();
        let clean = self.commit_state.compare_exchange(
            CommitState::Committing as u8,
            CommitState::Idle as u8,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if outcome.is_ok() && clean.is_err() {
            self.commit_state.store(CommitState::Queued as u8, Ordering::Release);
            if let Some(this) = self.this.upgrade() {
                self.shared.queue.push(this);
            }
        }
    }

    /// Makes everything written so far durable, then tells those who wait.
    ///
    /// # Errors
    /// A failed sync; the log has stopped then.
    pub(crate) fn commit(&self) -> Result<(), LogError> {
        let result = self.sync_and_publish();
        match result {
            Ok(due) => {
                let moved = due.is_some();
                for (_, done) in due.unwrap_or_default() {
                    done(Ok(()));
                }
                if moved {
                    self.wake();
                }
                Ok(())
            }
            Err(error) => {
                self.shared.tell_failure();
                Err(error)
            }
        }
    }

    /// Returns whom to tell, or `None` where nothing had been written.
    #[allow(clippy::type_complexity, reason = "pairs of an offset and a callback")]
    fn sync_and_publish(&self) -> Result<Option<Vec<(Offset, DurableCallback)>>, LogError> {
        let mut marks = self.marks.lock();
        self.shared.still_whole()?;
        let Some(group) = self.take_group(&mut self.writer.lock()) else { return Ok(None) };
        let clock = &self.shared.env.clock;
        for file in group.full.iter().chain(&group.active) {
            let start = clock.monotonic_ns();
            file.sync_data().map_err(|error| self.shared.fail(&self.dir, &error))?;
            self.shared.syncs.add(clock.monotonic_ns().saturating_sub(start));
        }
        self.write_marks(&mut marks, &group)?;
        Ok(Some(self.publish(&group)))
    }

    fn take_group(&self, writer: &mut Writer) -> Option<Group> {
        let active = writer.file.take();
        let full = std::mem::take(&mut writer.unsynced);
        if active.is_none() && full.is_empty() && writer.begun.is_empty() {
            return None;
        }
        writer.unsynced_bytes = 0;
        let last = self.view.lock().segments.last().copied()?;
        Some(Group {
            full,
            active,
            begun: std::mem::take(&mut writer.begun),
            base: last.base,
            position: writer.position,
            end: writer.end,
            max_time: last.max_written,
            first_open: writer.producers.first_open(),
        })
    }

    /// Tells the disk what is durable now, before anybody else: whatever was
    /// acknowledged is covered after `kill -9`, and after a power loss all but the last
    /// group, whose mark no sync has covered.
    fn write_marks(&self, marks: &mut Marks, group: &Group) -> Result<(), LogError> {
        let log_start = self.view.lock().offsets.start;
        let begun = group.begun.iter().copied();
        let chain: Vec<Mark> = marks.active.into_iter().chain(begun).collect();
        let Some((last, full)) = chain.split_last() else { return Ok(()) };
        marks.active = Some(*last);
        for mark in full {
            let Some(segment) = self.segment_at(mark.base) else { continue };
            self.sync_aborted(&segment)?;
            if marks.loose.contains(&mark.base) {
                // The mark before must be durable while this one is on its way.
                self.sync_segment(mark.base)?;
            }
            self.mark_if_room(marks, full_mark(mark, &segment, log_start), None)?;
        }
        let active = Mark {
            sequence: last.sequence + 1,
            durable: group.end,
            position: group.position,
            max_time: group.max_time.time,
            max_time_at: group.max_time.at,
            log_start,
            ..*last
        };
        self.mark_if_room(marks, active, group.active.as_ref())
    }

    /// Writes a mark. It overwrites bytes in place; where a file system has no space even
    /// for that, the one before stays in force, which is safe.
    fn mark_if_room(
        &self,
        marks: &mut Marks,
        mark: Mark,
        file: Option<&Arc<dyn DiskFile>>,
    ) -> Result<(), LogError> {
        match self.write_mark(marks, mark, file) {
            Err(LogError::StorageFull { .. }) => Ok(()),
            written => written,
        }
    }

    /// Writes a mark; that of the last segment counts as the active one from then on.
    ///
    /// # Errors
    /// [`LogError::StorageFull`]: the mark before stays in force, and the next one goes
    /// where this one would have gone. Any other failure ends the log.
    pub(super) fn write_mark(
        &self,
        marks: &mut Marks,
        mark: Mark,
        file: Option<&Arc<dyn DiskFile>>,
    ) -> Result<(), LogError> {
        // Also where it fails: the next start may find it whole all the same.
        if !marks.loose.contains(&mark.base) {
            marks.loose.push(mark.base);
        }
        if !marks.listed {
            marks.listed = true;
            self.shared.loose_marks.lock().push(self.this.clone());
        }
        let written = match file {
            Some(file) => mark::write(&**file, &segment::MAGIC, &mark),
            None => self
                .segment_file(mark.base)
                .and_then(|file| mark::write(&*file, &segment::MAGIC, &mark)),
        };
        written.map_err(|error| self.mark_failed(&error))?;
        if marks.active.is_none_or(|active| active.base <= mark.base) {
            marks.active = Some(mark);
        }
        Ok(())
    }

    fn mark_failed(&self, error: &io::Error) -> LogError {
        if is_storage_full(error) {
            let (partition, detail) = (self.name.clone(), format!("a durable mark: {error}"));
            LogError::StorageFull { partition, detail }
        } else {
            self.shared.fail(&self.dir, error)
        }
    }

    /// Lets readers see what is durable; returns the callbacks that are due.
    fn publish(&self, group: &Group) -> Vec<(Offset, DurableCallback)> {
        let mut view = self.view.lock();
        for segment in view.segments.iter_mut().rev() {
            if segment.base > group.base {
                continue; // Begun since the group was taken.
            }
            if segment.base == group.base {
                segment.committed = group.position;
                segment.max_committed = group.max_time;
                continue;
            }
            if segment.committed == segment.written {
                break; // So are all before it.
            }
            segment.committed = segment.written;
            segment.max_committed = segment.max_written;
        }
        view.offsets.high_watermark = group.end;
        let first_open = group.first_open.unwrap_or(group.end);
        view.offsets.last_stable = first_open.min(group.end).max(view.offsets.start);
        view.waiters.extract_if(.., |(offset, _)| *offset <= group.end).collect()
    }

    /// Makes everything durable and saves what makes the next start quick.
    ///
    /// # Errors
    /// A failed sync; the log has stopped then.
    pub(crate) fn close(&self) -> Result<(), LogError> {
        self.commit()?;
        self.save_producers(&mut self.writer.lock())?;
        self.sync_marks(true).map(|_| ())
    }

    pub(super) fn segment_at(&self, base: Offset) -> Option<Segment> {
        let view = self.view.lock();
        view.segments.iter().find(|segment| segment.base == base).copied()
    }

    /// Syncs segments whose newest mark is not known to be durable. That of a partition
    /// in use is left out: its next commit syncs it anyway. Returns whether none is left.
    ///
    /// # Errors
    /// A failed sync; the log has stopped then.
    pub(crate) fn sync_marks(&self, in_use_too: bool) -> Result<bool, LogError> {
        let result = self.sync_loose_marks(in_use_too);
        if result.is_err() {
            self.shared.tell_failure();
        }
        result
    }

    fn sync_loose_marks(&self, in_use_too: bool) -> Result<bool, LogError> {
        let mut marks = self.marks.lock();
        self.shared.still_whole()?;
        if self.view.lock().deleted {
            marks.loose.clear();
        }
        let in_use = !in_use_too && self.writer.lock().file.is_some();
        let active = marks.active.map(|mark| mark.base).filter(|_| in_use);
        for base in std::mem::take(&mut marks.loose) {
            if Some(base) == active {
                marks.loose.push(base);
                continue;
            }
            if self.segment_at(base).is_none() {
                continue; // Retention was faster.
            }
            let synced = self.segment_file(base).and_then(|file| file.sync_data());
            synced.map_err(|error| self.shared.fail(Path::new(&self.dir), &error))?;
        }
        marks.listed = !marks.loose.is_empty();
        Ok(!marks.listed)
    }
}

/// The last mark of a segment behind which another was begun.
pub(crate) fn full_mark(mark: &Mark, segment: &Segment, log_start: Offset) -> Mark {
    Mark {
        sequence: mark.sequence + 1,
        durable: segment.end,
        position: segment.written,
        max_time: segment.max_written.time,
        max_time_at: segment.max_written.at,
        sealed: true,
        index_entries: segment.index.entries(),
        aborted_entries: segment.aborted.entries(),
        log_start,
        ..*mark
    }
}
