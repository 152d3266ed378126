//! Reads one split of a file.

use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use thalweg_stream::error::Result;
use thalweg_stream::record::{BadRecord, RawRecord};
use thalweg_stream::source::{Available, BatchSink, Cut, Position, SourceBatch, SplitReader};

use super::lines::{LineBuffer, Piece, last_line_end, line_end};
use super::records::{FileLines, leading_mark, line_start};
use crate::batch::{BATCH_INPUT_BYTES, MAX_RECORD_BYTES, record_batch};
use crate::format::RowDecoder;

/// How far the end of a line is looked for when a range is cut.
const CUT_SEARCH_BYTES: u64 = 1 << 20;

/// Reads the lines of a file, or of its stripes.
pub(super) struct FileReader {
    pub(super) lines: Arc<FileLines>,
    pub(super) split_id: String,
    /// Where the file ends for good; `None` where it may grow.
    pub(super) fixed_end: Option<u64>,
    /// End of the last whole line, as far as was looked.
    pub(super) known_end: u64,
    pub(super) schema: SchemaRef,
    pub(super) decoder: Box<dyn RowDecoder>,
    pub(super) buffer: LineBuffer,
}

impl FileReader {
    fn io<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(|error| self.lines.failed(&error))
    }

    /// Looks how far whole lines go.
    fn refresh(&mut self) -> Result<u64> {
        if let Some(end) = self.fixed_end {
            return Ok(end);
        }
        let file = &*self.lines.file;
        let len = self.io(file.len())?;
        if len < self.known_end {
            return Err(self.lines.changed("it is shorter than it was"));
        }
        if let Some(end) = self.io(last_line_end(file, self.known_end, len))? {
            self.known_end = end;
        }
        Ok(self.known_end)
    }

    /// The first line start at or after `at`; where the line is very long, a place far on
    /// in it, which is as good: a line belongs to where it starts.
    fn align(&self, at: u64, end: u64) -> Result<u64> {
        if at == 0 || at >= end {
            return Ok(at.min(end));
        }
        let found = self.io(line_end(&*self.lines.file, at - 1, end, CUT_SEARCH_BYTES))?;
        Ok(found.unwrap_or((at - 1 + CUT_SEARCH_BYTES).min(end)))
    }
}

impl SplitReader for FileReader {
    fn available(&mut self) -> Result<Available> {
        Ok(Available { end: self.refresh()?, finished: self.fixed_end.is_some() })
    }

    fn cut(&mut self, from: Position, max_bytes: u64) -> Result<Cut> {
        let end = self.refresh()?;
        let stripes = self.lines.stripes;
        let to = self.align(stripes.advance(from, max_bytes.max(1), end), end)?;
        Ok(Cut { end: to, bytes: stripes.bytes_between(from, to) })
    }

    fn read(
        &mut self,
        from: Position,
        to: Position,
        batch_rows: usize,
        sink: &mut BatchSink<'_>,
    ) -> Result<()> {
        let file_end = if to > self.known_end { self.refresh()? } else { self.known_end };
        let file_end = self.fixed_end.unwrap_or(file_end);
        if to > file_end {
            return Err(self.lines.changed("it is shorter than it was"));
        }
        let mut batch = Batch { batch_rows: batch_rows.max(1), ..Batch::default() };
        let lines = self.lines.clone();
        let mut buffer = std::mem::take(&mut self.buffer);
        lines.each_piece(&mut buffer, from..to, file_end, &mut |piece| {
            match piece {
                Piece::Lines { at, bytes } => self.decode(at, bytes, &mut batch, sink)?,
                Piece::Oversized { at, len, next, head } => {
                    batch.bad.push(self.oversized(at, len, &head));
                    batch.add(at..next, 1, head.len());
                    self.emit_full(&mut batch, sink)?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.buffer = buffer;
        self.emit(&mut batch, sink)
    }
}

/// A batch under construction.
#[derive(Default)]
struct Batch {
    batch_rows: usize,
    /// Records so far, good and bad.
    records: usize,
    bytes: u64,
    bad: Vec<BadRecord>,
    /// Where its lines start, once there are any, and where they end.
    start: Option<Position>,
    end: Position,
}

impl FileReader {
    fn decode(
        &mut self,
        at: u64,
        lines: &[u8],
        batch: &mut Batch,
        sink: &mut BatchSink<'_>,
    ) -> Result<()> {
        let mark = leading_mark(at, lines);
        let mut done = mark;
        while done < lines.len() {
            let rest = &lines[done..];
            let start = line_start(at, done, mark);
            let room = batch.batch_rows - batch.records;
            let mut bad = Vec::new();
            let decoded = self.decoder.decode_lines(rest, room, &mut |range, reason| {
                bad.push((range, reason));
            });
            for (range, reason) in bad {
                let position = line_start(at, done + range.start, mark);
                batch.bad.push(self.bad(position, &rest[range], reason));
            }
            done += decoded.bytes;
            batch.add(start..at + done as u64, decoded.records, decoded.bytes);
            self.emit_full(batch, sink)?;
        }
        Ok(())
    }

    fn oversized(&self, at: Position, len: u64, head: &[u8]) -> BadRecord {
        let reason = format!(
            "a line of {len} bytes; at most {MAX_RECORD_BYTES} are read, and the first {} are \
             kept here",
            head.len()
        );
        self.bad(at, head, reason)
    }

    fn bad(&self, position: Position, line: &[u8], reason: String) -> BadRecord {
        let record = RawRecord { position, key: None, value: Some(line), headers: None };
        record.refused(&self.split_id, reason, usize::MAX)
    }

    fn emit_full(&mut self, batch: &mut Batch, sink: &mut BatchSink<'_>) -> Result<()> {
        if batch.records >= batch.batch_rows || batch.bytes >= BATCH_INPUT_BYTES {
            self.emit(batch, sink)?;
        }
        Ok(())
    }

    fn emit(&mut self, batch: &mut Batch, sink: &mut BatchSink<'_>) -> Result<()> {
        batch.bytes = 0;
        let start = batch.start.take().unwrap_or_default();
        if std::mem::take(&mut batch.records) == 0 {
            return Ok(());
        }
        let rows = self.decoder.rows();
        let rows = record_batch(&self.schema, self.decoder.finish()?, rows)?;
        sink(SourceBatch {
            rows,
            bad: std::mem::take(&mut batch.bad),
            positions: start..batch.end,
            records: Some(self.lines.clone()),
        })
    }
}

impl Batch {
    /// Takes up records that stand in a range of the file and hold so many bytes.
    fn add(&mut self, positions: Range<Position>, records: usize, bytes: usize) {
        self.records += records;
        self.bytes += bytes as u64;
        self.start.get_or_insert(positions.start);
        self.end = positions.end;
    }
}
