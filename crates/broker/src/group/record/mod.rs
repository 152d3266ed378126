//! What is remembered of groups, and how it is written down: as keyed records in the
//! formats of Kafka's own `__consumer_offsets`, so that tools that read that topic can
//! read ours.
//!
//! The state is a function of the last value of each key. A record without a value (a
//! tombstone) takes its key away.
//!
//! | key | what it holds |
//! |---|---|
//! | 0, 1 | a committed offset |
//! | 2 | a classic group: generation and members |
//! | 3 | a consumer group (KIP-848): epoch |
//! | 5, 7, 8 | a member of it: subscription, target assignment, current assignment |
//! | 6 | epoch of the target assignment |
//! | 16 | topics that a regular expression stands for |

mod classic;
mod consumer;
pub(super) mod legacy;
mod offset;
mod wire;

use thalweg_core::ids::TopicPartition;

pub(crate) use classic::{ClassicEntry, MemberEntry};
pub(crate) use consumer::{
    ClassicMember, ConsumerEntry, Current, MemberState, ResolvedRegex, Subscription,
};
pub(crate) use wire::TEXT_BYTES_MAX;

use super::offsets::CommittedOffset;
use wire::Reader;

/// A change to be remembered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// An offset was committed.
    Offset { group: String, partition: TopicPartition, offset: CommittedOffset },
    /// A committed offset is gone, and with it those of transactions under way.
    OffsetRemoved { group: String, partition: TopicPartition },
    /// A generation of a classic group got its assignment, or lost its last member.
    Classic(Box<ClassicEntry>),
    /// A classic group is gone; its offsets are not.
    ClassicRemoved { group: String },
    /// Something of a consumer group.
    Consumer { group: String, entry: ConsumerEntry },
}

const KEY_OFFSET_OLD: i16 = 0;
const KEY_OFFSET: i16 = 1;
const KEY_CLASSIC: i16 = 2;
const KEY_CONSUMER_FIRST: i16 = 3;
const KEY_CONSUMER_LAST: i16 = 8;
const KEY_REGEX: i16 = 16;

/// A record's key, and its value where it is no tombstone.
pub(super) type KeyValue = (Vec<u8>, Option<Vec<u8>>);

impl Entry {
    /// Key and value of the record.
    pub(super) fn encode(&self) -> KeyValue {
        match self {
            Self::Offset { group, partition, offset } => {
                (offset::key(group, partition), Some(offset::value(offset)))
            }
            Self::OffsetRemoved { group, partition } => (offset::key(group, partition), None),
            Self::Classic(entry) => (classic::key(&entry.group), Some(classic::value(entry))),
            Self::ClassicRemoved { group } => (classic::key(group), None),
            Self::Consumer { group, entry } => consumer::encode(group, entry),
        }
    }

    /// Reads a record; `None` for kinds that are not needed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, String> {
        let (kind, mut fields) = Reader::new(key)?;
        let entry = match kind {
            KEY_OFFSET_OLD | KEY_OFFSET => {
                let group = fields.text()?;
                let partition = TopicPartition { topic: fields.text()?, partition: fields.i32()? };
                match value {
                    Some(value) => {
                        let offset = offset::read(value)?;
                        Self::Offset { group, partition, offset }
                    }
                    None => Self::OffsetRemoved { group, partition },
                }
            }
            KEY_CLASSIC => {
                let group = fields.text()?;
                match value {
                    Some(value) => Self::Classic(Box::new(classic::read(group, value)?)),
                    None => Self::ClassicRemoved { group },
                }
            }
            KEY_CONSUMER_FIRST..=KEY_CONSUMER_LAST | KEY_REGEX => {
                let group = fields.text()?;
                match consumer::read(kind, &mut fields, value)? {
                    Some(entry) => Self::Consumer { group, entry },
                    None => return Ok(None),
                }
            }
            // Share and streams groups, which this broker does not have.
            _ => return Ok(None),
        };
        match fields.is_empty() {
            true => Ok(Some(entry)),
            false => Err("a key is longer than its fields".into()),
        }
    }
}

/// What a record of a version that this one does not know is refused with.
fn newer(what: &str, found: i16, known: i16) -> String {
    format!(
        "{what} of version {found}, but this version of Thalweg knows only up to {known}; \
         use the newer one that wrote it"
    )
}
