//! The aborted transactions of a segment, by the offset of the marker that ended them.
//!
//! ```text
//!  head: envelope (topic id, partition, base offset[, generation]), zeros up to 64
//!  entry: producer i64   first offset i64   marker's offset i64   last stable offset
//!         after it i64   crc32c u32
//! ```
//!
//! A segment without any has no such file. As an index it is derived from the batches and
//! never trusted over them: how many entries there must be stands in the mark of a full
//! segment and in the snapshots of producers, and whatever does not fit is built again.

use std::io;
use std::path::Path;
use std::sync::Arc;

use thalweg_core::env::{Disk, DiskFile};
use thalweg_core::ids::Offset;

use super::index::{self, Owner};
use crate::format::{Fields, FormatError, Magic};

const MAGIC: Magic = *b"thwl-abt";
const ENTRY_BYTES: usize = 36;
/// Entries read at once.
const CHUNK_ENTRIES: u32 = 256;

/// An entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Aborted {
    pub(crate) producer: i64,
    /// Offset of its first record.
    pub(crate) first: Offset,
    /// Offset of its marker.
    pub(crate) last: Offset,
    /// Every transaction with a later marker begins here or further on.
    pub(crate) last_stable: Offset,
}

/// Makes an empty file, replacing what is at the path.
pub(crate) fn create(disk: &dyn Disk, path: &Path, owner: Owner) -> io::Result<Arc<dyn DiskFile>> {
    index::create_as(&MAGIC, disk, path, owner)
}

/// Writes entry number `number`.
pub(crate) fn write(
    file: &dyn DiskFile,
    base: Offset,
    number: u32,
    entry: &Aborted,
) -> io::Result<()> {
    let mut out = Vec::with_capacity(ENTRY_BYTES);
    for field in [entry.producer, entry.first, entry.last, entry.last_stable] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    let crc = index::entry_crc(base, &out);
    out.extend_from_slice(&crc.to_be_bytes());
    file.write_at(&out, place(number))
}

fn place(number: u32) -> u64 {
    index::HEAD_BYTES as u64 + u64::from(number) * ENTRY_BYTES as u64
}

fn decode(base: Offset, bytes: &[u8]) -> Result<Aborted, FormatError> {
    let mut fields = Fields(bytes);
    let entry = Aborted {
        producer: fields.i64()?,
        first: fields.i64()?,
        last: fields.i64()?,
        last_stable: fields.i64()?,
    };
    let crc = index::entry_crc(base, &bytes[..ENTRY_BYTES - 4]);
    if fields.u32()? == crc { Ok(entry) } else { Err(FormatError::Checksum) }
}

/// Reads entries `from..to`, at most [`CHUNK_ENTRIES`] of them; the inner error is damage.
fn read(
    file: &dyn DiskFile,
    base: Offset,
    from: u32,
    to: u32,
) -> io::Result<Result<Vec<Aborted>, FormatError>> {
    let count = to.saturating_sub(from).min(CHUNK_ENTRIES) as usize;
    let mut bytes = vec![0; count * ENTRY_BYTES];
    match file.read_exact_at(&mut bytes, place(from)) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Ok(Err(FormatError::Truncated));
        }
        result => result?,
    }
    Ok(bytes.chunks_exact(ENTRY_BYTES).map(|entry| decode(base, entry)).collect())
}

/// Whether the file is of this owner and its first `count` entries are good.
pub(crate) fn check(file: &dyn DiskFile, owner: Owner, count: u32) -> io::Result<bool> {
    if !index::has_head(&MAGIC, file, owner)? {
        return Ok(false);
    }
    let (mut number, mut before) = (0, -1);
    while number < count {
        let Ok(entries) = read(file, owner.base, number, count)? else { return Ok(false) };
        for entry in &entries {
            if entry.last <= before || entry.first > entry.last {
                return Ok(false);
            }
            before = entry.last;
        }
        number += entries.len() as u32;
    }
    Ok(true)
}

/// Calls back with the entries whose marker is at `from` or later, until it says that it
/// has seen enough. Returns whether it did; the inner error is damage.
pub(crate) fn each_from(
    file: &dyn DiskFile,
    base: Offset,
    count: u32,
    from: Offset,
    mut enough: impl FnMut(&Aborted) -> bool,
) -> io::Result<Result<bool, FormatError>> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        match read(file, base, middle, middle + 1)? {
            Ok(entry) if entry.iter().all(|entry| entry.last < from) => low = middle + 1,
            Ok(_) => high = middle,
            Err(damage) => return Ok(Err(damage)),
        }
    }
    while low < count {
        let entries = match read(file, base, low, count)? {
            Ok(entries) => entries,
            Err(damage) => return Ok(Err(damage)),
        };
        if entries.iter().any(&mut enough) {
            return Ok(Ok(true));
        }
        low += entries.len() as u32;
    }
    Ok(Ok(false))
}

#[cfg(test)]
mod tests {
    use thalweg_core::env::sim::SimEnv;

    use super::*;

    const OWNER: Owner = Owner { partition: (7, 1), base: 100, generation: 0 };

    fn entry(number: u32) -> Aborted {
        let last = 110 + i64::from(number) * 10;
        Aborted { producer: 9, first: last - 15, last, last_stable: last + 1 }
    }

    fn from(file: &dyn DiskFile, count: u32, from: Offset) -> Vec<Offset> {
        let mut found = Vec::new();
        let all = |entry: &Aborted| {
            found.push(entry.last);
            false
        };
        assert!(!each_from(file, 100, count, from, all).unwrap().unwrap());
        found
    }

    #[test]
    fn finds_by_the_marker_and_sees_damage() {
        let env = SimEnv::new(1).env();
        let file = create(&*env.disk, Path::new("/a"), OWNER).unwrap();
        for number in 0..600 {
            write(&*file, 100, number, &entry(number)).unwrap();
        }
        assert_eq!(from(&*file, 600, 0).len(), 600);
        assert_eq!(from(&*file, 600, 6081), [6090, 6100]);
        assert_eq!(from(&*file, 600, 6100), [6100]);
        assert_eq!(from(&*file, 600, 6101), [0; 0]);
        assert_eq!(from(&*file, 599, 6081), [6090]);
        assert!(check(&*file, OWNER, 600).unwrap());
        assert!(!check(&*file, OWNER, 601).unwrap(), "one is missing");
        assert!(!check(&*file, Owner { base: 101, ..OWNER }, 600).unwrap(), "of another segment");
        file.write_at(&[0xaa], place(30) + 3).unwrap();
        assert!(check(&*file, OWNER, 30).unwrap());
        assert!(!check(&*file, OWNER, 31).unwrap());
        assert!(each_from(&*file, 100, 31, 100, |_| false).unwrap().is_err());
    }
}
