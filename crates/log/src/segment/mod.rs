//! Segments: the files of a partition, each named by the offset that it begins with.

pub(crate) mod aborted;
pub(crate) mod index;
pub(crate) mod scan;
pub(crate) mod walk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thalweg_core::env::{Disk, DiskFile, OpenMode};
use thalweg_core::ids::Offset;
use thalweg_core::record_batch::BatchHeader;
use thalweg_core::time::Millis;

use crate::format::Magic;
use crate::mark::{self, Mark};
use crate::shared::failed_sync;

/// Magic of a segment's marks.
pub(crate) const MAGIC: Magic = *b"thwl-seg";

/// Suffix of segment files.
pub(crate) const LOG_SUFFIX: &str = ".log";
/// Suffix of their indexes.
pub(crate) const INDEX_SUFFIX: &str = ".index";
/// Suffix of the lists of aborted transactions.
pub(crate) const ABORTED_SUFFIX: &str = ".aborted";
/// Suffix of snapshots of producer state, named by the offset they stand at.
pub(crate) const PRODUCERS_SUFFIX: &str = ".producers";
/// Suffix of what recovery cut off the log and put aside.
pub(crate) const CUT_SUFFIX: &str = ".cut";
/// Suffix of files that are being made.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// The largest timestamp in a range, and the base offset of the first batch with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MaxTime {
    pub(crate) time: Millis,
    pub(crate) at: Offset,
}

impl MaxTime {
    pub(crate) const NONE: Self = Self { time: -1, at: -1 };

    /// Takes in a batch that comes later in the log. What is not a record has no time
    /// that anybody could look for.
    pub(crate) fn add(&mut self, batch: &BatchHeader) {
        let has_records = !batch.attributes.is_control() && batch.record_count > 0;
        if has_records && batch.max_timestamp > self.time {
            *self = Self { time: batch.max_timestamp, at: batch.base_offset };
        }
    }
}

/// What is known of a file that is derived from a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IndexState {
    /// Not looked at since the log was opened; should have this many entries.
    Unchecked(u32),
    /// Good, with this many entries.
    Ready(u32),
    /// Damaged or missing: to be built again from the segment.
    Lost,
}

impl IndexState {
    /// What a mark says of a file that nobody has looked at.
    pub(crate) fn marked(entries: u32) -> Self {
        if entries == mark::UNKNOWN { Self::Lost } else { Self::Unchecked(entries) }
    }

    /// What a mark is to say.
    pub(crate) fn entries(self) -> u32 {
        match self {
            Self::Ready(count) | Self::Unchecked(count) => count,
            Self::Lost => mark::UNKNOWN,
        }
    }
}

/// What is known of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Offset of its first record.
    pub(crate) base: Offset,
    /// Offset after its last record.
    pub(crate) end: Offset,
    /// Where its bytes end.
    pub(crate) written: u64,
    /// Where its durable bytes end.
    pub(crate) committed: u64,
    /// Largest timestamp in what is written.
    pub(crate) max_written: MaxTime,
    /// Largest timestamp in what is durable.
    pub(crate) max_committed: MaxTime,
    /// Its index.
    pub(crate) index: IndexState,
    /// Its list of aborted transactions; there is a file only where it has entries.
    pub(crate) aborted: IndexState,
    /// When it was begun.
    pub(crate) created_at: Millis,
    /// How often compaction has written it anew.
    pub(crate) generation: u32,
    /// What stands before this offset was compacted together with all before it.
    pub(crate) clean_to: Offset,
}

impl Segment {
    /// A segment just begun.
    pub(crate) fn begun(mark: &Mark) -> Self {
        Self {
            base: mark.base,
            end: mark.base,
            written: mark::DATA_START,
            committed: mark::DATA_START,
            max_written: MaxTime::NONE,
            max_committed: MaxTime::NONE,
            index: IndexState::Lost,
            aborted: IndexState::Ready(0),
            created_at: mark.created_at,
            generation: mark.generation,
            clean_to: mark.clean_to,
        }
    }

    /// Whether offsets may be missing between its batches.
    pub(crate) fn has_gaps(&self) -> bool {
        self.generation > 0
    }

    /// Bytes of batches in it.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.written - mark::DATA_START
    }
}

/// The path of a file in a partition's directory.
pub(crate) fn file_path(dir: &Path, offset: Offset, suffix: &str) -> PathBuf {
    dir.join(format!("{offset:020}{suffix}"))
}

/// The offset in a file's name, where it has this suffix.
pub(crate) fn parse_name(name: &str, suffix: &str) -> Option<Offset> {
    let digits = name.strip_suffix(suffix)?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Makes the file of a new segment; it and its name are durable when this returns, so
/// that a segment without a valid mark is always a damaged one.
pub(crate) fn create(disk: &dyn Disk, dir: &Path, mark: &Mark) -> io::Result<Arc<dyn DiskFile>> {
    let path = file_path(dir, mark.base, LOG_SUFFIX);
    let temporary = file_path(dir, mark.base, &format!("{LOG_SUFFIX}{TEMPORARY_SUFFIX}"));
    let file = disk.open(&temporary, OpenMode::Create)?;
    let made = file
        .set_len(0)
        .and_then(|()| file.write_at(&mark::head(&MAGIC, mark), 0))
        .and_then(|()| file.sync_data());
    if let Err(error) = made {
        let _ = disk.remove_file(&temporary);
        return Err(error);
    }
    disk.rename(&temporary, &path)?;
    disk.sync_dir(dir).map_err(failed_sync)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        let path = file_path(Path::new("d"), 1234, LOG_SUFFIX);
        assert_eq!(path, Path::new("d/00000000000000001234.log"));
        assert_eq!(parse_name("00000000000000001234.log", LOG_SUFFIX), Some(1234));
        for other in ["1234.log", "0000000000000000123x.log", "00000000000000001234.index"] {
            assert_eq!(parse_name(other, LOG_SUFFIX), None, "{other}");
        }
        assert_eq!(parse_name("99999999999999999999.log", LOG_SUFFIX), None, "too large");
    }
}
