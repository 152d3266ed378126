//! JSON records straight into columns, in one pass over the bytes.
//!
//! The schema leads: a key that is a column is parsed into it, everything else is passed
//! over. Semantics are those of Flink's `json` format, with these differences, all on the
//! careful side: a string for a BOOLEAN must say true or false, and a number that a DECIMAL
//! has no place for makes the record bad instead of becoming null.

use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use thalweg_stream::error::Result;

use super::JsonOptions;
use super::fault::{FaultKind, Outcome};
use super::scan::Cursor;
use super::value::Context;
use crate::format::column::Rows;
use crate::format::{Decoded, LinesDecoded, RowDecoder, line_content};

/// Decodes JSON objects.
#[derive(Debug)]
pub(crate) struct JsonDecoder {
    rows: Rows,
    options: JsonOptions,
    scratch: String,
}

impl JsonDecoder {
    /// A decoder for the fields of `schema`.
    pub(crate) fn new(schema: &SchemaRef, options: &JsonOptions) -> Result<Self> {
        Ok(Self {
            rows: Rows::new(schema, options.timestamps)?,
            options: options.clone(),
            scratch: String::new(),
        })
    }

    /// Decodes the record at the cursor, up to its end or the end of its line.
    fn record(&mut self, cursor: &mut Cursor<'_>) -> Outcome<()> {
        let start = cursor.at;
        match self.attempt(cursor, false) {
            Err(fault) if fault.kind() == FaultKind::DuplicateKey => {
                cursor.at = start;
                self.attempt(cursor, true)
            }
            outcome => outcome,
        }
        .map_err(|fault| fault.relative_to(start))
    }

    fn attempt(&mut self, cursor: &mut Cursor<'_>, careful: bool) -> Outcome<()> {
        let mut context = Context {
            fail_on_missing: self.options.fail_on_missing_field,
            ignore_errors: self.options.ignore_parse_errors,
            careful,
            scratch: &mut self.scratch,
        };
        let outcome = context.root(cursor, &mut self.rows.root);
        self.rows.end_row(outcome.is_ok());
        outcome
    }

    /// Decodes lines of valid UTF-8.
    fn decode_text(&mut self, lines: &str, max: usize, bad: &mut BadLine<'_>) -> LinesDecoded {
        let mut cursor = Cursor::lines(lines);
        let mut records = 0;
        while records < max {
            let line = cursor.at;
            cursor.skip_space();
            if cursor.peek() == b'\n' {
                cursor.at += 1;
                continue;
            }
            if cursor.is_at_end() {
                break;
            }
            records += 1;
            let fault = self.record(&mut cursor).err();
            // A line break is never passed over inside a record.
            let mut end = cursor.at;
            if cursor.peek() != b'\n' {
                let rest = cursor.rest();
                end += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            }
            if let Some(fault) = fault {
                let len = line_content(&lines.as_bytes()[line..end]).len();
                bad(line..line + len, fault.to_string());
            }
            cursor.at = (end + 1).min(lines.len());
        }
        LinesDecoded { bytes: cursor.at, records }
    }
}

/// Receives the range of a bad line and the reason.
type BadLine<'a> = dyn FnMut(Range<usize>, String) + 'a;

impl RowDecoder for JsonDecoder {
    fn decode(&mut self, record: &[u8]) -> Decoded {
        let text = simdutf8::compat::from_utf8(record).map_err(invalid_utf8)?;
        let mut cursor = Cursor::record(text);
        cursor.skip_space();
        self.record(&mut cursor).map_err(|fault| fault.to_string())
    }

    fn decode_lines(&mut self, lines: &[u8], max: usize, bad: &mut BadLine<'_>) -> LinesDecoded {
        if let Ok(text) = simdutf8::basic::from_utf8(lines) {
            return self.decode_text(text, max, bad);
        }
        // Some line is not UTF-8: look at each by itself.
        let mut done = LinesDecoded { bytes: 0, records: 0 };
        while done.bytes < lines.len() && done.records < max {
            let rest = &lines[done.bytes..];
            let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let start = done.bytes;
            match simdutf8::compat::from_utf8(&rest[..len]) {
                Ok(text) => {
                    let mut shifted = |range: Range<usize>, reason| {
                        bad(range.start + start..range.end + start, reason);
                    };
                    done.records += self.decode_text(text, 1, &mut shifted).records;
                }
                Err(error) => {
                    let content = line_content(&rest[..len]);
                    bad(start..start + content.len(), invalid_utf8(error));
                    done.records += 1;
                }
            }
            done.bytes += len;
        }
        done
    }

    fn take_back(&mut self) {
        self.rows.take_back();
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes()
    }

    fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        self.rows.finish()
    }
}

fn invalid_utf8(error: simdutf8::compat::Utf8Error) -> String {
    format!("not valid UTF-8 (byte {})", error.valid_up_to())
}
