//! A leaf: up to about a thousand encoded rows, packed, sorted and never changed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;
use thalweg_stream::error::Result;

use super::layout::Layout;

/// Most distinct rows in a leaf.
pub(super) const MAX_ROWS: usize = 1024;
/// Most bytes in a leaf of more than one row.
pub(super) const MAX_BYTES: usize = 128 << 10;
/// Most rows in a batch that a reader is given.
pub(super) const BATCH_ROWS: u64 = 8192;

/// Counts the memory of decoded leaves over all views of a store, and bounds it.
#[derive(Debug)]
pub(super) struct CacheAccount {
    pub(super) used: AtomicUsize,
    pub(super) limit: usize,
}

/// A decoded leaf: its memory is given back to the account with it.
struct Cached {
    batch: RecordBatch,
    bytes: usize,
    account: Arc<CacheAccount>,
}

impl Drop for Cached {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Sorted rows.
#[derive(Default)]
pub(super) struct Leaf {
    bytes: Vec<u8>,
    /// End of each row in `bytes`.
    ends: Vec<u32>,
    /// Length of each row's key; empty where the whole row is the key.
    key_lengths: Vec<u32>,
    /// How often each row counts; empty where every row counts once.
    counts: Vec<u64>,
    cache: OnceLock<Cached>,
}

impl Leaf {
    /// Number of distinct rows.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes held, without the decoded form.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.bytes.capacity()
            + (self.ends.capacity() + self.key_lengths.capacity()) * size_of::<u32>()
            + self.counts.capacity() * size_of::<u64>()
    }

    /// Bytes of the rows alone.
    pub(super) fn row_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// A row's bytes.
    pub(super) fn row(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        &self.bytes[start..self.ends[row] as usize]
    }

    /// How many of a row's first bytes are its key.
    pub(super) fn key_length(&self, row: usize) -> usize {
        self.key_lengths.get(row).map_or_else(|| self.row(row).len(), |&length| length as usize)
    }

    /// A row's key.
    pub(super) fn key(&self, row: usize) -> &[u8] {
        &self.row(row)[..self.key_length(row)]
    }

    /// How often a row counts.
    pub(super) fn count(&self, row: usize) -> u64 {
        self.counts.get(row).copied().unwrap_or(1)
    }

    /// Rows with duplicates as often as they count.
    pub(super) fn total(&self) -> u64 {
        if self.counts.is_empty() { self.len() as u64 } else { self.counts.iter().sum() }
    }

    /// The row with this key, or where it would be.
    pub(super) fn find(&self, key: &[u8]) -> std::result::Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.key(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// Whether another row of this size still fits.
    pub(super) fn has_room_for(&self, row_bytes: usize) -> bool {
        self.len() == 0 || (self.len() < MAX_ROWS && self.bytes.len() + row_bytes <= MAX_BYTES)
    }

    /// Adds a row after all others; the caller keeps the order.
    pub(super) fn push(&mut self, row: &[u8], key_length: usize, count: u64) {
        if key_length != row.len() && self.key_lengths.is_empty() {
            self.key_lengths = (0..self.len()).map(|row| self.row(row).len() as u32).collect();
        }
        let keeps_lengths = key_length != row.len() || !self.key_lengths.is_empty();
        if count != 1 && self.counts.is_empty() {
            self.counts = vec![1; self.len()];
        }
        let keeps_counts = count != 1 || !self.counts.is_empty();
        self.bytes.extend_from_slice(row);
        self.ends.push(self.bytes.len() as u32);
        if keeps_lengths {
            self.key_lengths.push(key_length as u32);
        }
        if keeps_counts {
            self.counts.push(count);
        }
    }

    /// Gives back what growing took too much.
    pub(super) fn shrink(mut self) -> Self {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.key_lengths.shrink_to_fit();
        self.counts.shrink_to_fit();
        self
    }

    /// Decodes the distinct rows, from the cache where it has them. `account` says
    /// whether what had to be decoded may be kept; `None` keeps nothing.
    pub(super) fn decode(
        &self,
        layout: &Layout,
        account: Option<&Arc<CacheAccount>>,
    ) -> Result<RecordBatch> {
        if let Some(cached) = self.cache.get() {
            return Ok(cached.batch.clone());
        }
        let batch = layout.decode((0..self.len()).map(|row| self.row(row)))?;
        if let Some(account) = account {
            let bytes = batch.get_array_memory_size();
            let used = account.used.fetch_add(bytes, Ordering::Relaxed);
            let cached = Cached { batch: batch.clone(), bytes, account: Arc::clone(account) };
            if used + bytes <= account.limit {
                // Where another reader was faster, this one is dropped and accounted for.
                let _ = self.cache.set(cached);
            }
        }
        Ok(batch)
    }

    /// Cuts the leaf into batches in which rows stand as often as they count: for each
    /// batch the first distinct row, how many of its copies were given before, and how
    /// many rows the batch has. Batches are made one at a time, so that a row that
    /// counts a billion times costs no memory until it is read.
    pub(super) fn expand(
        &self,
        distinct: &RecordBatch,
        position: &mut (usize, u64),
    ) -> Result<Option<RecordBatch>> {
        if position.0 >= self.len() {
            return Ok(None);
        }
        if self.counts.is_empty() {
            position.0 = self.len();
            return Ok(Some(distinct.clone()));
        }
        let mut taken: Vec<u32> = Vec::new();
        while position.0 < self.len() && (taken.len() as u64) < BATCH_ROWS {
            let left = self.count(position.0) - position.1;
            let now = left.min(BATCH_ROWS - taken.len() as u64);
            taken.extend(std::iter::repeat_n(position.0 as u32, now as usize));
            if now == left {
                *position = (position.0 + 1, 0);
            } else {
                position.1 += now;
            }
        }
        Ok(Some(take_record_batch(distinct, &UInt32Array::from(taken))?))
    }
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Leaf({} rows, {} bytes)", self.len(), self.bytes.len())
    }
}
