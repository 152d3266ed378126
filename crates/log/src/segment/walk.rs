//! Reading all batches of a segment once, whole and checked, in a bounded piece of memory.

use std::io;

use thalweg_core::env::DiskFile;
use thalweg_core::ids::Offset;
use thalweg_core::record_batch::{BatchHeader, HEADER_BYTES, RecordBatch};

use super::Segment;
use crate::mark::DATA_START;

/// Bytes read at once, but for a larger batch.
const CHUNK_BYTES: u64 = 1 << 20;

/// A batch, the end of the segment, or what is wrong at an offset.
pub(crate) enum Walked<'w> {
    Batch(RecordBatch<'w>),
    End,
    Bad { offset: Offset, detail: String },
}

/// Walks over the batches of a segment.
pub(crate) struct Walk<'f> {
    file: &'f dyn DiskFile,
    end: u64,
    gaps: bool,
    expected: Offset,
    /// Where `chunk` begins, and how much of it is past.
    chunk_at: u64,
    past: usize,
    chunk: Vec<u8>,
}

impl<'f> Walk<'f> {
    /// Begins at the segment's beginning.
    pub(crate) fn new(file: &'f dyn DiskFile, segment: &Segment) -> Self {
        Self {
            file,
            end: segment.committed,
            gaps: segment.has_gaps(),
            expected: segment.base,
            chunk_at: DATA_START,
            past: 0,
            chunk: Vec::new(),
        }
    }

    /// The next batch.
    pub(crate) fn next(&mut self) -> io::Result<Walked<'_>> {
        if self.chunk_at + self.past as u64 >= self.end {
            return Ok(Walked::End);
        }
        self.have(HEADER_BYTES)?;
        let header = match BatchHeader::parse(&self.chunk[self.past..]) {
            Ok(header) => header,
            Err(error) => return Ok(self.bad(error.to_string())),
        };
        let follows = header.base_offset == self.expected
            || (self.gaps && header.base_offset > self.expected);
        if !follows {
            return Ok(self.bad(format!("a batch with offset {} is there", header.base_offset)));
        }
        self.have(header.size)?;
        let from = self.past;
        let whole = RecordBatch::parse(&self.chunk[from..])
            .and_then(|batch| batch.verify_crc().map(|()| batch.header().size));
        match whole {
            Ok(size) => self.past += size,
            Err(error) => return Ok(self.bad(error.to_string())),
        }
        self.expected = header.next_offset();
        match RecordBatch::parse(&self.chunk[from..self.past]) {
            Ok(batch) => Ok(Walked::Batch(batch)),
            Err(error) => Ok(Walked::Bad { offset: header.base_offset, detail: error.to_string() }),
        }
    }

    fn bad(&self, detail: String) -> Walked<'static> {
        Walked::Bad { offset: self.expected, detail }
    }

    /// Reads on where fewer than `len` bytes are at hand; at the end there may be fewer.
    fn have(&mut self, len: usize) -> io::Result<()> {
        if self.chunk.len() - self.past >= len {
            return Ok(());
        }
        self.chunk.drain(..self.past);
        self.chunk_at += self.past as u64;
        self.past = 0;
        let had = self.chunk.len();
        let left = (self.end - self.chunk_at) as usize;
        let wanted = left.min(len.max(CHUNK_BYTES as usize));
        if wanted > had {
            self.chunk.resize(wanted, 0);
            self.file.read_exact_at(&mut self.chunk[had..], self.chunk_at + had as u64)?;
        }
        Ok(())
    }
}
