//! Bad records as records of their own: as they came, with headers that say what is wrong.

use std::borrow::Cow;
use std::sync::Arc;

use thalweg_stream::error::Result;
use thalweg_stream::sink::{OutputChunk, SinkWriter};
use thalweg_stream::{ChangeBatch, StreamError};

use crate::format::cells::{Cells, Values};
use crate::kafka::chunk::{AT_PUBLICATION, ChunkBuilder};
use crate::kafka::publisher::HEADER_OVERHEAD;
use crate::kafka::sink::take_chunks;

/// Header with the split (a partition's number, a file's path) of a bad record.
pub const PARTITION_HEADER: &str = "thalweg.partition";
/// Header with the position of a bad record in its split, in decimal digits.
pub const OFFSET_HEADER: &str = "thalweg.offset";
/// Header with the reason why a record was refused.
pub const REASON_HEADER: &str = "thalweg.reason";
/// Header with the name of the job that refused a record.
pub const JOB_HEADER: &str = "thalweg.job";

/// Bytes that are kept of a record, the reason included: a topic takes by default what it
/// takes from a producer, a little more than 1 MiB with everything around it.
const RECORD_BYTES: usize = 1_040_000;
/// Of them for the key.
const KEY_BYTES: usize = 200_000;
/// Of them for the headers that it came with.
const HEADERS_BYTES: usize = 200_000;
/// Of them for the reason.
const REASON_BYTES: usize = 8_000;
/// Most bytes of the job's name.
const JOB_BYTES: usize = 1_000;

/// Writes bad records, all of a subtask to one partition. What no record has room for is
/// cut, and the reason says so.
pub(crate) struct DeadLetterWriter {
    job: Arc<str>,
    chunks: Vec<ChunkBuilder>,
    target: usize,
}

impl DeadLetterWriter {
    /// A writer of a job to one of as many partitions as there are chunks.
    pub(crate) fn new(job: Arc<str>, chunks: Vec<ChunkBuilder>, target: usize) -> Self {
        Self { job, chunks, target }
    }
}

impl SinkWriter for DeadLetterWriter {
    fn write(&mut self, batch: &ChangeBatch) -> Result<()> {
        let columns = Columns::new(batch)?;
        for row in 0..batch.num_rows() {
            columns.push(row, &self.job, &mut self.chunks[self.target]);
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

/// The columns of bad records.
struct Columns {
    raw: Cells,
    partition: Cells,
    offset: Cells,
    reason: Cells,
    key: Option<Cells>,
    headers: Option<Cells>,
}

type HeaderList<'a> = Vec<(Cow<'a, str>, Option<&'a [u8]>)>;

impl Columns {
    fn new(batch: &ChangeBatch) -> Result<Self> {
        let column = |name: &str| batch.rows.column_by_name(name).map(Cells::new).transpose();
        let needed = |name: &str| {
            column(name)?.ok_or_else(|| {
                StreamError::Internal(format!("bad records come without a column '{name}'"))
            })
        };
        Ok(Self {
            raw: needed("raw")?,
            partition: needed("partition")?,
            offset: needed("offset")?,
            reason: needed("reason")?,
            key: column("key")?,
            headers: column("headers")?,
        })
    }

    fn push(&self, row: usize, job: &str, chunk: &mut ChunkBuilder) {
        let reason = String::from_utf8_lossy(bytes_of(&self.reason, row).unwrap_or_default());
        let mut kept = Kept { left: RECORD_BYTES - REASON_BYTES - JOB_BYTES, notes: String::new() };
        let own = kept.headers(self.headers(row));
        let key = self.key.as_ref().and_then(|key| bytes_of(key, row));
        let key = key.map(|key| kept.bytes("key", key, KEY_BYTES));
        let value = bytes_of(&self.raw, row);
        let value = value.map(|value| kept.bytes("value", value, RECORD_BYTES));

        let reason_room = REASON_BYTES - kept.notes.len();
        let reason = [&reason[..reason.floor_char_boundary(reason_room)], &kept.notes].concat();
        let position = match &self.offset.values {
            Values::Int64(values) => values[row].to_string(),
            _ => String::new(),
        };
        // Its own headers come first: of several with one name the last counts, also where
        // the record is a dead letter itself.
        let mut headers: Vec<_> = own.iter().map(|(name, value)| (&**name, *value)).collect();
        headers.extend([
            (PARTITION_HEADER, bytes_of(&self.partition, row)),
            (OFFSET_HEADER, Some(position.as_bytes())),
            (REASON_HEADER, Some(reason.as_bytes())),
            (JOB_HEADER, Some(&job.as_bytes()[..job.floor_char_boundary(JOB_BYTES)])),
        ]);
        chunk.push(AT_PUBLICATION, key, value, &headers);
    }

    /// The headers that a record came with.
    fn headers(&self, row: usize) -> HeaderList<'_> {
        let Some(Cells { values: Values::List(offsets, entries), .. }) = &self.headers else {
            return Vec::new();
        };
        let Values::Struct(fields) = &entries.values else { return Vec::new() };
        let [name, value] = &fields[..] else { return Vec::new() };
        let range = offsets[row] as usize..offsets[row + 1] as usize;
        range
            .map(|at| {
                // Names are UTF-8 by convention.
                let name = bytes_of(&name.cells, at).unwrap_or_default();
                (String::from_utf8_lossy(name), bytes_of(&value.cells, at))
            })
            .collect()
    }
}

/// What there is room for in a record.
struct Kept {
    left: usize,
    /// What was cut.
    notes: String,
}

impl Kept {
    fn bytes<'a>(&mut self, what: &str, bytes: &'a [u8], most: usize) -> &'a [u8] {
        let kept = &bytes[..bytes.len().min(most).min(self.left)];
        self.left -= kept.len();
        if kept.len() < bytes.len() {
            let (len, kept) = (bytes.len(), kept.len());
            self.notes += &format!(" (the {what} has {len} bytes, of which {kept} are kept)");
        }
        kept
    }

    fn headers<'a>(&mut self, mut headers: HeaderList<'a>) -> HeaderList<'a> {
        let mut bytes = 0;
        let fit = headers.iter().take_while(|(name, value)| {
            bytes += name.len() + value.map_or(0, <[u8]>::len) + HEADER_OVERHEAD;
            bytes <= HEADERS_BYTES
        });
        let fit = fit.count();
        if fit < headers.len() {
            self.notes += &format!(" ({} headers are not kept)", headers.len() - fit);
            headers.truncate(fit);
        }
        self.left -= bytes.min(HEADERS_BYTES);
        headers
    }
}

fn bytes_of(cells: &Cells, row: usize) -> Option<&[u8]> {
    if cells.is_null(row) {
        return None;
    }
    match &cells.values {
        Values::String(values) => Some(values.value(row).as_bytes()),
        Values::StringView(values) => Some(values.value(row).as_bytes()),
        Values::Binary(values) => Some(values.value(row)),
        Values::BinaryView(values) => Some(values.value(row)),
        _ => None,
    }
}
