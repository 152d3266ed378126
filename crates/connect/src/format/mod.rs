//! Formats: how the bytes of a record become a row, and back.
//!
//! To add one: a folder or file here, and a line in `FormatKind::ALL` and in the two
//! `match`es of `Format`.

pub(crate) mod cells;
pub(crate) mod column;
pub(crate) mod csv;
pub mod datetime;
pub(crate) mod decimal;
pub(crate) mod float;
pub mod json;
pub(crate) mod raw;
pub(crate) mod types;

use std::ops::Range;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use crate::options::{Known, Options, suggestion};
use csv::{CsvDecoder, CsvEncoder, CsvOptions};
use json::{JsonDecoder, JsonEncoder, JsonOptions};
use raw::{RawDecoder, RawEncoder, RawOptions};

/// Text under construction. It is UTF-8 by how it is written.
pub type Text = Vec<u8>;

/// Outcome of decoding one record: the reason, where it is bad.
pub type Decoded = Result<(), String>;

/// How far lines were decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinesDecoded {
    /// Bytes that are done, whole lines with their ends.
    pub bytes: usize,
    /// Records among them, good and bad.
    pub records: usize,
}

/// Lines of a file that are no records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlankLines {
    /// Those with nothing but spaces, tabs and carriage returns.
    pub white: bool,
    /// Those that start with `#`.
    pub comments: bool,
}

impl BlankLines {
    /// Whether a line, given without its end, is among them.
    pub fn contain(self, line: &[u8]) -> bool {
        let is_white = || line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        (self.white && is_white()) || (self.comments && line.starts_with(b"#"))
    }
}

/// A line without its end, a line feed with or without a carriage return before it.
pub(crate) fn line_content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Turns records into columns.
///
/// The caller bounds what one batch takes in (at most 64 MiB or so), since columns count
/// their bytes in 32 bits.
pub trait RowDecoder: Send {
    /// Decodes one record. Where it is bad there is no row, and those before stay.
    ///
    /// # Errors
    /// The reason, in words.
    fn decode(&mut self, record: &[u8]) -> Decoded;

    /// Decodes at most `max` records out of whole lines, the last of which may lack its
    /// end. Blank lines are no records. `bad` gets the range of each bad line, without its
    /// end, and why.
    fn decode_lines(
        &mut self,
        lines: &[u8],
        max: usize,
        bad: &mut dyn FnMut(Range<usize>, String),
    ) -> LinesDecoded {
        let mut done = LinesDecoded { bytes: 0, records: 0 };
        let blank = self.blank_lines();
        while done.bytes < lines.len() && done.records < max {
            let rest = &lines[done.bytes..];
            let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = line_content(&rest[..len]);
            if !blank.contain(line) {
                done.records += 1;
                if let Err(reason) = self.decode(line) {
                    bad(done.bytes..done.bytes + line.len(), reason);
                }
            }
            done.bytes = (done.bytes + len + 1).min(lines.len());
        }
        done
    }

    /// Takes a record without a value (a tombstone).
    ///
    /// # Errors
    /// The reason, where that is no row.
    fn decode_null(&mut self) -> Decoded {
        Err("the record has no value (a tombstone)".into())
    }

    /// Takes back the row that was decoded last, which was good.
    fn take_back(&mut self);

    /// Which lines of a file are no records at all.
    fn blank_lines(&self) -> BlankLines {
        BlankLines { white: true, comments: false }
    }

    /// Rows decoded and not taken yet.
    fn rows(&self) -> usize;

    /// Bytes held.
    fn memory_bytes(&self) -> usize;

    /// Takes the rows, as one array for each column asked for.
    ///
    /// # Errors
    /// A defect, or more in one batch than columns can count.
    fn finish(&mut self) -> Result<Vec<ArrayRef>>;
}

/// Turns rows into records.
pub trait RowEncoder: Send {
    /// Takes up a batch.
    ///
    /// # Errors
    /// [`StreamError::Invalid`] for a type that the format cannot write.
    fn begin(&mut self, rows: &RecordBatch) -> Result<()>;

    /// Appends a row of the batch to `out`.
    ///
    /// # Errors
    /// [`StreamError::Invalid`] for a value that the format cannot write.
    fn encode(&mut self, row: usize, out: &mut Text) -> Result<()>;

    /// Whether a row of the batch is a record without a value.
    fn is_null(&self, _row: usize) -> bool {
        false
    }
}

/// A format by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FormatKind {
    Json,
    Csv,
    Raw,
}

impl FormatKind {
    /// All formats.
    pub(crate) const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Raw];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Raw => "raw",
        }
    }

    /// Its options, without its name as a prefix.
    pub(crate) fn known_options(self) -> &'static [Known] {
        match self {
            Self::Json => json::OPTIONS,
            Self::Csv => csv::OPTIONS,
            Self::Raw => raw::OPTIONS,
        }
    }

    /// The format that `option` names.
    pub(crate) fn parse(options: &Options<'_>, option: &str) -> Result<Option<Self>> {
        let Some(name) = options.get(option) else { return Ok(None) };
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.map(Some).ok_or_else(|| {
            let hint = suggestion(name, Self::ALL.into_iter().map(Self::name));
            let names: Vec<_> = Self::ALL.into_iter().map(Self::name).collect();
            StreamError::Invalid(format!(
                "option '{}': there is no format '{name}'{hint} (formats: {})",
                options.name(option),
                names.join(", ")
            ))
        })
    }
}

/// A format with its options.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Json(JsonOptions),
    Csv(CsvOptions),
    Raw(RawOptions),
}

impl Format {
    /// Reads the options of a format, which stand under `prefix` and its name.
    pub(crate) fn new(kind: FormatKind, options: &Options<'_>, prefix: &str) -> Result<Self> {
        let own = options.under(&format!("{prefix}{}.", kind.name()));
        Ok(match kind {
            FormatKind::Json => Self::Json(JsonOptions::new(&own)?),
            FormatKind::Csv => Self::Csv(CsvOptions::new(&own)?),
            FormatKind::Raw => Self::Raw(RawOptions::new(&own)?),
        })
    }

    /// A decoder of records with these fields, of which `columns` are wanted.
    pub(crate) fn decoder(
        &self,
        fields: &SchemaRef,
        columns: &[usize],
    ) -> Result<Box<dyn RowDecoder>> {
        Ok(match self {
            Self::Json(options) => {
                let wanted = std::sync::Arc::new(fields.project(columns)?);
                Box::new(JsonDecoder::new(&wanted, options)?)
            }
            Self::Csv(options) => Box::new(CsvDecoder::new(fields, columns, options)?),
            Self::Raw(options) => Box::new(RawDecoder::new(fields, columns, options)?),
        })
    }

    /// An encoder of records with these fields.
    pub(crate) fn encoder(&self, fields: &SchemaRef) -> Result<Box<dyn RowEncoder>> {
        Ok(match self {
            Self::Json(options) => Box::new(JsonEncoder::new(options)),
            Self::Csv(options) => Box::new(CsvEncoder::new(options)),
            Self::Raw(options) => Box::new(RawEncoder::new(fields, options)?),
        })
    }
}

/// A decoder of JSON records with these fields.
///
/// # Errors
/// [`StreamError::Invalid`] for a type that JSON is not read into.
pub fn json_decoder(fields: &SchemaRef, options: &JsonOptions) -> Result<Box<dyn RowDecoder>> {
    Ok(Box::new(JsonDecoder::new(fields, options)?))
}

/// An encoder of rows as JSON objects.
pub fn json_encoder(options: &JsonOptions) -> Box<dyn RowEncoder> {
    Box::new(JsonEncoder::new(options))
}
