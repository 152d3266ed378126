//! Tables that number keys: the first key is 0, the next new one 1, and so on; numbers
//! of removed keys are given out again.
//!
//! Numbers follow from the order in which keys come and go and from nothing else: no
//! order of a hash table is ever seen outside.

use std::ops::Range;

use hashbrown::HashTable;

use super::spec::{BatchKeys, KeyForm, KeyRef};

/// Keys of one operator or one window, numbered.
#[derive(Debug)]
pub(crate) enum KeyTable {
    Global { present: bool },
    Word(WordTable),
    Bytes(BytesTable),
}

impl KeyTable {
    pub(super) fn new(form: KeyForm, capacity: usize) -> Self {
        match form {
            KeyForm::Global => Self::Global { present: false },
            KeyForm::Word => Self::Word(WordTable::with_capacity(capacity)),
            KeyForm::Bytes | KeyForm::Canonical => Self::Bytes(BytesTable::with_capacity(capacity)),
        }
    }

    /// The numbers of the keys of these rows, appended to `numbers`.
    pub(crate) fn intern(&mut self, keys: &BatchKeys, rows: Range<usize>, numbers: &mut Vec<u32>) {
        match (self, keys) {
            (Self::Global { present }, _) => {
                *present |= !rows.is_empty();
                numbers.extend(rows.map(|_| 0));
            }
            (Self::Word(table), BatchKeys::Word(words)) => match &words.nulls {
                None => {
                    let words = &words.values[rows];
                    numbers.extend(words.iter().map(|&word| table.number(word)));
                }
                Some(nulls) => numbers.extend(rows.map(|row| match nulls.is_valid(row) {
                    true => table.number(words.values[row]),
                    false => table.null_number(),
                })),
            },
            (Self::Bytes(table), BatchKeys::Bytes(strings)) => {
                numbers.extend(rows.map(|row| match strings.is_null(row) {
                    false => table.number(strings.get(row)),
                    true => table.null_number(),
                }));
            }
            (Self::Bytes(table), BatchKeys::Canonical(encoded)) => {
                numbers.extend(rows.map(|row| table.number(encoded.get(row))));
            }
            _ => debug_assert!(false, "keys of another form"),
        }
    }

    /// The number of one key.
    pub(crate) fn intern_one(&mut self, key: KeyRef<'_>) -> u32 {
        match (self, key) {
            (Self::Word(table), KeyRef::Word(Some(word))) => table.number(word),
            (Self::Word(table), _) => table.null_number(),
            (Self::Bytes(table), KeyRef::Bytes(Some(bytes))) => table.number(bytes),
            (Self::Bytes(table), _) => table.null_number(),
            (Self::Global { present }, _) => {
                *present = true;
                0
            }
        }
    }

    /// The key of a number that is in use.
    pub(crate) fn key(&self, number: u32) -> KeyRef<'_> {
        match self {
            Self::Global { .. } => KeyRef::Global,
            Self::Word(table) => KeyRef::Word(table.key(number)),
            Self::Bytes(table) => KeyRef::Bytes(table.key(number)),
        }
    }

    /// Removes a key; its number may be given out again.
    pub(crate) fn remove(&mut self, number: u32) {
        match self {
            Self::Global { present } => *present = false,
            Self::Word(table) => table.remove(number),
            Self::Bytes(table) => table.remove(number),
        }
    }

    /// One more than the highest number that was ever given out.
    pub(crate) fn bound(&self) -> usize {
        match self {
            Self::Global { present } => usize::from(*present),
            Self::Word(table) => table.keys.len(),
            Self::Bytes(table) => table.spans.len(),
        }
    }

    /// Bytes held, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Global { .. } => 0,
            Self::Word(table) => {
                table.index.capacity() * (size_of::<(i64, u32)>() + 1)
                    + table.keys.capacity() * size_of::<i64>()
            }
            Self::Bytes(table) => {
                table.index.capacity() * (size_of::<(u32, u32)>() + 1)
                    + table.spans.capacity() * size_of::<Span>()
                    + table.arena.capacity()
            }
        }
    }
}

/// Numbers that are free, and the number of the null key.
#[derive(Debug, Default)]
struct Numbers {
    free: Vec<u32>,
    null: Option<u32>,
}

/// Keys that are words.
#[derive(Debug)]
pub(crate) struct WordTable {
    index: HashTable<(i64, u32)>,
    keys: Vec<i64>,
    numbers: Numbers,
}

/// Folded multiplication: both halves of the 128-bit product depend on all input bits.
#[inline]
fn hash_word(word: i64) -> u64 {
    let product = u128::from(word as u64 ^ 0x2545_f491_4f6c_dd1d) * 0x9e37_79b9_7f4a_7c15;
    (product as u64) ^ ((product >> 64) as u64)
}

impl WordTable {
    fn with_capacity(capacity: usize) -> Self {
        let index = HashTable::with_capacity(capacity);
        Self { index, keys: Vec::with_capacity(capacity), numbers: Numbers::default() }
    }

    #[inline]
    fn number(&mut self, word: i64) -> u32 {
        let hash = hash_word(word);
        match self.index.find(hash, |entry| entry.0 == word) {
            Some(&(_, number)) => number,
            None => self.insert(hash, word),
        }
    }

    #[cold]
    fn insert(&mut self, hash: u64, word: i64) -> u32 {
        let number = self.next_number(word);
        self.index.insert_unique(hash, (word, number), |entry| hash_word(entry.0));
        number
    }

    fn next_number(&mut self, word: i64) -> u32 {
        match self.numbers.free.pop() {
            Some(number) => {
                self.keys[number as usize] = word;
                number
            }
            None => {
                self.keys.push(word);
                (self.keys.len() - 1) as u32
            }
        }
    }

    fn null_number(&mut self) -> u32 {
        if let Some(number) = self.numbers.null {
            return number;
        }
        let number = self.next_number(0);
        self.numbers.null = Some(number);
        number
    }

    fn key(&self, number: u32) -> Option<i64> {
        (self.numbers.null != Some(number)).then(|| self.keys[number as usize])
    }

    fn remove(&mut self, number: u32) {
        if self.numbers.null == Some(number) {
            self.numbers.null = None;
        } else {
            let word = self.keys[number as usize];
            if let Ok(entry) = self.index.find_entry(hash_word(word), |entry| entry.0 == word) {
                entry.remove();
            }
        }
        self.numbers.free.push(number);
    }
}

/// Where a key's bytes stand in the arena.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: usize,
    len: usize,
}

/// Keys that are byte strings, all in one arena.
#[derive(Debug)]
pub(crate) struct BytesTable {
    /// The lower half of the hash, and the number.
    index: HashTable<(u32, u32)>,
    spans: Vec<Span>,
    arena: Vec<u8>,
    /// Bytes of the arena that no key uses any more.
    garbage: usize,
    numbers: Numbers,
}

#[inline]
fn hash_bytes(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Spreads half a hash over a whole one, so that entries need not hold more.
#[inline]
fn spread(half: u32) -> u64 {
    hash_word(i64::from(half))
}

impl BytesTable {
    fn with_capacity(capacity: usize) -> Self {
        Self {
            index: HashTable::with_capacity(capacity),
            spans: Vec::with_capacity(capacity),
            arena: Vec::new(),
            garbage: 0,
            numbers: Numbers::default(),
        }
    }

    fn bytes(&self, number: u32) -> &[u8] {
        let span = self.spans[number as usize];
        &self.arena[span.start..span.start + span.len]
    }

    #[inline]
    fn number(&mut self, bytes: &[u8]) -> u32 {
        let half = hash_bytes(bytes) as u32;
        let found = self
            .index
            .find(spread(half), |&(other, number)| other == half && self.bytes(number) == bytes);
        match found {
            Some(&(_, number)) => number,
            None => self.insert(half, bytes),
        }
    }

    #[cold]
    fn insert(&mut self, half: u32, bytes: &[u8]) -> u32 {
        let number = self.next_number(bytes);
        self.index.insert_unique(spread(half), (half, number), |entry| spread(entry.0));
        number
    }

    fn next_number(&mut self, bytes: &[u8]) -> u32 {
        let span = Span { start: self.arena.len(), len: bytes.len() };
        self.arena.extend_from_slice(bytes);
        match self.numbers.free.pop() {
            Some(number) => {
                self.spans[number as usize] = span;
                number
            }
            None => {
                self.spans.push(span);
                (self.spans.len() - 1) as u32
            }
        }
    }

    fn null_number(&mut self) -> u32 {
        if let Some(number) = self.numbers.null {
            return number;
        }
        let number = self.next_number(&[]);
        self.numbers.null = Some(number);
        number
    }

    fn key(&self, number: u32) -> Option<&[u8]> {
        (self.numbers.null != Some(number)).then(|| self.bytes(number))
    }

    fn remove(&mut self, number: u32) {
        if self.numbers.null == Some(number) {
            self.numbers.null = None;
        } else {
            let half = hash_bytes(self.bytes(number)) as u32;
            if let Ok(entry) = self.index.find_entry(spread(half), |entry| entry.1 == number) {
                entry.remove();
            }
        }
        self.garbage += self.spans[number as usize].len;
        self.spans[number as usize] = Span::default();
        self.numbers.free.push(number);
        if self.garbage > 4096 && self.garbage > self.arena.len() / 2 {
            self.compact();
        }
    }

    /// Copies the bytes in use into a new arena.
    fn compact(&mut self) {
        let mut arena = Vec::with_capacity(self.arena.len() - self.garbage);
        for span in &mut self.spans {
            let start = arena.len();
            arena.extend_from_slice(&self.arena[span.start..span.start + span.len]);
            span.start = start;
        }
        self.arena = arena;
        self.garbage = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Against a map: numbers are unique, stable while in use, and lead back to keys.
        #[test]
        fn tables_number_keys(steps in prop::collection::vec((any::<bool>(), 0_u8..40), 1..400)) {
            let mut words = KeyTable::new(KeyForm::Word, 0);
            let mut strings = KeyTable::new(KeyForm::Bytes, 0);
            let long = |key: u8| format!("{key}").repeat(usize::from(key) * 8).into_bytes();
            let mut model: BTreeMap<u8, (u32, u32)> = BTreeMap::new();
            for (add, key) in steps {
                let text = long(key);
                let word_key = (key > 0).then_some(i64::from(key) << 40);
                let text_key = (key > 0).then_some(text.as_slice());
                if add {
                    let numbers = (
                        words.intern_one(KeyRef::Word(word_key)),
                        strings.intern_one(KeyRef::Bytes(text_key)),
                    );
                    prop_assert_eq!(*model.entry(key).or_insert(numbers), numbers);
                } else if let Some((word, string)) = model.remove(&key) {
                    words.remove(word);
                    strings.remove(string);
                }
                for (key, (word, string)) in &model {
                    let text = long(*key);
                    prop_assert_eq!(words.key(*word), KeyRef::Word((*key > 0).then_some(i64::from(*key) << 40)));
                    prop_assert_eq!(strings.key(*string), KeyRef::Bytes((*key > 0).then_some(text.as_slice())));
                }
                let unique: std::collections::BTreeSet<u32> = model.values().map(|n| n.0).collect();
                prop_assert_eq!(unique.len(), model.len());
                prop_assert!(words.bound() <= 40 && strings.bound() <= 40);
            }
        }
    }
}
