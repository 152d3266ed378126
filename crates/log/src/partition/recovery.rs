//! Recovery of a partition: what of the files is the log, what is a torn tail, what is
//! damage. The rule is in the crate's documentation.

use std::io;
use std::path::Path;
use std::sync::Arc;

use thalweg_core::env::{Disk, DiskFile, OpenMode};
use thalweg_core::ids::{Offset, TopicPartition};
use thalweg_core::partition_log::LogOffsets;
use thalweg_core::time::Millis;

use super::append::sync_parents;
use super::commit::full_mark;
use super::locate::IndexBuilder;
use super::producer_state::ProducerState;
use super::snapshot;
use super::{Marks, View, Writer, alarm};
use crate::format::FormatError;
use crate::mark::{self, DATA_START, Mark};
use crate::segment::index::{self, IndexEntry};
use crate::segment::scan::{Scan, Step, find_valid};
use crate::segment::{
    INDEX_SUFFIX, IndexState, LOG_SUFFIX, MAGIC, MaxTime, PRODUCERS_SUFFIX, Segment,
    TEMPORARY_SUFFIX, file_path, parse_name,
};

/// Cut bytes among which valid batches were found are kept up to this many.
const MAX_KEPT_CUT_BYTES: u64 = 16 << 20;

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
    indexes: Vec<Offset>,
}

impl Recovery<'_> {
    /// Brings the partition to a state that can be written to, or finds damage and
    /// leaves everything as it is. Running it again after a crash at any point of it
    /// comes to the same result.
    pub(crate) fn run(&self) -> Result<Recovered, RecoveryError> {
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
        let log_start =
            found.iter().filter_map(|f| f.mark).map(|mark| mark.log_start).max().unwrap_or(0);
        if !self.clean {
            self.write_marks_again(&found)?;
        }
        self.remove_before(log_start, &mut found)?;
        if found.is_empty() {
            return Ok(Recovered::default());
        }
        let state = match self.find_damage(&found, log_start) {
            Some(reason) => self.read_only(&found, log_start, reason)?,
            None => match self.recover_tail(&mut found, log_start)? {
                Ok(tail) => self.assemble(&found, tail, log_start, &listing)?,
                Err(reason) => self.read_only(&found, log_start, reason)?,
            },
        };
        Ok(state)
    }

    fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in self.disk.list(self.dir)? {
            if let Some(base) = parse_name(&entry.name, LOG_SUFFIX) {
                listing.segments.push(base);
            } else if let Some(at) = parse_name(&entry.name, PRODUCERS_SUFFIX) {
                listing.snapshots.push(at);
            } else if let Some(base) = parse_name(&entry.name, INDEX_SUFFIX) {
                listing.indexes.push(base);
            } else if entry.name.ends_with(TEMPORARY_SUFFIX) {
                listing.temporary.push(entry.name);
            }
        }
        listing.segments.sort_unstable();
        listing.snapshots.sort_unstable();
        Ok(listing)
    }

    fn open_segment(&self, base: Offset) -> Result<Found, RecoveryError> {
        let path = file_path(self.dir, base, LOG_SUFFIX);
        let file: Arc<dyn DiskFile> = self.disk.open(&path, OpenMode::Write)?.into();
        let mark = match mark::read(&*file, &MAGIC)? {
            Ok(mark) => Some(mark).filter(|mark| mark.owner == self.owner && mark.base == base),
            Err(error @ FormatError::Newer { .. }) => {
                return Err(RecoveryError::Newer { file: path.display().to_string(), error });
            }
            Err(_) => None,
        };
        Ok(Found { base, len: file.len()?, file, mark })
    }

    /// Makes the marks and names durable that are about to be believed: what a process
    /// leaves that was killed, or had a sync fail, may be in the page cache alone.
    fn write_marks_again(&self, found: &[Found]) -> io::Result<()> {
        let open = |segment: &&Found| segment.mark.is_some_and(|mark| !mark.sealed);
        for segment in found.iter().filter(open) {
            let Some(mark) = segment.mark else { continue };
            if mark.sequence == 0 {
                // Older than the sync of the segment's name.
                self.disk.sync_dir(self.dir)?;
                sync_parents(self.disk, self.dir)?;
            }
            mark::write(&*segment.file, &MAGIC, &mark)?;
            segment.file.sync_data()?;
        }
        Ok(())
    }

    /// Removes what a deletion of old segments left.
    fn remove_before(&self, log_start: Offset, found: &mut Vec<Found>) -> io::Result<()> {
        while found.get(1).is_some_and(|next| next.base <= log_start) {
            let old = found.remove(0);
            self.disk.remove_file(&file_path(self.dir, old.base, LOG_SUFFIX))?;
            self.remove_if_there(&file_path(self.dir, old.base, INDEX_SUFFIX))?;
        }
        Ok(())
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

    /// Finds the end of the log behind the durable marks, cuts what is torn, and makes
    /// durable what is left. The inner error is damage.
    fn recover_tail(
        &self,
        found: &mut Vec<Found>,
        log_start: Offset,
    ) -> io::Result<Result<Tail, String>> {
        let durable =
            found.iter().filter_map(|f| f.mark).map(|mark| mark.durable).max().unwrap_or(0);
        let mut tail = Tail { segments: Vec::new(), end: 0 };
        let mut index = 0;
        while index < found.len() {
            let segment = &found[index];
            let Some(mark) = segment.mark else { break };
            let walked = walk_tail(segment, &mark)?;
            let next_base = found.get(index + 1).map(|next| next.base);
            let stopped = match (&walked.bad, next_base) {
                (Some(detail), _) => Some(detail.clone()),
                (None, Some(next)) if walked.state.end != next => {
                    Some(format!("the segment ends before offset {next}"))
                }
                _ => None,
            };
            tail.end = walked.state.end;
            if let Some(detail) = stopped {
                if durable > walked.state.end {
                    return Ok(Err(format!(
                        "bad bytes at offset {} in segment {} ({detail}), but everything before \
                         offset {durable} was durable",
                        walked.state.end, segment.base
                    )));
                }
                self.cut(found, index, &walked, &detail)?;
            }
            tail.segments.push(walked.state);
            index += 1;
        }
        self.settle(found, &mut tail, log_start)?;
        Ok(Ok(tail))
    }

    /// Cuts the log behind the last good batch of segment `index`. Later segments go
    /// first, newest first, so that a crash on the way leaves the same question.
    fn cut(
        &self,
        found: &mut Vec<Found>,
        index: usize,
        walked: &Walked,
        detail: &str,
    ) -> io::Result<()> {
        let end = walked.state.written;
        let lost = found[index].len - end;
        let valid_behind = found.len() > index + 1
            || find_valid(
                &*found[index].file,
                end,
                found[index].len,
                walked.state.end,
                Offset::MAX,
            )?
            .is_some();
        tracing::warn!(
            partition = %self.name, segment = found[index].base, offset = walked.state.end,
            bytes = lost, later_segments = found.len() - index - 1, valid_behind, detail,
            "cut a torn tail that nobody was promised"
        );
        if valid_behind {
            self.keep_cut_bytes(&found[index], walked);
        }
        while found.len() > index + 1 {
            if let Some(later) = found.pop() {
                self.disk.remove_file(&file_path(self.dir, later.base, LOG_SUFFIX))?;
                self.remove_if_there(&file_path(self.dir, later.base, INDEX_SUFFIX))?;
                self.disk.sync_dir(self.dir)?;
            }
        }
        found[index].file.set_len(end)?;
        found[index].file.sync_data()?;
        found[index].len = end;
        Ok(())
    }

    /// Puts cut bytes aside for a human, as good as it goes.
    fn keep_cut_bytes(&self, segment: &Found, walked: &Walked) {
        let from = walked.state.written;
        let len = (segment.len - from).min(MAX_KEPT_CUT_BYTES);
        let path = file_path(self.dir, walked.state.end, ".cut");
        let kept = || -> io::Result<()> {
            let mut bytes = vec![0; len as usize];
            segment.file.read_exact_at(&mut bytes, from)?;
            let file = self.disk.open(&path, OpenMode::Create)?;
            file.set_len(0)?;
            file.write_at(&bytes, 0)
        };
        match kept() {
            Ok(()) => tracing::warn!(path = %path.display(), len, "kept the cut bytes"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "cut bytes not kept"),
        }
    }

    /// Makes everything that was found durable, and says so in the marks.
    fn settle(&self, found: &mut [Found], tail: &mut Tail, log_start: Offset) -> io::Result<()> {
        let count = found.len();
        for (index, (segment, state)) in found.iter_mut().zip(&mut tail.segments).enumerate() {
            let Some(mark) = segment.mark else { continue };
            state.committed = state.written;
            state.max_committed = state.max_written;
            let is_last = index + 1 == count;
            if mark.sealed || (is_last && mark.durable == state.end) {
                continue;
            }
            write_again(&*segment.file, mark.position, state.written)?;
            segment.file.sync_data()?;
            let full = Mark { sealed: !is_last, ..full_mark(&mark, state, log_start) };
            mark::write(&*segment.file, &MAGIC, &full)?;
            segment.file.sync_data()?;
            segment.mark = Some(full);
        }
        Ok(())
    }

    /// Puts the state together: producers and the last index are brought up to the end.
    fn assemble(
        &self,
        found: &[Found],
        mut tail: Tail,
        log_start: Offset,
        listing: &Listing,
    ) -> io::Result<Recovered> {
        let end = tail.end;
        let beyond: Vec<_> = listing.snapshots.iter().filter(|&&at| at > end).collect();
        for at in &beyond {
            self.disk.remove_file(&file_path(self.dir, **at, PRODUCERS_SUFFIX))?;
        }
        if !beyond.is_empty() {
            self.disk.sync_dir(self.dir)?;
        }
        for base in &listing.indexes {
            if !found.iter().any(|segment| segment.base == *base) {
                self.remove_if_there(&file_path(self.dir, *base, INDEX_SUFFIX))?;
            }
        }
        let snapshot =
            snapshot::load(self.disk, self.dir, self.owner, &listing.snapshots, log_start..=end);
        let (from, mut producers) = snapshot.unwrap_or((log_start, ProducerState::default()));
        let mut damage = None;
        let mut unsaved = 0;
        let mut unindexed = 0;
        for (index, segment) in found.iter().enumerate() {
            let state = &mut tail.segments[index];
            let is_last = index + 1 == found.len();
            if state.end <= from && !is_last {
                continue;
            }
            let replayed = self.replay(segment, state, from, is_last, &mut producers)?;
            unsaved += replayed.bytes;
            unindexed = replayed.since_entry;
            damage = damage.or(replayed.damage);
        }
        if let Some(reason) = damage {
            return self.read_only(found, log_start, reason);
        }
        let Some(last) = tail.segments.last() else { return Ok(Recovered::default()) };
        let offsets = LogOffsets {
            start: log_start,
            last_stable: producers.first_open().unwrap_or(end).min(end),
            high_watermark: end,
            end,
        };
        Ok(Recovered {
            marks: Marks { active: found.last().and_then(|last| last.mark), ..Marks::default() },
            writer: Writer {
                end,
                position: last.written,
                unindexed_bytes: unindexed,
                unsaved_bytes: unsaved,
                producers,
                ..Writer::default()
            },
            view: View { offsets, segments: tail.segments, ..View::default() },
        })
    }

    /// Walks over the headers of a segment for what is derived from them: producers from
    /// `from` on, and the index of the last segment behind its good entries.
    fn replay(
        &self,
        segment: &Found,
        state: &mut Segment,
        from: Offset,
        is_last: bool,
        producers: &mut ProducerState,
    ) -> io::Result<Replayed> {
        let index = self.open_index(segment, state)?;
        let at = |entry: IndexEntry| (entry.offset, entry.position);
        let beginning = (segment.base, DATA_START);
        // An entry that points nowhere makes the walk begin at the beginning.
        let entry_for = |key| match index::find(&*index.file, segment.base, index.count, key) {
            Ok(Ok(Some(entry))) if self.is_batch(segment, state, &entry) => Some(entry),
            _ => None,
        };
        let for_producers = entry_for(index::Key::Offset(from.max(segment.base)));
        let last_entry = index.last.filter(|entry| self.is_batch(segment, state, entry));
        let (kept, kept_last) = match last_entry {
            Some(last) => (index.count, Some(last)),
            None => (0, None),
        };
        let index_from = kept_last.map_or(beginning, at);
        let producers_from = if from >= state.end {
            (state.end, state.written)
        } else {
            for_producers.map_or(beginning, at)
        };
        let (offset, position) =
            if is_last { index_from.min(producers_from) } else { producers_from };
        let interval = self.index_interval_bytes;
        let mut builder =
            IndexBuilder::new(&*index.file, segment.base, interval).resume(kept, kept_last);
        if is_last && kept < index.count {
            index::truncate(&*index.file, kept)?;
        }
        let mut replayed = Replayed { bytes: 0, since_entry: 0, damage: None };
        let mut indexing = is_last;
        let mut scan = Scan::new(&*segment.file, position, state.written, offset);
        loop {
            let (header, position) = match scan.next(false)? {
                Step::Batch { header, position } => (header, position),
                Step::End => break,
                Step::Bad(detail) => {
                    replayed.damage = Some(format!(
                        "bad bytes at offset {} in segment {} ({detail})",
                        scan.expected(),
                        segment.base
                    ));
                    break;
                }
            };
            if indexing && position >= index_from.1 {
                let skip = kept_last.is_some_and(|last| last.position == position);
                let batch = (header.base_offset, position, header.size as u64);
                // An index that cannot be written is built when it is looked for.
                let added = if skip {
                    builder.skip(header.size as u64, header.max_timestamp);
                    Ok(())
                } else {
                    builder.add(batch, header.max_timestamp)
                };
                indexing = added.is_ok();
            }
            if header.base_offset >= from {
                let control = if header.attributes.is_control() {
                    scan.control(&header, position)?
                } else {
                    None
                };
                producers.replay(&header, control, self.now);
                replayed.bytes += header.size as u64;
            }
        }
        if is_last {
            state.index =
                if indexing { IndexState::Ready(builder.count) } else { IndexState::Lost };
            replayed.since_entry = builder.since_entry();
        }
        Ok(replayed)
    }

    fn is_batch(&self, segment: &Found, state: &Segment, entry: &IndexEntry) -> bool {
        let mut probe = Scan::new(&*segment.file, entry.position, state.written, entry.offset);
        matches!(probe.next(true), Ok(Step::Batch { .. }))
    }

    /// The index of a segment with its good entries. What is behind them, or an index
    /// that is not one, is cut off for good before anything is appended: an entry of a
    /// former life must not come back.
    fn open_index(&self, segment: &Found, state: &Segment) -> io::Result<OpenIndex> {
        let path = file_path(self.dir, segment.base, INDEX_SUFFIX);
        let owner = (self.owner.0, self.owner.1, segment.base);
        let file: Arc<dyn DiskFile> = match self.disk.open(&path, OpenMode::Write) {
            Ok(file) => file.into(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                index::create(self.disk, &path, owner)?
            }
            Err(error) => return Err(error),
        };
        let (count, last) = match index::check(&*file, owner, state.written)? {
            Some(good) => good,
            None => {
                drop(file);
                let file = index::create(self.disk, &path, owner)?;
                file.sync_data()?;
                return Ok(OpenIndex { file, count: 0, last: None });
            }
        };
        if index::has_more(&*file, count)? {
            index::truncate(&*file, count)?;
            file.sync_data()?;
        }
        Ok(OpenIndex { file, count, last })
    }

    /// State of a damaged partition: nothing is changed, and what is good can be read.
    fn read_only(
        &self,
        found: &[Found],
        log_start: Offset,
        reason: String,
    ) -> io::Result<Recovered> {
        let reason = format!("{reason}; restore the partition from a copy, or copy what is good");
        alarm(self.name, &reason);
        let mut segments = Vec::with_capacity(found.len());
        for (index, segment) in found.iter().enumerate() {
            let below = found.get(index + 1).map_or(Offset::MAX, |next| next.base);
            segments.push(survey(segment, below)?);
        }
        let durable = found.iter().filter_map(|f| f.mark).map(|mark| mark.durable).max();
        let reached = segments.last().map_or(0, |last| last.end);
        let end = durable.unwrap_or(0).max(reached);
        let offsets = LogOffsets { start: log_start, last_stable: end, high_watermark: end, end };
        Ok(Recovered {
            marks: Marks::default(),
            writer: Writer { end, ..Writer::default() },
            view: View { offsets, segments, damage: Some(reason), ..View::default() },
        })
    }
}

/// The log behind its marks.
struct Tail {
    segments: Vec<Segment>,
    end: Offset,
}

struct OpenIndex {
    file: Arc<dyn DiskFile>,
    count: u32,
    last: Option<IndexEntry>,
}

struct Replayed {
    bytes: u64,
    since_entry: u64,
    damage: Option<String>,
}

/// Writes bytes back as they are read. After a failed sync the page cache may show bytes
/// that are not on the disk and that no further sync would write, unless they are
/// written to again (PostgreSQL's fsync lesson).
fn write_again(file: &dyn DiskFile, mut from: u64, to: u64) -> io::Result<()> {
    let mut chunk = vec![0; to.saturating_sub(from).min(1 << 20) as usize];
    while from < to {
        let len = (to - from).min(chunk.len() as u64) as usize;
        file.read_exact_at(&mut chunk[..len], from)?;
        file.write_at(&chunk[..len], from)?;
        from += len as u64;
    }
    Ok(())
}

/// A walk from a segment's mark to its end.
struct Walked {
    state: Segment,
    bad: Option<String>,
}

fn walk_tail(segment: &Found, mark: &Mark) -> io::Result<Walked> {
    let mut state = Segment::begun(mark);
    if mark.sealed {
        state.index = IndexState::Unchecked(mark.index_entries);
    }
    // The first mark of a segment tells of the time before it.
    let (end, written) = (mark.durable.max(segment.base), mark.position);
    state.max_written = MaxTime::of(mark);
    let mut scan = Scan::new(&*segment.file, written, segment.len, end);
    let bad = loop {
        match scan.next(true)? {
            Step::Batch { header, .. } => {
                state.max_written.add(header.max_timestamp, header.base_offset);
            }
            Step::End => break None,
            Step::Bad(detail) => break Some(detail),
        }
    };
    state.end = scan.expected();
    state.written = scan.position();
    Ok(Walked { state, bad })
}

/// What can be said of a segment of a damaged partition.
fn survey(segment: &Found, below: Offset) -> io::Result<Segment> {
    let mark = segment.mark.unwrap_or(Mark { base: segment.base, ..Mark::default() });
    let mut state = Segment::begun(&mark);
    let mut scan = Scan::new(&*segment.file, DATA_START, segment.len.max(DATA_START), segment.base);
    loop {
        match scan.next(false)? {
            Step::Batch { header, .. } => {
                state.max_written.add(header.max_timestamp, header.base_offset);
                state.end = scan.expected();
                state.written = scan.position();
            }
            Step::End => break,
            Step::Bad(_) if scan.resync(below)? => {}
            Step::Bad(_) => break,
        }
    }
    state.committed = state.written;
    state.max_committed = state.max_written;
    Ok(state)
}
