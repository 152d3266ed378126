//! What several tests need: a log, tables, rows.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use thalweg_connect::ConnectorRegistry;
use thalweg_connect::format::json::JsonOptions;
use thalweg_connect::format::{json_decoder, json_encoder};
use thalweg_core::env::Env;
use thalweg_core::partition_log::{Isolation, LogStore, append_durably};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, DecompressionLimits, NewRecord, split,
};
use thalweg_log::{Log, LogOptions};
use thalweg_stream::table::{METADATA_KEY, TableSpec};

/// A log in a directory of its own, and what was printed.
pub(crate) struct World {
    pub(crate) registry: ConnectorRegistry,
    pub(crate) log: Arc<Log>,
    pub(crate) printed: Arc<Mutex<Vec<u8>>>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|registry| registry)
    }

    pub(crate) fn with(adjust: impl FnOnce(ConnectorRegistry) -> ConnectorRegistry) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::real();
        let log = Log::open(env.clone(), &dir.path().join("log"), LogOptions::default()).unwrap();
        let printed = Arc::new(Mutex::new(Vec::new()));
        let lines = printed.clone();
        let stdout = Arc::new(move |bytes: &[u8]| lines.lock().unwrap().extend_from_slice(bytes));
        let registry = adjust(ConnectorRegistry::new(env, log.clone(), stdout));
        Self { registry, log, printed, _dir: dir }
    }

    /// Appends records to a partition as one batch.
    pub(crate) fn produce(
        &self,
        topic: &str,
        partition: i32,
        records: &[Produced<'_>],
        codec: Compression,
    ) {
        let mut batch = BatchBuilder::new(codec);
        for record in records {
            batch
                .push(&NewRecord {
                    timestamp: record.timestamp,
                    key: record.key,
                    value: record.value,
                    headers: record.headers,
                })
                .unwrap();
        }
        let log = self.log.partition(topic, partition).unwrap();
        append_durably(&*log, batch.build().unwrap()).unwrap();
    }

    /// Appends values without keys, a batch each.
    pub(crate) fn produce_values(&self, topic: &str, partition: i32, values: &[&str]) {
        for value in values {
            let record = Produced { value: Some(value.as_bytes()), ..Produced::default() };
            self.produce(topic, partition, &[record], Compression::None);
        }
    }

    /// All records of a partition.
    pub(crate) fn records(&self, topic: &str, partition: i32) -> Vec<Owned> {
        let log = self.log.partition(topic, partition).unwrap();
        let mut records = Vec::new();
        let mut at = log.offsets().start;
        while at < log.offsets().high_watermark {
            let bytes = log.read(at, 1 << 20, Isolation::ReadCommitted).unwrap();
            for batch in split(&bytes) {
                let batch = batch.unwrap();
                batch.verify_crc().unwrap();
                let mut scratch = Vec::new();
                let limits = DecompressionLimits::default();
                for record in batch.records(&mut scratch, &limits).unwrap() {
                    let record = record.unwrap();
                    records.push(Owned {
                        timestamp: record.timestamp,
                        key: record.key.map(text),
                        value: record.value.map(text),
                        headers: record
                            .headers
                            .map(|header| {
                                (text(header.key), header.value.map(text).unwrap_or_default())
                            })
                            .collect(),
                    });
                }
                at = batch.header().next_offset();
            }
        }
        records
    }

    /// The values of a partition.
    pub(crate) fn values(&self, topic: &str, partition: i32) -> Vec<Option<String>> {
        self.records(topic, partition).into_iter().map(|record| record.value).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A record to be produced.
#[derive(Clone, Copy, Default)]
pub(crate) struct Produced<'a> {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// A record that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Owned {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
}

/// A schema of nullable columns.
pub(crate) fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    let fields = fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The same with the last columns from metadata, given with their names there.
pub(crate) fn with_metadata(
    fields: &[(&str, DataType)],
    metadata: &[(&str, &str, DataType)],
) -> SchemaRef {
    let plain = schema(fields);
    let mut all: Vec<Field> = plain.fields().iter().map(|field| field.as_ref().clone()).collect();
    for (name, key, kind) in metadata {
        let marks = HashMap::from([(METADATA_KEY.to_owned(), (*key).to_owned())]);
        all.push(Field::new(*name, kind.clone(), true).with_metadata(marks));
    }
    Arc::new(Schema::new(all))
}

/// A table with these options.
pub(crate) fn table(schema: &SchemaRef, options: &[(&str, &str)]) -> TableSpec {
    let options: BTreeMap<_, _> =
        options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    TableSpec { name: "c.d.t".to_owned(), schema: schema.clone(), primary_key: Vec::new(), options }
}

/// Rows out of JSON objects.
pub(crate) fn rows(schema: &SchemaRef, objects: &[&str]) -> RecordBatch {
    let mut decoder = json_decoder(schema, &JsonOptions::default()).unwrap();
    for object in objects {
        decoder.decode(object.as_bytes()).unwrap();
    }
    RecordBatch::try_new(schema.clone(), decoder.finish().unwrap()).unwrap()
}

/// Rows as JSON objects.
pub(crate) fn objects(rows: &RecordBatch) -> Vec<String> {
    let mut encoder = json_encoder(&JsonOptions::default());
    encoder.begin(rows).unwrap();
    (0..rows.num_rows())
        .map(|row| {
            let mut out = Vec::new();
            encoder.encode(row, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        })
        .collect()
}
