//! The newest offset of each key, in a bounded piece of memory.
//!
//! Of a key only a hash is kept: SipHash-1-3 of 128 bits under keys that nobody outside
//! knows (Aumasson and Bernstein 2012), so that no one can make two keys that are taken
//! for one. By chance alone that does not happen: for a billion keys the odds are one in
//! 10^20.

use siphasher::sip128::{Hash128, SipHasher13};
use thalweg_core::ids::Offset;

/// Bytes of one slot.
const SLOT_BYTES: usize = size_of::<Slot>();

#[derive(Clone, Copy)]
struct Slot {
    hash: (u64, u64),
    /// -1: the slot is free.
    offset: Offset,
}

/// Keys and their newest offsets.
pub(crate) struct OffsetMap {
    slots: Vec<Slot>,
    used: usize,
    hasher: SipHasher13,
}

impl OffsetMap {
    /// An empty map for `keys` keys, or as many as fit into `max_bytes`; at least a few.
    pub(crate) fn new(keys: u64, max_bytes: usize, secret: u128) -> Self {
        let wanted = usize::try_from(keys).unwrap_or(usize::MAX).saturating_mul(4) / 3;
        let count = wanted.saturating_add(1).min(max_bytes / SLOT_BYTES).max(16);
        let hasher = SipHasher13::new_with_keys(secret as u64, (secret >> 64) as u64);
        Self { slots: vec![Slot { hash: (0, 0), offset: -1 }; count], used: 0, hasher }
    }

    /// Keys in the map.
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// Sets the offset of a key, unless a larger one is there. False where there is no
    /// place for the key.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = self.hash(key);
        let place = self.place(hash);
        let has_room = self.used < self.slots.len() - self.slots.len() / 4;
        let slot = &mut self.slots[place];
        if slot.offset < 0 {
            if !has_room {
                return false;
            }
            self.used += 1;
            *slot = Slot { hash, offset };
        } else {
            slot.offset = slot.offset.max(offset);
        }
        true
    }

    /// The offset of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Offset> {
        let offset = self.slots[self.place(self.hash(key))].offset;
        (offset >= 0).then_some(offset)
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        let Hash128 { h1, h2 } = self.hasher.hash(key);
        (h1, h2)
    }

    /// Where the key is, or would be. A quarter of the slots is always free.
    fn place(&self, hash: (u64, u64)) -> usize {
        let len = self.slots.len();
        let mut place = ((u128::from(hash.0) * len as u128) >> 64) as usize;
        while self.slots[place].offset >= 0 && self.slots[place].hash != hash {
            place = (place + 1) % len;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use thalweg_core::env::{Random, SeededRandom};

    use super::*;

    #[test]
    fn it_is_a_map_until_it_is_full() {
        let random = SeededRandom::new(4);
        for max_bytes in [0, 10_000, usize::MAX] {
            let mut map = OffsetMap::new(1_000, max_bytes, random.next_u128());
            assert!(map.slots.len() * SLOT_BYTES <= max_bytes.max(16 * SLOT_BYTES));
            let mut model = BTreeMap::new();
            let mut refused = 0;
            for _ in 0..5_000 {
                let key = random.below(1_200).to_be_bytes();
                let offset = random.below(1 << 40) as i64;
                if map.put(&key, offset) {
                    let newest = model.entry(key).or_insert(offset);
                    *newest = offset.max(*newest);
                } else {
                    refused += 1;
                    assert!(!model.contains_key(&key), "a known key always has its place");
                }
            }
            assert_eq!(map.len(), model.len());
            assert!(refused > 0, "1200 keys never fit");
            assert!(max_bytes < usize::MAX || map.len() >= 1_000);
            for key in 0..1_300_u64 {
                let key = key.to_be_bytes();
                assert_eq!(map.get(&key), model.get(&key).copied());
            }
        }
    }
}
