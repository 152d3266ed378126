//! Cutting a torn tail: only what was lost on its way to the disk, and only once a copy of
//! it lies beside the log.

use std::io;
use std::path::PathBuf;

use thalweg_core::env::{DiskFile, OpenMode};
use thalweg_core::ids::Offset;
use thalweg_core::record_batch::{BatchHeader, HEADER_BYTES};

use super::{Found, Recovery};
use crate::mark::DATA_START;
use crate::segment::scan::find_valid;
use crate::segment::{CUT_SUFFIX, LOG_SUFFIX, Segment, TEMPORARY_SUFFIX, file_path};
use crate::shared::failed_sync;

/// The unit in which a disk writes.
const SECTOR_BYTES: usize = 512;
const CHUNK_BYTES: usize = 128 * SECTOR_BYTES;

impl Recovery<'_> {
    /// Whether what lies behind the good batches of segment `index`, which are `state`, is
    /// a torn tail; the inner error says why it may not be cut.
    ///
    /// A write that never reached the disk is missing at the end of the file or reads as
    /// zeros: then no sync has covered it, and neither it nor anything behind it was
    /// promised. Other bad bytes may be a promised batch that was damaged later; they are
    /// a torn tail only where no whole batch follows.
    pub(super) fn may_cut(
        &self,
        found: &[Found],
        index: usize,
        state: &Segment,
        durable: Offset,
    ) -> io::Result<Result<(), String>> {
        if durable > state.end {
            return Ok(Err(format!("but everything before offset {durable} was durable")));
        }
        let Found { file, len, .. } = &found[index];
        let (from, offset) = (state.written, state.end);
        let follows = find_valid(&**file, from, *len, offset, Offset::MAX)?;
        if was_lost(&**file, from..*len, offset, follows.is_some())? {
            return Ok(Ok(()));
        }
        let in_order = |(position, header): (u64, BatchHeader)| (header.base_offset, position);
        let mut follows = follows.map(in_order).map(|place| (found[index].base, place));
        for later in &found[index + 1..] {
            if follows.is_none() {
                let valid =
                    find_valid(&*later.file, DATA_START, later.len, later.base, Offset::MAX)?;
                follows = valid.map(in_order).map(|place| (later.base, place));
            }
        }
        Ok(follows.map_or(Ok(()), |(base, (offset, position))| {
            Err(format!(
                "but a whole batch with offset {offset} follows at byte {position} of segment \
                 {base}: what is damaged may have been acknowledged"
            ))
        }))
    }

    /// Cuts the log behind the good batches of segment `index`, which are `state`. Copies
    /// are durable before, and later segments go first, newest first, so that a crash on
    /// the way leaves the same question.
    pub(super) fn cut(
        &self,
        found: &mut Vec<Found>,
        index: usize,
        state: &Segment,
        detail: &str,
    ) -> io::Result<()> {
        let (end, len) = (state.written, found[index].len);
        tracing::warn!(
            partition = %self.name, segment = found[index].base, offset = state.end,
            bytes = len - end, later_segments = found.len() - index - 1, detail,
            "cut a torn tail that nobody was promised"
        );
        self.copy_aside(&found[index], state)?;
        while found.len() > index + 1 {
            if let Some(later) = found.pop() {
                self.move_aside(&later)?;
            }
        }
        let segment = &mut found[index];
        segment.file.set_len(end)?;
        segment.file.sync_data().map_err(failed_sync)?;
        segment.len = end;
        Ok(())
    }

    /// Copies what lies behind the good batches to a file of its own, unless it is zeros.
    fn copy_aside(&self, segment: &Found, state: &Segment) -> io::Result<()> {
        let (mut at, file) = (state.written, &*segment.file);
        if !find_piece(file, at..segment.len, CHUNK_BYTES, |piece| !is_zero(piece))? {
            return Ok(());
        }
        let path = self.free_path(state.end, "");
        let temporary = path.with_added_extension(&TEMPORARY_SUFFIX[1..]);
        let copy = self.disk.open(&temporary, OpenMode::Create)?;
        copy.set_len(0)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        while at < segment.len {
            let piece = &mut chunk[..(segment.len - at).min(CHUNK_BYTES as u64) as usize];
            file.read_exact_at(piece, at)?;
            copy.write_at(piece, at - state.written)?;
            at += piece.len() as u64;
        }
        copy.sync_data()?;
        self.disk.rename(&temporary, &path)?;
        self.disk.sync_dir(self.dir).map_err(failed_sync)?;
        tracing::warn!(path = %path.display(), "what is cut was put aside");
        Ok(())
    }

    /// Takes a whole segment out of the log; removes it where there is nothing in it.
    fn move_aside(&self, segment: &Found) -> io::Result<()> {
        let path = file_path(self.dir, segment.base, LOG_SUFFIX);
        let data = DATA_START..segment.len.max(DATA_START);
        if find_piece(&*segment.file, data, CHUNK_BYTES, |piece| !is_zero(piece))? {
            segment.file.sync_data().map_err(failed_sync)?;
            let aside = self.free_path(segment.base, LOG_SUFFIX);
            self.disk.rename(&path, &aside)?;
            tracing::warn!(path = %aside.display(), "a segment that is cut was put aside");
        } else {
            self.disk.remove_file(&path)?;
        }
        self.remove_derived(segment.base)?;
        self.disk.sync_dir(self.dir).map_err(failed_sync)
    }

    /// A name that nothing put aside before has.
    fn free_path(&self, offset: Offset, suffix: &str) -> PathBuf {
        let mut path = file_path(self.dir, offset, &format!("{suffix}{CUT_SUFFIX}"));
        let mut number = 1;
        while self.disk.exists(&path) {
            number += 1;
            path = file_path(self.dir, offset, &format!("{suffix}.{number}{CUT_SUFFIX}"));
        }
        path
    }
}

/// Whether a write that began with `offset` at the start of a range, up to the end of the
/// file, was lost, in whole or in part: a sector's share of the batch there is zeros, or
/// the file ends within it (which its length only proves where no whole batch follows).
fn was_lost(
    file: &dyn DiskFile,
    range: std::ops::Range<u64>,
    offset: Offset,
    follows: bool,
) -> io::Result<bool> {
    let left = range.end.saturating_sub(range.start);
    let mut bytes = [0; HEADER_BYTES];
    let header = &mut bytes[..left.min(HEADER_BYTES as u64) as usize];
    file.read_exact_at(header, range.start)?;
    let header = BatchHeader::parse(header).ok().filter(|header| header.base_offset == offset);
    let size = header.map_or(HEADER_BYTES, |header| header.size) as u64;
    if size > left && !follows {
        return Ok(true);
    }
    find_piece(file, range.start..range.start + size.min(left), SECTOR_BYTES, is_zero)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Whether there is such a piece in a range of a file, which is cut into pieces at multiples
/// of `size` bytes.
fn find_piece(
    file: &dyn DiskFile,
    range: std::ops::Range<u64>,
    size: usize,
    wanted: impl Fn(&[u8]) -> bool,
) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK_BYTES.min((range.end.saturating_sub(range.start)) as usize)];
    let next = |at: u64, step: usize| ((at / step as u64 + 1) * step as u64).min(range.end);
    let mut at = range.start;
    while at < range.end {
        let stop = next(at, CHUNK_BYTES);
        let bytes = &mut chunk[..(stop - at) as usize];
        file.read_exact_at(bytes, at)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((next(at, size) - at) as usize);
            if wanted(piece) {
                return Ok(true);
            }
            at += piece.len() as u64;
            rest = behind;
        }
    }
    Ok(false)
}
