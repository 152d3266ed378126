//! The `json` format: objects to rows and back, as Flink's format of that name.

mod decode;
mod encode;
mod fault;
mod keys;
mod map;
mod scan;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use decode::JsonDecoder;
pub(crate) use encode::{JsonEncoder, json_key};
pub(crate) use keys::KeyTable;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::datetime::TimestampStyle;
use crate::options::{Known, Options};

/// What to do with a null key of a map when writing (`json.map-null-key.mode`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum NullKey {
    /// Refuse the row.
    #[default]
    Fail,
    /// Leave the entry out.
    Drop,
    /// Write this key.
    Literal(String),
}

/// Options of the format.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JsonOptions {
    /// A field that is not there makes the record bad.
    pub fail_on_missing_field: bool,
    /// A value that does not fit its column is null. (A record that is no JSON stays bad.)
    pub ignore_parse_errors: bool,
    /// How timestamps are written.
    pub timestamps: TimestampStyle,
    /// Null keys of maps, when writing.
    pub null_key: NullKey,
    /// Leaves out fields that are null, when writing.
    pub ignore_null_fields: bool,
}

/// The options, without the prefix `json.`.
pub(crate) const OPTIONS: &[Known] = &[
    Known::new("fail-on-missing-field"),
    Known::new("ignore-parse-errors"),
    Known::new("timestamp-format.standard"),
    Known::new("map-null-key.mode"),
    Known::new("map-null-key.literal"),
    // Decimals are always written plain here, which is one of the two ways Flink has.
    Known::new("encode.decimal-as-plain-number"),
    Known::new("encode.ignore-null-fields"),
    // Chooses between two decoders of Flink that give the same.
    Known::new("decode.json-parser.enabled"),
];

impl JsonOptions {
    /// Reads them.
    pub(crate) fn new(options: &Options<'_>) -> Result<Self> {
        options.bool("encode.decimal-as-plain-number", false)?;
        options.bool("decode.json-parser.enabled", true)?;
        let parsed = Self {
            fail_on_missing_field: options.bool("fail-on-missing-field", false)?,
            ignore_parse_errors: options.bool("ignore-parse-errors", false)?,
            timestamps: options.choice(
                "timestamp-format.standard",
                &[("SQL", TimestampStyle::Sql), ("ISO-8601", TimestampStyle::Iso8601)],
                TimestampStyle::Sql,
            )?,
            null_key: match options.choice(
                "map-null-key.mode",
                &[("FAIL", 0), ("DROP", 1), ("LITERAL", 2)],
                0,
            )? {
                0 => NullKey::Fail,
                1 => NullKey::Drop,
                _ => {
                    let literal = options.get("map-null-key.literal").unwrap_or("null");
                    NullKey::Literal(literal.to_owned())
                }
            },
            ignore_null_fields: options.bool("encode.ignore-null-fields", false)?,
        };
        if parsed.fail_on_missing_field && parsed.ignore_parse_errors {
            return Err(StreamError::Invalid(format!(
                "'{}' and '{}' shouldn't both be true",
                options.name("fail-on-missing-field"),
                options.name("ignore-parse-errors")
            )));
        }
        Ok(parsed)
    }
}
