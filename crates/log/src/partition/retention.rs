//! Deleting old segments: by age, by size, on request, never what is pinned.
//!
//! The new log start is durable before a file goes: a crash in between leaves files
//! before the log start, which the next start removes.

use std::io;

use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{LogError, LogOffsets};
use thalweg_core::time::Millis;

use super::{Marks, Partition};
use crate::files::FileKind;
use crate::mark::Mark;
use crate::segment::{ABORTED_SUFFIX, INDEX_SUFFIX, LOG_SUFFIX, Segment};
use crate::topic_config::TopicConfig;

impl Partition {
    /// Deletes what is older or more than the topic keeps. Returns how many segments
    /// went.
    ///
    /// # Errors
    /// The disk refused; the next step tries again.
    pub(crate) fn retain(&self, now: Millis) -> Result<usize, LogError> {
        let result = self.delete_expired(now);
        if matches!(result, Err(LogError::Disk { .. })) {
            self.shared.tell_failure();
        }
        result
    }

    fn delete_expired(&self, now: Millis) -> Result<usize, LogError> {
        let config = self.config();
        self.close_expired_segment(&config, now)?;
        let _layout = self.layout.lock();
        let mut marks = self.marks.lock();
        self.shared.still_whole()?;
        let Some(active) = marks.active else { return Ok(0) };
        let Some(log_start) = self.expired_before(&config, now, active.base) else {
            return Ok(0);
        };
        let gone = self.move_start(&mut marks, active, log_start)?;
        tracing::info!(partition = %self.name, log_start, segments = gone, "deleted old segments");
        Ok(gone)
    }

    /// Makes a new log start durable, then removes what lies wholly before it, but for the
    /// segment whose mark tells it. Returns how many segments went.
    fn move_start(
        &self,
        marks: &mut Marks,
        active: Mark,
        log_start: Offset,
    ) -> Result<usize, LogError> {
        let log_start = log_start.max(self.view.lock().offsets.start);
        // The mark before must be durable while this one is on its way.
        self.sync_segment(active.base)?;
        let mark = Mark { sequence: active.sequence + 1, log_start, ..active };
        self.write_mark(marks, mark, None)?;
        self.sync_segment(active.base)?;
        let gone: Vec<Segment> = {
            let mut view = self.view.lock();
            let offsets = &mut view.offsets;
            offsets.start = offsets.start.max(log_start);
            offsets.last_stable = offsets.last_stable.max(offsets.start);
            let kept = view.segments.iter().map(|segment| segment.base);
            // The next segment may be begun already, with a mark that is not written yet.
            let kept = kept.filter(|&base| base <= log_start && base <= active.base);
            let first = kept.max().unwrap_or(log_start);
            view.segments.extract_if(.., |segment| segment.base < first).collect()
        };
        for segment in &gone {
            self.remove_segment(segment.base);
        }
        Ok(gone.len())
    }

    /// Deletes all records before an offset on a user's word; durable when this returns.
    pub(super) fn delete_records(&self, before: Offset) -> Result<Offset, LogError> {
        let result = self.delete_up_to(before);
        if matches!(result, Err(LogError::Disk { .. })) {
            self.shared.tell_failure();
        }
        if result.is_ok() {
            self.wake();
        }
        result
    }

    fn delete_up_to(&self, before: Offset) -> Result<Offset, LogError> {
        let _layout = self.layout.lock();
        let mut marks = self.marks.lock();
        self.shared.check_running()?;
        {
            let view = self.view.lock();
            let LogOffsets { start, high_watermark: end, .. } = view.offsets;
            if view.deleted {
                return Err(self.unknown());
            }
            if !(0..=end).contains(&before) {
                let partition = self.name.clone();
                return Err(LogError::OffsetOutOfRange { partition, offset: before, start, end });
            }
            if before <= start {
                return Ok(start);
            }
            if let Some(reason) = &view.damage {
                let (partition, reason) = (self.name.clone(), reason.clone());
                return Err(LogError::ReadOnly { partition, reason });
            }
            if let Some((holder, &from)) = view.pins.iter().find(|(_, from)| **from < before) {
                let (partition, holder) = (self.name.clone(), holder.clone());
                return Err(LogError::Pinned { partition, holder, from });
            }
        }
        // Everything up to the high watermark is covered by the active mark.
        let Some(active) = marks.active else { return Err(self.unknown()) };
        self.save_producers_for(before)?;
        self.move_start(&mut marks, active, before)?;
        tracing::info!(partition = %self.name, before, "deleted records on request");
        Ok(before)
    }

    /// The last segment is never deleted; one in which all is too old is closed, so that
    /// it goes the next time.
    fn close_expired_segment(&self, config: &TopicConfig, now: Millis) -> Result<(), LogError> {
        self.close_segment_where(|last| config.delete && is_old(last, config, now), now)
    }

    /// Closes the last segment where it is durable, has something in it, and is `due`.
    pub(super) fn close_segment_where(
        &self,
        due: impl Fn(&Segment) -> bool,
        now: Millis,
    ) -> Result<(), LogError> {
        let expired = || {
            let view = self.view.lock();
            let whole = view.damage.is_none() && !view.deleted;
            view.segments.last().is_some_and(|last| {
                let durable = last.committed == last.written && last.data_bytes() > 0;
                whole && durable && due(last)
            })
        };
        if !expired() {
            return Ok(());
        }
        let mut writer = self.writer.lock();
        if !expired() || writer.untrimmed {
            return Ok(());
        }
        self.begin_segment(&mut writer, now)?;
        drop(writer);
        self.mark_dirty();
        Ok(())
    }

    pub(super) fn sync_segment(&self, base: Offset) -> Result<(), LogError> {
        let synced = self.segment_file(base).and_then(|file| file.sync_data());
        synced.map_err(|error| self.shared.fail(&self.dir, &error))
    }

    /// Up to which offset segments may go; `None` where none may. The segment `active`
    /// stays in any case: its mark is to tell the new log start.
    fn expired_before(&self, config: &TopicConfig, now: Millis, active: Offset) -> Option<Offset> {
        let view = self.view.lock();
        if view.deleted || view.damage.is_some() {
            return None;
        }
        let pinned = view.pins.values().min().copied().unwrap_or(Offset::MAX);
        let keep_from = pinned.min(view.offsets.last_stable);
        let mut size: u64 = view.segments.iter().map(Segment::data_bytes).sum();
        let mut log_start = None;
        for pair in view.segments.windows(2) {
            let segment = &pair[0];
            let rest = size - segment.data_bytes();
            let surplus = (config.delete
                && config.retention_bytes.is_some_and(|limit| rest >= limit))
                || segment.end <= view.released.max(view.offsets.start);
            if pair[1].base > active
                || segment.end > keep_from
                || !(surplus || (config.delete && is_old(segment, config, now)))
            {
                break;
            }
            size = rest;
            log_start = Some(pair[1].base);
        }
        log_start
    }

    pub(super) fn remove_segment(&self, base: Offset) {
        let files = [
            (FileKind::Batches, LOG_SUFFIX),
            (FileKind::Index, INDEX_SUFFIX),
            (FileKind::Aborted, ABORTED_SUFFIX),
        ];
        for (kind, suffix) in files {
            self.shared.files.remove(self.key(base, kind));
            let path = self.path(base, suffix);
            let removed = self.shared.env.disk.remove_file(&path);
            if let Err(error) = removed.or_else(|error| match (kind, error.kind()) {
                (FileKind::Index | FileKind::Aborted, io::ErrorKind::NotFound) => Ok(()),
                _ => Err(error),
            }) {
                // It is before the log start: the next start of the log removes it.
                tracing::warn!(path = %path.display(), %error, "an old file stays for now");
            }
        }
    }
}

fn is_old(segment: &Segment, config: &TopicConfig, now: Millis) -> bool {
    let newest = match segment.max_written.time {
        time if time >= 0 => time,
        _ => segment.created_at,
    };
    config.retention_ms.is_some_and(|limit| now.saturating_sub(newest) > limit)
}
