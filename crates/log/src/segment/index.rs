//! The sparse index of a segment, by offset and by time at once.
//!
//! One entry stands for a batch every so many bytes: its offset, its place, and the
//! largest timestamp *before* it. Timestamps so told never go down, so the same entries
//! are searched by offset and by time.
//!
//! ```text
//!  head: envelope (topic id, partition, base offset[, generation]), zeros up to 64
//!  entry: offset - base u32   position u32   largest timestamp before i64   crc32c u32
//! ```
//!
//! An index is derived from its segment and never trusted over it: it is checked when it
//! is first used, what it points at must be the batch it names, and it is built again
//! wherever it is wrong. It is not synced.

use std::io;
use std::path::Path;
use std::sync::Arc;

use thalweg_core::env::{Disk, DiskFile, OpenMode};
use thalweg_core::ids::Offset;
use thalweg_core::time::Millis;

use crate::format::{self, Fields, FormatError, Magic};

const MAGIC: Magic = *b"thwl-idx";
pub(super) const HEAD_BYTES: usize = 64;
const ENTRY_BYTES: usize = 20;
/// Entries read at once when an index is checked.
const CHECK_ENTRIES: usize = 2048;

/// Version of the head of a segment that compaction has written anew.
const COMPACTED_VERSION: u16 = 2;

/// Which segment a derived file belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owner {
    /// Id of the topic and number of the partition.
    pub(crate) partition: (u128, i32),
    /// Base offset of the segment.
    pub(crate) base: Offset,
    /// Its generation: what belongs to another one is worth nothing.
    pub(crate) generation: u32,
}

/// An entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IndexEntry {
    /// Base offset of a batch.
    pub(crate) offset: Offset,
    /// Where the batch is in the segment file.
    pub(crate) position: u64,
    /// Largest timestamp of the batches before it, -1 where there is none.
    pub(crate) max_time_before: Millis,
}

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    /// The last entry whose offset is not beyond this one.
    Offset(Offset),
    /// The last entry before which every timestamp is below this one.
    Time(Millis),
}

/// Makes an empty index, replacing what is at the path.
pub(crate) fn create(disk: &dyn Disk, path: &Path, owner: Owner) -> io::Result<Arc<dyn DiskFile>> {
    create_as(&MAGIC, disk, path, owner)
}

/// Makes a derived file of any kind with nothing but its head.
pub(super) fn create_as(
    magic: &Magic,
    disk: &dyn Disk,
    path: &Path,
    owner: Owner,
) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.open(path, OpenMode::Create)?;
    file.set_len(0)?;
    file.write_at(&head(magic, owner), 0)?;
    Ok(file.into())
}

/// Whether a file begins with the head that it should have.
pub(super) fn has_head(magic: &Magic, file: &dyn DiskFile, owner: Owner) -> io::Result<bool> {
    let mut found = [0; HEAD_BYTES];
    match file.read_exact_at(&mut found, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        result => result.map(|()| found[..] == head(magic, owner)[..]),
    }
}

fn head(magic: &Magic, owner: Owner) -> Vec<u8> {
    let mut payload = Vec::with_capacity(32);
    payload.extend_from_slice(&owner.partition.0.to_be_bytes());
    payload.extend_from_slice(&owner.partition.1.to_be_bytes());
    payload.extend_from_slice(&owner.base.to_be_bytes());
    let mut head = if owner.generation == 0 {
        format::seal(magic, &payload)
    } else {
        payload.extend_from_slice(&owner.generation.to_be_bytes());
        format::seal_version(magic, COMPACTED_VERSION, &payload)
    };
    head.resize(HEAD_BYTES, 0);
    head
}

/// Writes entry number `number`.
pub(crate) fn write(
    file: &dyn DiskFile,
    base: Offset,
    number: u32,
    entry: &IndexEntry,
) -> io::Result<()> {
    file.write_at(&encode(base, entry), place(number))
}

/// Cuts the index behind its first `count` entries.
pub(crate) fn truncate(file: &dyn DiskFile, count: u32) -> io::Result<()> {
    file.set_len(place(count))
}

/// Whether there are bytes behind the first `count` entries.
pub(crate) fn has_more(file: &dyn DiskFile, count: u32) -> io::Result<bool> {
    Ok(file.len()? > place(count))
}

fn place(number: u32) -> u64 {
    HEAD_BYTES as u64 + u64::from(number) * ENTRY_BYTES as u64
}

fn encode(base: Offset, entry: &IndexEntry) -> [u8; ENTRY_BYTES] {
    let mut out = [0; ENTRY_BYTES];
    out[..4].copy_from_slice(&((entry.offset - base) as u32).to_be_bytes());
    out[4..8].copy_from_slice(&(entry.position as u32).to_be_bytes());
    out[8..16].copy_from_slice(&entry.max_time_before.to_be_bytes());
    let crc = entry_crc(base, &out[..16]);
    out[16..].copy_from_slice(&crc.to_be_bytes());
    out
}

/// With the segment's base in it: an entry of another segment does not pass.
pub(super) fn entry_crc(base: Offset, fields: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&base.to_be_bytes()), fields)
}

fn decode(base: Offset, bytes: &[u8]) -> Result<IndexEntry, FormatError> {
    let mut fields = Fields(bytes);
    let entry = IndexEntry {
        offset: base + i64::from(fields.u32()?),
        position: u64::from(fields.u32()?),
        max_time_before: fields.i64()?,
    };
    if fields.u32()? == entry_crc(base, &bytes[..16]) {
        Ok(entry)
    } else {
        Err(FormatError::Checksum)
    }
}

/// Counts the good entries at the front of an index that point before `end` in the
/// segment file, and returns the last of them. `None`: not even its head is good.
pub(crate) fn check(
    file: &dyn DiskFile,
    owner: Owner,
    end: u64,
) -> io::Result<Option<(u32, Option<IndexEntry>)>> {
    if !has_head(&MAGIC, file, owner)? {
        return Ok(None);
    }
    let total = file.len()?.saturating_sub(HEAD_BYTES as u64) / ENTRY_BYTES as u64;
    let total = u32::try_from(total).unwrap_or(u32::MAX);
    let mut last: Option<IndexEntry> = None;
    let mut count = 0;
    let mut chunk = vec![0; CHECK_ENTRIES.min(total as usize) * ENTRY_BYTES];
    while count < total {
        let take = (total - count).min(CHECK_ENTRIES as u32) as usize * ENTRY_BYTES;
        file.read_exact_at(&mut chunk[..take], place(count))?;
        for bytes in chunk[..take].chunks_exact(ENTRY_BYTES) {
            let Ok(entry) = decode(owner.base, bytes) else { return Ok(Some((count, last))) };
            let follows = last.is_none_or(|last| {
                entry.offset > last.offset
                    && entry.position > last.position
                    && entry.max_time_before >= last.max_time_before
            });
            if !follows || entry.position >= end {
                return Ok(Some((count, last)));
            }
            last = Some(entry);
            count += 1;
        }
    }
    Ok(Some((count, last)))
}

/// Reads entry number `number`; the inner error is damage.
pub(crate) fn read(
    file: &dyn DiskFile,
    base: Offset,
    number: u32,
) -> io::Result<Result<IndexEntry, FormatError>> {
    let mut bytes = [0; ENTRY_BYTES];
    match file.read_exact_at(&mut bytes, place(number)) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Ok(Err(FormatError::Truncated))
        }
        result => result.map(|()| decode(base, &bytes)),
    }
}

/// Finds the entry for a key among the first `count`; the inner error is damage.
pub(crate) fn find(
    file: &dyn DiskFile,
    base: Offset,
    count: u32,
    key: Key,
) -> io::Result<Result<Option<IndexEntry>, FormatError>> {
    let (mut low, mut high) = (0, count);
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let entry = match read(file, base, middle)? {
            Ok(entry) => entry,
            Err(damage) => return Ok(Err(damage)),
        };
        let before = match key {
            Key::Offset(offset) => entry.offset <= offset,
            Key::Time(time) => entry.max_time_before < time,
        };
        if before {
            found = Some(entry);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Ok(found))
}

#[cfg(test)]
mod tests {
    use thalweg_core::env::sim::SimEnv;

    use super::*;

    const OWNER: Owner = Owner { partition: (7, 1), base: 100, generation: 0 };

    fn entry(number: u32) -> IndexEntry {
        IndexEntry {
            offset: 100 + i64::from(number) * 10,
            position: 8192 + u64::from(number) * 1000,
            max_time_before: i64::from(number / 2) - 1,
        }
    }

    #[test]
    fn finds_by_offset_and_time_and_stops_at_damage() {
        let env = SimEnv::new(1).env();
        let file = create(&*env.disk, Path::new("/i"), OWNER).unwrap();
        for number in 0..50 {
            write(&*file, 100, number, &entry(number)).unwrap();
        }
        let find = |key| find(&*file, 100, 50, key).unwrap().unwrap();
        assert_eq!(find(Key::Offset(99)), None);
        assert_eq!(find(Key::Offset(100)), Some(entry(0)));
        assert_eq!(find(Key::Offset(119)), Some(entry(1)));
        assert_eq!(find(Key::Offset(10_000)), Some(entry(49)));
        assert_eq!(find(Key::Time(-1)), None);
        assert_eq!(find(Key::Time(3)), Some(entry(7)));
        assert_eq!(check(&*file, OWNER, u64::MAX).unwrap(), Some((50, Some(entry(49)))));
        assert_eq!(check(&*file, OWNER, 10_192).unwrap(), Some((2, Some(entry(1)))));
        assert_eq!(check(&*file, Owner { partition: (7, 2), ..OWNER }, u64::MAX).unwrap(), None);
        assert_eq!(check(&*file, Owner { generation: 1, ..OWNER }, u64::MAX).unwrap(), None);
        file.write_at(&[0xaa], place(30) + 3).unwrap();
        assert_eq!(check(&*file, OWNER, u64::MAX).unwrap(), Some((30, Some(entry(29)))));
        assert!(super::find(&*file, 100, 50, Key::Offset(405)).unwrap().is_err());
    }
}
