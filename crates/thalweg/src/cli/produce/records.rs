//! What is a record of the input, as the options say.

use bytes::Bytes;
use krafka::Record;

use super::Options;
use crate::cli::Failure;
use crate::cli::record_format::{Mismatch, Parsed, ReadPlan, Slot, Step, unescape};

/// How records are found in the input, and what all of them have.
#[derive(Debug)]
pub(super) struct Records {
    form: Form,
    topic: Option<String>,
    key: Option<Bytes>,
    partition: Option<i32>,
    headers: Vec<(String, Bytes)>,
    empty_is_null: bool,
}

#[derive(Debug)]
enum Form {
    Delimited { delimiter: Vec<u8>, key_delimiter: Option<Vec<u8>> },
    Format(ReadPlan),
}

impl Records {
    /// Checks the options.
    pub(super) fn new(options: &Options) -> Result<Self, Failure> {
        let form = match &options.format {
            Some(format) => Form::Format(ReadPlan::parse(format)?),
            None => Form::Delimited {
                delimiter: delimiter(options.delimiter.as_deref().unwrap_or("\\n"), "-D")?,
                key_delimiter: options
                    .key_delimiter
                    .as_deref()
                    .map(|text| delimiter(text, "-K"))
                    .transpose()?,
            },
        };
        let reads_topic = matches!(&form, Form::Format(plan) if plan.reads_topic());
        if options.topic.is_none() && !reads_topic {
            return Err(Failure::Usage(
                "which topic? thalweg produce TOPIC, or -f with %t reads it from the input".into(),
            ));
        }
        let mut headers = Vec::new();
        for header in &options.headers {
            let (name, value) = header
                .split_once('=')
                .ok_or_else(|| Failure::Usage(format!("-H {header} is not KEY=VALUE")))?;
            headers.push((name.to_owned(), Bytes::copy_from_slice(value.as_bytes())));
        }
        Ok(Self {
            form,
            topic: options.topic.clone(),
            key: options.key.as_ref().map(|key| Bytes::copy_from_slice(key.as_bytes())),
            partition: options.partition,
            headers,
            empty_is_null: options.tombstone,
        })
    }

    /// Looks for a record at the start of `data`, which is not empty. `end` says that nothing
    /// follows it.
    ///
    /// # Errors
    /// Where the input is not as expected.
    pub(super) fn find(&self, data: &[u8], end: bool) -> Result<Step, Mismatch> {
        match &self.form {
            Form::Format(plan) => match plan.read(data, end)? {
                Step::Record(Parsed { used: 0, .. }) => {
                    Err(Mismatch { at: 0, expected: "a record of at least one byte".to_owned() })
                }
                step => Ok(step),
            },
            Form::Delimited { delimiter, key_delimiter } => {
                let (length, used) = match memchr::memmem::find(data, delimiter) {
                    Some(length) => (length, length + delimiter.len()),
                    None if end => (data.len(), data.len()),
                    None => return Ok(Step::More),
                };
                // Lines of a text made on Windows end in two characters.
                let is_crlf = delimiter == b"\n" && data[..length].ends_with(b"\r");
                let length = length - usize::from(is_crlf);
                delimited(&data[..length], used, key_delimiter.as_deref())
            }
        }
    }

    /// The record to send. `bytes` are those of `parsed`.
    ///
    /// # Errors
    /// What the input says that cannot be.
    pub(super) fn record(&self, parsed: Parsed, bytes: &Bytes) -> Result<Record, String> {
        let topic = match parsed.topic {
            None => self.topic.clone().ok_or("the record has no topic")?,
            Some(slot) => String::from_utf8(slot.bytes(bytes).to_vec())
                .map_err(|_| "the topic is not UTF-8".to_owned())?,
        };
        let key = match parsed.key {
            Some(slot) => Some(slot.bytes(bytes)),
            None => self.key.clone(),
        };
        let value = parsed.value.map(|slot| slot.bytes(bytes));
        let value = value.filter(|value| !(self.empty_is_null && value.is_empty()));
        let mut record = Record::new(topic, value.clone().unwrap_or_default());
        if value.is_none() {
            record = record.without_value();
        }
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(timestamp) = parsed.timestamp {
            record = record.timestamp(timestamp);
        }
        match parsed.partition.map(i32::try_from) {
            None => record.partition = self.partition,
            Some(Ok(partition)) if partition >= 0 => record.partition = Some(partition),
            Some(_) => return Err("the partition is not a number from 0 to 2147483647".to_owned()),
        }
        for (name, slot) in parsed.headers {
            record.headers.push((name, slot.map(|slot| slot.bytes(bytes))));
        }
        for (name, value) in &self.headers {
            record.headers.push((name.clone(), Some(value.clone())));
        }
        Ok(record)
    }

    /// A whole file as one record.
    pub(super) fn whole(&self, contents: Vec<u8>) -> Result<Record, String> {
        let bytes = Bytes::from(contents);
        let value = Some(Slot::At(0..bytes.len()));
        self.record(Parsed { value, ..Parsed::default() }, &bytes)
    }
}

/// A line, split into key and value where there is a delimiter to split at.
fn delimited(line: &[u8], used: usize, key_delimiter: Option<&[u8]>) -> Result<Step, Mismatch> {
    let mut parsed = Parsed { used, ..Parsed::default() };
    let value_at = match key_delimiter {
        None => 0,
        Some(delimiter) => {
            let Some(at) = memchr::memmem::find(line, delimiter) else {
                let expected = format!("a key and \"{}\"", delimiter.escape_ascii());
                return Err(Mismatch { at: 0, expected });
            };
            parsed.key = Some(Slot::At(0..at));
            at + delimiter.len()
        }
    };
    parsed.value = Some(Slot::At(value_at..line.len()));
    Ok(Step::Record(parsed))
}

fn delimiter(text: &str, option: &str) -> Result<Vec<u8>, Failure> {
    let bytes = unescape(text)?;
    if bytes.is_empty() {
        return Err(Failure::Usage(format!(
            "{option} is empty: a delimiter has at least one byte"
        )));
    }
    Ok(bytes)
}
