//! What a unit gives, and the schemas of late rows and bad records.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    TimestampMillisecondArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use thalweg_core::time::Millis;
use thalweg_stream::graph::{Graph, NodeId};
use thalweg_stream::record::BadRecord;
use thalweg_stream::{ChangeBatch, StreamError};

use crate::epoch::SplitIndex;
use crate::error::Result;
use crate::exchange::EdgeRun;
use crate::operator::LateRows;
use crate::staging::StagedChunk;
use crate::status::Totals;
use crate::watermark::ChannelEnd;

/// The bytes of a chunk until it is published.
#[derive(Debug)]
pub(crate) enum ChunkBody {
    /// In memory.
    Memory(Bytes),
    /// In a staged file, perhaps in memory as well.
    Staged(StagedChunk),
}

impl ChunkBody {
    /// The bytes.
    pub(crate) fn read(&self) -> Result<Bytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes.clone()),
            Self::Staged(chunk) => chunk.read(),
        }
    }
}

/// A chunk of one subtask for one partition of one sink.
#[derive(Debug)]
pub(crate) struct UnitChunk {
    /// Number of the sink.
    pub sink: usize,
    /// Who wrote it.
    pub subtask: usize,
    /// Partition of the sink.
    pub partition: i32,
    /// Records in it.
    pub count: u32,
    /// Its length in bytes.
    pub len: u64,
    /// XXH3-64 of its bytes.
    pub hash: u64,
    /// Its bytes.
    pub body: ChunkBody,
}

/// A batch of a step's state.
#[derive(Clone, Debug)]
pub(crate) struct StateBatch {
    /// Uid of the step's node.
    pub uid: String,
    /// Who has it.
    pub subtask: usize,
    /// The step's name for it.
    pub name: String,
    /// The rows.
    pub rows: RecordBatch,
}

/// What a unit gives.
#[derive(Debug, Default)]
pub(crate) struct UnitOutput {
    /// By out edge of the stage.
    pub edges: Vec<Vec<EdgeRun>>,
    /// By sink number, then in order of writing.
    pub chunks: Vec<UnitChunk>,
    /// Changes of views, by view number.
    pub views: Vec<(usize, Vec<ChangeBatch>)>,
    /// Where the subtask stands, where it is no source's.
    pub end: Option<ChannelEnd>,
    /// Of a source: the highest watermark in each range that it read.
    pub splits: Vec<(SplitIndex, Millis)>,
    /// Rows.
    pub totals: Totals,
    /// The state at the end, where a snapshot is taken.
    pub state: Vec<StateBatch>,
}

/// Columns of the late rows of a step: those of its input, and `watermark`, the one that
/// the row met.
pub fn late_schema(graph: &Graph, node: NodeId) -> SchemaRef {
    let input = graph.nodes[node].inputs.first().map(|edge| edge.from).unwrap_or(node);
    let mut fields: Vec<_> = graph.nodes[input].schema.fields().iter().cloned().collect();
    fields.push(Arc::new(watermark_field()));
    Arc::new(Schema::new(fields))
}

fn watermark_field() -> Field {
    Field::new("watermark", DataType::Timestamp(TimeUnit::Millisecond, None), false)
}

/// Late rows as changes for their sink.
pub(super) fn late_batch(late: &LateRows) -> Result<ChangeBatch> {
    let mut fields: Vec<_> = late.rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(watermark_field()));
    let mut columns = late.rows.columns().to_vec();
    columns.push(Arc::new(TimestampMillisecondArray::from(late.watermarks.clone())));
    let rows =
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(StreamError::from)?;
    Ok(ChangeBatch::inserts(rows))
}

/// Columns of bad records: the value as it came, the split, the position in it, why it was
/// refused, and the key and headers that it came with.
pub fn bad_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("raw", DataType::Binary, true),
        Field::new("partition", DataType::Utf8, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("key", DataType::Binary, true),
        Field::new("headers", DataType::List(header_item()), false),
    ]))
}

fn header_item() -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(header_fields()), false))
}

fn header_fields() -> Fields {
    let name = Field::new("name", DataType::Binary, false);
    Fields::from(vec![name, Field::new("value", DataType::Binary, true)])
}

/// Bad records as changes for their sink.
pub(super) fn bad_batch(bad: &[BadRecord]) -> Result<ChangeBatch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BinaryArray::from_iter(bad.iter().map(|bad| bad.raw.as_ref()))),
        Arc::new(StringArray::from_iter_values(bad.iter().map(|bad| &bad.split))),
        Arc::new(Int64Array::from_iter_values(bad.iter().map(|bad| bad.position as i64))),
        Arc::new(StringArray::from_iter_values(bad.iter().map(|bad| &bad.reason))),
        Arc::new(BinaryArray::from_iter(bad.iter().map(|bad| bad.key.as_ref()))),
        headers(bad)?,
    ];
    let rows = RecordBatch::try_new(bad_schema(), columns).map_err(StreamError::from)?;
    Ok(ChangeBatch::inserts(rows))
}

fn headers(bad: &[BadRecord]) -> Result<ArrayRef> {
    let all: Vec<_> = bad.iter().flat_map(|bad| &bad.headers).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BinaryArray::from_iter_values(all.iter().map(|(name, _)| name))),
        Arc::new(BinaryArray::from_iter(all.iter().map(|(_, value)| value.as_ref()))),
    ];
    let entries = StructArray::try_new(header_fields(), columns, None);
    let entries = Arc::new(entries.map_err(StreamError::from)?);
    let offsets = OffsetBuffer::from_lengths(bad.iter().map(|bad| bad.headers.len()));
    let list = ListArray::try_new(header_item(), offsets, entries, None);
    Ok(Arc::new(list.map_err(StreamError::from)?))
}
