//! What is derived from the log: producer state and the last segment's index, brought up
//! to the end of the recovered log.

use std::io;
use std::sync::Arc;

use thalweg_core::env::{DiskFile, OpenMode};
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::LogOffsets;

use super::super::locate::IndexBuilder;
use super::super::producer_state::ProducerState;
use super::super::{Marks, View, Writer, snapshot};
use super::tail::Tail;
use super::{Found, Listing, Recovered, Recovery};
use crate::mark::DATA_START;
use crate::segment::index::{self, IndexEntry, Key};
use crate::segment::scan::{Scan, Step};
use crate::segment::{INDEX_SUFFIX, IndexState, PRODUCERS_SUFFIX, Segment, file_path};
use crate::shared::is_storage_full;

/// The good entries of an index.
struct OpenIndex {
    file: Arc<dyn DiskFile>,
    count: u32,
    last: Option<IndexEntry>,
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
        let (from, mut producers) = snapshot.unwrap_or((log_start, ProducerState::default()));
        let mut unsaved_bytes = 0;
        for (segment, state) in found.iter().zip(&tail.segments) {
            match self.replay_producers(segment, state, from, &mut producers)? {
                Ok(bytes) => unsaved_bytes += bytes,
                Err(damage) => return self.read_only(found, log_start, damage),
            }
        }
        let (Some(last), Some(file)) = (tail.segments.last_mut(), found.last()) else {
            return Ok(Recovered::default());
        };
        let unindexed_bytes = match self.complete_index(file, last)? {
            Ok(bytes) => bytes,
            Err(damage) => return self.read_only(found, log_start, damage),
        };
        let position = last.written;
        let last_stable = producers.first_open().unwrap_or(end).min(end);
        let offsets = LogOffsets { start: log_start, last_stable, high_watermark: end, end };
        Ok(Recovered {
            marks: Marks { active: file.mark, ..Marks::default() },
            writer: Writer {
                end,
                position,
                unindexed_bytes,
                unsaved_bytes,
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
        for base in &listing.indexes {
            if !found.iter().any(|segment| segment.base == *base) {
                self.remove_if_there(&file_path(self.dir, *base, INDEX_SUFFIX))?;
            }
        }
        if removed { self.disk.sync_dir(self.dir) } else { Ok(()) }
    }

    /// Takes the batches of a segment from offset `from` on into the producer state;
    /// returns how many bytes they have.
    fn replay_producers(
        &self,
        segment: &Found,
        state: &Segment,
        from: Offset,
        producers: &mut ProducerState,
    ) -> Walk<u64> {
        if state.end <= from {
            return Ok(Ok(0));
        }
        let (offset, position) = self.floor(segment, state, from);
        let mut scan = Scan::new(&*segment.file, position, state.written, offset);
        let mut bytes = 0;
        loop {
            let (header, position) = match scan.next(false)? {
                Step::Batch { header, position } => (header, position),
                Step::End => return Ok(Ok(bytes)),
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
            producers.replay(&header, control, self.now);
            bytes += header.size as u64;
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
        (self.owner.0, self.owner.1, segment.base)
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
