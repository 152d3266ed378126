//! Record batches on their way from the log to the readers of a partition.
//!
//! The epoch driver looks at batch headers to cut a range, and soon after a subtask decodes
//! the same batches. What the first fetched waits here for the second, within a budget, so
//! that it is read from the log once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use thalweg_core::ids::{Offset, ProducerId};
use thalweg_core::partition_log::{AbortedTransaction, Isolation, LogError, PartitionLog};
use thalweg_core::record_batch::{BatchError, BatchHeader};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

/// Bytes that are fetched at once.
const FETCH_BYTES: usize = 1 << 20;
/// Bytes that wait, over all partitions of a source.
pub(super) const WAITING_BYTES: usize = 32 << 20;

/// Whole record batches.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// The offset that was asked for; the first batch may start before it.
    pub(super) from: Offset,
    /// Offset after the last record.
    pub(super) next: Offset,
    /// The batches.
    pub(super) bytes: Bytes,
    /// What of them never happened, by producer and place.
    aborted: Arc<[AbortedTransaction]>,
}

impl Piece {
    /// Whether the records of one of its batches are to be read: not those of a marker or
    /// of an aborted transaction.
    pub(super) fn counts(&self, batch: &BatchHeader) -> bool {
        // Transactions of one producer do not overlap: the last that began is the one.
        let place = (ProducerId(batch.producer_id), batch.base_offset);
        let began =
            self.aborted.partition_point(|gone| (gone.producer, gone.first_offset) <= place);
        let aborted = began.checked_sub(1).is_some_and(|last| self.aborted[last].covers(batch));
        !batch.attributes.is_control() && !aborted
    }
}

/// The bytes of a source's pieces that wait.
pub(super) type Waiting = Arc<AtomicUsize>;

/// A partition, and pieces of it that wait for their reader.
pub(super) struct Feed {
    pub(super) log: Arc<dyn PartitionLog>,
    pieces: Mutex<VecDeque<Piece>>,
    waiting: Waiting,
}

impl Feed {
    pub(super) fn new(log: Arc<dyn PartitionLog>, waiting: Waiting) -> Self {
        Self { log, pieces: Mutex::new(VecDeque::new()), waiting }
    }

    /// Batches from the one that holds `at` on, for looking at their headers. They are kept
    /// for the reader that comes after.
    pub(super) fn look(&self, at: Offset) -> Result<Option<Piece>> {
        if let Some(piece) = self.find(at) {
            return Ok(Some(piece));
        }
        let piece = self.fetch(at)?;
        if let Some(piece) = &piece {
            let size = piece.bytes.len();
            if self.waiting.fetch_add(size, Ordering::Relaxed) + size <= WAITING_BYTES {
                self.pieces.lock().push_back(piece.clone());
            } else {
                self.waiting.fetch_sub(size, Ordering::Relaxed);
            }
        }
        Ok(piece)
    }

    /// Batches from the one that holds `at` on, for decoding. What lies before goes.
    pub(super) fn take(&self, at: Offset) -> Result<Option<Piece>> {
        self.drop_before(at);
        self.read(at)
    }

    /// Batches from the one that holds `at` on, to look at them once more. What waits stays.
    pub(super) fn read(&self, at: Offset) -> Result<Option<Piece>> {
        match self.find(at) {
            Some(piece) => Ok(Some(piece)),
            None => self.fetch(at),
        }
    }

    fn find(&self, at: Offset) -> Option<Piece> {
        let pieces = self.pieces.lock();
        pieces.iter().find(|piece| (piece.from..piece.next).contains(&at)).cloned()
    }

    /// Lets go of pieces that end before `at`.
    fn drop_before(&self, at: Offset) {
        let mut pieces = self.pieces.lock();
        pieces.retain(|piece| {
            let keep = piece.next > at;
            if !keep {
                self.waiting.fetch_sub(piece.bytes.len(), Ordering::Relaxed);
            }
            keep
        });
    }

    fn fetch(&self, at: Offset) -> Result<Option<Piece>> {
        let read = self.log.read(at, FETCH_BYTES, Isolation::ReadCommitted);
        let bytes = read.map_err(|error| match error {
            LogError::OffsetOutOfRange { .. } => StreamError::Incompatible(format!(
                "{error}: the records that are to be read are no longer (or not yet) there"
            )),
            error => error.into(),
        })?;
        let mut next = at;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let header = self.header(rest, next)?;
            next = header.next_offset();
            rest = rest.get(header.size..).unwrap_or_default();
        }
        if next <= at {
            return Ok(None);
        }
        let mut aborted = self.log.aborted(at, next)?;
        aborted.sort_unstable_by_key(|gone| (gone.producer, gone.first_offset));
        Ok(Some(Piece { from: at, next, bytes, aborted: aborted.into() }))
    }

    fn header(&self, bytes: &[u8], at: Offset) -> Result<BatchHeader> {
        BatchHeader::parse(bytes).map_err(|error| self.corrupt(at, &error))
    }

    /// What is said where the log's bytes are not what they should be.
    pub(super) fn corrupt(&self, offset: Offset, error: &BatchError) -> StreamError {
        LogError::Corrupt { partition: self.log.name().clone(), offset, detail: error.to_string() }
            .into()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.drop_before(Offset::MAX);
    }
}
