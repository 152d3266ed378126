//! Looking into a job's journal from outside: for people who ask why, and for checkers.

use thalweg_core::ids::{Epoch, Incarnation, Offset};
use thalweg_core::partition_log::LogStore;
use thalweg_core::time::Millis;
use thalweg_stream::source::Position;

use crate::epoch::Event;
use crate::error::Result;
use crate::job::JobId;
use crate::journal::{self, ChunkPlace, EndState, EpochEntry, Header, JournalReader, Record};
use crate::status::{JobState, Totals};

/// One record of a journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JournalItem {
    /// A start of the job.
    Start {
        /// The run.
        incarnation: Incarnation,
        /// Subtasks of a stage.
        parallelism: usize,
        /// The plan in words.
        plan: String,
        /// Wall time.
        started_at: Millis,
    },
    /// A committed epoch.
    Epoch(EpochInfo),
    /// Everything up to an epoch is published.
    Published {
        /// The epoch.
        through: Epoch,
        /// Where the job was in its life.
        state: JobState,
    },
    /// An older range of incarnations came to its end.
    Fence(Incarnation),
}

/// A committed epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochInfo {
    /// Its number.
    pub epoch: Epoch,
    /// Who committed it.
    pub incarnation: Incarnation,
    /// "Now".
    pub now: Millis,
    /// The last one of a bounded input.
    pub last: bool,
    /// Decisions from outside, in words.
    pub events: Vec<String>,
    /// Number of a split in its job, and the range that was read.
    pub ranges: Vec<(usize, Position, Position)>,
    /// What it published.
    pub chunks: Vec<ChunkInfo>,
    /// Views that changed: name, number of changes, hash.
    pub views: Vec<(String, u64, u64)>,
    /// Its rows.
    pub totals: Totals,
    /// The smallest watermark at its end.
    pub watermark: Millis,
    /// Epochs that were published when it was committed.
    pub published_through: Epoch,
}

/// A chunk of a committed epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChunkInfo {
    /// `sink:<uid>`, `late:<uid>` or `bad:<uid>`.
    pub sink: String,
    /// Who wrote it.
    pub subtask: usize,
    /// Partition of the sink.
    pub partition: i32,
    /// Records that the job had published there before.
    pub first_sequence: u64,
    /// Records in it.
    pub count: u32,
    /// Bytes in it.
    pub len: u64,
    /// XXH3-64 of them.
    pub hash: u64,
    /// Whether the bytes stand in the journal itself.
    pub inline: bool,
}

/// All records of a job's journal that are still there, with their offsets; none where
/// there is no journal.
///
/// # Errors
/// Damage, and versions that are not known.
pub fn read_journal(log: &dyn LogStore, job: JobId) -> Result<Vec<(Offset, JournalItem)>> {
    if log.topic(&journal::topic_name(job)).is_none() {
        return Ok(Vec::new());
    }
    let mut reader = JournalReader::new(journal::open(log, job)?, 0);
    let mut items = Vec::new();
    let mut header: Option<Header> = None;
    while let Some((offset, record)) = reader.next()? {
        let item = match record {
            Record::Header(new) => {
                let item = JournalItem::Start {
                    incarnation: new.incarnation,
                    parallelism: new.parallelism,
                    plan: new.plan.clone(),
                    started_at: new.started_at,
                };
                header = Some(*new);
                item
            }
            Record::Epoch(entry) => JournalItem::Epoch(info(*entry, header.as_ref())),
            Record::Progress(progress) => JournalItem::Published {
                through: progress.published_through,
                state: match progress.end {
                    EndState::Running => JobState::Recovering,
                    EndState::Stopped => JobState::Stopped,
                    EndState::Finished => JobState::Finished,
                },
            },
            Record::Fence(incarnation) => JournalItem::Fence(incarnation),
        };
        items.push((offset, item));
    }
    Ok(items)
}

fn info(entry: EpochEntry, header: Option<&Header>) -> EpochInfo {
    let sink = |number: usize| {
        let pin = header.and_then(|header| header.sinks.get(number));
        pin.map_or_else(|| number.to_string(), |pin| pin.key.clone())
    };
    let view = |number: usize| {
        let name = header.and_then(|header| header.views.get(number));
        name.cloned().unwrap_or_else(|| number.to_string())
    };
    EpochInfo {
        epoch: entry.input.epoch,
        incarnation: entry.incarnation,
        now: entry.input.now,
        last: entry.input.last,
        events: entry.input.events.iter().map(say).collect(),
        ranges: entry
            .input
            .ranges
            .iter()
            .map(|range| (range.split, range.from, range.to))
            .collect(),
        chunks: entry
            .chunks
            .iter()
            .map(|chunk| ChunkInfo {
                sink: sink(chunk.sink),
                subtask: chunk.subtask,
                partition: chunk.partition,
                first_sequence: chunk.first_sequence,
                count: chunk.count,
                len: chunk.len,
                hash: chunk.hash,
                inline: matches!(chunk.place, ChunkPlace::Inline(_)),
            })
            .collect(),
        views: entry.views.iter().map(|v| (view(v.view), v.count, v.hash)).collect(),
        totals: entry.totals,
        watermark: entry.watermark,
        published_through: entry.published_through,
    }
}

fn say(event: &Event) -> String {
    match event {
        Event::NewSplit { source, id, start, .. } => {
            format!("source {source} has a new split '{id}', read from {start}")
        }
        Event::Idle(split) => format!("split {split} is idle"),
        Event::EndOfSplit(split) => format!("split {split} is read to its end"),
        Event::Skip { split, to } => format!("split {split} is passed over up to {to}"),
    }
}
