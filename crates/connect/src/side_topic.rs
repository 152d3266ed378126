//! Topics beside a job's own output: rows that came too late, records that are no rows.
//!
//! The topic of late rows (table `<job>$late`) holds them as JSON objects. The topic of bad
//! records (`<table>$bad`) is a dead-letter topic: each record has the key, value and headers
//! of the bad one as they came, and headers more that say where it stood, why it was
//! refused and by which job: each job that reads a table finds its bad records for itself,
//! since which records are bad depends on the columns that a query needs. So a Kafka tool
//! can replay a record as it is, and [`bad_table`] reads it as the table that users see:
//! `raw`, `partition`, `offset`, `reason`, `job`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use thalweg_core::partition_log::LogStore;
use thalweg_stream::ChangeBatch;
use thalweg_stream::error::Result;
use thalweg_stream::sink::{OutputChunk, Sink, SinkPublisher, SinkRef, SinkWriter};
use thalweg_stream::table::{METADATA_KEY, TableSpec};

use crate::dead_letter::{
    DeadLetterWriter, JOB_HEADER, OFFSET_HEADER, PARTITION_HEADER, REASON_HEADER,
};
use crate::format::json::JsonOptions;
use crate::format::{RowEncoder, Text, json_encoder};
use crate::kafka::chunk::{AT_PUBLICATION, ChunkBuilder};
use crate::kafka::publisher::LogPublisher;
use crate::kafka::sink::take_chunks;
use crate::kafka::topic::open_or_create;
use thalweg_core::record_batch::Compression;

/// How much of a late row is kept: a topic takes no larger records by default.
const KEPT_BYTES: usize = 1_000_000;

/// A sink that writes rows of `schema` as JSON objects to a topic, which is created with one
/// partition where it is missing.
///
/// # Errors
/// Whatever keeps the topic from being created, or a type that JSON has no form for.
pub fn log_sink(log: Arc<dyn LogStore>, topic: &str, schema: SchemaRef) -> Result<SinkRef> {
    // Types are looked at now, not at the first late row.
    json_encoder(&JsonOptions::default()).begin(&RecordBatch::new_empty(schema))?;
    side_sink(log, topic, Contents::Rows)
}

/// The sink of late rows: their columns and the watermark that they met, as JSON.
///
/// # Errors
/// As [`log_sink`].
pub fn late_sink(log: Arc<dyn LogStore>, topic: &str, schema: SchemaRef) -> Result<SinkRef> {
    log_sink(log, topic, schema)
}

/// The sink of bad records: rows with the columns `raw`, `partition`, `offset`, `reason`
/// and, where there are such, `key` and `headers` (a list of `name` and `value`), that `job`
/// refused. What a topic takes no record for is cut, and the reason says so.
///
/// # Errors
/// Whatever keeps the topic from being created.
pub fn bad_sink(log: Arc<dyn LogStore>, topic: &str, job: &str) -> Result<SinkRef> {
    side_sink(log, topic, Contents::Bad { job: job.into() })
}

/// The table that reads what [`bad_sink`] wrote.
pub fn bad_table(name: &str, topic: &str) -> TableSpec {
    let metadata = |name: &str, kind: DataType, metadata: String| {
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), metadata)]);
        Field::new(name, kind, true).with_metadata(metadata)
    };
    let schema = Schema::new(vec![
        Field::new("raw", DataType::Binary, true),
        metadata("partition", DataType::Utf8, format!("header:{PARTITION_HEADER}")),
        metadata("offset", DataType::Int64, format!("header:{OFFSET_HEADER}")),
        metadata("reason", DataType::Utf8, format!("header:{REASON_HEADER}")),
        metadata("job", DataType::Utf8, format!("header:{JOB_HEADER}")),
        metadata("key", DataType::Binary, "key".to_owned()),
    ]);
    table(name, topic, "raw", Arc::new(schema))
}

/// The table that reads what [`late_sink`] wrote.
pub fn late_table(name: &str, topic: &str, schema: SchemaRef) -> TableSpec {
    table(name, topic, "json", schema)
}

fn table(name: &str, topic: &str, format: &str, schema: SchemaRef) -> TableSpec {
    let options = [("connector", "kafka"), ("topic", topic), ("format", format)];
    let options: BTreeMap<_, _> =
        options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    TableSpec { name: name.to_owned(), schema, primary_key: Vec::new(), options }
}

fn side_sink(log: Arc<dyn LogStore>, topic: &str, contents: Contents) -> Result<SinkRef> {
    // The topic stamps the records: there is no clock on this way.
    let config = [("message.timestamp.type".to_owned(), "LogAppendTime".to_owned())];
    let partitions = open_or_create(&*log, topic, 1, &config)?.partitions;
    Ok(Arc::new(SideSink { log, topic: topic.to_owned(), partitions, contents }))
}

#[derive(Clone)]
enum Contents {
    /// Rows, as JSON.
    Rows,
    /// Bad records, and the name of the job whose they are.
    Bad { job: Arc<str> },
}

struct SideSink {
    log: Arc<dyn LogStore>,
    topic: String,
    partitions: i32,
    contents: Contents,
}

impl Sink for SideSink {
    fn partitions(&self) -> i32 {
        self.partitions
    }

    fn accepts_updates(&self) -> bool {
        false
    }

    fn writer(&self, subtask: usize, _parallelism: usize) -> Result<Box<dyn SinkWriter>> {
        let chunks: Vec<_> = (0..self.partitions).map(|_| ChunkBuilder::default()).collect();
        let target = subtask % chunks.len().max(1);
        Ok(match &self.contents {
            Contents::Rows => Box::new(RowsWriter {
                encoder: json_encoder(&JsonOptions::default()),
                value: Text::new(),
                chunks,
                target,
            }),
            Contents::Bad { job } => Box::new(DeadLetterWriter::new(job.clone(), chunks, target)),
        })
    }

    fn publisher(&self) -> Result<Box<dyn SinkPublisher>> {
        Ok(Box::new(LogPublisher::new(self.log.clone(), &self.topic, Compression::None, None)))
    }
}

struct RowsWriter {
    encoder: Box<dyn RowEncoder>,
    value: Text,
    chunks: Vec<ChunkBuilder>,
    target: usize,
}

impl SinkWriter for RowsWriter {
    fn write(&mut self, batch: &ChangeBatch) -> Result<()> {
        self.encoder.begin(&batch.rows)?;
        for row in 0..batch.num_rows() {
            self.value.clear();
            self.encoder.encode(row, &mut self.value)?;
            // A row too large for a record: what there is of it is better than a stopped job.
            let kept = self.value.len().min(KEPT_BYTES);
            self.chunks[self.target].push(AT_PUBLICATION, None, Some(&self.value[..kept]), &[]);
        }
        Ok(())
    }

    fn buffered_bytes(&self) -> usize {
        self.chunks.iter().map(ChunkBuilder::len).sum()
    }

    fn finish_epoch(&mut self) -> Result<Vec<OutputChunk>> {
        Ok(take_chunks(&mut self.chunks))
    }
}
