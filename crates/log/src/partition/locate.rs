//! Finding the place of an offset or a time in a segment.

use std::io;
use std::sync::Arc;

use thalweg_core::env::{DiskFile, OpenMode};
use thalweg_core::ids::Offset;

use super::Partition;
use crate::files::FileKind;
use crate::mark;
use crate::segment::index::{self, IndexEntry, Key};
use crate::segment::scan::{Scan, Step};
use crate::segment::{self, IndexState, Segment};

/// Readers that go on where they stopped; a place for each of a few.
const HINTS: usize = 8;

/// Where recent reads ended: the next offset, its segment, its place there.
#[derive(Default)]
pub(crate) struct Hints {
    places: [Option<(Offset, Offset, u64)>; HINTS],
    next: usize,
}

impl Hints {
    /// Place of `offset` in the segment that begins with `base`, if a read ended there.
    pub(crate) fn get(&self, offset: Offset, base: Offset) -> Option<u64> {
        let hit = |hint: &&(Offset, Offset, u64)| hint.0 == offset && hint.1 == base;
        self.places.iter().flatten().find(hit).map(|hint| hint.2)
    }

    pub(crate) fn put(&mut self, offset: Offset, base: Offset, position: u64) {
        if self.get(offset, base).is_none() {
            self.places[self.next] = Some((offset, base, position));
            self.next = (self.next + 1) % HINTS;
        }
    }
}

/// The place of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) base_offset: Offset,
    pub(crate) position: u64,
}

/// What a search came to.
#[derive(Debug)]
pub(crate) enum Located {
    /// The batch.
    At(Place),
    /// There is none in the segment.
    Beyond,
    /// The way there, or the batch itself, is damaged.
    Damaged(String),
}

impl Partition {
    /// The batch that holds `offset`, in the durable part of a segment.
    pub(super) fn locate(
        &self,
        segment: &Segment,
        offset: Offset,
        file: &dyn DiskFile,
    ) -> io::Result<Located> {
        let start = self.floor(segment, Key::Offset(offset), file)?;
        let mut scan = Scan::new(file, start.position, segment.committed, start.base_offset)
            .with_gaps(segment.has_gaps());
        loop {
            match scan.next(false)? {
                Step::Batch { header, position } if header.next_offset() > offset => {
                    let base_offset = header.base_offset;
                    return Ok(Located::At(Place { base_offset, position }));
                }
                Step::Batch { .. } => {}
                Step::End => return Ok(Located::Beyond),
                Step::Bad(detail) => {
                    // What lies behind the damage can still be read.
                    if !scan.resync(segment.end)? || scan.expected() > offset {
                        return Ok(Located::Damaged(detail));
                    }
                }
            }
        }
    }

    /// Where to begin to look: the place that the index names if it is what it says it
    /// is, else the segment's beginning.
    pub(super) fn floor(
        &self,
        segment: &Segment,
        key: Key,
        file: &dyn DiskFile,
    ) -> io::Result<Place> {
        let beginning = Place { base_offset: segment.base, position: mark::DATA_START };
        for _ in 0..2 {
            let Some((index, count)) = self.usable_index(segment)? else { return Ok(beginning) };
            let entry = match index::find(&*index, segment.base, count, key) {
                Ok(Ok(None)) => return Ok(beginning),
                Ok(Ok(Some(entry))) => entry,
                Ok(Err(_)) | Err(_) => {
                    self.lose_index(segment.base);
                    continue;
                }
            };
            if entry.position >= segment.committed {
                // Of a batch that is not durable yet: only just behind the end.
                return self.floor_before(segment, &*index, count);
            }
            let mut probe = Scan::new(file, entry.position, segment.committed, entry.offset);
            if matches!(probe.next(false)?, Step::Batch { .. }) {
                return Ok(Place { base_offset: entry.offset, position: entry.position });
            }
            self.lose_index(segment.base);
        }
        Ok(beginning)
    }

    /// The last entry in the durable part.
    fn floor_before(
        &self,
        segment: &Segment,
        index: &dyn DiskFile,
        count: u32,
    ) -> io::Result<Place> {
        for number in (0..count).rev() {
            match index::read(index, segment.base, number) {
                Ok(Ok(entry)) if entry.position < segment.committed => {
                    return Ok(Place { base_offset: entry.offset, position: entry.position });
                }
                Ok(Ok(_)) => {}
                _ => break,
            }
        }
        Ok(Place { base_offset: segment.base, position: mark::DATA_START })
    }

    pub(super) fn index_file(&self, base: Offset) -> io::Result<Arc<dyn DiskFile>> {
        self.shared.files.get(self.key(base, FileKind::Index), || {
            let path = self.path(base, segment::INDEX_SUFFIX);
            self.shared.env.disk.open(&path, OpenMode::Write)
        })
    }

    fn lose_index(&self, base: Offset) {
        tracing::warn!(partition = %self.name, base, "a wrong index is built again");
        self.set_index(base, IndexState::Lost);
    }

    fn set_index(&self, base: Offset, state: IndexState) {
        let mut view = self.view.lock();
        if let Some(segment) = view.segments.iter_mut().find(|segment| segment.base == base) {
            segment.index = state;
        }
    }

    /// The index of a segment and the number of its entries, checked or built again
    /// where that has to be. `None` where it cannot be had: the segment does without.
    fn usable_index(&self, segment: &Segment) -> io::Result<Option<(Arc<dyn DiskFile>, u32)>> {
        let state = self.segment_at(segment.base).map(|segment| segment.index);
        if let Some(IndexState::Ready(count)) = state {
            match self.index_file(segment.base) {
                Ok(file) => return Ok(Some((file, count))),
                Err(_) => self.lose_index(segment.base),
            }
        }
        let _one_at_a_time = self.index_rebuild.lock();
        // The writer adds to the last index: it waits meanwhile.
        let is_last = |base| self.view.lock().segments.last().is_some_and(|last| last.base == base);
        let _writer = if is_last(segment.base) { Some(self.writer.lock()) } else { None };
        let Some(current) = self.segment_at(segment.base) else { return Ok(None) };
        let ready = match current.index {
            IndexState::Ready(count) => Some(count),
            IndexState::Unchecked(expected) => self.check_index(&current, expected),
            IndexState::Lost => None,
        };
        let built = match ready {
            Some(count) => self.index_file(segment.base).map(|file| (file, count)),
            None => self.build_index(&current),
        };
        match built {
            Ok((file, count)) => {
                self.set_index(segment.base, IndexState::Ready(count));
                Ok(Some((file, count)))
            }
            Err(error) => {
                tracing::warn!(partition = %self.name, base = segment.base, %error, "no index");
                Ok(None)
            }
        }
    }

    fn check_index(&self, segment: &Segment, expected: u32) -> Option<u32> {
        let file = self.index_file(segment.base).ok()?;
        let (count, _) = index::check(&*file, self.owner_of(segment), segment.written).ok()??;
        (count == expected).then_some(count)
    }

    /// Builds the index of a segment from its batches.
    fn build_index(&self, segment: &Segment) -> io::Result<(Arc<dyn DiskFile>, u32)> {
        let disk = &*self.shared.env.disk;
        let path = self.path(segment.base, segment::INDEX_SUFFIX);
        let suffix = format!("{}{}", segment::INDEX_SUFFIX, segment::TEMPORARY_SUFFIX);
        let temporary = self.path(segment.base, &suffix);
        let file = index::create(disk, &temporary, self.owner_of(segment))?;
        let batches = self.segment_file(segment.base)?;
        let interval = self.shared.options.index_interval_bytes;
        let mut builder = IndexBuilder::new(&*file, segment.base, interval);
        let mut scan = Scan::new(&*batches, mark::DATA_START, segment.written, segment.base)
            .with_gaps(segment.has_gaps());
        loop {
            match scan.next(false)? {
                Step::Batch { header, position } => {
                    let entry_at = (header.base_offset, position, header.size as u64);
                    builder.add(entry_at, header.max_timestamp)?;
                }
                Step::End => break,
                Step::Bad(_) if scan.resync(segment.end)? => {}
                Step::Bad(_) => break,
            }
        }
        let count = builder.count;
        disk.rename(&temporary, &path)?;
        self.shared.files.put(self.key(segment.base, FileKind::Index), file.clone());
        Ok((file, count))
    }
}

/// Adds entries at the interval, batch by batch.
pub(crate) struct IndexBuilder<'f> {
    file: &'f dyn DiskFile,
    base: Offset,
    interval: u64,
    since_entry: u64,
    max_time: i64,
    /// Entries so far.
    pub(crate) count: u32,
}

impl<'f> IndexBuilder<'f> {
    pub(crate) fn new(file: &'f dyn DiskFile, base: Offset, interval: u64) -> Self {
        Self { file, base, interval, since_entry: u64::MAX, max_time: -1, count: 0 }
    }

    /// Goes on behind the entries that are there, the last of which is given.
    pub(crate) fn resume(mut self, count: u32, last: Option<IndexEntry>) -> Self {
        self.count = count;
        if let Some(last) = last {
            self.since_entry = 0;
            self.max_time = last.max_time_before;
        }
        self
    }

    /// Bytes since the last entry.
    pub(crate) fn since_entry(&self) -> u64 {
        self.since_entry
    }

    /// Takes in a batch that has an entry already.
    pub(crate) fn skip(&mut self, size: u64, max_time: i64) {
        self.since_entry = self.since_entry.saturating_add(size);
        self.max_time = self.max_time.max(max_time);
    }

    /// Takes in a batch: its offset, place and size, and its largest timestamp.
    pub(crate) fn add(&mut self, batch: (Offset, u64, u64), max_time: i64) -> io::Result<()> {
        let (offset, position, size) = batch;
        if self.since_entry >= self.interval {
            let entry = IndexEntry { offset, position, max_time_before: self.max_time };
            index::write(self.file, self.base, self.count, &entry)?;
            self.count += 1;
            self.since_entry = 0;
        }
        self.since_entry = self.since_entry.saturating_add(size);
        self.max_time = self.max_time.max(max_time);
        Ok(())
    }
}
