//! Putting a new segment into the place of old ones.

use std::io;

use thalweg_core::ids::Offset;
use thalweg_core::partition_log::LogError;

use super::Partition;
use super::rewrite::Built;
use crate::files::FileKind;
use crate::mark::{self, Mark};
use crate::partition::{Hints, View};
use crate::segment::{self, ABORTED_SUFFIX, INDEX_SUFFIX, IndexState, LOG_SUFFIX, Segment};
use crate::shared::is_storage_full;

impl Partition {
    /// Puts a new segment into the place of a group, unless something came between: false
    /// then, and the new files are gone.
    pub(super) fn replace(&self, group: &[Segment], built: &Built) -> Result<bool, LogError> {
        let _layout = self.layout.lock();
        self.shared.check_running()?;
        let disk = &self.shared.env.disk;
        let files = self.files_stay.write();
        let base = built.segment.base;
        let renamed = match still_there(&self.view.lock(), group) {
            true => disk.rename(&built.batches, &self.path(base, LOG_SUFFIX)).map(|()| true),
            false => Ok(false),
        };
        let renamed = match renamed {
            Err(error) if is_storage_full(&error) => false,
            renamed => self.settled(renamed)?,
        };
        if !renamed {
            let paths = [Some(&built.batches), Some(&built.index), built.list.as_ref()];
            for path in paths.into_iter().flatten() {
                let _ = disk.remove_file(path); // Else the next start does it.
            }
            return Ok(false);
        }
        for kind in [FileKind::Batches, FileKind::Index, FileKind::Aborted] {
            self.shared.files.remove(self.key(base, kind));
        }
        let mut segment = built.segment;
        // Those of the segment before are told by their generation, should they stay.
        if disk.rename(&built.index, &self.path(base, INDEX_SUFFIX)).is_err() {
            segment.index = IndexState::Lost;
        }
        let list = self.path(base, ABORTED_SUFFIX);
        let listed = match &built.list {
            Some(built) => disk.rename(built, &list),
            None if disk.exists(&list) => disk.remove_file(&list),
            None => Ok(()),
        };
        if listed.is_err() && built.list.is_some() {
            segment.aborted = IndexState::Lost;
        }
        {
            let mut view = self.view.lock();
            view.hints = Hints::default();
            view.segments
                .retain(|old| old.base == base || !(base..segment.end).contains(&old.base));
            if let Some(place) = view.segments.iter_mut().find(|old| old.base == base) {
                *place = segment;
            }
        }
        drop(files);
        self.settled(disk.sync_dir(&self.dir))?;
        for old in group.iter().skip(1) {
            self.remove_segment(old.base);
        }
        Ok(true)
    }

    /// Says in the mark of a segment, which stays as it is, that it was looked at.
    pub(super) fn mark_clean(&self, segment: &Segment, clean_to: Offset) -> Result<bool, LogError> {
        if segment.clean_to >= clean_to {
            return Ok(true);
        }
        let _layout = self.layout.lock();
        self.shared.check_running()?;
        if !still_there(&self.view.lock(), &[*segment]) {
            return Ok(false);
        }
        let written = self.segment_file(segment.base).and_then(|file| {
            let Ok(mark) = mark::read(&*file, &segment::MAGIC)? else { return Ok(None) };
            let mark = Mark { sequence: mark.sequence + 1, clean_to, ..mark };
            match mark::write(&*file, &segment::MAGIC, &mark) {
                Err(error) if is_storage_full(&error) => Ok(None),
                written => written.map(|()| Some(file)),
            }
        });
        // Without a mark, it is looked at again another time.
        let Some(file) = self.settled(written)? else { return Ok(false) };
        self.settled(file.sync_data())?;
        let mut view = self.view.lock();
        if let Some(place) = view.segments.iter_mut().find(|old| old.base == segment.base) {
            place.clean_to = clean_to;
        }
        Ok(true)
    }

    /// A failure of a step that must not fail half-way ends the log.
    fn settled<T>(&self, result: io::Result<T>) -> Result<T, LogError> {
        result.map_err(|error| {
            if self.view.lock().deleted {
                return self.unknown();
            }
            self.shared.fail(&self.dir, &error)
        })
    }
}

/// Whether a group is what it was when it was planned, and nobody pins it.
fn still_there(view: &View, group: &[Segment]) -> bool {
    let end = group.last().map_or(0, |last| last.end);
    let known = |wanted: &Segment| {
        let same = |s: &&Segment| s.base == wanted.base && s.generation == wanted.generation;
        view.segments.iter().find(same).is_some()
    };
    let pinned = view.pins.values().any(|&from| from < end);
    !view.deleted && view.damage.is_none() && !pinned && group.iter().all(known)
}
