//! The aborted transactions of a partition: listed as their markers are written, looked up
//! by readers of committed records, and built again where a list is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use thalweg_core::env::{DiskFile, OpenMode};
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::LogError;
use thalweg_core::record_batch::{BatchHeader, ControlKind, EndMarker};

use super::Partition;
use super::producer_state::Listed;
use crate::files::FileKind;
use crate::mark::DATA_START;
use crate::segment::aborted::{self, Aborted};
use crate::segment::scan::{Scan, Step};
use crate::segment::{ABORTED_SUFFIX, IndexState, Segment, TEMPORARY_SUFFIX};
use crate::shared::is_storage_full;

impl Partition {
    /// Adds to the list of the last segment. The writer's lock is held.
    pub(super) fn list_aborted(&self, aborts: &[Aborted]) {
        for entry in aborts {
            let Some(last) = self.view.lock().segments.last().copied() else { return };
            let IndexState::Ready(count) = last.aborted else { return };
            let file = if count == 0 { self.begin_list(&last) } else { self.list(last.base) };
            let written = file.and_then(|file| aborted::write(&*file, last.base, count, entry));
            // Derived: built again when it is looked for.
            let state = written.map_or(IndexState::Lost, |()| IndexState::Ready(count + 1));
            self.set_list(last.base, state);
        }
    }

    fn begin_list(&self, segment: &Segment) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path(segment.base, ABORTED_SUFFIX);
        let file = aborted::create(&*self.shared.env.disk, &path, self.owner_of(segment))?;
        self.shared.files.put(self.key(segment.base, FileKind::Aborted), file.clone());
        Ok(file)
    }

    fn list(&self, base: Offset) -> io::Result<Arc<dyn DiskFile>> {
        self.shared.files.get(self.key(base, FileKind::Aborted), || {
            self.shared.env.disk.open(&self.path(base, ABORTED_SUFFIX), OpenMode::Write)
        })
    }

    fn set_list(&self, base: Offset, state: IndexState) {
        let mut view = self.view.lock();
        if let Some(segment) = view.segments.iter_mut().find(|segment| segment.base == base) {
            segment.aborted = state;
        }
    }

    /// Makes the list of a segment durable that is about to be counted in a durable place.
    pub(super) fn sync_aborted(&self, segment: &Segment) -> Result<(), LogError> {
        if matches!(segment.aborted.entries(), 0 | crate::mark::UNKNOWN) {
            return Ok(());
        }
        let synced = self
            .list(segment.base)
            .and_then(|file| file.sync_data())
            .and_then(|()| self.shared.env.disk.sync_dir(&self.dir));
        match synced {
            // Gone or out of space: found wrong when it is looked for.
            Err(error) if is_storage_full(&error) || error.kind() == io::ErrorKind::NotFound => {
                Ok(())
            }
            synced => synced.map_err(|error| self.shared.fail(&self.dir, &error)),
        }
    }

    /// What a snapshot of the producers says of the list of the last segment.
    pub(super) fn listed(&self) -> Result<Listed, LogError> {
        let last = self.view.lock().segments.last().copied();
        let Some(last) = last else { return Ok(Listed { base: -1, entries: 0 }) };
        self.sync_aborted(&last)?;
        Ok(Listed { base: last.base, entries: last.aborted.entries() })
    }

    /// The aborted transactions that reach into a range, by first offset.
    pub(super) fn aborted_between(
        &self,
        from: Offset,
        to: Offset,
    ) -> Result<Vec<Aborted>, LogError> {
        let _files = self.files_stay.read();
        let bases: Vec<Offset> = {
            let view = self.view.lock();
            let after = view.segments.partition_point(|segment| segment.base <= from);
            let segments = view.segments.iter().skip(after.saturating_sub(1));
            segments.filter(|s| s.aborted != IndexState::Ready(0)).map(|s| s.base).collect()
        };
        let mut found = Vec::new();
        for base in bases {
            if self.collect_aborted(base, from, to, &mut found)? {
                break;
            }
        }
        found.sort_unstable_by_key(|aborted: &Aborted| (aborted.first, aborted.producer));
        Ok(found)
    }

    /// Adds those of one segment's list; returns whether later lists can have none.
    fn collect_aborted(
        &self,
        base: Offset,
        from: Offset,
        to: Offset,
        found: &mut Vec<Aborted>,
    ) -> Result<bool, LogError> {
        let before = found.len();
        for _ in 0..2 {
            let path = self.path(base, ABORTED_SUFFIX);
            let usable = self.usable_list(base).map_err(|error| self.io_error(&path, &error))?;
            let Some((file, count)) = usable else { return Ok(false) };
            let collected = aborted::each_from(&*file, base, count, from, |entry| {
                if entry.first < to {
                    found.push(*entry);
                }
                entry.last_stable >= to
            });
            if let Ok(Ok(enough)) = collected {
                return Ok(enough);
            }
            found.truncate(before);
            tracing::warn!(partition = %self.name, base, "a wrong list of aborts is built again");
            self.set_list(base, IndexState::Lost);
        }
        let detail = "the list of its aborted transactions cannot be read".to_owned();
        Err(LogError::Corrupt { partition: self.name.clone(), offset: from, detail })
    }

    /// The list of a segment and the number of its entries, checked or built again where
    /// that has to be. `None` where it is empty or the segment is gone.
    fn usable_list(&self, base: Offset) -> io::Result<Option<(Arc<dyn DiskFile>, u32)>> {
        if let Some(IndexState::Ready(count)) = self.segment_at(base).map(|s| s.aborted) {
            if count == 0 {
                return Ok(None);
            }
            if let Ok(file) = self.list(base) {
                return Ok(Some((file, count)));
            }
        }
        let _one_at_a_time = self.index_rebuild.lock();
        // The writer adds to the last list: it waits meanwhile.
        let is_last = self.view.lock().segments.last().is_some_and(|last| last.base == base);
        let _writer = if is_last { Some(self.writer.lock()) } else { None };
        let Some(segment) = self.segment_at(base) else { return Ok(None) };
        let good = match segment.aborted {
            IndexState::Ready(count) => self.list(base).is_ok().then_some(count),
            IndexState::Unchecked(0) => Some(0),
            IndexState::Unchecked(count) => {
                let checked = self
                    .list(base)
                    .and_then(|file| aborted::check(&*file, self.owner_of(&segment), count));
                checked.unwrap_or(false).then_some(count)
            }
            IndexState::Lost => None,
        };
        let count = match good {
            Some(count) => count,
            None => self.build_list(&segment)?,
        };
        self.set_list(base, IndexState::Ready(count));
        if count == 0 { Ok(None) } else { Ok(Some((self.list(base)?, count))) }
    }

    /// Builds the list of a segment from the batches: from the first segment on, since a
    /// transaction may begin segments before its end.
    fn build_list(&self, wanted: &Segment) -> io::Result<u32> {
        tracing::warn!(partition = %self.name, base = wanted.base, "listing aborts anew");
        let path = self.path(wanted.base, ABORTED_SUFFIX);
        let temporary = self.path(wanted.base, &format!("{ABORTED_SUFFIX}{TEMPORARY_SUFFIX}"));
        let disk = &*self.shared.env.disk;
        let file = aborted::create(disk, &temporary, self.owner_of(wanted))?;
        let segments: Vec<Segment> = {
            let view = self.view.lock();
            view.segments.iter().filter(|segment| segment.base <= wanted.base).copied().collect()
        };
        let (mut open, mut count) = (OpenTransactions::default(), 0);
        for segment in segments {
            let batches = self.segment_file(segment.base)?;
            let mut scan = Scan::new(&*batches, DATA_START, segment.written, segment.base)
                .with_gaps(segment.has_gaps());
            loop {
                let (header, position) = match scan.next(false)? {
                    Step::Batch { header, position } => (header, position),
                    Step::End => break,
                    Step::Bad(_) if scan.resync(segment.end)? => continue,
                    Step::Bad(_) => break,
                };
                let control = header.attributes.is_control();
                let marker = if control { scan.control(&header, position)? } else { None };
                let Some(entry) = open.take_in(&header, marker) else { continue };
                if segment.base == wanted.base {
                    aborted::write(&*file, wanted.base, count, &entry)?;
                    count += 1;
                }
            }
        }
        disk.rename(&temporary, &path)?;
        self.shared.files.put(self.key(wanted.base, FileKind::Aborted), file);
        Ok(count)
    }
}

/// The transactions under way at a place of the log: all of a producer that a walk needs.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenTransactions {
    since: BTreeMap<i64, Offset>,
    firsts: BTreeSet<(Offset, i64)>,
}

impl OpenTransactions {
    /// Takes in the next batch; returns the transaction that it aborts.
    pub(super) fn take_in(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndMarker>,
    ) -> Option<Aborted> {
        let producer = header.producer_id;
        if let Some(marker) = marker {
            let first = self.since.remove(&producer)?;
            self.firsts.remove(&(first, producer));
            let last_stable = self.firsts.first().map_or(header.next_offset(), |open| open.0);
            let entry = Aborted { producer, first, last: header.base_offset, last_stable };
            return Some(entry).filter(|_| marker.kind == ControlKind::Abort);
        }
        let begins = header.attributes.is_transactional() && !header.attributes.is_control();
        if begins && !self.since.contains_key(&producer) {
            self.since.insert(producer, header.base_offset);
            self.firsts.insert((header.base_offset, producer));
        }
        None
    }
}
