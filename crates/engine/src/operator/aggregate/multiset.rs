//! An ordered multiset for each slot, as MIN and MAX of an updating input need it.
//!
//! Counts may be negative for a while, where a value is taken back before it was seen
//! to come.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::DataType;
use thalweg_stream::error::Result;

use super::input::int64s;
use super::list::{Pairs, pairs_array, pairs_type};
use super::value::Value;

/// The multisets of all slots.
pub(super) struct Multisets<V> {
    slots: Vec<BTreeMap<V, i64>>,
    heap_bytes: usize,
}

impl<V: Value> Multisets<V> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), heap_bytes: 0 }
    }

    pub(super) fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, BTreeMap::new);
    }

    pub(super) fn clear(&mut self, slot: u32) {
        let cleared = std::mem::take(&mut self.slots[slot as usize]);
        let bytes: usize = cleared.keys().map(Self::entry_bytes).sum();
        self.heap_bytes -= bytes;
    }

    fn entry_bytes(value: &V) -> usize {
        // A B-tree's nodes are about two thirds full.
        (size_of::<V>() + size_of::<i64>()) * 3 / 2 + value.heap_bytes()
    }

    /// Adds to the count of a value; gives the count before and after.
    pub(super) fn add(&mut self, slot: usize, value: V, count: i64) -> (i64, i64) {
        let bytes = Self::entry_bytes(&value);
        match self.slots[slot].entry(value) {
            Entry::Vacant(entry) => {
                if count != 0 {
                    entry.insert(count);
                    self.heap_bytes += bytes;
                }
                (0, count)
            }
            Entry::Occupied(mut entry) => {
                let before = *entry.get();
                if before + count == 0 {
                    entry.remove();
                    self.heap_bytes -= bytes;
                } else {
                    *entry.get_mut() += count;
                }
                (before, before + count)
            }
        }
    }

    pub(super) fn merge(&mut self, from: usize, into: usize) {
        let values = std::mem::take(&mut self.slots[from]);
        for (value, &count) in &values {
            self.add(into, value.clone(), count);
        }
        self.slots[from] = values;
    }

    pub(super) fn values(&self, slot: u32) -> &BTreeMap<V, i64> {
        &self.slots[slot as usize]
    }

    pub(super) fn state_type(value_type: &DataType) -> DataType {
        pairs_type(("value", value_type), ("count", &DataType::Int64))
    }

    pub(super) fn export(&self, value_type: &DataType, slots: &[u32]) -> Result<ArrayRef> {
        let sets = || slots.iter().map(|&slot| &self.slots[slot as usize]);
        let values = sets().flat_map(BTreeMap::keys).map(|value| Some(value.as_ref()));
        let counts = Int64Array::from_iter_values(sets().flat_map(BTreeMap::values).copied());
        let lengths = sets().map(BTreeMap::len);
        let values = V::write(value_type, values)?;
        pairs_array(("value", "count"), lengths, values, Arc::new(counts))
    }

    pub(super) fn import(&mut self, slots: &[u32], state: &ArrayRef) -> Result<()> {
        let pairs = Pairs::read(state)?;
        let counts = int64s(&pairs.second)?;
        for ((value, &count), &row) in
            V::read(&pairs.first)?.into_iter().zip(counts).zip(&pairs.rows)
        {
            if let Some(value) = value {
                self.add(slots[row] as usize, value, count);
            }
        }
        Ok(())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<BTreeMap<V, i64>>() + self.heap_bytes
    }
}
