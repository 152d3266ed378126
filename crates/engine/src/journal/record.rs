//! The envelope of a journal record: magic, version, kind, checksum.

use bytes::Bytes;
use thalweg_core::ids::{Epoch, Incarnation};
use xxhash_rust::xxh3::xxh3_64;

use super::{Decoder, Encoder, EpochEntry, Header};
use crate::error::{JobError, Result};

const MAGIC: [u8; 4] = *b"TWJ\x01";
/// Version of the format that is written.
const VERSION: u16 = 1;
const PREFIX_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 8;
const HEADER: u8 = 1;
const EPOCH: u8 = 2;
const PROGRESS: u8 = 3;
const FENCE: u8 = 4;

/// How a job stands when it says how far it published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EndState {
    /// It goes on: a recovery has published what was left.
    Running,
    /// It was stopped and can go on.
    Stopped,
    /// It read all of its input.
    Finished,
}

/// Says how far publication is, where no entry follows that would.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Progress {
    /// Who wrote it.
    pub incarnation: Incarnation,
    /// The last committed epoch.
    pub epoch: Epoch,
    /// All epochs up to this one are published.
    pub published_through: Epoch,
    /// Why it was written.
    pub end: EndState,
}

/// One record of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Record {
    /// An incarnation starts.
    Header(Box<Header>),
    /// An epoch happened.
    Epoch(Box<EpochEntry>),
    /// Publication went on.
    Progress(Progress),
    /// A producer id of the journal came to its end.
    Fence(Incarnation),
}

impl Record {
    /// Bytes of the record's value.
    pub(crate) fn encode(&self) -> Bytes {
        let kind = match self {
            Self::Header(_) => HEADER,
            Self::Epoch(_) => EPOCH,
            Self::Progress(_) => PROGRESS,
            Self::Fence(_) => FENCE,
        };
        let mut out = Encoder::default();
        out.0.extend_from_slice(&MAGIC);
        out.0.extend_from_slice(&VERSION.to_le_bytes());
        out.0.extend_from_slice(&[kind, 0]);
        match self {
            Self::Header(header) => header.encode(&mut out),
            Self::Epoch(entry) => entry.encode(&mut out),
            Self::Progress(progress) => {
                out.uint(u64::from(progress.incarnation.0));
                out.uint(progress.epoch.0);
                out.uint(progress.published_through.0);
                out.byte(match progress.end {
                    EndState::Running => 0,
                    EndState::Stopped => 1,
                    EndState::Finished => 2,
                });
            }
            Self::Fence(incarnation) => out.uint(u64::from(incarnation.0)),
        }
        let checksum = xxh3_64(&out.0);
        out.fixed(checksum);
        Bytes::from(out.0)
    }

    /// Reads what [`Record::encode`] wrote.
    ///
    /// # Errors
    /// [`JobError::Incompatible`] for a newer version, [`JobError::Corrupt`] otherwise.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = |detail: &str| JobError::Corrupt(format!("journal record: {detail}"));
        if bytes.len() < PREFIX_BYTES + CHECKSUM_BYTES || bytes[..4] != MAGIC {
            return Err(damaged("it is none"));
        }
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        if version > VERSION {
            return Err(JobError::Incompatible(format!(
                "the journal has format version {version}; this version of Thalweg reads up to {VERSION}"
            )));
        }
        let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if xxh3_64(content).to_le_bytes() != checksum {
            return Err(damaged("its checksum does not match"));
        }
        let mut from = Decoder::new(&content[PREFIX_BYTES..], "journal record");
        let record = match bytes[6] {
            HEADER => Self::Header(Box::new(Header::decode(&mut from)?)),
            EPOCH => Self::Epoch(Box::new(EpochEntry::decode(&mut from)?)),
            PROGRESS => Self::Progress(Progress {
                incarnation: Incarnation(from.small()?),
                epoch: Epoch(from.uint()?),
                published_through: Epoch(from.uint()?),
                end: match from.byte()? {
                    0 => EndState::Running,
                    1 => EndState::Stopped,
                    2 => EndState::Finished,
                    other => return Err(damaged(&format!("end state {other} is unknown"))),
                },
            }),
            FENCE => Self::Fence(Incarnation(from.small()?)),
            other => return Err(damaged(&format!("kind {other} is unknown"))),
        };
        from.end()?;
        Ok(record)
    }
}
