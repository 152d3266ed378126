//! Metadata columns: what a record says besides its key and value.

use arrow_schema::{DataType, Field};
use thalweg_core::record_batch::{Record, TimestampType};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::table::METADATA_KEY;

use crate::format::column::Column;
use crate::format::datetime::{DayTime, TimestampStyle};
use crate::format::types::type_name;

/// What a metadata column holds. The names are Flink's, and two of our own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Metadata {
    /// `topic`: the topic's name.
    Topic,
    /// `partition`.
    Partition,
    /// `offset`.
    Offset,
    /// `timestamp` in milliseconds.
    Timestamp,
    /// `timestamp-type`: `CreateTime` or `LogAppendTime`.
    TimestampType,
    /// `leader-epoch`.
    LeaderEpoch,
    /// `headers`, all of them.
    Headers,
    /// `key`: the bytes of the key (not in Flink).
    Key,
    /// `header:NAME`: one header's value (not in Flink).
    Header(String),
}

/// Where a record stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) timestamp_type: TimestampType,
}

impl Metadata {
    /// What a field holds; `None` where it is no metadata column.
    pub(crate) fn of(field: &Field) -> Result<Option<Self>> {
        let Some(name) = field.metadata().get(METADATA_KEY) else { return Ok(None) };
        let metadata = match name.as_str() {
            "topic" => Self::Topic,
            "partition" => Self::Partition,
            "offset" => Self::Offset,
            "timestamp" => Self::Timestamp,
            "timestamp-type" => Self::TimestampType,
            "leader-epoch" => Self::LeaderEpoch,
            "headers" => Self::Headers,
            "key" => Self::Key,
            other => match other.strip_prefix("header:") {
                Some(header) => Self::Header(header.to_owned()),
                None => {
                    return Err(StreamError::Invalid(format!(
                        "column '{}': a Kafka record has no metadata '{other}' (there are topic, \
                         partition, offset, timestamp, timestamp-type, leader-epoch, headers, key)",
                        field.name()
                    )));
                }
            },
        };
        metadata.check_type(field)?;
        Ok(Some(metadata))
    }

    fn check_type(&self, field: &Field) -> Result<()> {
        let data_type = field.data_type();
        let text = matches!(data_type, DataType::Utf8 | DataType::Utf8View);
        let bytes = matches!(data_type, DataType::Binary | DataType::BinaryView);
        let (fits, expected) = match self {
            Self::Topic | Self::TimestampType => (text, "STRING"),
            Self::Partition | Self::LeaderEpoch => {
                (matches!(data_type, DataType::Int32 | DataType::Int64), "INT")
            }
            Self::Offset => (*data_type == DataType::Int64, "BIGINT"),
            Self::Timestamp => {
                (matches!(data_type, DataType::Timestamp(..) | DataType::Int64), "TIMESTAMP_LTZ(3)")
            }
            Self::Headers => (is_header_map(data_type), "MAP<STRING, BYTES>"),
            Self::Key => (text || bytes, "BYTES"),
            Self::Header(_) => (text || bytes || *data_type == DataType::Int64, "STRING or BYTES"),
        };
        if fits {
            return Ok(());
        }
        Err(StreamError::Invalid(format!(
            "metadata column '{}' must be of type {expected}, not {}",
            field.name(),
            type_name(data_type)
        )))
    }

    /// A builder for the column.
    pub(crate) fn column(field: &Field) -> Result<Column> {
        Column::new(field, TimestampStyle::Sql)
    }

    /// Appends what a record says. What is not there, or not of the type, is null.
    pub(crate) fn append(&self, column: &mut Column, record: &Record<'_>, place: &Place<'_>) {
        let row = column.len();
        match self {
            Self::Topic => append_bytes(column, Some(place.topic.as_bytes())),
            Self::Partition => append_number(column, i64::from(place.partition)),
            Self::LeaderEpoch if place.leader_epoch >= 0 => {
                append_number(column, i64::from(place.leader_epoch));
            }
            Self::LeaderEpoch => {}
            Self::Offset => append_number(column, record.offset),
            Self::Timestamp if record.timestamp >= 0 => append_number(column, record.timestamp),
            Self::Timestamp => {}
            Self::TimestampType => {
                let name: &[u8] = match place.timestamp_type {
                    TimestampType::CreateTime => b"CreateTime",
                    TimestampType::LogAppendTime => b"LogAppendTime",
                };
                append_bytes(column, Some(name));
            }
            Self::Key => append_bytes(column, record.key),
            Self::Header(name) => {
                let found = record.headers.filter(|header| header.key == name.as_bytes()).last();
                append_bytes(column, found.and_then(|header| header.value));
            }
            Self::Headers => append_headers(column, record),
        }
        column.pad_to(row + 1);
    }
}

fn is_header_map(data_type: &DataType) -> bool {
    let DataType::Map(entries, _) = data_type else { return false };
    let DataType::Struct(fields) = entries.data_type() else { return false };
    matches!(
        fields.iter().map(|field| field.data_type()).collect::<Vec<_>>()[..],
        [DataType::Utf8 | DataType::Utf8View, DataType::Binary | DataType::BinaryView]
    )
}

fn append_number(column: &mut Column, value: i64) {
    match column {
        Column::Int32(column) => {
            if let Ok(value) = i32::try_from(value) {
                column.append(value);
            }
        }
        Column::Int64(column) => column.append(value),
        Column::Timestamp(column) => {
            let at = DayTime::of_unit(value, arrow_schema::TimeUnit::Millisecond);
            if let Some(value) = at.in_unit(column.unit()) {
                column.append(value);
            }
        }
        _ => {}
    }
}

fn append_bytes(column: &mut Column, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else { return };
    match column {
        Column::Binary(column) => column.append(bytes),
        Column::String(column) => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                column.append(text);
            }
        }
        Column::Int64(column) => {
            if let Some(value) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok())
            {
                column.append(value);
            }
        }
        _ => {}
    }
}

/// All headers as a map; of several with one key the last counts.
fn append_headers(column: &mut Column, record: &Record<'_>) {
    let Column::Map(map) = column else { return };
    let headers: Vec<_> = record.headers.collect();
    for (at, header) in headers.iter().enumerate() {
        if headers[at + 1..].iter().any(|later| later.key == header.key) {
            continue;
        }
        let Ok(name) = std::str::from_utf8(header.key) else { continue };
        if map.keys.append_text(name).is_err() {
            continue;
        }
        append_bytes(&mut map.values, header.value);
        map.values.pad_to(map.keys.len());
    }
    // More headers than a column can count would not have fitted into one batch of input.
    let _ = map.append_valid();
}
