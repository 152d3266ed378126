//! The manifest of a snapshot, format 1.
//!
//! File `MANIFEST`, all numbers little endian, a string being a `u32` count of bytes and
//! UTF-8:
//!
//! ```text
//! magic      8 bytes, "thwgsnap"
//! version    u32, 1
//! body bytes u64
//! checksum   u64, xxh3-64 with seed 0 of the 20 bytes before
//! body       epoch u64
//!            attempt u32
//!            meta: u32 count, bytes
//!            files: u32 count, then for each
//!              operator uid: string
//!              subtask: u32
//!              name: string
//!              file name: string
//!              bytes: u64
//!              xxh3-64 of the bytes, seed 0: u64
//! checksum   u64, xxh3-64 with seed 0 of everything before
//! ```
//!
//! The header, up to its checksum, is the same in every version, so that a newer version
//! is told from a damaged one: the former is refused, the latter passed over.

use std::path::Path;

use thalweg_core::ids::Epoch;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Result, StateError};

/// Newest version of the format that is known here; what is written.
pub const VERSION: u32 = 1;

/// Name of the manifest in a snapshot's directory.
pub const FILE_NAME: &str = "MANIFEST";

/// Longest manifest that is read, in bytes: room for some hundred thousand files.
pub const MAX_BYTES: u64 = 64 << 20;

/// Longest operator uid or batch name, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 4096;

const MAGIC: [u8; 8] = *b"thwgsnap";
/// Magic, version, length of the body and checksum.
const HEADER_BYTES: usize = 8 + 4 + 8 + CHECKSUM_BYTES;
const CHECKSUM_BYTES: usize = 8;

/// Identity of a snapshot in its store. Later ones are greater.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SnapshotId {
    /// The epoch whose end the state is of.
    pub epoch: Epoch,
    /// Tells a snapshot from an earlier one of the same epoch, such as one that a crash
    /// left unfinished.
    pub attempt: u32,
}

impl SnapshotId {
    /// Name of its directory; names sort as ids do.
    pub(crate) fn directory(self) -> String {
        format!("snapshot-{:020}-{:05}", self.epoch.0, self.attempt)
    }

    /// The id whose directory has this name.
    pub(crate) fn of_directory(name: &str) -> Option<Self> {
        let (epoch, attempt) = name.strip_prefix("snapshot-")?.split_once('-')?;
        let id = Self { epoch: Epoch(epoch.parse().ok()?), attempt: attempt.parse().ok()? };
        (id.directory() == name).then_some(id)
    }
}

impl std::fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.epoch, self.attempt)
    }
}

/// One file of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileEntry {
    pub(crate) operator_uid: String,
    pub(crate) subtask: u32,
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) checksum: u64,
}

/// What a snapshot consists of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Manifest {
    pub(crate) id: SnapshotId,
    pub(crate) meta: Vec<u8>,
    pub(crate) files: Vec<FileEntry>,
}

impl Manifest {
    /// The bytes of the file. Strings, meta and counts are below 4 GiB, which the writer
    /// has checked.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(self.id.epoch.0.to_le_bytes());
        body.extend(self.id.attempt.to_le_bytes());
        put_bytes(&mut body, &self.meta);
        body.extend((self.files.len() as u32).to_le_bytes());
        for file in &self.files {
            put_bytes(&mut body, file.operator_uid.as_bytes());
            body.extend(file.subtask.to_le_bytes());
            put_bytes(&mut body, file.name.as_bytes());
            put_bytes(&mut body, file.file.as_bytes());
            body.extend(file.bytes.to_le_bytes());
            body.extend(file.checksum.to_le_bytes());
        }
        let mut out = Vec::with_capacity(HEADER_BYTES + body.len() + CHECKSUM_BYTES);
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend((body.len() as u64).to_le_bytes());
        out.extend(xxh3_64(&out).to_le_bytes());
        out.extend(body);
        out.extend(xxh3_64(&out).to_le_bytes());
        out
    }

    /// Reads the bytes of the file at `path`, which is only for messages.
    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        let corrupt = |detail: &str| StateError::corrupt(path, detail);
        if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || bytes[..8] != MAGIC {
            return Err(corrupt("not a snapshot manifest"));
        }
        let (header, header_checksum) =
            bytes[..HEADER_BYTES].split_at(HEADER_BYTES - CHECKSUM_BYTES);
        if xxh3_64(header).to_le_bytes() != header_checksum {
            return Err(corrupt("the checksum of the manifest's header differs"));
        }
        let mut header = Fields(&header[8..]);
        let (version, body_bytes) =
            header.u32().zip(header.u64()).ok_or_else(|| corrupt("cut off"))?;
        if version > VERSION {
            return Err(StateError::NewerVersion {
                path: path.to_owned(),
                found: version,
                known: VERSION,
            });
        }
        let (checked, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if xxh3_64(checked).to_le_bytes() != checksum {
            return Err(corrupt("the manifest's checksum differs"));
        }
        let body = &checked[HEADER_BYTES..];
        if body_bytes != body.len() as u64 {
            return Err(corrupt("the manifest has another length than it says"));
        }
        Self::decode_body(body)
            .ok_or_else(|| corrupt("the manifest's fields do not fit its length"))
    }

    fn decode_body(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let id = SnapshotId { epoch: Epoch(fields.u64()?), attempt: fields.u32()? };
        let meta = fields.bytes()?.to_vec();
        let count = fields.u32()?;
        let mut files = Vec::new();
        for _ in 0..count {
            files.push(FileEntry {
                operator_uid: fields.string()?,
                subtask: fields.u32()?,
                name: fields.string()?,
                file: fields.string()?,
                bytes: fields.u64()?,
                checksum: fields.u64()?,
            });
        }
        fields.0.is_empty().then_some(Self { id, meta, files })
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

/// Takes fields off the front; `None` where too few bytes are left.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.u32()?;
        self.take(count as usize)
    }

    fn string(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            id: SnapshotId { epoch: Epoch(7), attempt: 2 },
            meta: b"offsets".to_vec(),
            files: vec![FileEntry {
                operator_uid: "count".into(),
                subtask: 3,
                name: "groups".into(),
                file: "00000.arrow".into(),
                bytes: 99,
                checksum: 5,
            }],
        }
    }

    #[test]
    fn what_is_encoded_decodes() {
        assert_eq!(Manifest::decode(&manifest().encode(), Path::new("M")).unwrap(), manifest());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = manifest().encode();
        for at in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..at], Path::new("M")).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let error = Manifest::decode(&damaged, Path::new("M")).unwrap_err();
                assert!(matches!(error, StateError::Corrupt { .. }), "bit {bit} of {at}");
            }
        }
    }

    #[test]
    fn a_newer_version_is_refused() {
        let mut bytes = manifest().encode();
        bytes[8] = 2;
        let checksum = xxh3_64(&bytes[..20]);
        bytes[20..28].copy_from_slice(&checksum.to_le_bytes());
        let error = Manifest::decode(&bytes, Path::new("M")).unwrap_err();
        assert!(matches!(error, StateError::NewerVersion { found: 2, known: 1, .. }));
    }

    #[test]
    fn directories_sort_as_ids_do() {
        let ids = [(1, 0), (1, 1), (2, 0), (10, 0), (u64::MAX, 7)]
            .map(|(epoch, attempt)| SnapshotId { epoch: Epoch(epoch), attempt });
        let names = ids.map(SnapshotId::directory);
        assert!(names.is_sorted());
        assert_eq!(names.each_ref().map(|name| SnapshotId::of_directory(name).unwrap()), ids);
        for wrong in
            ["snapshot-1-0", "snapshot-", "other", "snapshot-00000000000000000001-00000.tmp"]
        {
            assert_eq!(SnapshotId::of_directory(wrong), None);
        }
    }
}
