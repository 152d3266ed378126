//! The canonical bytes of a key row, version 1, and their hash.
//!
//! The bytes of a row are those of its key columns one after another; of one value:
//!
//! ```text
//! null                       00
//! boolean                    01, then 8 bytes: 0 or 1, little endian (as all numbers here)
//! integer                    01, then 8 bytes: the value, extended to 64 bits
//! float, double              01, then 8 bytes: the bits of the value as a double; -0.0
//!                            as 0.0, every NaN as 7ff8000000000000
//! date, time, timestamp,     01, then 8 bytes: the count in the type's own unit
//!   duration, year-month
//! decimal                    01, then 16 bytes: the unscaled value
//! string, binary             01, then 4 bytes: the count of bytes, then those
//! ```
//!
//! A dictionary, a view or a slice of an array gives the bytes of its values. No row is a
//! prefix of another row of the same types, so equal bytes are equal keys. No column (the
//! one key of a global aggregate) is no bytes.
//!
//! The hash is XXH3-64 with seed 0; the group is [`thalweg_core::key_group`]'s.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use thalweg_core::key_group::{KeyGroup, key_group_of_hash};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use xxhash_rust::xxh3::xxh3_64;

use crate::operator::values::{
    ByteStrings, Form, Wide, Words, plain, plain_bits, plain_type, unsupported, word_of_bits,
};

/// The canonical hash of each row of these key columns. `rows` says how many, for there
/// may be no column.
///
/// # Errors
/// [`StreamError::Invalid`] for types that cannot be keys: nested ones.
pub fn key_hashes(columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    if let [column] = columns {
        match Form::of(column.data_type()) {
            Some(Form::Word) => return hash_words(column),
            Some(Form::Bytes) => return hash_strings(column),
            _ => {}
        }
    }
    let encoded = Encoded::encode(columns, rows)?;
    Ok((0..rows).map(|row| xxh3_64(encoded.get(row))).collect())
}

/// The key group of each row of these key columns.
///
/// # Errors
/// As [`key_hashes`].
pub fn key_groups(columns: &[ArrayRef], rows: usize, total: u16) -> Result<Vec<KeyGroup>> {
    let hashes = key_hashes(columns, rows)?;
    Ok(hashes.into_iter().map(|hash| key_group_of_hash(hash, total)).collect())
}

const NULL: u8 = 0;
const VALUE: u8 = 1;

fn hash_words(column: &ArrayRef) -> Result<Vec<u64>> {
    let column = plain(column)?;
    let words = Words::read(&column)?;
    let null = xxh3_64(&[NULL]);
    let hash = |word: i64| {
        let mut bytes = [VALUE; 9];
        bytes[1..].copy_from_slice(&plain_bits(column.data_type(), word).to_le_bytes());
        xxh3_64(&bytes)
    };
    let values = words.values.iter().enumerate();
    Ok(values.map(|(row, &word)| if words.is_null(row) { null } else { hash(word) }).collect())
}

fn hash_strings(column: &ArrayRef) -> Result<Vec<u64>> {
    let strings = ByteStrings::read(&plain(column)?)?;
    let null = xxh3_64(&[NULL]);
    let mut buffer = Vec::new();
    let hashes = (0..column.len()).map(|row| {
        if strings.is_null(row) {
            return null;
        }
        buffer.clear();
        put_string(&mut buffer, strings.get(row));
        xxh3_64(&buffer)
    });
    Ok(hashes.collect())
}

fn put_string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(VALUE);
    out.extend((value.len() as u32).to_le_bytes());
    out.extend(value);
}

/// The canonical bytes of many rows.
#[derive(Debug)]
pub(crate) struct Encoded {
    data: Vec<u8>,
    /// One more than there are rows.
    offsets: Vec<usize>,
}

impl Encoded {
    /// The bytes of a row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> &[u8] {
        &self.data[self.offsets[row]..self.offsets[row + 1]]
    }

    /// Encodes rows, column after column.
    pub(crate) fn encode(columns: &[ArrayRef], rows: usize) -> Result<Self> {
        let columns = columns.iter().map(KeyColumn::read).collect::<Result<Vec<_>>>()?;
        let mut offsets = Vec::with_capacity(rows + 1);
        let mut end = 0;
        offsets.push(0);
        for row in 0..rows {
            end += columns.iter().map(|column| column.encoded_len(row)).sum::<usize>();
            offsets.push(end);
        }
        let mut data = vec![0; end];
        let mut cursors = offsets.clone();
        for column in &columns {
            for (row, cursor) in cursors[..rows].iter_mut().enumerate() {
                *cursor = column.encode(row, &mut data, *cursor);
            }
        }
        Ok(Self { data, offsets })
    }
}

enum KeyColumn {
    Words(DataType, Words),
    Wide(Wide),
    Bytes(ByteStrings),
}

impl KeyColumn {
    fn read(column: &ArrayRef) -> Result<Self> {
        let column = plain(column)?;
        Ok(match Form::of(column.data_type()) {
            Some(Form::Word) => Self::Words(column.data_type().clone(), Words::read(&column)?),
            Some(Form::Wide) => Self::Wide(Wide::read(&column)?),
            Some(Form::Bytes) => Self::Bytes(ByteStrings::read(&column)?),
            None => return Err(unsupported("a key", column.data_type())),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        let nulls = match self {
            Self::Words(_, words) => &words.nulls,
            Self::Wide(wide) => &wide.nulls,
            Self::Bytes(strings) => &strings.nulls,
        };
        nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn encoded_len(&self, row: usize) -> usize {
        if self.is_null(row) {
            return 1;
        }
        match self {
            Self::Words(..) => 9,
            Self::Wide(_) => 17,
            Self::Bytes(strings) => 5 + strings.get(row).len(),
        }
    }

    /// Writes at `at`; gives the end.
    fn encode(&self, row: usize, out: &mut [u8], at: usize) -> usize {
        if self.is_null(row) {
            out[at] = NULL;
            return at + 1;
        }
        out[at] = VALUE;
        let at = at + 1;
        match self {
            Self::Words(data_type, words) => {
                let bits = plain_bits(data_type, words.values[row]);
                out[at..at + 8].copy_from_slice(&bits.to_le_bytes());
                at + 8
            }
            Self::Wide(wide) => {
                out[at..at + 16].copy_from_slice(&wide.values[row].to_le_bytes());
                at + 16
            }
            Self::Bytes(strings) => {
                let value = strings.get(row);
                out[at..at + 4].copy_from_slice(&(value.len() as u32).to_le_bytes());
                let (start, end) = (at + 4, at + 4 + value.len());
                out[start..end].copy_from_slice(value);
                end
            }
        }
    }
}

/// Turns canonical bytes back into columns of these types.
pub(crate) fn decode<'a>(
    types: &[DataType],
    rows: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<ArrayRef>> {
    let mut rows: Vec<&[u8]> = rows.collect();
    types.iter().map(|data_type| decode_column(plain_type(data_type), &mut rows)).collect()
}

/// Takes one value off the front of each row.
fn decode_column(data_type: &DataType, rows: &mut [&[u8]]) -> Result<ArrayRef> {
    let malformed = || StreamError::Internal("malformed key bytes".into());
    match Form::of(data_type).ok_or_else(|| unsupported("a key", data_type))? {
        Form::Word => {
            let values = rows.iter_mut().map(|row| {
                let bits = take_value::<8>(row)?.map(i64::from_le_bytes);
                Some(bits.map(|bits| word_of_bits(data_type, bits)))
            });
            let (values, nulls) = unzip(values).ok_or_else(malformed)?;
            Words::write(data_type, values, nulls)
        }
        Form::Wide => {
            let values =
                rows.iter_mut().map(|row| Some(take_value::<16>(row)?.map(i128::from_le_bytes)));
            let (values, nulls) = unzip(values).ok_or_else(malformed)?;
            Wide::write(data_type, values, nulls)
        }
        Form::Bytes => {
            let values: Option<Vec<Option<&[u8]>>> = rows.iter_mut().map(take_string).collect();
            ByteStrings::write(data_type, values.ok_or_else(malformed)?.into_iter())
        }
    }
}

/// A value of fixed width: `Some(None)` for null, `None` where the bytes are malformed.
fn take_value<const WIDTH: usize>(row: &mut &[u8]) -> Option<Option<[u8; WIDTH]>> {
    let (tag, rest) = row.split_first()?;
    *row = rest;
    if *tag == NULL {
        return Some(None);
    }
    let (value, rest) = rest.split_first_chunk::<WIDTH>()?;
    *row = rest;
    Some(Some(*value))
}

fn take_string<'a>(row: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Some(len) = take_value::<4>(row)? else { return Some(None) };
    let (value, rest) = row.split_at_checked(u32::from_le_bytes(len) as usize)?;
    *row = rest;
    Some(Some(value))
}

type Unzipped<T> = (Vec<T>, Option<NullBuffer>);

fn unzip<T: Default>(values: impl Iterator<Item = Option<Option<T>>>) -> Option<Unzipped<T>> {
    let values: Vec<Option<T>> = values.collect::<Option<_>>()?;
    let nulls = NullBuffer::from_iter(values.iter().map(Option::is_some));
    let values = values.into_iter().map(Option::unwrap_or_default).collect();
    Some((values, (nulls.null_count() > 0).then_some(nulls)))
}

/// The columns of a batch by number.
pub(crate) fn select(columns: &[ArrayRef], numbers: &[usize]) -> Vec<ArrayRef> {
    numbers.iter().map(|&number| Arc::clone(&columns[number])).collect()
}
