//! Appending: check, number, write. Nothing is done per record.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use thalweg_core::env::{Disk, DiskFile};
use thalweg_core::ids::ProducerId;
use thalweg_core::partition_log::{Appended, LogError};
use thalweg_core::record_batch::{
    self, BatchError, BatchHeader, Codec, DecompressionLimits, Recompressed, RecordBatch,
    TimestampType,
};
use thalweg_core::refused_records::{RecordFault, RefusedRecords};
use thalweg_core::time::Millis;

use super::producer_state::{Incoming, Refusal, Repeated, Staged};
use super::{Partition, Writer};
use crate::files::FileKind;
use crate::mark::{self, Mark};
use crate::segment::index::{self, IndexEntry};
use crate::segment::scan::end_marker;
use crate::segment::{self, IndexState, MaxTime, Segment};
use crate::shared::is_storage_full;
use crate::space::Purpose;
use crate::topic_config::TopicConfig;

/// Epoch that batches are stamped with. One machine never elects another leader, and
/// no offset that was ever read is given twice.
const LEADER_EPOCH: i32 = 0;

/// How the names of the server's own topics begin: offsets of groups, transactions,
/// journals of jobs.
pub(crate) const INTERNAL_PREFIX: &str = "__";

/// Most bytes of one append.
const MAX_APPEND_BYTES: usize = 512 << 20;

impl Partition {
    pub(super) fn append_batches(&self, batches: Bytes) -> Result<Appended, LogError> {
        let result = self.append_checked(batches);
        if let Err(LogError::Disk { .. }) = result {
            self.shared.tell_failure(); // Only now: those told may append in turn.
        }
        result
    }

    fn append_checked(&self, batches: Bytes) -> Result<Appended, LogError> {
        self.shared.check_running()?;
        let config = self.config();
        let now = self.shared.env.clock.wall_ms();
        let mut incoming = self.check_batches(&batches, &config, now)?;
        let batches = match config.compression {
            Some(codec) => self.recompress(batches, &mut incoming, codec, &config)?,
            None => batches,
        };
        let mut writer = self.writer.lock();
        let (damage, deleted, log_start) = {
            let view = self.view.lock();
            (view.damage.clone(), view.deleted, view.offsets.start)
        };
        if deleted {
            return Err(self.unknown());
        }
        if let Some(reason) = damage {
            return Err(LogError::ReadOnly { partition: self.name.clone(), reason });
        }
        let stamped = config.timestamp_type == TimestampType::LogAppendTime;
        let base_offset = writer.end;
        let mut next = base_offset;
        for Incoming { header, .. } in &mut incoming {
            header.base_offset = next;
            next = header.next_offset();
            if stamped {
                header.max_timestamp = now;
            }
        }
        let changes = match writer.producers.stage(&incoming, now) {
            Ok(Staged::New(changes)) => changes,
            Ok(Staged::Repeated(repeated)) => {
                return Ok(repeated_answer(&repeated, log_start, stamped));
            }
            Err(refusal) => return Err(self.refuse(&incoming, refusal)),
        };
        self.make_room(&mut writer, batches.len() as u64, &config, now)?;
        let bytes = number(batches, &incoming, stamped.then_some(now));
        self.write(&mut writer, &bytes)?;
        self.note_written(&mut writer, &incoming, next, bytes.len() as u64);
        let aborted = writer.producers.apply(changes, next);
        self.list_aborted(&aborted);
        drop(writer);
        self.mark_dirty();
        let append_time = if stamped { now } else { -1 };
        Ok(Appended { base_offset, next_offset: next, append_time, log_start, duplicate: false })
    }

    /// What can be checked without the state of the partition.
    fn check_batches(
        &self,
        batches: &[u8],
        config: &TopicConfig,
        now: Millis,
    ) -> Result<Vec<Incoming>, LogError> {
        let mut incoming = Vec::with_capacity(1);
        for batch in record_batch::split(batches) {
            let batch = batch.map_err(|error| self.invalid(error))?;
            let header = *batch.header();
            if header.size > config.max_message_bytes {
                let (size, limit) = (header.size, config.max_message_bytes);
                return Err(LogError::TooLarge { partition: self.name.clone(), size, limit });
            }
            header.check_produced().map_err(|error| self.invalid(error))?;
            batch.verify_crc().map_err(|error| self.invalid(error))?;
            if config.looks_into_records() && !header.attributes.is_control() {
                self.check_records(&batch, config, now)?;
            }
            // The batch may say of itself what no record of it does.
            if let Some(fault) = untimely(header.max_timestamp, config, now) {
                let (partition, detail) = (self.name.clone(), fault.to_string());
                return Err(LogError::InvalidTimestamp { partition, detail });
            }
            let control =
                header.attributes.is_control().then(|| end_marker(batch.bytes())).flatten();
            incoming.push(Incoming { header, control });
        }
        if incoming.is_empty() || batches.len() > MAX_APPEND_BYTES {
            let detail = format!("{} bytes, which is not an append", batches.len());
            return Err(LogError::InvalidBatch { partition: self.name.clone(), detail });
        }
        Ok(incoming)
    }

    /// What only the records themselves tell.
    fn check_records(
        &self,
        batch: &RecordBatch<'_>,
        config: &TopicConfig,
        now: Millis,
    ) -> Result<(), LogError> {
        let mut refused = RefusedRecords::default();
        let mut index = 0;
        let outlined = batch.outline(&DecompressionLimits::default(), |record| {
            if let Some(fault) = untimely(record.timestamp, config, now) {
                refused.add(index, fault);
            } else if config.compact && !record.has_key {
                refused.add(index, RecordFault::NoKey);
            }
            index += 1;
        });
        outlined.map_err(|error| self.invalid(error))?;
        if refused.is_empty() {
            return Ok(());
        }
        Err(LogError::RefusedRecords { partition: self.name.clone(), records: refused })
    }

    /// The batches in the topic's codec. Batches that are, and ends of transactions, stay
    /// as they were sent.
    fn recompress(
        &self,
        batches: Bytes,
        incoming: &mut [Incoming],
        codec: Codec,
        config: &TopicConfig,
    ) -> Result<Bytes, LogError> {
        let other = |header: &BatchHeader| {
            !header.attributes.is_control()
                && header.attributes.compression() != Ok(codec.compression)
        };
        if !incoming.iter().any(|batch| other(&batch.header)) {
            return Ok(batches);
        }
        let mut bytes = BytesMut::new();
        for (batch, Incoming { header, .. }) in record_batch::split(&batches).zip(incoming) {
            let batch = batch.map_err(|error| self.invalid(error))?;
            if !other(header) {
                bytes.extend_from_slice(batch.bytes());
                continue;
            }
            let limit = config.max_message_bytes;
            let made = batch.recompressed(codec, &DecompressionLimits::default(), limit);
            match made.map_err(|error| self.invalid(error))? {
                Recompressed::Batch(made) => {
                    *header = BatchHeader::parse(&made).map_err(|error| self.invalid(error))?;
                    bytes.extend_from_slice(&made);
                }
                Recompressed::TooLarge(size) => {
                    let partition = self.name.clone();
                    return Err(LogError::TooLarge { partition, size, limit });
                }
            }
        }
        Ok(bytes.freeze())
    }

    fn invalid(&self, error: BatchError) -> LogError {
        let partition = self.name.clone();
        match error {
            BatchError::Checksum { expected, found } => {
                LogError::Checksum { partition, expected, found }
            }
            other => LogError::InvalidBatch { partition, detail: other.to_string() },
        }
    }

    fn refuse(&self, incoming: &[Incoming], refusal: Refusal) -> LogError {
        let partition = self.name.clone();
        let first = incoming.iter().map(|batch| batch.header.producer_id).find(|&id| id >= 0);
        let producer = ProducerId(first.unwrap_or(-1));
        match refusal {
            Refusal::Fenced { current, found } => {
                LogError::Fenced { partition, producer, current, found }
            }
            Refusal::CoordinatorFenced { current, found } => {
                LogError::CoordinatorFenced { partition, current, found }
            }
            Refusal::NotTransactional => LogError::InvalidTransactionState { partition, producer },
            Refusal::OutOfOrder { expected, found } => {
                LogError::OutOfOrderSequence { partition, producer, expected, found }
            }
            Refusal::LongPast { sequence } => {
                LogError::DuplicateSequence { partition, producer, sequence }
            }
            Refusal::Mixed => LogError::InvalidBatch {
                partition,
                detail: "repeated and new batches in one append".to_owned(),
            },
        }
    }

    fn purpose(&self) -> Purpose {
        match self.name.topic.starts_with(INTERNAL_PREFIX) {
            true => Purpose::Internal,
            false => Purpose::Ordinary,
        }
    }

    fn full(&self, detail: String) -> LogError {
        self.shared.space.forget_grant();
        LogError::StorageFull { partition: self.name.clone(), detail }
    }

    /// Sees to it that `len` bytes may be written at the writer's position.
    fn make_room(
        &self,
        writer: &mut Writer,
        len: u64,
        config: &TopicConfig,
        now: Millis,
    ) -> Result<(), LogError> {
        let waiting = writer.unsynced_bytes;
        if waiting > 0 && waiting + len > self.shared.options.max_unsynced_bytes {
            return Err(self.full(format!("{waiting} bytes wait for the disk to sync them")));
        }
        self.shared.grant_space(len, self.purpose()).map_err(|detail| self.full(detail))?;
        self.trim(writer)?;
        let last = self.view.lock().segments.last().copied();
        let roll = match last {
            None => true,
            Some(last) => {
                let size = last.data_bytes();
                let old = now.saturating_sub(last.created_at) >= config.segment_ms;
                let far = writer.end - last.base > i64::from(i32::MAX);
                size > 0 && (size + len > config.segment_bytes || old || far)
            }
        };
        if roll { self.begin_segment(writer, now) } else { Ok(()) }
    }

    /// Begins the next segment. The one before stays to be synced by the next commit.
    pub(super) fn begin_segment(&self, writer: &mut Writer, now: Millis) -> Result<(), LogError> {
        let disk = &*self.shared.env.disk;
        let (offsets, first) = {
            let view = self.view.lock();
            (view.offsets, view.segments.is_empty())
        };
        let mark = Mark {
            sequence: 0,
            owner: self.owner(),
            base: writer.end,
            created_at: now,
            durable: offsets.high_watermark,
            position: mark::DATA_START,
            max_time: -1,
            max_time_at: -1,
            log_start: offsets.start,
            ..Mark::default()
        };
        let made = if first { self.make_directory() } else { Ok(()) }
            .and_then(|()| segment::create(disk, &self.dir, &mark));
        let file = made.map_err(|error| self.write_failed(&error))?;
        self.shared.files.put(self.key(mark.base, FileKind::Batches), file);
        let mut begun = Segment::begun(&mark);
        begun.index = self.begin_index(&begun);
        if let Some(file) = writer.file.take() {
            writer.unsynced.push(file);
        }
        writer.begun.push(mark);
        writer.position = mark::DATA_START;
        writer.unindexed_bytes = u64::MAX / 2; // The first batch gets an entry.
        self.view.lock().segments.push(begun);
        if !first {
            self.save_producers(writer)?;
        }
        Ok(())
    }

    /// The directory may be there already without being durable: a process that ended
    /// between the two left it.
    fn make_directory(&self) -> io::Result<()> {
        self.shared.env.disk.create_dir_all(&self.dir)?;
        sync_parents(&*self.shared.env.disk, &self.dir)
    }

    fn begin_index(&self, segment: &Segment) -> IndexState {
        let path = self.path(segment.base, segment::INDEX_SUFFIX);
        match index::create(&*self.shared.env.disk, &path, self.owner_of(segment)) {
            Ok(file) => {
                self.shared.files.put(self.key(segment.base, FileKind::Index), file);
                IndexState::Ready(0)
            }
            Err(_) => IndexState::Lost,
        }
    }

    fn active_file(&self, writer: &mut Writer) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = &writer.file {
            return Ok(file.clone());
        }
        let base = self.view.lock().segments.last().map_or(0, |segment| segment.base);
        let file = self.segment_file(base)?;
        writer.file = Some(file.clone());
        Ok(file)
    }

    fn write(&self, writer: &mut Writer, bytes: &[u8]) -> Result<(), LogError> {
        let file = self.active_file(writer).map_err(|error| self.write_failed(&error))?;
        if let Err(error) = file.write_at(bytes, writer.position) {
            writer.untrimmed = true;
            let answer = self.write_failed(&error);
            if !matches!(answer, LogError::Disk { .. }) {
                let _ = self.trim(writer);
            }
            return Err(answer);
        }
        Ok(())
    }

    /// Cuts off what a failed write left, and makes that durable: what an append was
    /// refused for must not come back after a crash.
    fn trim(&self, writer: &mut Writer) -> Result<(), LogError> {
        if !writer.untrimmed {
            return Ok(());
        }
        let file = self.active_file(writer).map_err(|error| self.write_failed(&error))?;
        file.set_len(writer.position).map_err(|error| self.write_failed(&error))?;
        file.sync_data().map_err(|error| self.shared.fail(&self.dir, &error))?;
        writer.untrimmed = false;
        Ok(())
    }

    /// Out of space is refused and passes; any other failure to write ends the log.
    fn write_failed(&self, error: &io::Error) -> LogError {
        if is_storage_full(error) {
            self.full(error.to_string())
        } else {
            self.shared.fail(&self.dir, error)
        }
    }

    /// Moves the ends on and adds to the index.
    fn note_written(&self, writer: &mut Writer, incoming: &[Incoming], next: i64, len: u64) {
        let due = writer.unindexed_bytes >= self.shared.options.index_interval_bytes;
        let mut view = self.view.lock();
        view.offsets.end = next;
        let Some(segment) = view.segments.last_mut() else { return };
        let before = *segment;
        for Incoming { header, .. } in incoming {
            segment.max_written.add(header);
        }
        segment.end = next;
        segment.written = writer.position + len;
        drop(view);
        if due {
            self.add_index_entry(&before, writer);
            writer.unindexed_bytes = 0;
        }
        writer.end = next;
        writer.position += len;
        writer.unsynced_bytes += len;
        writer.unsaved_bytes += len;
        writer.unindexed_bytes = writer.unindexed_bytes.saturating_add(len);
    }

    fn add_index_entry(&self, segment: &Segment, writer: &Writer) {
        let IndexState::Ready(count) = segment.index else { return };
        let entry = IndexEntry {
            offset: writer.end,
            position: writer.position,
            max_time_before: segment.max_written.time,
        };
        let written = self
            .index_file(segment.base)
            .and_then(|file| index::write(&*file, segment.base, count, &entry));
        let state = match written {
            Ok(()) => IndexState::Ready(count + 1),
            Err(_) => IndexState::Lost, // Derived: built again when it is looked for.
        };
        if let Some(last) = self.view.lock().segments.last_mut() {
            last.index = state;
        }
    }
}

/// Makes the names durable that lead from the log's directory to a partition's.
pub(super) fn sync_parents(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    dir.ancestors().skip(1).take(2).try_for_each(|parent| disk.sync_dir(parent))
}

fn untimely(timestamp: Millis, config: &TopicConfig, now: Millis) -> Option<RecordFault> {
    if timestamp < 0 || config.timestamp_type == TimestampType::LogAppendTime {
        return None;
    }
    let (ahead, behind) = (timestamp.saturating_sub(now), now.saturating_sub(timestamp));
    if ahead > config.timestamp_after_max_ms {
        Some(RecordFault::Ahead { timestamp, by: ahead })
    } else if behind > config.timestamp_before_max_ms {
        Some(RecordFault::Behind { timestamp, by: behind })
    } else {
        None
    }
}

/// Gives the batches their offsets, and their time where the log stamps.
fn number(batches: Bytes, incoming: &[Incoming], append_time: Option<Millis>) -> BytesMut {
    // In place where nobody else holds the bytes.
    let mut bytes = batches.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    let mut rest = &mut bytes[..];
    for Incoming { header, .. } in incoming {
        let (batch, tail) = rest.split_at_mut(header.size);
        record_batch::set_base_offset(batch, header.base_offset);
        record_batch::set_leader_epoch(batch, LEADER_EPOCH);
        if let Some(append_time) = append_time {
            record_batch::set_append_time(batch, append_time);
        }
        rest = tail;
    }
    bytes
}

fn repeated_answer(repeated: &Repeated, log_start: i64, stamped: bool) -> Appended {
    Appended {
        base_offset: repeated.base_offset,
        next_offset: repeated.last_offset + 1,
        append_time: if stamped { repeated.max_time } else { -1 },
        log_start,
        duplicate: true,
    }
}

impl MaxTime {
    /// The fields of a mark.
    pub(crate) fn of(mark: &Mark) -> Self {
        Self { time: mark.max_time, at: mark.max_time_at }
    }
}
