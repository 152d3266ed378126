//! Values out of Arrow arrays in the three forms that keys and aggregates work on,
//! whatever the physical form they arrive in.
//!
//! | form | types | ordered as |
//! |---|---|---|
//! | [`Words`], `i64` | booleans, integers, floats, dates, times, timestamps | the values |
//! | [`Wide`], `i128` | decimals of more than 18 digits | the values |
//! | [`ByteStrings`] | strings and binary | bytes, so as Flink orders strings |
//!
//! Floats are made canonical on the way: -0.0 is 0.0, and there is one NaN, greater than
//! everything.

mod bytes;
mod wide;
mod words;

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use arrow_select::take::take;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

pub(crate) use bytes::ByteStrings;
pub(crate) use wide::Wide;
pub(crate) use words::{Words, is_word, plain_bits, word_of_bits, word_of_float};

/// In which form the values of a type are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// [`Words`].
    Word,
    /// [`Wide`].
    Wide,
    /// [`ByteStrings`].
    Bytes,
}

impl Form {
    /// The form of a type; `None` for nested and other types that have none.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Dictionary(_, values) => Self::of(values),
            DataType::Decimal128(..) => Some(Self::Wide),
            other if is_word(other) => Some(Self::Word),
            other if bytes::is_bytes(other) => Some(Self::Bytes),
            _ => None,
        }
    }
}

/// The type of the values, without how they are laid out.
pub(crate) fn plain_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        other => other,
    }
}

/// The same values without a dictionary.
pub(crate) fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.as_any_dictionary_opt() {
        Some(dictionary) => plain(&take(dictionary.values(), dictionary.keys(), None)?),
        None => Ok(Arc::clone(array)),
    }
}

/// The error of a type that nothing here handles; planning should have refused it.
pub(crate) fn unsupported(what: &str, data_type: &DataType) -> StreamError {
    StreamError::Invalid(format!("{what} of type {data_type} is not supported"))
}
