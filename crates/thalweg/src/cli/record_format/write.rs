//! Records as a format says.

use krafka::consumer::{ConsumerRecord, PartitionLag, TimestampType};

use super::Format;
use super::format::{NumberField, TextField, What};

/// What a record does not know of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// How many records were printed, this one included.
    pub(crate) printed: u64,
    /// Offsets of its partition, where the format asks for them.
    pub(crate) partition: Option<PartitionLag>,
    /// What stands for a null key or value.
    pub(crate) null: &'static str,
}

impl Format {
    /// Appends a record.
    pub(crate) fn write(&self, record: &ConsumerRecord, around: &Surroundings, out: &mut Vec<u8>) {
        for part in &self.parts {
            match &part.what {
                What::Literal(text) => out.extend_from_slice(text),
                What::Text(field, encoding) => {
                    let bytes = match field {
                        TextField::Topic => Some(record.topic.as_bytes()),
                        TextField::Key => record.key.as_deref(),
                        TextField::Value => record.value.as_deref(),
                    };
                    match bytes {
                        Some(bytes) => encoding.write(bytes, out),
                        None => out.extend_from_slice(around.null.as_bytes()),
                    }
                }
                What::Number(field, encoding) => {
                    encoding.write(number(*field, record, around), out)
                }
                What::Time(encoding) => encoding.write(record.timestamp, out),
                What::HeaderList => write_header_list(record, out),
                What::Headers(format) => {
                    for (name, value) in &record.headers {
                        let name = Some(bytes::Bytes::copy_from_slice(name.as_bytes()));
                        let header = ConsumerRecord::new("", 0, 0, name, value.clone());
                        format.write(&header, around, out);
                    }
                }
            }
        }
    }
}

fn number(field: NumberField, record: &ConsumerRecord, around: &Surroundings) -> i64 {
    let length = |bytes: Option<&[u8]>, null: i64| bytes.map_or(null, |bytes| bytes.len() as i64);
    let known = |offset: fn(&PartitionLag) -> Option<i64>| {
        around.partition.as_ref().and_then(offset).unwrap_or(-1)
    };
    match field {
        NumberField::TopicLength => record.topic.len() as i64,
        NumberField::KeyLength => length(record.key.as_deref(), 0),
        NumberField::ValueLength => length(record.value.as_deref(), 0),
        NumberField::ValueLengthOrNull => length(record.value.as_deref(), -1),
        NumberField::HeaderCount => record.headers.len() as i64,
        NumberField::Partition => i64::from(record.partition),
        NumberField::Offset => record.offset,
        NumberField::LeaderEpoch => record.leader_epoch.map_or(-1, i64::from),
        NumberField::Timestamp => record.timestamp,
        NumberField::TimestampType => {
            i64::from(record.timestamp_type == TimestampType::LogAppendTime)
        }
        NumberField::LogStart => known(|lag| lag.log_start_offset),
        NumberField::LastStable => known(|lag| lag.last_stable_offset),
        NumberField::HighWatermark => known(|lag| lag.high_watermark),
        NumberField::Printed => around.printed as i64,
    }
}

/// kcat's form; it says `NULL` for a null, and only here.
fn write_header_list(record: &ConsumerRecord, out: &mut Vec<u8>) {
    for (index, (name, value)) in record.headers.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.as_deref().unwrap_or(b"NULL"));
    }
}
