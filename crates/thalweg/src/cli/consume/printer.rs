//! How a record is printed, as the options say.

use std::collections::HashMap;

use krafka::consumer::{ConsumerRecord, PartitionLag, TopicPartition};

use super::{Options, envelope};
use crate::cli::Failure;
use crate::cli::record_format::{Format, Surroundings, unescape};

/// Prints records.
#[derive(Debug)]
pub(super) struct Printer {
    form: Form,
    meta_only: bool,
    surroundings: Surroundings,
    /// Leaders of partitions, for kcat's envelope.
    pub(super) brokers: HashMap<(String, i32), i32>,
}

#[derive(Debug)]
enum Form {
    Json,
    Envelope,
    Format(Format),
    Plain { key_delimiter: Option<Vec<u8>>, delimiter: Vec<u8> },
}

impl Printer {
    pub(super) fn new(options: &Options) -> Result<Self, Failure> {
        let form = match &options.format {
            Some(format) if format == "json" => Form::Json,
            Some(format) => Form::Format(Format::for_writing(format)?),
            None if options.json_envelope => Form::Envelope,
            None if options.delimiter.is_some() || options.key_delimiter.is_some() => Form::Plain {
                key_delimiter: options.key_delimiter.as_deref().map(unescape).transpose()?,
                delimiter: unescape(options.delimiter.as_deref().unwrap_or("\\n"))?,
            },
            None => Form::Json,
        };
        let null = if options.null { "NULL" } else { "" };
        let surroundings = Surroundings { null, ..Surroundings::default() };
        Ok(Self { form, meta_only: options.meta_only, surroundings, brokers: HashMap::new() })
    }

    /// Whether records are printed with offsets of their partition.
    pub(super) fn needs_watermarks(&self) -> bool {
        matches!(&self.form, Form::Format(format) if format.needs_watermarks())
    }

    /// Whether records are printed with their partition's leader.
    pub(super) fn needs_brokers(&self) -> bool {
        matches!(self.form, Form::Envelope)
    }

    /// Appends a record. `lags` has its partition where [`Self::needs_watermarks`].
    pub(super) fn print(
        &mut self,
        record: &ConsumerRecord,
        lags: &HashMap<TopicPartition, PartitionLag>,
        out: &mut Vec<u8>,
    ) {
        self.surroundings.printed += 1;
        match &self.form {
            Form::Json => line(&envelope::own(record, self.meta_only), out),
            Form::Envelope => {
                let place = (record.topic.to_string(), record.partition);
                let broker = self.brokers.get(&place).copied();
                line(&envelope::kcat(record, broker, self.meta_only), out);
            }
            Form::Format(format) => {
                if !lags.is_empty() {
                    let place = TopicPartition::new(&*record.topic, record.partition);
                    self.surroundings.partition = lags.get(&place).cloned();
                }
                format.write(record, &self.surroundings, out);
            }
            Form::Plain { key_delimiter, delimiter } => {
                let null = self.surroundings.null.as_bytes();
                if let Some(key_delimiter) = key_delimiter {
                    out.extend_from_slice(record.key.as_deref().unwrap_or(null));
                    out.extend_from_slice(key_delimiter);
                }
                out.extend_from_slice(record.value.as_deref().unwrap_or(null));
                out.extend_from_slice(delimiter);
            }
        }
    }
}

fn line(value: &serde_json::Value, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
    out.push(b'\n');
}
