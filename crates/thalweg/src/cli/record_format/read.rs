//! Records out of an input, as a format says. Sans-IO: it is handed the bytes that are there
//! and says whether it needs more.

use std::ops::Range;

use super::format::{NumberField, TextField, What};
use super::json_text::{self, JsonEnd};
use super::number::NumberRead;
use super::read_plan::{FieldEnd, ReadPlan, ReadStep, measured};
use super::text::TextEncoding;

/// Most headers that a record may have.
const HEADERS_MAX: i64 = 10_000;

/// A record found at the start of the input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Bytes that it takes.
    pub(crate) used: usize,
    pub(crate) topic: Option<Slot>,
    pub(crate) key: Option<Slot>,
    /// `None` where the format reads none; a null has no slot either.
    pub(crate) value: Option<Slot>,
    pub(crate) partition: Option<i64>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) headers: Vec<(String, Option<Slot>)>,
}

/// Bytes of a field: where they stand in the input, or what they decode to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    At(Range<usize>),
    Decoded(Vec<u8>),
}

impl Slot {
    /// The bytes, given those of the record.
    pub(crate) fn bytes(self, record: &bytes::Bytes) -> bytes::Bytes {
        match self {
            Self::At(range) => record.slice(range),
            Self::Decoded(bytes) => bytes.into(),
        }
    }
}

/// What came of looking for a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Record(Parsed),
    /// It may go on in bytes that are not there yet.
    More,
}

/// The input is not as the format says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Bytes behind the record's beginning.
    pub(crate) at: usize,
    /// What was expected there.
    pub(crate) expected: String,
}

/// Why reading stops: more input is needed, or it does not match.
enum Stop {
    More,
    Wrong(Mismatch),
}

impl ReadPlan {
    /// Reads one record from the start of `data`, which is not empty. `end` says that
    /// nothing follows `data`.
    ///
    /// # Errors
    /// Where the input is not as the format says.
    pub(crate) fn read(&self, data: &[u8], end: bool) -> Result<Step, Mismatch> {
        let mut reader = Reader { data, end, at: 0, lengths: [None; 3], headers_left: 0 };
        let mut parsed = Parsed::default();
        match reader.steps(&self.steps, &mut parsed) {
            Ok(()) => {
                parsed.used = reader.at;
                Ok(Step::Record(parsed))
            }
            Err(Stop::More) => Ok(Step::More),
            Err(Stop::Wrong(mismatch)) => Err(mismatch),
        }
    }
}

struct Reader<'a> {
    data: &'a [u8],
    end: bool,
    at: usize,
    /// Lengths read for topic, key and value; -1 is null.
    lengths: [Option<i64>; 3],
    headers_left: i64,
}

impl Reader<'_> {
    fn steps(&mut self, steps: &[ReadStep], parsed: &mut Parsed) -> Result<(), Stop> {
        for (index, step) in steps.iter().enumerate() {
            match &step.what {
                What::Literal(text) => self.literal(text, index + 1 == steps.len())?,
                What::Number(field, encoding) => {
                    let number = match encoding.read(&self.data[self.at..], self.end) {
                        NumberRead::Done(number, length) => {
                            self.at += length;
                            number
                        }
                        NumberRead::More => return Err(Stop::More),
                        NumberRead::Wrong => return self.wrong("a number"),
                    };
                    self.number(*field, number, parsed)?;
                }
                What::Text(field, encoding) => {
                    let slot = self.text(*field, encoding, &step.end)?;
                    match field {
                        TextField::Topic => parsed.topic = slot,
                        TextField::Key => parsed.key = slot,
                        TextField::Value => parsed.value = slot,
                    }
                }
                What::Headers(_) => {
                    for _ in 0..std::mem::take(&mut self.headers_left) {
                        self.header(step.header.as_ref(), parsed)?;
                    }
                }
                What::Time(_) | What::HeaderList => {}
            }
        }
        Ok(())
    }

    fn wrong<T>(&self, expected: impl Into<String>) -> Result<T, Stop> {
        Err(Stop::Wrong(Mismatch { at: self.at, expected: expected.into() }))
    }

    /// Passes over literal text. The last one of a format may be missing at the end of the
    /// input, as a line's end often is.
    fn literal(&mut self, text: &[u8], last: bool) -> Result<(), Stop> {
        let rest = &self.data[self.at..];
        if rest.starts_with(text) {
            self.at += text.len();
            Ok(())
        } else if text.starts_with(rest) && !self.end {
            Err(Stop::More)
        } else if rest.is_empty() && last {
            Ok(())
        } else {
            self.wrong(format!("\"{}\"", text.escape_ascii()))
        }
    }

    fn number(&mut self, field: NumberField, number: i64, parsed: &mut Parsed) -> Result<(), Stop> {
        match field {
            NumberField::HeaderCount if !(0..=HEADERS_MAX).contains(&number) => {
                return self.wrong(format!("0 to {HEADERS_MAX} headers, not {number}"));
            }
            NumberField::HeaderCount => self.headers_left = number,
            NumberField::Partition => parsed.partition = Some(number),
            NumberField::Timestamp => parsed.timestamp = Some(number),
            _ if number < -1 => return self.wrong(format!("a length, not {number}")),
            _ => {
                if let Some(field) = measured(field) {
                    self.lengths[field as usize] = Some(number);
                }
            }
        }
        Ok(())
    }

    fn text(
        &mut self,
        field: TextField,
        encoding: &TextEncoding,
        end: &FieldEnd,
    ) -> Result<Option<Slot>, Stop> {
        let rest = &self.data[self.at..];
        let length = match end {
            FieldEnd::Length => match self.lengths[field as usize].unwrap_or(0) {
                ..0 => return Ok(None),
                length if length as u64 <= rest.len() as u64 => length as usize,
                length if self.end => {
                    return self.wrong(format!("{length} bytes, {} are left", rest.len()));
                }
                _ => return Err(Stop::More),
            },
            FieldEnd::Before(text) => match memchr::memmem::find(rest, text) {
                Some(length) => length,
                None if !self.end => return Err(Stop::More),
                None => rest.len(),
            },
            FieldEnd::Input if !self.end => return Err(Stop::More),
            FieldEnd::Input => rest.len(),
            FieldEnd::Itself => self.own_end(encoding, rest)?,
        };
        let range = self.at..self.at + length;
        let slot = match encoding.decode(&self.data[range.clone()]) {
            Ok(None) => Slot::At(range.clone()),
            Ok(Some(bytes)) => Slot::Decoded(bytes),
            Err(expected) => return self.wrong(expected),
        };
        self.at = range.end;
        Ok(Some(slot))
    }

    /// Length of a field that says itself where it ends.
    fn own_end(&self, encoding: &TextEncoding, rest: &[u8]) -> Result<usize, Stop> {
        if let TextEncoding::Regex(expression) = encoding {
            return match expression.find(rest) {
                // Another byte could make the match longer, or one.
                Some(found) if found.end() == rest.len() && !self.end => Err(Stop::More),
                None if !self.end => Err(Stop::More),
                Some(found) => Ok(found.end()),
                None => self.wrong(format!("a match of {}", expression.as_str())),
            };
        }
        match json_text::find_end(rest, self.end) {
            JsonEnd::At(length) => Ok(length),
            JsonEnd::More => Err(Stop::More),
            JsonEnd::Wrong => self.wrong("JSON"),
        }
    }

    fn header(&mut self, plan: Option<&ReadPlan>, parsed: &mut Parsed) -> Result<(), Stop> {
        let outer = std::mem::take(&mut self.lengths);
        let mut header = Parsed::default();
        self.steps(plan.map_or(&[], |plan| &plan.steps), &mut header)?;
        self.lengths = outer;
        let name = match header.key {
            None => Vec::new(),
            Some(Slot::Decoded(bytes)) => bytes,
            Some(Slot::At(range)) => self.data[range].to_vec(),
        };
        let Ok(name) = String::from_utf8(name) else {
            return self.wrong("a header name in UTF-8");
        };
        parsed.headers.push((name, header.value));
        Ok(())
    }
}
