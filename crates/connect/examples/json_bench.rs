//! How fast JSON lines become Arrow batches: this crate's decoder beside `arrow-json`.
//!
//! usage: json_bench FILE.ndjson [SECONDS [PART OF A NAME]]
//!
//! The file is the wide Nexmark file of the benchmark generator; it is read once and then
//! decoded from memory, in chunks of 1 MiB and batches of 8192 rows. `from file` reads it
//! through the filesystem connector instead.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use thalweg_connect::ConnectorRegistry;
use thalweg_connect::format::json::JsonOptions;
use thalweg_connect::format::{RowDecoder, json_decoder};
use thalweg_core::env::Env;
use thalweg_log::{Log, LogOptions};
use thalweg_stream::connector::Connectors;
use thalweg_stream::source::SourceRef;
use thalweg_stream::table::TableSpec;

const CHUNK_BYTES: usize = 1 << 20;
const BATCH_ROWS: usize = 8192;

fn row(fields: &[(&str, DataType)]) -> DataType {
    DataType::Struct(
        fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Fields>(),
    )
}

fn schema(fields: Vec<(&str, DataType)>) -> SchemaRef {
    Arc::new(Schema::new(
        fields.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect::<Vec<_>>(),
    ))
}

fn all_columns() -> SchemaRef {
    let (long, text) = (DataType::Int64, DataType::Utf8);
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    schema(vec![
        ("event_type", DataType::Int32),
        (
            "person",
            row(&[
                ("id", long.clone()),
                ("name", text.clone()),
                ("emailAddress", text.clone()),
                ("creditCard", text.clone()),
                ("city", text.clone()),
                ("state", text.clone()),
                ("dateTime", time.clone()),
                ("extra", text.clone()),
            ]),
        ),
        (
            "auction",
            row(&[
                ("id", long.clone()),
                ("itemName", text.clone()),
                ("description", text.clone()),
                ("initialBid", long.clone()),
                ("reserve", long.clone()),
                ("dateTime", time.clone()),
                ("expires", time.clone()),
                ("seller", long.clone()),
                ("category", long.clone()),
                ("extra", text.clone()),
            ]),
        ),
        (
            "bid",
            row(&[
                ("auction", long.clone()),
                ("bidder", long.clone()),
                ("price", long),
                ("channel", text.clone()),
                ("url", text.clone()),
                ("dateTime", time),
                ("extra", text),
            ]),
        ),
    ])
}

fn two_columns() -> SchemaRef {
    schema(vec![("bid", row(&[("auction", DataType::Int64), ("price", DataType::Int64)]))])
}

/// Whole lines of about `CHUNK_BYTES`.
fn chunks(data: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let at = rest.len().min(CHUNK_BYTES) - 1;
        let end = rest[at..]
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(rest.len(), |end| at + end + 1);
        chunks.push(&rest[..end]);
        rest = &rest[end..];
    }
    chunks
}

fn ours(data: &[&[u8]], schema: &SchemaRef) -> usize {
    let mut decoder: Box<dyn RowDecoder> = json_decoder(schema, &JsonOptions::default()).unwrap();
    let mut rows = 0;
    for chunk in data {
        let mut rest = *chunk;
        while !rest.is_empty() {
            let room = BATCH_ROWS - decoder.rows();
            let done = decoder.decode_lines(rest, room, &mut |_, reason| panic!("{reason}"));
            rest = &rest[done.bytes..];
            if decoder.rows() == BATCH_ROWS {
                rows += decoder.rows();
                black_box(decoder.finish().unwrap());
            }
        }
    }
    rows += decoder.rows();
    black_box(decoder.finish().unwrap());
    rows
}

fn arrows(data: &[&[u8]], schema: &SchemaRef) -> usize {
    let mut decoder = arrow_json::ReaderBuilder::new(schema.clone())
        .with_batch_size(BATCH_ROWS)
        .build_decoder()
        .unwrap();
    let mut rows = 0;
    for chunk in data {
        let mut rest = *chunk;
        while !rest.is_empty() {
            let read = decoder.decode(rest).unwrap();
            rest = &rest[read..];
            // It stops early where a batch is full.
            if !rest.is_empty()
                && let Some(batch) = decoder.flush().unwrap()
            {
                rows += batch.num_rows();
                black_box(batch);
            }
        }
    }
    if let Some(batch) = decoder.flush().unwrap() {
        rows += batch.num_rows();
        black_box(batch);
    }
    rows
}

/// Through the connector, reading included.
fn from_file(source: &SourceRef) -> usize {
    let mut rows = 0;
    for split in source.splits().unwrap() {
        let mut reader = source.open(&split).unwrap();
        let end = reader.available().unwrap().end;
        let mut from = 0;
        while from < end {
            let to = reader.cut(from, 8 << 20).unwrap().end;
            reader
                .read(from, to, BATCH_ROWS, &mut |batch| {
                    rows += black_box(batch).rows.num_rows();
                    Ok(())
                })
                .unwrap();
            from = to;
        }
    }
    rows
}

fn file_source(path: &str, schema: &SchemaRef) -> SourceRef {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::real();
    let log = Log::open(env.clone(), dir.path(), LogOptions::default()).unwrap();
    let registry = ConnectorRegistry::new(env, log, Arc::new(|_: &[u8]| {}));
    let options = [("connector", "filesystem"), ("path", path), ("format", "json")];
    let table = TableSpec {
        name: "bench".into(),
        schema: schema.clone(),
        primary_key: Vec::new(),
        options: options.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    };
    let columns: Vec<usize> = (0..schema.fields().len()).collect();
    registry.source(&table, &columns).unwrap()
}

fn measure(name: &str, seconds: f64, bytes: usize, mut run: impl FnMut() -> usize) {
    let mut best = f64::MAX;
    let start = Instant::now();
    let mut rows = 0;
    while start.elapsed().as_secs_f64() < seconds {
        let one = Instant::now();
        rows = run();
        best = best.min(one.elapsed().as_secs_f64());
    }
    println!(
        "{name:24} {:>6.2}M rows/s {:>6.0} MB/s ({rows} rows)",
        rows as f64 / best / 1e6,
        bytes as f64 / best / 1e6
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("a file");
    let seconds = arguments.next().map_or(3.0, |seconds| seconds.parse().unwrap());
    let wanted = arguments.next().unwrap_or_default();
    let data = std::fs::read(&path).unwrap();
    let parts = chunks(&data);
    for (columns, schema) in [("all columns", all_columns()), ("two columns", two_columns())] {
        let name = format!("{columns}, thalweg");
        if name.contains(&wanted) {
            measure(&name, seconds, data.len(), || ours(&parts, &schema));
        }
        let name = format!("{columns}, from file");
        if name.contains(&wanted) {
            let source = file_source(&path, &schema);
            measure(&name, seconds, data.len(), || from_file(&source));
        }
        let name = format!("{columns}, arrow-json");
        if name.contains(&wanted) {
            measure(&name, seconds, data.len(), || arrows(&parts, &schema));
        }
    }
}
