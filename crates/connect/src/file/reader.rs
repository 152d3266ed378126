//! Reads one split of a file.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use arrow_schema::SchemaRef;
use bytes::Bytes;
use thalweg_core::env::DiskFile;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::source::{
    Available, BadRecord, BatchSink, Cut, Position, SourceBatch, SplitReader,
};

use super::lines::{LineBuffer, LineRange, Piece, last_line_end, line_end};
use super::listing::external;
use super::stripes::Stripes;
use crate::batch::{BATCH_INPUT_BYTES, KEPT_OF_OVERSIZED_BYTES, MAX_RECORD_BYTES, record_batch};
use crate::format::RowDecoder;

/// How far the end of a line is looked for when a range is cut.
const CUT_SEARCH_BYTES: u64 = 1 << 20;

/// Reads the lines of a file, or of its stripes.
pub(super) struct FileReader {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) path: PathBuf,
    pub(super) split_id: String,
    pub(super) stripes: Stripes,
    /// Where the file ends for good; `None` where it may grow.
    pub(super) fixed_end: Option<u64>,
    /// End of the last whole line, as far as was looked.
    pub(super) known_end: u64,
    pub(super) schema: SchemaRef,
    pub(super) decoder: Box<dyn RowDecoder>,
    pub(super) lines: LineBuffer,
}

impl FileReader {
    fn io<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.changed("it is shorter than it was"),
            _ => external(&self.path, &error),
        })
    }

    fn changed(&self, how: &str) -> StreamError {
        StreamError::Incompatible(format!(
            "file '{}' changed while it is being read: {how}",
            self.path.display()
        ))
    }

    /// Looks how far whole lines go.
    fn refresh(&mut self) -> Result<u64> {
        if let Some(end) = self.fixed_end {
            return Ok(end);
        }
        let len = self.io(self.file.len())?;
        if len < self.known_end {
            return Err(self.changed("it is shorter than it was"));
        }
        if let Some(end) = self.io(last_line_end(&*self.file, self.known_end, len))? {
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
        let found = self.io(line_end(&*self.file, at - 1, end, CUT_SEARCH_BYTES))?;
        Ok(found.unwrap_or((at - 1 + CUT_SEARCH_BYTES).min(end)))
    }
}

impl SplitReader for FileReader {
    fn available(&mut self) -> Result<Available> {
        Ok(Available { end: self.refresh()?, finished: self.fixed_end.is_some() })
    }

    fn cut(&mut self, from: Position, max_bytes: u64) -> Result<Cut> {
        let end = self.refresh()?;
        let to = self.align(self.stripes.advance(from, max_bytes.max(1), end), end)?;
        Ok(Cut { end: to, bytes: self.stripes.bytes_between(from, to) })
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
            return Err(self.changed("it is shorter than it was"));
        }
        let mut batch = Batch { batch_rows, records: 0, bytes: 0, bad: Vec::new() };
        let mut at = from;
        while at < to {
            let own = self.stripes.next_range(at);
            if own.start >= to {
                break;
            }
            self.read_lines(own.start..own.end.min(to), file_end, &mut batch, sink)?;
            at = own.end;
        }
        self.emit(&mut batch, sink)
    }
}

/// A batch under construction.
struct Batch {
    batch_rows: usize,
    /// Records so far, good and bad.
    records: usize,
    bytes: u64,
    bad: Vec<BadRecord>,
}

impl FileReader {
    /// Reads the lines that start in a range.
    fn read_lines(
        &mut self,
        range: Range<u64>,
        file_end: u64,
        batch: &mut Batch,
        sink: &mut BatchSink<'_>,
    ) -> Result<()> {
        let mut lines = std::mem::take(&mut self.lines);
        let seek = lines.seek(&*self.file, range.start, file_end);
        self.io(seek)?;
        loop {
            let wanted = LineRange {
                file: &*self.file,
                until: range.end,
                file_end,
                max_line: MAX_RECORD_BYTES,
                kept: KEPT_OF_OVERSIZED_BYTES,
            };
            let piece = lines.next(wanted);
            let piece = piece.map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => self.changed("it is shorter than it was"),
                _ => external(&self.path, &error),
            })?;
            match piece {
                None => break,
                Some(Piece::Lines { at, bytes }) => self.decode(at, bytes, batch, sink)?,
                Some(Piece::Oversized { at, len, head }) => {
                    let reason = format!(
                        "a line of {len} bytes; at most {MAX_RECORD_BYTES} are read, \
                         and the first {} are kept here",
                        head.len()
                    );
                    batch.bad.push(self.bad(at, Bytes::from(head), reason));
                    batch.records += 1;
                    batch.bytes += KEPT_OF_OVERSIZED_BYTES as u64;
                    self.emit_full(batch, sink)?;
                }
            }
        }
        self.lines = lines;
        Ok(())
    }

    fn decode(
        &mut self,
        at: u64,
        lines: &[u8],
        batch: &mut Batch,
        sink: &mut BatchSink<'_>,
    ) -> Result<()> {
        let mark =
            if at == 0 && lines.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut done = mark;
        while done < lines.len() {
            let rest = &lines[done..];
            let room = batch.batch_rows.max(1) - batch.records;
            let mut bad = Vec::new();
            let decoded = self.decoder.decode_lines(rest, room, &mut |range, reason| {
                bad.push((range.start as u64, Bytes::copy_from_slice(&rest[range]), reason));
            });
            for (start, raw, reason) in bad {
                let position = at + done as u64 + start;
                batch.bad.push(self.bad(position, raw, reason));
            }
            batch.records += decoded.records;
            batch.bytes += decoded.bytes as u64;
            done += decoded.bytes;
            self.emit_full(batch, sink)?;
        }
        Ok(())
    }

    fn bad(&self, position: Position, raw: Bytes, reason: String) -> BadRecord {
        BadRecord { key: None, raw, split: self.split_id.clone(), position, reason }
    }

    fn emit_full(&mut self, batch: &mut Batch, sink: &mut BatchSink<'_>) -> Result<()> {
        if batch.records >= batch.batch_rows || batch.bytes >= BATCH_INPUT_BYTES {
            self.emit(batch, sink)?;
        }
        Ok(())
    }

    fn emit(&mut self, batch: &mut Batch, sink: &mut BatchSink<'_>) -> Result<()> {
        batch.bytes = 0;
        if std::mem::take(&mut batch.records) == 0 {
            return Ok(());
        }
        let rows = self.decoder.rows();
        let rows = record_batch(&self.schema, self.decoder.finish()?, rows)?;
        sink(SourceBatch { rows, bad: std::mem::take(&mut batch.bad) })
    }
}

/// UTF-8's byte order mark, which some programs write at the start of a file.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
