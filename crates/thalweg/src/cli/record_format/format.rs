//! What a format string says, parsed.

use super::number::NumberEncoding;
use super::text::TextEncoding;
use super::time::TimeEncoding;

/// A parsed format string: literal text and fields in turn.
#[derive(Debug, Clone)]
pub(crate) struct Format {
    pub(super) parts: Vec<Part>,
    /// The string itself, for errors.
    pub(super) text: String,
}

/// One piece of a format string.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) what: What,
    /// Byte of the format string at which it begins.
    pub(super) at: usize,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    /// Bytes as they are.
    Literal(Vec<u8>),
    /// A topic, key or value.
    Text(TextField, TextEncoding),
    /// A number.
    Number(NumberField, NumberEncoding),
    /// The record's timestamp as a date.
    Time(TimeEncoding),
    /// Each header in a format of its own.
    Headers(Format),
    /// Headers as kcat prints them: `name=value,name=value`.
    HeaderList,
}

/// Fields that are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextField {
    Topic,
    Key,
    Value,
}

/// Fields that are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberField {
    TopicLength,
    /// 0 for a null key, as rpk has it.
    KeyLength,
    /// 0 for a null value, as rpk has it.
    ValueLength,
    /// -1 for a null value, as kcat has it.
    ValueLengthOrNull,
    HeaderCount,
    Partition,
    Offset,
    LeaderEpoch,
    Timestamp,
    /// 0 the producer's time, 1 the broker's.
    TimestampType,
    LogStart,
    LastStable,
    HighWatermark,
    /// How many records were printed, this one included.
    Printed,
}
