//! The `csv` format: fields between separators (RFC 4180), as Flink's format of that name.
//!
//! Fields are matched by position and must be as many as the table's columns. A field that
//! is empty is null, except for strings. In files a record is one line: a quoted field with
//! a line break in it is only understood where a record is a whole message.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub(crate) use decode::CsvDecoder;
pub(crate) use encode::CsvEncoder;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use crate::options::{Known, Options};

/// Options of the format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CsvOptions {
    /// Between fields.
    pub(crate) delimiter: u8,
    /// Around fields that need it; `None` switches quoting off.
    pub(crate) quote: Option<u8>,
    /// Before a character that is to be taken as it is.
    pub(crate) escape: Option<u8>,
    /// Between the items of an array and the fields of a nested row.
    pub(crate) array_delimiter: String,
    /// What stands for null.
    pub(crate) null_literal: Option<String>,
    /// Lines that start with `#` are no records.
    pub(crate) allow_comments: bool,
    /// A field that does not fit its column is null.
    pub(crate) ignore_parse_errors: bool,
}

/// The options, without the prefix `csv.`.
pub(crate) const OPTIONS: &[Known] = &[
    Known::new("field-delimiter"),
    Known::new("disable-quote-character"),
    Known::new("quote-character"),
    Known::new("allow-comments"),
    Known::new("ignore-parse-errors"),
    Known::new("array-element-delimiter"),
    Known::new("escape-character"),
    Known::new("null-literal"),
    // Decimals are always written plain here.
    Known::new("write-bigdecimal-in-scientific-notation"),
];

impl CsvOptions {
    /// Reads them.
    pub(crate) fn new(options: &Options<'_>) -> Result<Self> {
        let ascii = |option: &str| match options.character(option)? {
            Some(character) if !character.is_ascii() => {
                Err(options.wrong(option, "an ASCII character"))
            }
            character => Ok(character.map(|character| character as u8)),
        };
        let quote = ascii("quote-character")?;
        let disabled = options.bool("disable-quote-character", false)?;
        if disabled && quote.is_some() {
            return Err(StreamError::Invalid(format!(
                "'{}' is set, but '{}' is true",
                options.name("quote-character"),
                options.name("disable-quote-character")
            )));
        }
        options.bool("write-bigdecimal-in-scientific-notation", false)?;
        Ok(Self {
            delimiter: ascii("field-delimiter")?.unwrap_or(b','),
            quote: if disabled { None } else { Some(quote.unwrap_or(b'"')) },
            escape: ascii("escape-character")?,
            array_delimiter: options.get("array-element-delimiter").unwrap_or(";").to_owned(),
            null_literal: options.get("null-literal").map(str::to_owned),
            allow_comments: options.bool("allow-comments", false)?,
            ignore_parse_errors: options.bool("ignore-parse-errors", false)?,
        })
    }
}
