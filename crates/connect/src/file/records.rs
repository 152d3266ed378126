//! The lines of one split as they stand in its file.

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use thalweg_core::env::DiskFile;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::record::{RawRecord, RawRecords, RecordVisitor};
use thalweg_stream::source::Position;

use super::lines::{LineBuffer, LineRange, Piece};
use super::listing::external;
use super::stripes::Stripes;
use crate::batch::{KEPT_OF_OVERSIZED_BYTES, MAX_RECORD_BYTES};
use crate::format::{BlankLines, line_content};

/// UTF-8's byte order mark, which some programs write at the start of a file.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A file and which of its lines are a split's.
pub(super) struct FileLines {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) path: PathBuf,
    pub(super) stripes: Stripes,
    /// Lines that are no records.
    pub(super) blank: BlankLines,
}

impl FileLines {
    /// What is said where reading failed.
    pub(super) fn failed(&self, error: &io::Error) -> StreamError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.changed("it is shorter than it was"),
            _ => external(&self.path, error),
        }
    }

    pub(super) fn changed(&self, how: &str) -> StreamError {
        StreamError::Incompatible(format!(
            "file '{}' changed while it is being read: {how}",
            self.path.display()
        ))
    }

    /// Hands over the lines of the split that start in a range, piece by piece, until
    /// `each` breaks off. `file_end` is how far the file may be read.
    pub(super) fn each_piece(
        &self,
        buffer: &mut LineBuffer,
        positions: Range<Position>,
        file_end: u64,
        each: &mut dyn FnMut(Piece<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut at = positions.start;
        while at < positions.end {
            let own = self.stripes.next_range(at);
            if own.start >= positions.end {
                break;
            }
            let range = LineRange {
                file: &*self.file,
                until: own.end.min(positions.end),
                file_end,
                max_line: MAX_RECORD_BYTES,
                kept: KEPT_OF_OVERSIZED_BYTES,
            };
            let sought = buffer.seek(&*self.file, own.start, file_end);
            sought.map_err(|error| self.failed(&error))?;
            while let Some(piece) = buffer.next(range).map_err(|error| self.failed(&error))? {
                if each(piece)?.is_break() {
                    return Ok(());
                }
            }
            at = own.end;
        }
        Ok(())
    }
}

/// Bytes at the start of a piece of a file that are no part of the first line's content,
/// though the line starts there.
pub(super) fn leading_mark(at: u64, lines: &[u8]) -> usize {
    if at == 0 && lines.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 }
}

/// Where the line starts whose content starts `offset` bytes after `at`.
pub(super) fn line_start(at: u64, offset: usize, mark: usize) -> Position {
    at + if offset == mark { 0 } else { offset as u64 }
}

impl RawRecords for FileLines {
    fn visit(&self, range: Range<Position>, visitor: &mut RecordVisitor<'_>) -> Result<()> {
        let mut visit = |position, line: &[u8]| {
            visitor(&RawRecord { position, key: None, value: Some(line), headers: None })
        };
        // The last line of a range that a reader gave ends where the range does.
        let file_end = range.end;
        let mut buffer = LineBuffer::default();
        self.each_piece(&mut buffer, range, file_end, &mut |piece| match piece {
            Piece::Oversized { at, head, .. } => Ok(visit(at, &head)),
            Piece::Lines { at, bytes } => {
                let mark = leading_mark(at, bytes);
                let mut done = mark;
                while done < bytes.len() {
                    let rest = &bytes[done..];
                    let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                    let line = line_content(&rest[..len]);
                    let start = line_start(at, done, mark);
                    if !self.blank.contain(line) && visit(start, line).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    done += len;
                }
                Ok(ControlFlow::Continue(()))
            }
        })
    }
}
