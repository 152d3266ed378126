//! The entry of an epoch: what makes it true.

use bytes::Bytes;
use thalweg_core::ids::{Epoch, Incarnation};
use thalweg_core::time::Millis;

use super::{Decoder, Encoder};
use crate::epoch::{EpochInput, Event, SplitRange};
use crate::error::{JobError, Result};
use crate::status::Totals;

/// Where the bytes of a chunk stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ChunkPlace {
    /// In the entry.
    Inline(Bytes),
    /// In a staged file.
    Staged {
        /// Its place among the entry's staged files.
        file: usize,
        /// Where in it.
        offset: u64,
    },
}

/// One chunk of output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ChunkRecord {
    /// Number of the sink in the header.
    pub sink: usize,
    /// Who wrote it.
    pub subtask: usize,
    /// Partition of the sink.
    pub partition: i32,
    /// Records that the job had published to the partition before.
    pub first_sequence: u64,
    /// Records in it.
    pub count: u32,
    /// Its length in bytes.
    pub len: u64,
    /// XXH3-64 of its bytes.
    pub hash: u64,
    /// Where they stand.
    pub place: ChunkPlace,
}

impl ChunkRecord {
    /// What replay has to give again.
    pub(crate) fn digest(&self) -> (usize, usize, i32, u64, u32, u64, u64) {
        let (sequence, count) = (self.first_sequence, self.count);
        (self.sink, self.subtask, self.partition, sequence, count, self.len, self.hash)
    }
}

/// A file that holds chunks of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StagedFile {
    /// Its name in the job's staging directory.
    pub name: String,
    /// How far it reached when the entry was written.
    pub len: u64,
}

/// What an epoch did to a view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ViewRecord {
    /// Number of the view in the header.
    pub view: usize,
    /// Changes.
    pub count: u64,
    /// XXH3-64 of their values.
    pub hash: u64,
}

/// The entry of an epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EpochEntry {
    /// Who wrote it.
    pub incarnation: Incarnation,
    /// What decided the result.
    pub input: EpochInput,
    /// All epochs up to this one are published.
    pub published_through: Epoch,
    /// Rows of this epoch.
    pub totals: Totals,
    /// The smallest watermark of all subtasks at its end; for people.
    pub watermark: Millis,
    /// Output, by sink and subtask.
    pub chunks: Vec<ChunkRecord>,
    /// Files that hold chunks.
    pub staged: Vec<StagedFile>,
    /// Views that changed.
    pub views: Vec<ViewRecord>,
}

const LAST: u64 = 1;

impl EpochEntry {
    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.uint(u64::from(self.incarnation.0));
        out.uint(self.input.epoch.0);
        out.int(self.input.now);
        out.uint(if self.input.last { LAST } else { 0 });
        out.uint(self.published_through.0);
        encode_events(&self.input.events, out);
        out.len(self.input.ranges.len());
        for range in &self.input.ranges {
            out.len(range.split);
            out.uint(range.from);
            out.uint(range.to);
            out.uint(range.bytes);
        }
        encode_totals(&self.totals, out);
        out.int(self.watermark);
        out.len(self.staged.len());
        for file in &self.staged {
            out.text(&file.name);
            out.uint(file.len);
        }
        out.len(self.chunks.len());
        self.chunks.iter().for_each(|chunk| encode_chunk(chunk, out));
        out.len(self.views.len());
        for view in &self.views {
            out.len(view.view);
            out.uint(view.count);
            out.fixed(view.hash);
        }
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self> {
        let incarnation = Incarnation(from.small()?);
        let epoch = Epoch(from.uint()?);
        let now = from.int()?;
        let last = from.uint()? & LAST != 0;
        let published_through = Epoch(from.uint()?);
        let events = from.list(decode_event)?;
        let ranges = from.list(|from| {
            Ok(SplitRange {
                split: from.small()?,
                from: from.uint()?,
                to: from.uint()?,
                bytes: from.uint()?,
            })
        })?;
        let totals = decode_totals(from)?;
        let watermark = from.int()?;
        let staged = from.list(|from| Ok(StagedFile { name: from.text()?, len: from.uint()? }))?;
        let chunks = from.list(|from| decode_chunk(from, staged.len()))?;
        let views = from.list(|from| {
            Ok(ViewRecord { view: from.small()?, count: from.uint()?, hash: from.fixed()? })
        })?;
        let input = EpochInput { epoch, now, last, events, ranges };
        Ok(Self { incarnation, input, published_through, totals, watermark, chunks, staged, views })
    }
}

fn encode_chunk(chunk: &ChunkRecord, out: &mut Encoder) {
    out.len(chunk.sink);
    out.len(chunk.subtask);
    out.int(i64::from(chunk.partition));
    out.uint(chunk.first_sequence);
    out.uint(u64::from(chunk.count));
    out.uint(chunk.len);
    out.fixed(chunk.hash);
    match &chunk.place {
        ChunkPlace::Inline(bytes) => {
            out.byte(0);
            out.bytes(bytes);
        }
        ChunkPlace::Staged { file, offset } => {
            out.byte(1);
            out.len(*file);
            out.uint(*offset);
        }
    }
}

fn decode_chunk(from: &mut Decoder<'_>, files: usize) -> Result<ChunkRecord> {
    let damaged = |detail: &str| Err(JobError::Corrupt(format!("journal entry: {detail}")));
    let (sink, subtask) = (from.small()?, from.small()?);
    let partition = from.int()? as i32;
    let (first_sequence, count) = (from.uint()?, from.small()?);
    let (len, hash) = (from.uint()?, from.fixed()?);
    let place = match from.byte()? {
        0 => ChunkPlace::Inline(Bytes::copy_from_slice(from.bytes()?)),
        1 => ChunkPlace::Staged { file: from.small()?, offset: from.uint()? },
        _ => return damaged("a chunk stands nowhere"),
    };
    match &place {
        ChunkPlace::Inline(bytes) if bytes.len() as u64 != len => {
            damaged("a chunk's length is not that of its bytes")
        }
        ChunkPlace::Staged { file, .. } if *file >= files => {
            damaged("a chunk stands in a file that is not listed")
        }
        _ => Ok(ChunkRecord { sink, subtask, partition, first_sequence, count, len, hash, place }),
    }
}

fn encode_events(events: &[Event], out: &mut Encoder) {
    out.len(events.len());
    for event in events {
        match event {
            Event::NewSplit { source, id, fingerprint, start, end } => {
                out.byte(1);
                out.len(*source);
                out.text(id);
                out.text(fingerprint);
                out.uint(*start);
                out.option(*end);
            }
            Event::Idle(split) => {
                out.byte(2);
                out.len(*split);
            }
            Event::EndOfSplit(split) => {
                out.byte(3);
                out.len(*split);
            }
            Event::Skip { split, to } => {
                out.byte(4);
                out.len(*split);
                out.uint(*to);
            }
        }
    }
}

fn decode_event(from: &mut Decoder<'_>) -> Result<Event> {
    Ok(match from.byte()? {
        1 => Event::NewSplit {
            source: from.small()?,
            id: from.text()?,
            fingerprint: from.text()?,
            start: from.uint()?,
            end: from.option()?,
        },
        2 => Event::Idle(from.small()?),
        3 => Event::EndOfSplit(from.small()?),
        4 => Event::Skip { split: from.small()?, to: from.uint()? },
        other => return Err(JobError::Corrupt(format!("journal entry: event of kind {other}"))),
    })
}

pub(crate) fn encode_totals(totals: &Totals, out: &mut Encoder) {
    for value in [totals.rows_in, totals.rows_out, totals.late, totals.bad, totals.bytes_in] {
        out.uint(value);
    }
}

pub(crate) fn decode_totals(from: &mut Decoder<'_>) -> Result<Totals> {
    Ok(Totals {
        rows_in: from.uint()?,
        rows_out: from.uint()?,
        late: from.uint()?,
        bad: from.uint()?,
        bytes_in: from.uint()?,
    })
}
