//! Whole lines out of a file, in large pieces.

use std::io;

use memchr::{memchr, memrchr};
use thalweg_core::env::DiskFile;

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;
/// Bytes that are read at once to find the end of a line.
const TAIL_BYTES: usize = 64 << 10;

/// A piece of a file.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// Whole lines; the last may lack its end where the file does.
    Lines {
        /// Where they start.
        at: u64,
        /// The lines.
        bytes: &'a [u8],
    },
    /// A line that is longer than the limit.
    Oversized {
        /// Where it starts.
        at: u64,
        /// Its length, without its end.
        len: u64,
        /// Where the next line starts.
        next: u64,
        /// How it starts.
        head: Vec<u8>,
    },
}

/// Reads lines from a file. The buffer is used again and again.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    buffer: Vec<u8>,
    /// What of the buffer holds unread bytes.
    start: usize,
    end: usize,
    /// Where in the file `start` is.
    offset: u64,
}

/// What to read.
#[derive(Clone, Copy)]
pub(super) struct LineRange<'f> {
    pub(super) file: &'f dyn DiskFile,
    /// Lines are wanted that start before this position.
    pub(super) until: u64,
    /// Where the file ends, as far as the reader may know.
    pub(super) file_end: u64,
    /// Longest line, in bytes.
    pub(super) max_line: usize,
    /// How much of a longer one is kept.
    pub(super) kept: usize,
}

impl LineBuffer {
    /// Goes to the first line that starts at or after `from`, and not behind `file_end`.
    pub(super) fn seek(&mut self, file: &dyn DiskFile, from: u64, file_end: u64) -> io::Result<()> {
        (self.start, self.end) = (0, 0);
        self.offset = match from {
            0 => 0,
            _ => line_end(file, from - 1, file_end, u64::MAX)?.unwrap_or(file_end),
        };
        Ok(())
    }

    /// The next lines that start before `range.until`; `None` where there are no more.
    pub(super) fn next(&mut self, range: LineRange<'_>) -> io::Result<Option<Piece<'_>>> {
        if self.offset >= range.until.min(range.file_end) {
            return Ok(None);
        }
        self.fill(range)?;
        let at = self.offset;
        let Some(len) = self.whole_lines(range)? else {
            return self.oversized(range).map(Some);
        };
        let start = self.start;
        self.start += len;
        self.offset += len as u64;
        Ok(Some(Piece::Lines { at, bytes: &self.buffer[start..start + len] }))
    }

    /// Reads on, up to `until` at most.
    fn fill(&mut self, range: LineRange<'_>) -> io::Result<()> {
        let until = range.until.min(range.file_end);
        let missing = until.saturating_sub(self.offset + (self.end - self.start) as u64);
        self.read_more(range.file, missing.min(READ_BYTES as u64) as usize)
    }

    fn read_more(&mut self, file: &dyn DiskFile, bytes: usize) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < self.end + bytes {
            self.buffer.resize(self.end + bytes, 0);
        }
        let target = &mut self.buffer[self.end..self.end + bytes];
        file.read_exact_at(target, self.offset + self.end as u64)?;
        self.end += bytes;
        Ok(())
    }

    /// Bytes of the whole lines that are at hand and start before `until`, at least one;
    /// reads on where there is none. `None`: the line is too long.
    fn whole_lines(&mut self, range: LineRange<'_>) -> io::Result<Option<usize>> {
        let until = (range.until.min(range.file_end) - self.offset) as usize;
        let mut searched = 0;
        loop {
            let held = &self.buffer[self.start..self.end];
            // The last line that starts before `until` ends at the first line break that is
            // not before the byte in front of it.
            if held.len() >= until
                && let Some(end) = memchr(b'\n', &held[until - 1..])
            {
                return Ok(Some(until + end));
            }
            let left = range.file_end - self.offset - held.len() as u64;
            if left == 0 {
                return Ok(Some(held.len()));
            }
            if let Some(end) = memrchr(b'\n', &held[searched..]) {
                return Ok(Some(searched + end + 1));
            }
            if held.len() > range.max_line {
                return Ok(None);
            }
            searched = held.len();
            self.read_more(range.file, left.min(TAIL_BYTES as u64) as usize)?;
        }
    }

    fn oversized(&mut self, range: LineRange<'_>) -> io::Result<Piece<'static>> {
        let at = self.offset;
        let held = &self.buffer[self.start..self.end];
        let head = held[..held.len().min(range.kept)].to_vec();
        let next = line_end(range.file, at + held.len() as u64, range.file_end, u64::MAX)?;
        let (next, ending) = next.map_or((range.file_end, 0), |next| (next, 1));
        (self.start, self.end) = (0, 0);
        self.offset = next;
        // The buffer grew for this line; give the memory back.
        self.buffer = Vec::new();
        Ok(Piece::Oversized { at, len: next - at - ending, next, head })
    }
}

/// The position after the first line break at or after `from`, looked for in at most
/// `max` bytes and before `file_end`.
pub(super) fn line_end(
    file: &dyn DiskFile,
    from: u64,
    file_end: u64,
    max: u64,
) -> io::Result<Option<u64>> {
    let mut block = vec![0; TAIL_BYTES];
    let end = file_end.min(from.saturating_add(max));
    let mut at = from;
    // Lines are short: look into a small piece first.
    let mut step = 4096;
    while at < end {
        let len = (end - at).min(step) as usize;
        file.read_exact_at(&mut block[..len], at)?;
        if let Some(found) = memchr(b'\n', &block[..len]) {
            return Ok(Some(at + found as u64 + 1));
        }
        at += len as u64;
        step = TAIL_BYTES as u64;
    }
    Ok(None)
}

/// The position after the last line break in `from..to`.
pub(super) fn last_line_end(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut block = vec![0; TAIL_BYTES];
    let mut end = to;
    while end > from {
        let len = (end - from).min(TAIL_BYTES as u64) as usize;
        let start = end - len as u64;
        file.read_exact_at(&mut block[..len], start)?;
        if let Some(found) = memrchr(b'\n', &block[..len]) {
            return Ok(Some(start + found as u64 + 1));
        }
        end = start;
    }
    Ok(None)
}
