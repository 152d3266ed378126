//! Writing a group of segments anew, beside the old ones.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thalweg_core::env::{Disk, DiskFile, OpenMode};
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::LogError;
use thalweg_core::record_batch::RecordBatch;

use super::Partition;
use super::filter::{Fate, Filter};
use crate::mark::{self, DATA_START, Mark};
use crate::partition::locate::IndexBuilder;
use crate::segment::aborted::{self, Aborted};
use crate::segment::index::{self, Owner};
use crate::segment::scan::end_marker;
use crate::segment::walk::{Walk, Walked};
use crate::segment::{
    ABORTED_SUFFIX, INDEX_SUFFIX, IndexState, LOG_SUFFIX, MAGIC, MaxTime, Segment, TEMPORARY_SUFFIX,
};
use crate::shared::is_storage_full;
use crate::space::Purpose;

/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;

/// What came of writing a group anew.
pub(super) enum Outcome {
    /// Everything of its one segment stays as it is.
    Unchanged,
    /// A new segment is there, durable but for its place.
    Changed(Box<Built>),
    /// The disk is full.
    NoSpace,
}

/// A new segment that waits to take its place.
pub(super) struct Built {
    pub(super) segment: Segment,
    pub(super) batches: PathBuf,
    pub(super) index: PathBuf,
    /// There is no list where it would be empty.
    pub(super) list: Option<PathBuf>,
}

/// Why writing stopped.
enum Stop {
    Write(io::Error),
    Other(LogError),
}

/// A segment being written.
struct Output {
    disk: Arc<dyn Disk>,
    owner: Owner,
    paths: [PathBuf; 3],
    batches: Arc<dyn DiskFile>,
    index: Arc<dyn DiskFile>,
    list: Option<Arc<dyn DiskFile>>,
    list_entries: u32,
    /// Where the bytes that were written end, and those that come next.
    written: u64,
    pending: Vec<u8>,
    /// All is as in this file so far, and nothing of it was written.
    same_as: Option<Arc<dyn DiskFile>>,
    max_time: MaxTime,
}

impl Partition {
    /// Writes the batches of a group that stay into a new segment.
    pub(super) fn rewrite(
        &self,
        group: &[Segment],
        filter: &mut Filter<'_>,
        clean_to: Offset,
    ) -> Result<Outcome, LogError> {
        let Some(first) = group.first() else { return Ok(Outcome::Unchanged) };
        let generation = group.iter().map(|segment| segment.generation).max().unwrap_or(0) + 1;
        let owner = Owner { partition: self.owner(), base: first.base, generation };
        let suffixes = [LOG_SUFFIX, INDEX_SUFFIX, ABORTED_SUFFIX];
        let paths = suffixes.map(|s| self.path(first.base, &format!("{s}{TEMPORARY_SUFFIX}")));
        let bytes = group.iter().map(Segment::data_bytes).sum();
        if let Err(detail) = self.shared.grant_space(bytes, Purpose::Ordinary) {
            tracing::warn!(partition = %self.name, detail, "no space to compact");
            return Ok(Outcome::NoSpace);
        }
        let built = self.write_output(group, owner, paths.clone(), filter, clean_to);
        if !matches!(built, Ok(Outcome::Changed(_))) {
            for path in paths.iter().filter(|path| self.shared.env.disk.exists(path)) {
                // What stays is removed by the next start.
                let _ = self.shared.env.disk.remove_file(path);
            }
        }
        match built {
            Ok(outcome) => Ok(outcome),
            Err(Stop::Write(error)) if is_storage_full(&error) => {
                tracing::warn!(partition = %self.name, %error, "no space to compact");
                self.shared.space.forget_grant();
                Ok(Outcome::NoSpace)
            }
            Err(Stop::Write(_)) if self.view.lock().deleted => Err(self.unknown()),
            Err(Stop::Write(error)) => Err(self.shared.fail(&self.dir, &error)),
            Err(Stop::Other(error)) => Err(error),
        }
    }

    fn write_output(
        &self,
        group: &[Segment],
        owner: Owner,
        paths: [PathBuf; 3],
        filter: &mut Filter<'_>,
        clean_to: Offset,
    ) -> Result<Outcome, Stop> {
        let mut output = self.begin_output(owner, paths).map_err(Stop::Write)?;
        let index = output.index.clone();
        let interval = self.shared.options.index_interval_bytes;
        let mut builder = IndexBuilder::new(&*index, owner.base, interval);
        if let [only] = group {
            let file = self.segment_file(only.base).map_err(Stop::Write)?;
            output.same_as = Some(file);
        }
        for segment in group {
            let is_end = |offset| group.last().is_some_and(|last| last.end == offset);
            let failed = |error: io::Error| Stop::Other(self.unreadable(segment.base, &error));
            let file = self.segment_file(segment.base).map_err(failed)?;
            let mut walk = Walk::new(&*file, segment);
            loop {
                let batch = match walk.next().map_err(failed)? {
                    Walked::Batch(batch) => batch,
                    Walked::End => break,
                    Walked::Bad { offset, detail } => {
                        return Err(Stop::Other(self.damaged(offset, detail)));
                    }
                };
                let is_last = is_end(batch.header().next_offset());
                let fate = judge(filter, &batch, is_last, &mut output).map_err(Stop::Write)?;
                if fate != Fate::Same {
                    output.differ().map_err(Stop::Write)?;
                }
                let stays = match &fate {
                    Fate::Gone => None,
                    Fate::Same => Some(batch),
                    Fate::New(bytes) => RecordBatch::parse(bytes).ok(),
                };
                if let Some(batch) = stays {
                    output.put(&batch, &mut builder).map_err(Stop::Write)?;
                }
            }
            self.shared.check_running().map_err(Stop::Other)?;
        }
        if output.same_as.is_some() {
            return Ok(Outcome::Unchanged);
        }
        let index_entries = builder.count;
        let log_start = self.view.lock().offsets.start;
        let segment = output.finish(group, index_entries, clean_to, log_start);
        let segment = segment.map_err(Stop::Write)?;
        let [batches, index, list] = output.paths;
        let list = output.list.is_some().then_some(list);
        Ok(Outcome::Changed(Box::new(Built { segment, batches, index, list })))
    }

    fn begin_output(&self, owner: Owner, paths: [PathBuf; 3]) -> io::Result<Output> {
        let disk = self.shared.env.disk.clone();
        let batches: Arc<dyn DiskFile> = disk.open(&paths[0], OpenMode::Create)?.into();
        batches.set_len(0)?;
        let index = index::create(&*disk, &paths[1], owner)?;
        Ok(Output {
            disk,
            owner,
            batches,
            index,
            list: None,
            list_entries: 0,
            written: DATA_START,
            pending: Vec::new(),
            same_as: None,
            max_time: MaxTime::NONE,
            paths,
        })
    }
}

fn judge(
    filter: &mut Filter<'_>,
    batch: &RecordBatch<'_>,
    is_last: bool,
    output: &mut Output,
) -> io::Result<Fate> {
    if !batch.header().attributes.is_control() {
        return Ok(filter.data(batch, is_last));
    }
    let (fate, ends) = filter.control(batch, end_marker(batch.bytes()), is_last);
    if let Some(ends) = ends {
        output.list(&ends)?;
    }
    Ok(fate)
}

impl Output {
    fn put(&mut self, batch: &RecordBatch<'_>, index: &mut IndexBuilder<'_>) -> io::Result<()> {
        let header = batch.header();
        let position = self.written + self.pending.len() as u64;
        index.add((header.base_offset, position, header.size as u64), header.max_timestamp)?;
        self.max_time.add(header);
        if self.same_as.is_some() {
            self.written += header.size as u64;
            return Ok(());
        }
        self.pending.extend_from_slice(batch.bytes());
        if self.pending.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// From here on the segment is not as it was: what is before has to be copied.
    fn differ(&mut self) -> io::Result<()> {
        let Some(source) = self.same_as.take() else { return Ok(()) };
        let end = std::mem::replace(&mut self.written, DATA_START);
        while self.written < end {
            let len = (end - self.written).min(WRITE_BYTES as u64) as usize;
            self.pending.resize(len, 0);
            source.read_exact_at(&mut self.pending, self.written)?;
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.batches.write_at(&self.pending, self.written)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    fn list(&mut self, entry: &Aborted) -> io::Result<()> {
        let file = match &self.list {
            Some(file) => file.clone(),
            None => aborted::create(&*self.disk, &self.paths[2], self.owner)?,
        };
        aborted::write(&*file, self.owner.base, self.list_entries, entry)?;
        self.list = Some(file);
        self.list_entries += 1;
        Ok(())
    }

    fn finish(
        &mut self,
        group: &[Segment],
        index_entries: u32,
        clean_to: Offset,
        log_start: Offset,
    ) -> io::Result<Segment> {
        self.flush()?;
        let (created_at, end) =
            group.last().map_or((0, self.owner.base), |last| (last.created_at, last.end));
        let mark = Mark {
            sequence: 0,
            owner: self.owner.partition,
            base: self.owner.base,
            created_at,
            durable: end,
            position: self.written,
            max_time: self.max_time.time,
            max_time_at: self.max_time.at,
            sealed: true,
            index_entries,
            aborted_entries: self.list_entries,
            generation: self.owner.generation,
            clean_to,
            log_start,
        };
        self.batches.write_at(&mark::head(&MAGIC, &mark), 0)?;
        self.batches.sync_data()?;
        Ok(Segment {
            end,
            written: self.written,
            committed: self.written,
            max_written: self.max_time,
            max_committed: self.max_time,
            index: IndexState::Ready(index_entries),
            aborted: IndexState::Ready(self.list_entries),
            ..Segment::begun(&mark)
        })
    }
}
