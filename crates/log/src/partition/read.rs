//! Reading: whole batches as they were written, checked on the way out.

use std::cell::Cell;

use bytes::Bytes;
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{Isolation, LogError};
use thalweg_core::record_batch::{DecompressionLimits, HEADER_BYTES, RecordBatch, RecordOutline};
use thalweg_core::time::Millis;

use super::Partition;
use super::locate::{Located, Place};
use crate::segment::index::Key;
use crate::segment::scan::{Scan, Step};
use crate::segment::{self, MaxTime, Segment};

/// Bytes that a read takes at least: a smaller request may still get a whole batch.
const MIN_READ_BYTES: u64 = 4 << 10;
/// Bytes that a read returns at most, whatever it asks for (but for one larger batch).
const MAX_READ_BYTES: u64 = 64 << 20;

/// A record's offset and timestamp.
type Timed = (Offset, Millis);

impl Partition {
    pub(super) fn read_batches(
        &self,
        from: Offset,
        max_bytes: usize,
        isolation: Isolation,
    ) -> Result<Bytes, LogError> {
        let _files = self.files_stay.read();
        let (segment, limit, hint) = {
            let view = self.view.lock();
            if view.deleted {
                return Err(self.unknown());
            }
            let offsets = view.offsets;
            if from < offsets.start || from > offsets.end {
                let (start, end) = (offsets.start, offsets.high_watermark);
                let partition = self.name.clone();
                return Err(LogError::OffsetOutOfRange { partition, offset: from, start, end });
            }
            let limit = match isolation {
                Isolation::ReadUncommitted => offsets.high_watermark,
                Isolation::ReadCommitted => offsets.last_stable,
            };
            if from >= limit {
                return Ok(Bytes::new());
            }
            let after = view.segments.partition_point(|segment| segment.base <= from);
            let Some(segment) = after.checked_sub(1).map(|index| view.segments[index]) else {
                return Err(self.corrupt(from, "the segment is missing".to_owned()));
            };
            (segment, limit, view.hints.get(from, segment.base))
        };
        if from >= segment.end {
            return Err(self.corrupt(from, "the segment that held it is missing".to_owned()));
        }
        self.read_segment(&segment, from, limit, max_bytes, hint)
    }

    fn read_segment(
        &self,
        segment: &Segment,
        from: Offset,
        limit: Offset,
        max_bytes: usize,
        hint: Option<u64>,
    ) -> Result<Bytes, LogError> {
        let path = self.path(segment.base, segment::LOG_SUFFIX);
        let file = self.segment_file(segment.base).map_err(|error| self.io_error(&path, &error))?;
        let located = match hint {
            Some(position) => Ok(Located::At(Place { base_offset: from, position })),
            None => self.locate(segment, from, &*file),
        };
        let place = match located.map_err(|error| self.unreadable(from, &error))? {
            Located::At(place) => place,
            Located::Beyond => {
                let detail = "the segment ends before it".to_owned();
                return Err(self.damaged(from, detail));
            }
            Located::Damaged(detail) => return Err(self.damaged(from, detail)),
        };
        let available = segment.committed.saturating_sub(place.position);
        let wanted = (max_bytes as u64).clamp(MIN_READ_BYTES, MAX_READ_BYTES).min(available);
        let mut bytes = vec![0; wanted as usize];
        file.read_exact_at(&mut bytes, place.position)
            .map_err(|error| self.unreadable(from, &error))?;
        // The first batch comes whole, however large.
        let first = batch_size(&bytes).unwrap_or(0);
        if first > bytes.len() && first as u64 <= available {
            let had = bytes.len();
            bytes.resize(first, 0);
            file.read_exact_at(&mut bytes[had..], place.position + had as u64)
                .map_err(|error| self.unreadable(from, &error))?;
        }
        let budget = max_bytes.max(first);
        let wanted = Wanted { from: place.base_offset, limit, budget, gaps: segment.has_gaps() };
        let checked = self.check_read(&bytes, &wanted)?;
        bytes.truncate(checked.len);
        let end = place.position + checked.len as u64;
        self.view.lock().hints.put(checked.next, segment.base, end);
        Ok(bytes.into())
    }

    /// Keeps the whole, good batches at the front that fit and lie below the limit.
    fn check_read(&self, bytes: &[u8], wanted: &Wanted) -> Result<Checked, LogError> {
        let mut checked = Checked { len: 0, next: wanted.from };
        while checked.len < bytes.len() && checked.next < wanted.limit {
            let rest = &bytes[checked.len..];
            let first = checked.len == 0;
            if !first && batch_size(rest).is_none_or(|size| size > rest.len()) {
                break; // Cut by the read's size.
            }
            let good = RecordBatch::parse(rest).and_then(|batch| {
                batch.verify_crc()?;
                Ok(*batch.header())
            });
            let detail = match good {
                Ok(header)
                    if header.base_offset == checked.next
                        || (wanted.gaps && header.base_offset > checked.next) =>
                {
                    if !first && checked.len + header.size > wanted.budget {
                        break;
                    }
                    if header.next_offset() > wanted.limit {
                        break;
                    }
                    checked.len += header.size;
                    checked.next = header.next_offset();
                    continue;
                }
                Ok(header) => format!("a batch with offset {} is there", header.base_offset),
                Err(error) => error.to_string(),
            };
            let error = self.damaged(checked.next, detail);
            // What is good before it is still handed out; the next read gets the error.
            return if first { Err(error) } else { Ok(checked) };
        }
        Ok(checked)
    }

    fn corrupt(&self, offset: Offset, detail: String) -> LogError {
        LogError::Corrupt { partition: self.name.clone(), offset, detail }
    }

    /// Damage found while reading.
    pub(super) fn damaged(&self, offset: Offset, detail: String) -> LogError {
        {
            let view = self.view.lock();
            if view.deleted || offset < view.offsets.start {
                return self.unknown_or_gone(offset, &view);
            }
        }
        self.set_damage(&format!(
            "the batch at offset {offset} is damaged ({detail}); restore the partition from a \
             copy, or read around it and write to another topic"
        ));
        self.corrupt(offset, detail)
    }

    /// A read failed: also where retention or deletion took the file away meanwhile.
    pub(super) fn unreadable(&self, offset: Offset, error: &std::io::Error) -> LogError {
        let view = self.view.lock();
        if view.deleted || offset < view.offsets.start {
            return self.unknown_or_gone(offset, &view);
        }
        drop(view);
        self.corrupt(offset, error.to_string())
    }

    fn unknown_or_gone(&self, offset: Offset, view: &super::View) -> LogError {
        if view.deleted {
            return self.unknown();
        }
        let (start, end) = (view.offsets.start, view.offsets.high_watermark);
        LogError::OffsetOutOfRange { partition: self.name.clone(), offset, start, end }
    }

    pub(super) fn first_at_or_after(&self, time: Millis) -> Result<Option<Timed>, LogError> {
        let _files = self.files_stay.read();
        let (segments, start, limit) = {
            let view = self.view.lock();
            let late = |segment: &&Segment| segment.max_committed.time >= time;
            let segments: Vec<_> = view.segments.iter().filter(late).copied().collect();
            (segments, view.offsets.start, view.offsets.high_watermark)
        };
        for segment in segments {
            let wanted = |record: &RecordOutline| {
                record.timestamp >= time && (start..limit).contains(&record.offset)
            };
            if let Some(found) = self.first_record(&segment, Key::Time(time), time, wanted)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    pub(super) fn find_max_timestamp(&self) -> Result<Option<Timed>, LogError> {
        let _files = self.files_stay.read();
        let (mut segments, start) = {
            let view = self.view.lock();
            (view.segments.clone(), view.offsets.start)
        };
        let newest = |segments: &[Segment]| {
            let mut best: Option<Segment> = None;
            for segment in segments {
                let time = segment.max_committed.time;
                if time >= 0 && best.is_none_or(|best| time > best.max_committed.time) {
                    best = Some(*segment);
                }
            }
            best
        };
        let best = newest(&segments);
        if let Some(first) = best.filter(|best| best.max_committed.at < start) {
            // Deleted records have had the largest one of the first segment.
            if let Some(segment) = segments.iter_mut().find(|segment| segment.base == first.base) {
                segment.max_committed = self.max_time_from(&first, start)?;
            }
        }
        let Some(segment) = newest(&segments) else { return Ok(None) };
        let max = segment.max_committed;
        let wanted =
            |record: &RecordOutline| record.timestamp >= max.time && record.offset >= start;
        self.first_record(&segment, Key::Offset(max.at), max.time, wanted)
    }

    /// The largest timestamp in a segment among the records from `start` on.
    fn max_time_from(&self, segment: &Segment, start: Offset) -> Result<MaxTime, LogError> {
        let max = Cell::new(MaxTime::NONE);
        let larger = |record: &RecordOutline| {
            if record.offset >= start && record.timestamp > max.get().time {
                max.set(MaxTime { time: record.timestamp, at: record.offset });
            }
            false
        };
        self.first_record(segment, Key::Offset(start), 0, larger)?;
        Ok(max.get())
    }

    /// The first record from the key's place on that is wanted, looking only into
    /// batches with a timestamp of at least `time`.
    fn first_record(
        &self,
        segment: &Segment,
        key: Key,
        time: Millis,
        wanted: impl Fn(&RecordOutline) -> bool,
    ) -> Result<Option<Timed>, LogError> {
        let path = self.path(segment.base, segment::LOG_SUFFIX);
        let file = self.segment_file(segment.base).map_err(|error| self.io_error(&path, &error))?;
        let failed = |error: std::io::Error| self.unreadable(segment.base, &error);
        let floor = self.floor(segment, key, &*file).map_err(failed)?;
        let mut scan = Scan::new(&*file, floor.position, segment.committed, floor.base_offset)
            .with_gaps(segment.has_gaps());
        loop {
            let (header, position) = match scan.next(false).map_err(failed)? {
                Step::Batch { header, position } => (header, position),
                Step::End => return Ok(None),
                Step::Bad(detail) => return Err(self.damaged(scan.expected(), detail)),
            };
            if header.max_timestamp < time || header.attributes.is_control() {
                continue;
            }
            let mut bytes = vec![0; header.size];
            file.read_exact_at(&mut bytes, position).map_err(failed)?;
            let batch = RecordBatch::parse(&bytes)
                .and_then(|batch| batch.verify_crc().map(|()| batch))
                .map_err(|error| self.damaged(header.base_offset, error.to_string()))?;
            let mut found = None;
            // Never unpacked as a whole: a client that asks for a time should not have us
            // hold what a few bytes of another expand to. Records that cannot be decoded
            // came so from the producer: not found here.
            let _ = batch.outline(&DecompressionLimits::default(), |record| {
                if found.is_none() && wanted(&record) {
                    found = Some((record.offset, record.timestamp));
                }
            });
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Reads a part of the durable bytes again, checking every checksum, from `from` on
    /// and over about `budget` bytes. Returns how many it read, and where to go on
    /// unless that was all.
    pub(crate) fn scrub(&self, from: Offset, budget: u64) -> (u64, Option<Offset>) {
        let _files = self.files_stay.read();
        let (segment, next_base, start) = {
            let view = self.view.lock();
            let start = from.max(view.offsets.start);
            let after = view.segments.partition_point(|segment| segment.base <= start);
            let healthy = view.damage.is_none() && !view.deleted;
            let Some(index) = after.checked_sub(1).filter(|_| healthy) else { return (0, None) };
            (view.segments[index], view.segments.get(after).map(|next| next.base), start)
        };
        match self.scrub_segment(&segment, start, budget) {
            Ok((read, Some(next))) => (read, Some(next)),
            Ok((read, None)) => (read, next_base),
            Err(error) => {
                tracing::warn!(partition = %self.name, %error, "scrubbing failed");
                (0, None)
            }
        }
    }

    fn scrub_segment(
        &self,
        segment: &Segment,
        start: Offset,
        budget: u64,
    ) -> std::io::Result<(u64, Option<Offset>)> {
        let file = self.segment_file(segment.base)?;
        let floor = self.floor(segment, Key::Offset(start), &*file)?;
        let mut scan = Scan::new(&*file, floor.position, segment.committed, floor.base_offset)
            .with_gaps(segment.has_gaps());
        loop {
            let read = scan.position() - floor.position;
            if read >= budget && scan.expected() > start {
                return Ok((read, Some(scan.expected())));
            }
            match scan.next(true)? {
                Step::Batch { .. } => {}
                Step::End => return Ok((read, None)),
                Step::Bad(detail) => {
                    self.damaged(scan.expected(), detail);
                    return Ok((read, None));
                }
            }
        }
    }
}

/// What a read is to give.
struct Wanted {
    from: Offset,
    limit: Offset,
    budget: usize,
    /// Whether offsets may be missing between the batches.
    gaps: bool,
}

struct Checked {
    len: usize,
    next: Offset,
}

/// Size of the batch at the front, where its length field is there.
fn batch_size(bytes: &[u8]) -> Option<usize> {
    let header = thalweg_core::record_batch::BatchHeader::parse(bytes.get(..HEADER_BYTES)?);
    header.ok().map(|header| header.size)
}
