//! What versions of Thalweg before the formats of Kafka wrote into the topic: read for
//! ever, never written again.
//!
//! A record has no key. Its value is framed, numbers are big-endian, a text or a run of
//! bytes has its length before it as u32, and an optional value a byte 0 or 1:
//!
//! ```text
//!  0 crc32c u32 (from 4)   4 format version u8   5 kind u8
//!  6 flags u8 (bit 0: part of a snapshot)   7 fields ...
//! ```

use bytes::{Buf, Bytes};
use thalweg_core::ids::TopicPartition;

use super::{ClassicEntry, Entry, MemberEntry};
use crate::group::offsets::CommittedOffset;

/// The only version there was.
const FORMAT_VERSION: u8 = 1;
const IN_SNAPSHOT: u8 = 1;

/// A record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum LegacyLine {
    /// A change.
    Change(LegacyEntry),
    /// What follows with the snapshot flag is the whole state.
    SnapshotBegin,
    /// A part of a snapshot.
    SnapshotPart(LegacyEntry),
    /// The snapshot is complete and replaces all that was before it.
    SnapshotEnd,
}

/// A change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum LegacyEntry {
    /// One that is known today as well.
    Entry(Box<Entry>),
    /// A group is gone, with its offsets.
    GroupRemoved(String),
}

mod kind {
    pub(super) const OFFSET: u8 = 1;
    pub(super) const OFFSET_REMOVED: u8 = 2;
    pub(super) const GENERATION: u8 = 3;
    pub(super) const GROUP_REMOVED: u8 = 4;
    pub(super) const SNAPSHOT_BEGIN: u8 = 5;
    pub(super) const SNAPSHOT_END: u8 = 6;
}

impl LegacyLine {
    /// Reads the value of a record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, String> {
        let (crc, framed) = value.split_first_chunk().ok_or("a short record")?;
        if crc32c::crc32c(framed) != u32::from_be_bytes(*crc) {
            return Err("a record's checksum does not match".into());
        }
        match framed.split_first() {
            Some((&FORMAT_VERSION, payload)) => Self::decode_payload(payload),
            _ => Err("a record without a key is of no known version".into()),
        }
    }

    fn decode_payload(payload: &[u8]) -> Result<Self, String> {
        let mut input = Reader(payload);
        let (kind, flags) = (input.byte()?, input.byte()?);
        let line = match kind {
            kind::SNAPSHOT_BEGIN => Self::SnapshotBegin,
            kind::SNAPSHOT_END => Self::SnapshotEnd,
            _ => match flags & IN_SNAPSHOT {
                0 => Self::Change(input.entry(kind)?),
                _ => Self::SnapshotPart(input.entry(kind)?),
            },
        };
        match input.0.is_empty() {
            true => Ok(line),
            false => Err("a record is longer than its fields".into()),
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number<T>(&mut self, read: impl Fn(&mut &'a [u8]) -> T, size: usize) -> Result<T, String> {
        match self.0.len() >= size {
            true => Ok(read(&mut self.0)),
            false => Err("a record ends inside a field".into()),
        }
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.number(Buf::get_u8, 1)
    }

    fn int(&mut self) -> Result<i32, String> {
        self.number(Buf::get_i32, 4)
    }

    fn long(&mut self) -> Result<i64, String> {
        self.number(Buf::get_i64, 8)
    }

    fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.number(Buf::get_u32, 4)? as usize;
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or("a record ends inside a field")?;
        self.0 = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<String, String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|error| error.to_string())
    }

    fn optional(&mut self) -> Result<Option<String>, String> {
        match self.byte()? {
            0 => Ok(None),
            _ => self.text().map(Some),
        }
    }

    fn partition(&mut self) -> Result<TopicPartition, String> {
        Ok(TopicPartition { topic: self.text()?, partition: self.int()? })
    }

    fn entry(&mut self, kind: u8) -> Result<LegacyEntry, String> {
        let group = self.text()?;
        let entry = match kind {
            kind::OFFSET => Entry::Offset {
                group,
                partition: self.partition()?,
                offset: CommittedOffset {
                    offset: self.long()?,
                    leader_epoch: self.int()?,
                    metadata: self.text()?,
                    committed_at: self.long()?,
                    expires_at: None,
                },
            },
            kind::OFFSET_REMOVED => Entry::OffsetRemoved { group, partition: self.partition()? },
            kind::GROUP_REMOVED => return Ok(LegacyEntry::GroupRemoved(group)),
            kind::GENERATION => Entry::Classic(Box::new(ClassicEntry {
                group,
                at: self.long()?,
                generation: self.int()?,
                protocol_type: self.optional()?,
                protocol: self.optional()?,
                leader: self.optional()?,
                members: self.members()?,
            })),
            other => return Err(format!("a record of unknown kind {other}")),
        };
        Ok(LegacyEntry::Entry(Box::new(entry)))
    }

    fn members(&mut self) -> Result<Vec<MemberEntry>, String> {
        let count = self.int()?;
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(MemberEntry {
                member_id: self.text()?,
                instance_id: self.optional()?,
                client_id: self.text()?,
                client_host: self.text()?,
                session_timeout_ms: self.long()? as u64,
                rebalance_timeout_ms: self.long()? as u64,
                subscription: Bytes::copy_from_slice(self.bytes()?),
                assignment: Bytes::copy_from_slice(self.bytes()?),
            });
        }
        Ok(members)
    }
}
