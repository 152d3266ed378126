//! The durable mark at the head of an append-only file: up to where its bytes are known
//! to be durable.
//!
//! A file begins with two slots, each in a page of its own, that are written in turn;
//! the valid one with the higher sequence counts, so a torn write of one leaves the
//! other. The bytes of the file start at [`DATA_START`].
//!
//! ```text
//!  0 slot of even sequences   4096 slot of odd sequences   8192 data ...
//! ```
//!
//! A mark is written after the sync whose success it tells, before anyone is told of
//! it, and is itself made durable by the next sync of the same file: no sync is paid
//! for it. See the crate's documentation on recovery for what follows from that.

use std::io;

use thalweg_core::env::DiskFile;
use thalweg_core::ids::Offset;
use thalweg_core::time::Millis;

use crate::format::{self, Fields, FormatError, Magic};

/// Where the data of a marked file begins.
pub(crate) const DATA_START: u64 = 2 * SLOT_STRIDE;

const SLOT_STRIDE: u64 = 4096;
const SLOT_BYTES: usize = 512;

/// Version 1 had no place for what compaction and transactions need.
const VERSION: u16 = 2;

/// How many there are is not known: to be counted.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// What a mark says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Mark {
    /// Counts the marks of this file.
    pub(crate) sequence: u64,
    /// Id of the topic and number of the partition: a file moved elsewhere is noticed.
    pub(crate) owner: (u128, i32),
    /// Offset of the first record of the file.
    pub(crate) base: Offset,
    /// When the file was begun.
    pub(crate) created_at: Millis,
    /// Everything of the partition before this offset was durable.
    pub(crate) durable: Offset,
    /// Where in this file the durable bytes end.
    pub(crate) position: u64,
    /// Largest timestamp before that position, -1 where there is none.
    pub(crate) max_time: Millis,
    /// Base offset of the batch with it.
    pub(crate) max_time_at: Offset,
    /// Whether the file is complete: the next one was begun.
    pub(crate) sealed: bool,
    /// Entries in the index of a sealed file, or [`UNKNOWN`].
    pub(crate) index_entries: u32,
    /// Aborted transactions whose markers are in a sealed file, or [`UNKNOWN`].
    pub(crate) aborted_entries: u32,
    /// How often compaction has written the file anew; if ever, offsets may be missing.
    pub(crate) generation: u32,
    /// What stands before this offset was compacted together with all before it.
    pub(crate) clean_to: Offset,
    /// Oldest offset of the partition that may be read.
    pub(crate) log_start: Offset,
}

impl Mark {
    fn encode(&self, magic: &Magic) -> Vec<u8> {
        let mut out = Vec::with_capacity(SLOT_BYTES);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.owner.0.to_be_bytes());
        out.extend_from_slice(&self.owner.1.to_be_bytes());
        out.extend_from_slice(&self.base.to_be_bytes());
        out.extend_from_slice(&self.created_at.to_be_bytes());
        out.extend_from_slice(&self.durable.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
        out.extend_from_slice(&self.max_time.to_be_bytes());
        out.extend_from_slice(&self.max_time_at.to_be_bytes());
        out.push(u8::from(self.sealed));
        out.extend_from_slice(&self.index_entries.to_be_bytes());
        out.extend_from_slice(&self.log_start.to_be_bytes());
        out.extend_from_slice(&self.aborted_entries.to_be_bytes());
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&self.clean_to.to_be_bytes());
        let mut slot = format::seal_version(magic, VERSION, &out);
        slot.resize(SLOT_BYTES, 0);
        slot
    }

    fn decode(magic: &Magic, slot: &[u8]) -> Result<Self, FormatError> {
        let (version, payload) = format::open_version(magic, VERSION, slot)?;
        let mut fields = Fields(payload);
        let mut mark = Self {
            sequence: fields.u64()?,
            owner: (fields.u128()?, fields.i32()?),
            base: fields.i64()?,
            created_at: fields.i64()?,
            durable: fields.i64()?,
            position: fields.u64()?,
            max_time: fields.i64()?,
            max_time_at: fields.i64()?,
            sealed: fields.u8()? != 0,
            index_entries: fields.u32()?,
            log_start: fields.i64()?,
            aborted_entries: UNKNOWN,
            generation: 0,
            clean_to: 0,
        };
        if version >= 2 {
            mark.aborted_entries = fields.u32()?;
            mark.generation = fields.u32()?;
            mark.clean_to = fields.i64()?;
        }
        fields.end()?;
        if mark.position < DATA_START || mark.base < 0 || mark.durable < 0 || mark.log_start < 0 {
            return Err(FormatError::Malformed("a mark out of range"));
        }
        Ok(mark)
    }
}

/// The head of a new file.
pub(crate) fn head(magic: &Magic, mark: &Mark) -> Vec<u8> {
    let mut head = vec![0; DATA_START as usize];
    let at = (mark.sequence % 2 * SLOT_STRIDE) as usize;
    head[at..at + SLOT_BYTES].copy_from_slice(&mark.encode(magic));
    head
}

/// Writes a mark, whose sequence must be one more than that of the last one.
pub(crate) fn write(file: &dyn DiskFile, magic: &Magic, mark: &Mark) -> io::Result<()> {
    file.write_at(&mark.encode(magic), mark.sequence % 2 * SLOT_STRIDE)
}

/// Reads the mark in force. The inner error tells why there is none; a version that is
/// not known counts more than damage, so that it is refused and not repaired.
pub(crate) fn read(file: &dyn DiskFile, magic: &Magic) -> io::Result<Result<Mark, FormatError>> {
    let mut best: Result<Mark, FormatError> = Err(FormatError::Truncated);
    for slot in 0..2 {
        let mut bytes = [0; SLOT_BYTES];
        match file.read_exact_at(&mut bytes, slot * SLOT_STRIDE) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            result => result?,
        }
        match (Mark::decode(magic, &bytes), &best) {
            (Err(newer @ FormatError::Newer { .. }), _) => return Ok(Err(newer)),
            (Ok(mark), Ok(other)) if mark.sequence < other.sequence => {}
            (Err(_), Ok(_)) => {}
            (decoded, _) => best = decoded,
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use thalweg_core::env::OpenMode;
    use thalweg_core::env::sim::SimEnv;

    use super::*;

    const MAGIC: Magic = *b"test-mrk";

    #[test]
    fn the_newest_valid_slot_counts() {
        let sim = SimEnv::new(1);
        let file = sim.env().disk.open(Path::new("/f"), OpenMode::Create).unwrap();
        assert_eq!(read(&*file, &MAGIC).unwrap(), Err(FormatError::Truncated));
        let mut mark = Mark { position: DATA_START, ..Mark::default() };
        file.write_at(&head(&MAGIC, &mark), 0).unwrap();
        for sequence in 1..6 {
            mark = Mark { sequence, durable: 10 * sequence as i64, ..mark };
            write(&*file, &MAGIC, &mark).unwrap();
            assert_eq!(read(&*file, &MAGIC).unwrap(), Ok(mark));
        }
        // The newest slot torn: the one before it.
        file.write_at(&[0xff; 30], SLOT_STRIDE + 10).unwrap();
        assert_eq!(read(&*file, &MAGIC).unwrap().map(|mark| mark.sequence), Ok(4));
        let newer = format::seal_version(&MAGIC, 3, b"");
        file.write_at(&newer, SLOT_STRIDE).unwrap();
        assert_eq!(read(&*file, &MAGIC).unwrap(), Err(FormatError::Newer { found: 3, known: 2 }));
    }
}
