//! What is derived from the log: producer state and the last segment's index, brought up
//! to the end of the recovered log.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thalweg_core::env::{Disk, DiskFile, OpenMode};
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::LogOffsets;

use super::super::locate::IndexBuilder;
use super::super::producer_state::{Listed, ProducerState};
use super::super::{Marks, View, Writer, snapshot};
use super::tail::Tail;
use super::{Found, Listing, Recovered, Recovery};
use crate::mark::{DATA_START, UNKNOWN};
use crate::segment::aborted::{self, Aborted};
use crate::segment::index::{self, IndexEntry, Key};
use crate::segment::scan::{Scan, Step};
use crate::segment::{
    ABORTED_SUFFIX, INDEX_SUFFIX, IndexState, PRODUCERS_SUFFIX, Segment, file_path,
};
use crate::shared::{failed_sync, is_storage_full};

/// The good entries of an index.
struct OpenIndex {
    file: Arc<dyn DiskFile>,
    count: u32,
    last: Option<IndexEntry>,
}

/// A list of aborted transactions that is being completed.
struct List<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    owner: index::Owner,
    file: Option<Arc<dyn DiskFile>>,
    count: u32,
}

impl List<'_> {
    fn add(&mut self, entry: &Aborted) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => aborted::create(self.disk, &self.path, self.owner)?,
        };
        aborted::write(&*file, self.owner.base, self.count, entry)?;
        self.file = Some(file);
        self.count += 1;
        Ok(())
    }

    fn state(&self) -> IndexState {
        IndexState::Ready(self.count)
    }
}

/// Outcome of a walk over headers; the error is damage.
type Walk<T> = io::Result<Result<T, String>>;

impl Recovery<'_> {
    /// Puts the state together.
    pub(super) fn assemble(
        &self,
        found: &[Found],
        mut tail: Tail,
        log_start: Offset,
        listing: &Listing,
    ) -> io::Result<Recovered> {
        let end = tail.end;
        self.remove_stale(found, end, listing)?;
        let snapshot =
            snapshot::load(self.disk, self.dir, self.owner, &listing.snapshots, log_start..=end);
        let (from, mut producers, listed) =
            snapshot.unwrap_or((log_start, ProducerState::default(), Listed::NONE));
        let mut unsaved_bytes = 0;
        for (segment, state) in found.iter().zip(&mut tail.segments) {
            let mut list = self.resume_list(segment, state, from, listed);
            match self.replay_producers(segment, state, from, &mut producers, &mut list)? {
                Ok(bytes) => unsaved_bytes += bytes,
                Err(damage) => return Ok(self.read_only(found, log_start, damage)),
            }
        }
        let (Some(last), Some(file)) = (tail.segments.last_mut(), found.last()) else {
            return Ok(Recovered::default());
        };
        let unindexed_bytes = match self.complete_index(file, last)? {
            Ok(bytes) => bytes,
            Err(damage) => return Ok(self.read_only(found, log_start, damage)),
        };
        let position = last.written;
        let last_stable = producers.first_open().unwrap_or(end).max(log_start).min(end);
        let offsets = LogOffsets { start: log_start, last_stable, high_watermark: end, end };
        Ok(Recovered {
            marks: Marks { active: file.mark, ..Marks::default() },
            writer: Writer {
                end,
                position,
                unindexed_bytes,
                unsaved_bytes,
                saved_at: from,
                producers,
                ..Writer::default()
            },
            view: View { offsets, segments: tail.segments, ..View::default() },
        })
    }

    /// Removes snapshots from behind the end, which would be wrong as soon as something
    /// else is appended there, and indexes without a segment.
    fn remove_stale(&self, found: &[Found], end: Offset, listing: &Listing) -> io::Result<()> {
        let mut removed = false;
        for at in listing.snapshots.iter().filter(|&&at| at > end) {
            self.disk.remove_file(&file_path(self.dir, *at, PRODUCERS_SUFFIX))?;
            removed = true;
        }
        for base in &listing.derived {
            if !found.iter().any(|segment| segment.base == *base) {
                self.remove_derived(*base)?;
            }
        }
        if removed { self.disk.sync_dir(self.dir).map_err(failed_sync) } else { Ok(()) }
    }

    /// Takes the batches of a segment from offset `from` on into the producer state;
    /// returns how many bytes they have.
    fn replay_producers(
        &self,
        segment: &Found,
        state: &mut Segment,
        from: Offset,
        producers: &mut ProducerState,
        list: &mut Option<List<'_>>,
    ) -> Walk<u64> {
        if state.end <= from {
            return Ok(Ok(0));
        }
        let (offset, position) = self.floor(segment, state, from);
        let mut scan =
            Scan::new(&*segment.file, position, state.written, offset).with_gaps(state.has_gaps());
        let mut bytes = 0;
        let replayed = list.is_some();
        loop {
            let (header, position) = match scan.next(false)? {
                Step::Batch { header, position } => (header, position),
                Step::End => break,
                Step::Bad(detail) => return Ok(Err(bad(&scan, segment, &detail))),
            };
            if header.base_offset < from {
                continue;
            }
            let control = if header.attributes.is_control() {
                scan.control(&header, position)?
            } else {
                None
            };
            let aborted = producers.replay(&header, control, self.now);
            if let (Some(open), Some(entry)) = (list.as_mut(), aborted)
                && let Err(error) = open.add(&entry)
            {
                if !is_storage_full(&error) {
                    return Err(error);
                }
                *list = None;
            }
            bytes += header.size as u64;
        }
        if replayed {
            state.aborted = list.as_ref().map_or(IndexState::Lost, List::state);
        }
        Ok(Ok(bytes))
    }

    /// The list of aborted transactions of a segment whose mark does not tell of it, to be
    /// gone on with as the producers are replayed from `from` on. `None` where the mark
    /// tells, or where the replay begins too late: it is built when it is looked for.
    fn resume_list(
        &self,
        segment: &Found,
        state: &Segment,
        from: Offset,
        listed: Listed,
    ) -> Option<List<'_>> {
        let path = file_path(self.dir, segment.base, ABORTED_SUFFIX);
        let list = |file, count| List {
            disk: self.disk,
            path: path.clone(),
            owner: self.index_owner(segment),
            file,
            count,
        };
        if state.aborted != IndexState::Lost || state.end < from {
            None
        } else if from <= segment.base || (listed.base == segment.base && listed.entries == 0) {
            Some(list(None, 0))
        } else if listed.base == segment.base && listed.entries != UNKNOWN {
            let file = self.disk.open(&path, OpenMode::Write).ok()?;
            let good = aborted::check(&*file, self.index_owner(segment), listed.entries);
            good.ok()?.then(|| list(Some(file.into()), listed.entries))
        } else {
            None
        }
    }

    /// Offset and place of a batch that is not beyond `from`, by the index if there is a
    /// good one.
    fn floor(&self, segment: &Found, state: &Segment, from: Offset) -> (Offset, u64) {
        let by_index = || {
            let path = file_path(self.dir, segment.base, INDEX_SUFFIX);
            let file = self.disk.open(&path, OpenMode::Read).ok()?;
            let (count, _) =
                index::check(&*file, self.index_owner(segment), state.written).ok()??;
            let found = index::find(&*file, segment.base, count, Key::Offset(from));
            let entry = found.ok()?.ok()??;
            is_batch(segment, state, &entry).then_some((entry.offset, entry.position))
        };
        by_index().unwrap_or((segment.base, DATA_START))
    }

    fn index_owner(&self, segment: &Found) -> index::Owner {
        let generation = segment.mark.map_or(0, |mark| mark.generation);
        index::Owner { partition: self.owner, base: segment.base, generation }
    }

    /// Adds to the index of the last segment what it lacks; returns the bytes since its
    /// last entry. An index that cannot be written is built when it is looked for.
    fn complete_index(&self, segment: &Found, state: &mut Segment) -> Walk<u64> {
        state.index = IndexState::Lost;
        let opened = match self.open_index(segment, state) {
            Err(error) if is_storage_full(&error) => return Ok(Ok(0)),
            opened => opened?,
        };
        let last = opened.last.filter(|entry| is_batch(segment, state, entry));
        let count = if last.is_some() { opened.count } else { 0 };
        if count < opened.count {
            cut_index(&*opened.file, count)?;
        }
        let (offset, position) =
            last.map_or((segment.base, DATA_START), |entry| (entry.offset, entry.position));
        let mut builder = IndexBuilder::new(&*opened.file, segment.base, self.index_interval_bytes)
            .resume(count, last);
        let mut scan = Scan::new(&*segment.file, position, state.written, offset);
        let mut has_entry = last.is_some();
        loop {
            match scan.next(false)? {
                Step::Batch { header, .. } if has_entry => {
                    builder.skip(header.size as u64, header.max_timestamp);
                    has_entry = false;
                }
                Step::Batch { header, position } => {
                    let batch = (header.base_offset, position, header.size as u64);
                    if let Err(error) = builder.add(batch, header.max_timestamp) {
                        return if is_storage_full(&error) { Ok(Ok(0)) } else { Err(error) };
                    }
                }
                Step::End => break,
                Step::Bad(detail) => return Ok(Err(bad(&scan, segment, &detail))),
            }
        }
        state.index = IndexState::Ready(builder.count);
        Ok(Ok(builder.since_entry()))
    }

    /// The index of a segment with its good entries. What is behind them, or an index
    /// that is not one, is cut off for good before anything is appended: an entry of a
    /// former life must not come back.
    fn open_index(&self, segment: &Found, state: &Segment) -> io::Result<OpenIndex> {
        let path = file_path(self.dir, segment.base, INDEX_SUFFIX);
        let owner = self.index_owner(segment);
        let create = || -> io::Result<OpenIndex> {
            let file = index::create(self.disk, &path, owner)?;
            file.sync_data()?;
            Ok(OpenIndex { file, count: 0, last: None })
        };
        let file: Arc<dyn DiskFile> = match self.disk.open(&path, OpenMode::Write) {
            Ok(file) => file.into(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return create(),
            Err(error) => return Err(error),
        };
        let Some((count, last)) = index::check(&*file, owner, state.written)? else {
            return create();
        };
        if index::has_more(&*file, count)? {
            cut_index(&*file, count)?;
        }
        Ok(OpenIndex { file, count, last })
    }
}

fn cut_index(file: &dyn DiskFile, count: u32) -> io::Result<()> {
    index::truncate(file, count)?;
    file.sync_data()
}

fn is_batch(segment: &Found, state: &Segment, entry: &IndexEntry) -> bool {
    let mut probe = Scan::new(&*segment.file, entry.position, state.written, entry.offset);
    matches!(probe.next(true), Ok(Step::Batch { .. }))
}

fn bad(scan: &Scan<'_>, segment: &Found, detail: &str) -> String {
    format!("bad bytes at offset {} in segment {} ({detail})", scan.expected(), segment.base)
}
