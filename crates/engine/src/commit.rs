//! The committer: turns the output of an epoch's units into its journal entry, or, in a
//! replay, compares it with the one there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use thalweg_core::ids::Epoch;
use thalweg_core::partition_log::DurableCallback;
use thalweg_core::time::Millis;
use thalweg_stream::ChangeBatch;

use crate::digest::ChangeHasher;
use crate::epoch::EpochPlan;
use crate::error::{JobError, Result};
use crate::journal::{
    ChunkPlace, ChunkRecord, EndState, EpochEntry, Header, JournalWriter, Progress, Record,
    StagedFile, ViewRecord,
};
use crate::ledger::Ledger;
use crate::snapshot::{SnapshotDraft, SnapshotMeta};
use crate::staging::Staging;
use crate::status::Totals;
use crate::task::{ChunkBody, StateBatch, UnitChunk, UnitOutput};
use crate::watermark::ChannelEnd;

/// An epoch all of whose units are done.
pub(crate) struct DoneEpoch {
    pub plan: Arc<EpochPlan>,
    /// By stage and subtask.
    pub outputs: Vec<Vec<UnitOutput>>,
}

/// A chunk on its way to its sink.
pub(crate) struct CommittedChunk {
    pub sink: usize,
    pub partition: i32,
    pub first_sequence: u64,
    pub count: u32,
    pub body: ChunkBody,
}

/// An epoch whose entry is in the journal, perhaps not yet durable.
pub(crate) struct CommittedEpoch {
    pub epoch: Epoch,
    /// Nothing of it is published again.
    pub replayed: bool,
    pub chunks: Vec<CommittedChunk>,
    /// Changes by view number.
    pub views: Vec<Vec<ChangeBatch>>,
    /// What its entry says about publication.
    pub published_through: Epoch,
    /// Where a snapshot is taken: all but the views' contents.
    pub snapshot: Option<Box<SnapshotDraft>>,
    /// Bytes of its input, for the budget.
    pub bytes_in: u64,
}

/// Writes entries, in the order of epochs.
pub(crate) struct Committer {
    pub journal: JournalWriter,
    pub header: Header,
    pub staging: Arc<Staging>,
    pub inline_bytes: usize,
    /// Shared with whoever wants to see it.
    pub ledger: Arc<Mutex<Ledger>>,
    /// What the publisher has done.
    pub published: Arc<AtomicU64>,
    /// Number of views.
    pub view_count: usize,
}

impl Committer {
    /// Commits an epoch, or checks it. `durable` is called when the entry is on disk; a
    /// replayed one is already.
    ///
    /// # Errors
    /// [`JobError::Diverged`], [`JobError::Fenced`], and what log and disk say.
    pub(crate) fn commit(
        &mut self,
        done: DoneEpoch,
        durable: DurableCallback,
    ) -> Result<CommittedEpoch> {
        let DoneEpoch { plan, outputs } = done;
        let mut collected = Collected::new(&plan, outputs, self.view_count)?;
        let (mut chunks, watermark) = self.account(&plan, &mut collected)?;
        let (published_through, journal) = match &plan.recorded {
            Some(entry) => {
                self.check(entry, &chunks, &collected.views)?;
                (entry.published_through, plan.journal_next)
            }
            None => {
                let through = Epoch(self.published.load(Ordering::Acquire));
                let entry = self.entry(&plan, &mut chunks, &collected, watermark, through)?;
                let record = Record::Epoch(Box::new(entry));
                (through, self.journal.append(&record, plan.input.now, durable)?)
            }
        };
        let mut ledger = self.ledger.lock();
        ledger.journal = journal;
        let snapshot = plan.snapshot.then(|| {
            let meta = SnapshotMeta { header: self.header.clone(), ledger: ledger.clone() };
            let state = std::mem::take(&mut collected.state);
            Box::new(SnapshotDraft { meta, state, views: Vec::new() })
        });
        drop(ledger);
        let chunks = chunks.into_iter().map(|(chunk, first_sequence)| CommittedChunk {
            sink: chunk.sink,
            partition: chunk.partition,
            first_sequence,
            count: chunk.count,
            body: chunk.body,
        });
        Ok(CommittedEpoch {
            epoch: plan.epoch(),
            replayed: plan.recorded.is_some(),
            chunks: chunks.collect(),
            views: collected.changes,
            published_through,
            snapshot,
            bytes_in: plan.input.bytes(),
        })
    }

    /// Moves the ledger to the end of the epoch. Gives each chunk its first sequence, and
    /// the job's watermark. The ledger is let go of before the journal is written, whose
    /// callbacks look at the job.
    fn account(
        &self,
        plan: &EpochPlan,
        collected: &mut Collected,
    ) -> Result<(Vec<(UnitChunk, u64)>, Millis)> {
        let mut ledger = self.ledger.lock();
        ledger.apply(&plan.input)?;
        ledger.move_watermarks(collected.splits.drain(..), collected.ends.drain(..));
        ledger.totals.add(&collected.totals);
        let mut chunks = Vec::with_capacity(collected.chunks.len());
        for chunk in collected.chunks.drain(..) {
            let next = ledger.sequences.entry((chunk.sink, chunk.partition)).or_insert(0);
            let first = *next;
            *next += u64::from(chunk.count);
            chunks.push((chunk, first));
        }
        Ok((chunks, ledger.watermark()))
    }

    /// The entry of an epoch; stages what does not fit into it and makes that durable.
    fn entry(
        &self,
        plan: &EpochPlan,
        chunks: &mut [(UnitChunk, u64)],
        collected: &Collected,
        watermark: Millis,
        published_through: Epoch,
    ) -> Result<EpochEntry> {
        self.stage(plan.epoch(), chunks)?;
        let mut staged = Vec::new();
        let mut records = Vec::with_capacity(chunks.len());
        for (chunk, first_sequence) in chunks {
            let place = match &chunk.body {
                ChunkBody::Memory(bytes) => ChunkPlace::Inline(bytes.clone()),
                ChunkBody::Staged(chunk) => {
                    let end = chunk.offset + chunk.len;
                    ChunkPlace::Staged {
                        file: file_place(&mut staged, &chunk.file.name, end),
                        offset: chunk.offset,
                    }
                }
            };
            records.push(record(chunk, *first_sequence, place));
        }
        Ok(EpochEntry {
            incarnation: self.header.incarnation,
            input: plan.input.clone(),
            published_through,
            totals: collected.totals,
            watermark,
            chunks: records,
            staged,
            views: collected.views.clone(),
        })
    }

    fn stage(&self, epoch: Epoch, chunks: &mut [(UnitChunk, u64)]) -> Result<()> {
        let in_memory: usize = chunks
            .iter()
            .map(|(chunk, _)| match &chunk.body {
                ChunkBody::Memory(bytes) => bytes.len(),
                ChunkBody::Staged(_) => 0,
            })
            .sum();
        let mut files = Vec::new();
        for (chunk, _) in chunks {
            if let ChunkBody::Memory(bytes) = &chunk.body
                && in_memory > self.inline_bytes
            {
                chunk.body = ChunkBody::Staged(self.staging.append(bytes)?);
            }
            if let ChunkBody::Staged(staged) = &chunk.body
                && !files.iter().any(|file| Arc::ptr_eq(file, &staged.file))
            {
                files.push(Arc::clone(&staged.file));
            }
        }
        if files.is_empty() { Ok(()) } else { self.staging.sync(&files, epoch) }
    }

    /// Compares what replay gave with the entry.
    fn check(
        &self,
        entry: &EpochEntry,
        chunks: &[(UnitChunk, u64)],
        views: &[ViewRecord],
    ) -> Result<()> {
        let nowhere = || ChunkPlace::Staged { file: 0, offset: 0 };
        let replayed: Vec<_> =
            chunks.iter().map(|(chunk, sequence)| record(chunk, *sequence, nowhere())).collect();
        let diverged = |output: &str, subtask, partition, recorded, replayed| {
            Err(JobError::Diverged {
                epoch: entry.input.epoch,
                output: output.to_owned(),
                subtask,
                partition,
                recorded,
                replayed,
            })
        };
        for place in 0..entry.chunks.len().max(replayed.len()) {
            let (want, got) = (entry.chunks.get(place), replayed.get(place));
            if want.map(ChunkRecord::digest) == got.map(ChunkRecord::digest) {
                continue;
            }
            let Some(either) = want.or(got) else { continue };
            let name = self.header.sinks.get(either.sink).map_or("?", |sink| &sink.key);
            return diverged(name, either.subtask, either.partition, say(want), say(got));
        }
        for place in 0..entry.views.len().max(views.len()) {
            let (want, got) = (entry.views.get(place), views.get(place));
            if want != got
                && let Some(either) = want.or(got)
            {
                let name = self.header.views.get(either.view).map_or("?", |name| name);
                let say = |view: Option<&ViewRecord>| {
                    view.map_or("nothing".into(), |v| {
                        format!("{} changes {:016x}", v.count, v.hash)
                    })
                };
                return diverged(&format!("view:{name}"), 0, 0, say(want), say(got));
            }
        }
        Ok(())
    }

    /// Writes down that everything is published, at a clean end.
    pub(crate) fn finish(&mut self, end: EndState, durable: DurableCallback) -> Result<()> {
        let (epoch, now) = {
            let ledger = self.ledger.lock();
            (ledger.epoch, ledger.now)
        };
        let progress = Progress {
            incarnation: self.header.incarnation,
            epoch,
            published_through: Epoch(self.published.load(Ordering::Acquire)),
            end,
        };
        self.journal.append(&Record::Progress(progress), now, durable)?;
        Ok(())
    }
}

fn file_place(files: &mut Vec<StagedFile>, name: &str, end: u64) -> usize {
    let place = files.iter().position(|file| file.name == name).unwrap_or_else(|| {
        files.push(StagedFile { name: name.to_owned(), len: 0 });
        files.len() - 1
    });
    files[place].len = files[place].len.max(end);
    place
}

fn record(chunk: &UnitChunk, first_sequence: u64, place: ChunkPlace) -> ChunkRecord {
    ChunkRecord {
        sink: chunk.sink,
        subtask: chunk.subtask,
        partition: chunk.partition,
        first_sequence,
        count: chunk.count,
        len: chunk.len,
        hash: chunk.hash,
        place,
    }
}

fn say(chunk: Option<&ChunkRecord>) -> String {
    match chunk {
        None => "nothing".to_owned(),
        Some(chunk) => format!(
            "{} records from {} on, {} bytes {:016x}",
            chunk.count, chunk.first_sequence, chunk.len, chunk.hash
        ),
    }
}

/// The output of an epoch's units, brought together in a fixed order.
struct Collected {
    chunks: Vec<UnitChunk>,
    changes: Vec<Vec<ChangeBatch>>,
    views: Vec<ViewRecord>,
    splits: Vec<(usize, Millis)>,
    ends: Vec<(usize, usize, ChannelEnd)>,
    totals: Totals,
    state: Vec<StateBatch>,
}

impl Collected {
    fn new(plan: &EpochPlan, outputs: Vec<Vec<UnitOutput>>, views: usize) -> Result<Self> {
        let mut all = Self {
            chunks: Vec::new(),
            changes: vec![Vec::new(); views],
            views: Vec::new(),
            splits: Vec::new(),
            ends: Vec::new(),
            totals: Totals { bytes_in: plan.input.bytes(), ..Totals::default() },
            state: Vec::new(),
        };
        for (stage, subtasks) in outputs.into_iter().enumerate() {
            for (subtask, output) in subtasks.into_iter().enumerate() {
                all.chunks.extend(output.chunks);
                for (view, changes) in output.views {
                    all.changes[view].extend(changes);
                }
                all.splits.extend(output.splits);
                all.ends.extend(output.end.map(|end| (stage, subtask, end)));
                all.totals.add(&output.totals);
                all.state.extend(output.state);
            }
        }
        // Stable, so the order within a sink is that of subtasks, then of writing.
        all.chunks.sort_by_key(|chunk| (chunk.sink, chunk.subtask));
        for (view, changes) in all.changes.iter().enumerate().filter(|(_, c)| !c.is_empty()) {
            let mut hasher = ChangeHasher::default();
            changes.iter().try_for_each(|batch| hasher.add(batch))?;
            let (count, hash) = hasher.finish();
            all.views.push(ViewRecord { view, count, hash });
        }
        Ok(all)
    }
}
