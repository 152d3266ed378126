//! A record as one line of JSON: our own form, and kcat's envelope (`-J`).

use krafka::consumer::{ConsumerRecord, TimestampType};
use serde_json::{Map, Value};

/// Our own form; `value` is left out on request.
pub(super) fn own(record: &ConsumerRecord, meta_only: bool) -> Value {
    let mut object = Map::new();
    object.insert("topic".to_owned(), (*record.topic).into());
    object.insert("partition".to_owned(), record.partition.into());
    object.insert("offset".to_owned(), record.offset.into());
    object.insert("timestamp".to_owned(), record.timestamp.into());
    object.insert("key".to_owned(), text(record.key.as_deref()));
    if meta_only {
        let size = record.value.as_ref().map(|value| value.len() as u64);
        object.insert("value_size".to_owned(), size.into());
    } else {
        object.insert("value".to_owned(), text(record.value.as_deref()));
    }
    if !record.headers.is_empty() {
        let headers = record
            .headers
            .iter()
            .map(|(key, value)| serde_json::json!({ "key": key, "value": text(value.as_deref()) }));
        object.insert("headers".to_owned(), headers.collect());
    }
    Value::Object(object)
}

/// kcat's envelope. `broker` is the id of the partition's leader.
pub(super) fn kcat(record: &ConsumerRecord, broker: Option<i32>, meta_only: bool) -> Value {
    let mut object = Map::new();
    object.insert("topic".to_owned(), (*record.topic).into());
    object.insert("partition".to_owned(), record.partition.into());
    object.insert("offset".to_owned(), record.offset.into());
    let kind = match record.timestamp_type {
        TimestampType::LogAppendTime => "logappend",
        _ => "create",
    };
    object.insert("tstype".to_owned(), kind.into());
    object.insert("ts".to_owned(), record.timestamp.into());
    object.insert("broker".to_owned(), broker.unwrap_or(-1).into());
    if !record.headers.is_empty() {
        // Names and values in turn.
        let flat = record.headers.iter();
        let flat = flat.flat_map(|(name, value)| [name.as_str().into(), text(value.as_deref())]);
        object.insert("headers".to_owned(), flat.collect());
    }
    object.insert("key".to_owned(), text(record.key.as_deref()));
    if !meta_only {
        object.insert("payload".to_owned(), text(record.value.as_deref()));
    }
    Value::Object(object)
}

fn text(bytes: Option<&[u8]>) -> Value {
    bytes.map(String::from_utf8_lossy).into()
}
