//! Matching the keys of objects: by what the records before had at the same place.
//!
//! Records of one topic nearly always have the same keys in the same order and the same
//! white space. So what stands between two values, `, "price": ` say, is remembered whole
//! and compared at once. Only where it differs is a key parsed and looked up.

use std::ops::Range;

/// How many different places are remembered for one kind of object.
const MAX_LEADS: usize = 64;
/// How many bytes of one are compared at most.
const MAX_LEAD_BYTES: usize = 256;
/// How far behind the expected place is looked, where records let keys out.
const LOOK_AHEAD: usize = 4;
/// After so many surprises a full memory starts anew.
const PATIENCE: u32 = 1024;

/// Index of a field; `None` for a key that nobody asked for.
pub(super) type Target = Option<u32>;

/// What stands between two values: comma, white space, key, colon.
#[derive(Debug)]
struct Lead {
    bytes: Box<[u8]>,
    /// The first 16 bytes, and a mask where it is shorter.
    head: u128,
    mask: u128,
    /// The last 16 bytes, where it is longer than that.
    tail: u128,
    target: Target,
}

fn sixteen(bytes: &[u8]) -> Option<u128> {
    bytes.first_chunk().map(|chunk| u128::from_le_bytes(*chunk))
}

impl Lead {
    fn new(bytes: &[u8], target: Target) -> Self {
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().max(16), 0);
        let head = sixteen(&padded).unwrap_or(0);
        let mask = if bytes.len() >= 16 { u128::MAX } else { (1 << (bytes.len() * 8)) - 1 };
        let tail = sixteen(&padded[padded.len() - 16..]).unwrap_or(0);
        Self { bytes: bytes.into(), head, mask, tail, target }
    }

    #[inline]
    fn starts(&self, rest: &[u8]) -> bool {
        let len = self.bytes.len();
        let Some(head) = sixteen(rest) else {
            return rest.starts_with(&self.bytes);
        };
        if (head ^ self.head) & self.mask != 0 {
            return false;
        }
        match len {
            0..=16 => true,
            17..=32 => rest.get(len - 16..).and_then(sixteen) == Some(self.tail),
            _ => rest.starts_with(&self.bytes),
        }
    }
}

/// The keys of one kind of object.
#[derive(Debug)]
pub(crate) struct KeyTable {
    /// Names and fields, sorted by name.
    names: Vec<(Box<str>, u32)>,
    leads: Vec<Lead>,
    surprises: u32,
}

impl KeyTable {
    /// A table for the fields with these names, in order.
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut names: Vec<_> =
            names.enumerate().map(|(field, name)| (Box::from(name), field as u32)).collect();
        names.sort();
        Self { names, leads: Vec::new(), surprises: 0 }
    }

    /// Whether `rest` starts with what is expected at `step`, or a little after it. Gives
    /// the bytes that it takes and the field of its key, and moves the step on.
    #[inline]
    pub(super) fn predict(&self, rest: &[u8], step: &mut usize) -> Option<(usize, Target)> {
        let candidates = self.leads.get(*step..)?;
        for (ahead, lead) in candidates.iter().take(LOOK_AHEAD).enumerate() {
            if lead.starts(rest) {
                *step += ahead + 1;
                return Some((lead.bytes.len(), lead.target));
            }
        }
        None
    }

    /// The field with this name.
    pub(super) fn find(&self, name: &str) -> Target {
        let found = self.names.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(self.names[found].1)
    }

    /// Remembers what stood at `step`, and moves the step on.
    pub(super) fn learn(
        &mut self,
        bytes: &[u8],
        range: Range<usize>,
        target: Target,
        step: &mut usize,
    ) {
        let Some(bytes) = bytes.get(range).filter(|bytes| bytes.len() <= MAX_LEAD_BYTES) else {
            return;
        };
        if let Some(known) = self.leads.iter().position(|lead| *lead.bytes == *bytes) {
            *step = known + 1;
            return;
        }
        if self.leads.len() >= MAX_LEADS {
            self.surprises += 1;
            if self.surprises > PATIENCE {
                self.surprises = 0;
                self.leads.clear();
            }
            return;
        }
        let at = (*step).min(self.leads.len());
        self.leads.insert(at, Lead::new(bytes, target));
        *step = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_of_every_length_match_only_themselves() {
        for len in 1..80 {
            let bytes: Vec<u8> = (0..len).map(|at| b'a' + (at % 26) as u8).collect();
            let lead = Lead::new(&bytes, None);
            for extra in [0, 1, 40] {
                let mut text = bytes.clone();
                text.resize(len + extra, b'!');
                assert!(lead.starts(&text), "{len} + {extra}");
                for wrong in 0..len {
                    text[wrong] ^= 1;
                    assert!(!lead.starts(&text), "{len} + {extra}, byte {wrong}");
                    text[wrong] ^= 1;
                }
            }
            assert!(!lead.starts(&bytes[..len - 1]));
        }
    }

    #[test]
    fn optional_keys_find_their_place() {
        let mut table = KeyTable::new(["a", "b", "c"].into_iter());
        let mut step = 0;
        table.learn(b"{\"a\":", 0..5, table.find("a"), &mut step);
        table.learn(b",\"c\":", 0..5, table.find("c"), &mut step);
        assert_eq!(step, 2);
        step = 1;
        assert_eq!(table.predict(b",\"b\":1", &mut step), None);
        table.learn(b",\"b\":", 0..5, table.find("b"), &mut step);
        assert_eq!(table.predict(b",\"c\":1", &mut step), Some((5, Some(2))));
        step = 1;
        assert_eq!(table.predict(b",\"c\":1", &mut step), Some((5, Some(2))));
        assert_eq!(step, 3);
    }

    #[test]
    fn memory_is_bounded() {
        let mut table = KeyTable::new(std::iter::empty());
        for round in 0..10_000 {
            let key = format!(",\"{round}\":");
            let mut step = 0;
            table.learn(key.as_bytes(), 0..key.len(), None, &mut step);
            assert!(table.leads.len() <= MAX_LEADS);
        }
    }
}
