//! What a snapshot keeps besides state: the header and the fold of the journal.
//!
//! Layout: magic `TWM\x01`, version u16, then the fields; the snapshot's manifest holds
//! the checksum.

use std::collections::BTreeMap;

use thalweg_core::ids::Epoch;
use thalweg_stream::source::SplitInfo;

use crate::error::{JobError, Result};
use crate::journal::{Decoder, Encoder, Header, decode_totals, encode_totals};
use crate::ledger::{Ledger, PinPoint, SplitState};
use crate::watermark::ChannelEnd;

const MAGIC: [u8; 4] = *b"TWM\x01";
const VERSION: u16 = 1;

/// The meta of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SnapshotMeta {
    /// Header of the incarnation that took it.
    pub header: Header,
    /// The fold of all epochs up to it.
    pub ledger: Ledger,
}

impl SnapshotMeta {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.0.extend_from_slice(&MAGIC);
        out.0.extend_from_slice(&VERSION.to_le_bytes());
        self.header.encode(&mut out);
        let ledger = &self.ledger;
        out.uint(ledger.epoch.0);
        out.int(ledger.now);
        out.byte(ledger.finished.into());
        out.len(ledger.splits.len());
        for split in &ledger.splits {
            out.len(split.source);
            out.text(&split.info.id);
            out.text(&split.info.fingerprint);
            out.uint(split.info.start);
            out.option(split.info.end);
            out.uint(split.position);
            out.int(split.watermark);
            out.byte(u8::from(split.idle) | u8::from(split.finished) << 1);
        }
        out.len(ledger.subtasks.len());
        for subtasks in &ledger.subtasks {
            out.len(subtasks.len());
            for end in subtasks {
                out.int(end.watermark);
                out.byte(end.idle.into());
            }
        }
        out.len(ledger.sequences.len());
        for (&(sink, partition), &next) in &ledger.sequences {
            out.len(sink);
            out.int(i64::from(partition));
            out.uint(next);
        }
        encode_totals(&ledger.totals, &mut out);
        out.int(ledger.journal);
        out.len(ledger.pins.len());
        for pin in &ledger.pins {
            out.uint(pin.epoch.0);
            out.int(pin.journal);
            out.len(pin.positions.len());
            pin.positions.iter().for_each(|&position| out.uint(position));
        }
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < 6 || bytes[..4] != MAGIC {
            return Err(JobError::Corrupt("snapshot meta: it is none".into()));
        }
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        if version > VERSION {
            return Err(JobError::Incompatible(format!(
                "the snapshot's meta has version {version}; this version of Thalweg reads up to {VERSION}"
            )));
        }
        let mut from = Decoder::new(&bytes[6..], "snapshot meta");
        let header = Header::decode(&mut from)?;
        let ledger = decode_ledger(&mut from)?;
        from.end()?;
        Ok(Self { header, ledger })
    }
}

fn decode_ledger(from: &mut Decoder<'_>) -> Result<Ledger> {
    let epoch = Epoch(from.uint()?);
    let now = from.int()?;
    let finished = from.byte()? != 0;
    let splits = from.list(decode_split)?;
    let subtasks = from.list(|from| {
        from.list(|from| Ok(ChannelEnd { watermark: from.int()?, idle: from.byte()? != 0 }))
    })?;
    let sequences = from.list(|from| {
        let (sink, partition) = (from.small()?, from.int()? as i32);
        Ok(((sink, partition), from.uint()?))
    })?;
    let sequences: BTreeMap<_, _> = sequences.into_iter().collect();
    let totals = decode_totals(from)?;
    let journal = from.int()?;
    let pins = from.list(|from| {
        Ok(PinPoint {
            epoch: Epoch(from.uint()?),
            journal: from.int()?,
            positions: from.list(Decoder::uint)?,
        })
    })?;
    Ok(Ledger { epoch, now, finished, splits, subtasks, sequences, totals, journal, pins })
}

fn decode_split(from: &mut Decoder<'_>) -> Result<SplitState> {
    let source = from.small()?;
    let info = SplitInfo {
        id: from.text()?,
        fingerprint: from.text()?,
        start: from.uint()?,
        end: from.option()?,
    };
    let position = from.uint()?;
    let watermark = from.int()?;
    let flags = from.byte()?;
    let (idle, finished) = (flags & 1 != 0, flags & 2 != 0);
    Ok(SplitState { source, info, position, watermark, idle, finished })
}
