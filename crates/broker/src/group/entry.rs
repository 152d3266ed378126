//! What is remembered of groups, and how it is written down.
//!
//! An entry is the payload of one record of the internal topic. All numbers are
//! big-endian; a text or a run of bytes has its length before it as u32; an optional
//! value has a byte 0 or 1 before it.
//!
//! ```text
//!  0 kind u8   1 flags u8 (bit 0: part of a snapshot)   2 fields ...
//! ```

use bytes::{Buf, Bytes};
use thalweg_core::ids::TopicPartition;
use thalweg_core::time::Millis;

use super::state::CommittedOffset;

/// Version of this encoding. A newer one is refused, older ones are read for ever.
pub(super) const FORMAT_VERSION: u8 = 1;

const IN_SNAPSHOT: u8 = 1;

/// A change to be remembered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// An offset was committed.
    Offset { group: String, partition: TopicPartition, offset: CommittedOffset },
    /// A committed offset is gone.
    OffsetRemoved { group: String, partition: TopicPartition },
    /// A generation got its assignment, or a group lost its last member.
    Generation {
        group: String,
        at: Millis,
        generation: i32,
        protocol_type: Option<String>,
        protocol: Option<String>,
        leader: Option<String>,
        members: Vec<MemberEntry>,
    },
    /// A group is gone, with its offsets.
    GroupRemoved { group: String },
}

/// A member of a generation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MemberEntry {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: u64,
    pub(crate) rebalance_timeout_ms: u64,
    pub(crate) subscription: Bytes,
    pub(crate) assignment: Bytes,
}

/// A record of the internal topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Line {
    /// A change.
    Change(Entry),
    /// What follows with the snapshot flag is the whole state.
    SnapshotBegin,
    /// A part of a snapshot.
    SnapshotPart(Entry),
    /// The snapshot is complete and replaces all that was before it.
    SnapshotEnd,
}

mod kind {
    pub(super) const OFFSET: u8 = 1;
    pub(super) const OFFSET_REMOVED: u8 = 2;
    pub(super) const GENERATION: u8 = 3;
    pub(super) const GROUP_REMOVED: u8 = 4;
    pub(super) const SNAPSHOT_BEGIN: u8 = 5;
    pub(super) const SNAPSHOT_END: u8 = 6;
}

impl Line {
    /// The bytes of a record.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (entry, flags) = match self {
            Self::SnapshotBegin => return vec![kind::SNAPSHOT_BEGIN, IN_SNAPSHOT],
            Self::SnapshotEnd => return vec![kind::SNAPSHOT_END, IN_SNAPSHOT],
            Self::Change(entry) => (entry, 0),
            Self::SnapshotPart(entry) => (entry, IN_SNAPSHOT),
        };
        let mut out = Writer(vec![0, flags]);
        out.0[0] = out.entry(entry);
        out.0
    }

    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, String> {
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

struct Writer(Vec<u8>);

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn optional(&mut self, text: Option<&str>) {
        self.0.push(u8::from(text.is_some()));
        if let Some(text) = text {
            self.bytes(text.as_bytes());
        }
    }

    fn partition(&mut self, partition: &TopicPartition) {
        self.bytes(partition.topic.as_bytes());
        self.0.extend_from_slice(&partition.partition.to_be_bytes());
    }

    /// Writes the fields and says of which kind they are.
    fn entry(&mut self, entry: &Entry) -> u8 {
        match entry {
            Entry::Offset { group, partition, offset } => {
                self.bytes(group.as_bytes());
                self.partition(partition);
                self.0.extend_from_slice(&offset.offset.to_be_bytes());
                self.0.extend_from_slice(&offset.leader_epoch.to_be_bytes());
                self.bytes(offset.metadata.as_bytes());
                self.0.extend_from_slice(&offset.committed_at.to_be_bytes());
                kind::OFFSET
            }
            Entry::OffsetRemoved { group, partition } => {
                self.bytes(group.as_bytes());
                self.partition(partition);
                kind::OFFSET_REMOVED
            }
            Entry::GroupRemoved { group } => {
                self.bytes(group.as_bytes());
                kind::GROUP_REMOVED
            }
            Entry::Generation {
                group,
                at,
                generation,
                protocol_type,
                protocol,
                leader,
                members,
            } => {
                self.bytes(group.as_bytes());
                self.0.extend_from_slice(&at.to_be_bytes());
                self.0.extend_from_slice(&generation.to_be_bytes());
                self.optional(protocol_type.as_deref());
                self.optional(protocol.as_deref());
                self.optional(leader.as_deref());
                self.0.extend_from_slice(&(members.len() as u32).to_be_bytes());
                members.iter().for_each(|member| self.member(member));
                kind::GENERATION
            }
        }
    }

    fn member(&mut self, member: &MemberEntry) {
        self.bytes(member.member_id.as_bytes());
        self.optional(member.instance_id.as_deref());
        self.bytes(member.client_id.as_bytes());
        self.bytes(member.client_host.as_bytes());
        self.0.extend_from_slice(&member.session_timeout_ms.to_be_bytes());
        self.0.extend_from_slice(&member.rebalance_timeout_ms.to_be_bytes());
        self.bytes(&member.subscription);
        self.bytes(&member.assignment);
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

    fn entry(&mut self, kind: u8) -> Result<Entry, String> {
        let group = self.text()?;
        match kind {
            kind::OFFSET => Ok(Entry::Offset {
                group,
                partition: self.partition()?,
                offset: CommittedOffset {
                    offset: self.long()?,
                    leader_epoch: self.int()?,
                    metadata: self.text()?,
                    committed_at: self.long()?,
                },
            }),
            kind::OFFSET_REMOVED => {
                Ok(Entry::OffsetRemoved { group, partition: self.partition()? })
            }
            kind::GROUP_REMOVED => Ok(Entry::GroupRemoved { group }),
            kind::GENERATION => Ok(Entry::Generation {
                group,
                at: self.long()?,
                generation: self.int()?,
                protocol_type: self.optional()?,
                protocol: self.optional()?,
                leader: self.optional()?,
                members: self.members()?,
            }),
            other => Err(format!("a record of unknown kind {other}")),
        }
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
