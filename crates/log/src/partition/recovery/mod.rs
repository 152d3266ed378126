//! Recovery of a partition: what of the files is the log, what is a torn tail, what is
//! damage. The rule is in the crate's documentation.

mod aside;
mod derived;
mod tail;

use std::io;
use std::path::Path;
use std::sync::Arc;

use thalweg_core::env::{Disk, DiskFile, OpenMode};
use thalweg_core::ids::{Offset, TopicPartition};
use thalweg_core::partition_log::LogOffsets;
use thalweg_core::time::Millis;

use super::append::sync_parents;
use super::{Marks, View, Writer, alarm};
use crate::format::FormatError;
use crate::mark::{self, DATA_START, Mark};
use crate::segment::scan::{Scan, Step};
use crate::segment::{
    ABORTED_SUFFIX, CUT_SUFFIX, INDEX_SUFFIX, IndexState, LOG_SUFFIX, MAGIC, PRODUCERS_SUFFIX,
    Segment, TEMPORARY_SUFFIX, file_path, parse_name,
};
use crate::shared::{failed_sync, is_failed_sync, is_storage_full};

/// Why a partition cannot be opened at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoveryError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Of a newer program: not to be touched.
    #[error("{file}: {error}")]
    Newer { file: String, error: FormatError },
}

/// State of a partition after recovery.
#[derive(Default)]
pub(crate) struct Recovered {
    pub(crate) marks: Marks,
    pub(crate) writer: Writer,
    pub(crate) view: View,
}

/// Where and what to recover.
pub(crate) struct Recovery<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    pub(crate) owner: (u128, i32),
    pub(crate) name: &'a TopicPartition,
    pub(crate) now: Millis,
    /// The log was closed before: what is read is durable.
    pub(crate) clean: bool,
    pub(crate) index_interval_bytes: u64,
}

/// A segment file as it is found.
struct Found {
    base: Offset,
    file: Arc<dyn DiskFile>,
    len: u64,
    mark: Option<Mark>,
}

/// What the names in the directory say.
#[derive(Default)]
struct Listing {
    segments: Vec<Offset>,
    snapshots: Vec<Offset>,
    temporary: Vec<String>,
    derived: Vec<Offset>,
    /// What was put aside, by the first offset in it.
    cut: Vec<(Offset, String)>,
}

impl Recovery<'_> {
    /// Brings the partition to a state that can be written to, or finds damage and
    /// leaves everything as it is. Running it again after a crash at any point of it
    /// comes to the same result.
    ///
    /// A disk that fails only here makes this partition read-only. Not so a failed sync,
    /// which is an error: nobody knows what is durable then.
    pub(crate) fn run(&self) -> Result<Recovered, RecoveryError> {
        match self.recover() {
            Err(RecoveryError::Io(error)) if !is_failed_sync(&error) => self.unreadable(&error),
            recovered => recovered,
        }
    }

    fn recover(&self) -> Result<Recovered, RecoveryError> {
        let listing = match self.list() {
            // Never written to.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Recovered::default());
            }
            listing => listing?,
        };
        for name in &listing.temporary {
            self.disk.remove_file(&self.dir.join(name))?;
        }
        let mut found = Vec::with_capacity(listing.segments.len());
        for &base in &listing.segments {
            found.push(self.open_segment(base)?);
        }
        if found.is_empty() {
            return Ok(self.without_segments(&listing));
        }
        self.remove_replaced(&mut found)?;
        let log_start =
            found.iter().filter_map(|f| f.mark).map(|mark| mark.log_start).max().unwrap_or(0);
        if !self.clean {
            self.write_marks_again(&found)?;
        }
        self.remove_before(log_start, &mut found)?;
        for (_, name) in listing.cut.iter().filter(|(offset, _)| *offset < log_start) {
            self.remove_if_there(&self.dir.join(name))?;
        }
        let state = match self.find_damage(&found, log_start) {
            Some(reason) => self.read_only(&found, log_start, reason),
            None => match self.recover_tail(&mut found, log_start)? {
                Ok(tail) => self.assemble(&found, tail, log_start, &listing)?,
                Err(reason) => self.read_only(&found, log_start, reason),
            },
        };
        Ok(state)
    }

    /// A directory without segments was never written to, unless something tells of some:
    /// all that is derived from them is written after them, and goes before the last.
    fn without_segments(&self, listing: &Listing) -> Recovered {
        let cut = listing.cut.iter().map(|(offset, _)| offset);
        let told = listing.snapshots.iter().chain(&listing.derived).chain(cut).max();
        let Some(&end) = told else { return Recovered::default() };
        let reason = format!("all segments are missing, of which other files tell up to {end}");
        self.served_as_is(&[], 0, end, reason)
    }

    /// State of a partition that the disk does not let us recover.
    fn unreadable(&self, error: &io::Error) -> Result<Recovered, RecoveryError> {
        let mut found = Vec::new();
        for base in self.list().unwrap_or_default().segments {
            let opened =
                match self.open_segment(base) {
                    Err(RecoveryError::Io(_)) => self
                        .open_file(base)
                        .ok()
                        .map(|(file, len)| Found { base, file, len, mark: None }),
                    opened => Some(opened?),
                };
            found.extend(opened);
        }
        let first = found.first().map_or(0, |first| first.base);
        let starts = found.iter().filter_map(|f| f.mark).map(|mark| mark.log_start);
        let reason = if is_storage_full(error) {
            format!("there is no space to recover it ({error}): free some and start again")
        } else {
            format!("the disk failed while it was recovered ({error}): check it and start again")
        };
        Ok(self.served_as_is(&found, starts.max().unwrap_or(0).max(first), 0, reason))
    }

    fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in self.disk.list(self.dir)? {
            if let Some(base) = parse_name(&entry.name, LOG_SUFFIX) {
                listing.segments.push(base);
            } else if let Some(at) = parse_name(&entry.name, PRODUCERS_SUFFIX) {
                listing.snapshots.push(at);
            } else if let Some(base) = parse_name(&entry.name, INDEX_SUFFIX)
                .or_else(|| parse_name(&entry.name, ABORTED_SUFFIX))
            {
                listing.derived.push(base);
            } else if entry.name.ends_with(TEMPORARY_SUFFIX) {
                listing.temporary.push(entry.name);
            } else if entry.name.ends_with(CUT_SUFFIX) {
                let digits = entry.name.get(..20).and_then(|digits| digits.parse().ok());
                listing.cut.extend(digits.map(|offset| (offset, entry.name)));
            }
        }
        listing.segments.sort_unstable();
        listing.snapshots.sort_unstable();
        Ok(listing)
    }

    fn open_segment(&self, base: Offset) -> Result<Found, RecoveryError> {
        let (file, len) = self.open_file(base)?;
        let mark = match mark::read(&*file, &MAGIC)? {
            Ok(mark) => Some(mark).filter(|mark| mark.owner == self.owner && mark.base == base),
            Err(error @ FormatError::Newer { .. }) => {
                let path = file_path(self.dir, base, LOG_SUFFIX);
                return Err(RecoveryError::Newer { file: path.display().to_string(), error });
            }
            Err(_) => None,
        };
        Ok(Found { base, len, file, mark })
    }

    fn open_file(&self, base: Offset) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let path = file_path(self.dir, base, LOG_SUFFIX);
        let file: Arc<dyn DiskFile> = self.disk.open(&path, OpenMode::Write)?.into();
        let len = file.len()?;
        Ok((file, len))
    }

    /// Makes the marks and names durable that are about to be believed: what a process
    /// leaves that was killed, or had a sync fail, may be in the page cache alone.
    fn write_marks_again(&self, found: &[Found]) -> io::Result<()> {
        let open = |segment: &&Found| segment.mark.is_some_and(|mark| !mark.sealed);
        for segment in found.iter().filter(open) {
            let Some(mark) = segment.mark else { continue };
            if mark.sequence == 0 {
                // Older than the sync of the segment's name.
                let parents = || sync_parents(self.disk, self.dir);
                self.disk.sync_dir(self.dir).and_then(|()| parents()).map_err(failed_sync)?;
            }
            match mark::write(&*segment.file, &MAGIC, &mark) {
                // Copying on write, a full disk takes none, but does not tear one either.
                Err(error) if is_storage_full(&error) => {}
                written => written?,
            }
            segment.file.sync_data().map_err(failed_sync)?;
        }
        Ok(())
    }

    /// Removes what compaction has put into another segment: files within the range of a
    /// segment that it has written.
    fn remove_replaced(&self, found: &mut Vec<Found>) -> io::Result<()> {
        let ranges: Vec<_> = found
            .iter()
            .filter_map(|segment| segment.mark)
            .filter(|mark| mark.generation > 0 && mark.sealed)
            .map(|mark| mark.base + 1..mark.durable)
            .collect();
        let replaced = found
            .extract_if(.., |segment| ranges.iter().any(|range| range.contains(&segment.base)));
        let replaced: Vec<Offset> = replaced.map(|segment| segment.base).collect();
        if replaced.is_empty() {
            return Ok(());
        }
        // The new segment's name first: it may be in the page cache alone.
        self.disk.sync_dir(self.dir).map_err(failed_sync)?;
        for base in replaced {
            self.disk.remove_file(&file_path(self.dir, base, LOG_SUFFIX))?;
            self.remove_derived(base)?;
        }
        Ok(())
    }

    /// Removes what a deletion of old segments left, as long as the mark of a segment that
    /// stays tells where the log starts.
    fn remove_before(&self, log_start: Offset, found: &mut Vec<Found>) -> io::Result<()> {
        let tells = |segment: &Found| segment.mark.is_some_and(|mark| mark.log_start == log_start);
        while found.get(1).is_some_and(|next| next.base <= log_start)
            && found[1..].iter().any(tells)
        {
            let old = found.remove(0);
            self.disk.remove_file(&file_path(self.dir, old.base, LOG_SUFFIX))?;
            self.remove_derived(old.base)?;
        }
        Ok(())
    }

    fn remove_derived(&self, base: Offset) -> io::Result<()> {
        [INDEX_SUFFIX, ABORTED_SUFFIX]
            .iter()
            .try_for_each(|suffix| self.remove_if_there(&file_path(self.dir, base, suffix)))
    }

    fn remove_if_there(&self, path: &Path) -> io::Result<()> {
        match self.disk.remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Damage that the files' heads, lengths and names show.
    fn find_damage(&self, found: &[Found], log_start: Offset) -> Option<String> {
        let first = found.first()?;
        if first.base > log_start {
            return Some(format!("the segment with offset {log_start} is missing"));
        }
        for segment in found {
            let Some(mark) = &segment.mark else {
                return Some(format!("the head of segment {} is damaged", segment.base));
            };
            if segment.len < mark.position {
                return Some(format!(
                    "segment {} has {} bytes, of which {} were durable",
                    segment.base, segment.len, mark.position
                ));
            }
        }
        for pair in found.windows(2) {
            let end = pair[0].mark.filter(|mark| mark.sealed).map(|mark| mark.durable);
            if end.is_some_and(|end| end != pair[1].base) {
                return Some(format!(
                    "the segment between {} and {} is missing",
                    pair[0].base, pair[1].base
                ));
            }
        }
        let last = found.last()?;
        if last.mark.is_some_and(|mark| mark.sealed) {
            return Some(format!("the segment after {} is missing", last.base));
        }
        None
    }

    /// State of a damaged partition: nothing is changed, and what is good can be read.
    fn read_only(&self, found: &[Found], log_start: Offset, reason: String) -> Recovered {
        self.served_as_is(found, log_start, 0, reason)
    }

    /// The same, where the log is known to have reached an offset.
    fn served_as_is(
        &self,
        found: &[Found],
        log_start: Offset,
        reached: Offset,
        reason: String,
    ) -> Recovered {
        let reason = format!("{reason}; restore the partition from a copy, or copy what is good");
        alarm(self.name, &reason);
        let mut segments = Vec::with_capacity(found.len());
        for (index, segment) in found.iter().enumerate() {
            let below = found.get(index + 1).map_or(Offset::MAX, |next| next.base);
            segments.push(survey(segment, below));
        }
        let durable = found.iter().filter_map(|f| f.mark).map(|mark| mark.durable).max();
        let last = segments.last().map_or(0, |last| last.end);
        let end = durable.unwrap_or(0).max(last).max(reached);
        let offsets = LogOffsets { start: log_start, last_stable: end, high_watermark: end, end };
        Recovered {
            marks: Marks::default(),
            writer: Writer { end, ..Writer::default() },
            view: View { offsets, segments, damage: Some(reason), ..View::default() },
        }
    }
}

/// What can be said of a segment of a damaged partition, as far as it can be read.
fn survey(segment: &Found, below: Offset) -> Segment {
    let mark = segment.mark.unwrap_or(Mark { base: segment.base, ..Mark::default() });
    let mut state = Segment::begun(&mark);
    let mut scan = Scan::new(&*segment.file, DATA_START, segment.len.max(DATA_START), segment.base)
        .with_gaps(state.has_gaps());
    loop {
        match scan.next(false) {
            Ok(Step::Batch { header, .. }) => {
                state.max_written.add(&header);
                state.end = scan.expected();
                state.written = scan.position();
            }
            Ok(Step::Bad(_)) if scan.resync(below).unwrap_or(false) => {}
            Ok(Step::End | Step::Bad(_)) => break,
            Err(error) => {
                tracing::warn!(base = segment.base, %error, "a segment can be read in part");
                break;
            }
        }
    }
    state.committed = state.written;
    state.max_committed = state.max_written;
    state.aborted = IndexState::Lost;
    state
}
