//! Walking through the batches of a segment file, believing nothing in it.

use std::io;

use thalweg_core::env::DiskFile;
use thalweg_core::ids::Offset;
use thalweg_core::record_batch::{
    BatchHeader, DecompressionLimits, EndMarker, HEADER_BYTES, RecordBatch,
};

/// Bytes read at once: few to begin with, since many walks end at their first batch.
const FIRST_CHUNK_BYTES: usize = 4 << 10;
const CHUNK_BYTES: usize = 64 << 10;
/// Control batches are tiny; a larger one is of a kind that is not known here.
const MAX_CONTROL_BYTES: usize = 64 << 10;
/// Where the checksummed part of a batch begins.
const CRC_START: u64 = 21;

/// What is at a place of a segment.
#[derive(Debug)]
pub(crate) enum Step {
    /// A batch that follows on the one before (with offsets missing where those may).
    Batch { header: BatchHeader, position: u64 },
    /// The end of the range.
    End,
    /// Something else, and why.
    Bad(String),
}

/// Walks from a position to an end, batch by batch.
pub(crate) struct Scan<'f> {
    file: &'f dyn DiskFile,
    position: u64,
    end: u64,
    expected: Offset,
    gaps: bool,
    chunk: Vec<u8>,
    chunk_at: u64,
    next_chunk: usize,
}

impl<'f> Scan<'f> {
    /// Starts at `position`, where the batch with base offset `expected` must be.
    pub(crate) fn new(file: &'f dyn DiskFile, position: u64, end: u64, expected: Offset) -> Self {
        Self {
            file,
            position,
            end,
            expected,
            gaps: false,
            chunk: Vec::new(),
            chunk_at: 0,
            next_chunk: FIRST_CHUNK_BYTES,
        }
    }

    /// Takes batches further on than expected, too: compaction has removed what was
    /// between.
    pub(crate) fn with_gaps(mut self, gaps: bool) -> Self {
        self.gaps = gaps;
        self
    }

    /// Where the next batch begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Base offset that the next batch must have, at least.
    pub(crate) fn expected(&self) -> Offset {
        self.expected
    }

    /// Looks at the next batch, at its checksum too where `verify` is set. Does not get
    /// past a bad place.
    pub(crate) fn next(&mut self, verify: bool) -> io::Result<Step> {
        if self.position >= self.end {
            return Ok(Step::End);
        }
        let left = self.end - self.position;
        if left < HEADER_BYTES as u64 {
            return Ok(Step::Bad(format!("{left} bytes are no batch")));
        }
        let position = self.position;
        let header = match BatchHeader::parse(self.bytes(position, HEADER_BYTES)?) {
            Ok(header) => header,
            Err(error) => return Ok(Step::Bad(error.to_string())),
        };
        let follows = header.base_offset == self.expected
            || (self.gaps && header.base_offset > self.expected);
        if !follows {
            return Ok(Step::Bad(format!(
                "a batch with offset {} where {} must be",
                header.base_offset, self.expected
            )));
        }
        if header.size as u64 > left {
            return Ok(Step::Bad(format!(
                "a batch of {} bytes, of which {left} are there",
                header.size
            )));
        }
        if verify {
            let found = self.crc(position, header.size)?;
            if found != header.crc {
                return Ok(Step::Bad(format!(
                    "checksum is {found:#010x}, the batch says {:#010x}",
                    header.crc
                )));
            }
        }
        self.position += header.size as u64;
        self.expected = header.next_offset();
        Ok(Step::Batch { header, position })
    }

    /// Goes on behind a bad place: at the next batch with a valid checksum and a later
    /// offset, if there is one.
    pub(crate) fn resync(&mut self, below: Offset) -> io::Result<bool> {
        let after = self.position + 1;
        match find_valid(self.file, after, self.end, self.expected, below)? {
            Some((position, header)) => {
                self.position = position;
                self.expected = header.base_offset;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// How the transaction ended, for a control batch; `None` for kinds not known.
    pub(crate) fn control(
        &self,
        header: &BatchHeader,
        position: u64,
    ) -> io::Result<Option<EndMarker>> {
        if header.size > MAX_CONTROL_BYTES {
            return Ok(None);
        }
        let mut bytes = vec![0; header.size];
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(end_marker(&bytes))
    }

    fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let chunk_end = self.chunk_at + self.chunk.len() as u64;
        if at < self.chunk_at || at + len as u64 > chunk_end {
            let take = (self.end - at).min(self.next_chunk.max(len) as u64) as usize;
            self.next_chunk = (2 * self.next_chunk).min(CHUNK_BYTES);
            self.chunk.resize(take, 0);
            self.file.read_exact_at(&mut self.chunk, at)?;
            self.chunk_at = at;
        }
        let from = (at - self.chunk_at) as usize;
        Ok(&self.chunk[from..from + len])
    }

    fn crc(&mut self, position: u64, size: usize) -> io::Result<u32> {
        let end = position + size as u64;
        let mut at = position + CRC_START;
        let mut crc = 0;
        while at < end {
            let len = (end - at).min(CHUNK_BYTES as u64 / 2) as usize;
            crc = crc32c::crc32c_append(crc, self.bytes(at, len)?);
            at += len as u64;
        }
        Ok(crc)
    }
}

/// How a transaction ended by the bytes of its control batch.
pub(crate) fn end_marker(batch: &[u8]) -> Option<EndMarker> {
    let batch = RecordBatch::parse(batch).ok()?;
    let mut scratch = Vec::new();
    let limits =
        DecompressionLimits { max_output: MAX_CONTROL_BYTES, ..DecompressionLimits::default() };
    let mut records = batch.records(&mut scratch, &limits).ok()?;
    EndMarker::parse(&records.next()?.ok()?).ok()?
}

/// The first valid batch in a range of a file, checksum included, whose offsets lie in
/// `from..below`.
pub(crate) fn find_valid(
    file: &dyn DiskFile,
    start: u64,
    end: u64,
    from: Offset,
    below: Offset,
) -> io::Result<Option<(u64, BatchHeader)>> {
    let mut window = Vec::new();
    let mut at = start;
    while at + HEADER_BYTES as u64 <= end {
        window.resize((end - at).min(CHUNK_BYTES as u64) as usize, 0);
        file.read_exact_at(&mut window, at)?;
        let places = window.len() - HEADER_BYTES + 1;
        for place in 0..places {
            // The magic byte rules out nearly every place before more is looked at.
            if window[place + 16] != 2 {
                continue;
            }
            let Ok(header) = BatchHeader::parse(&window[place..]) else { continue };
            let position = at + place as u64;
            let fits = header.size as u64 <= end - position;
            if !fits || header.base_offset < from || header.next_offset() > below {
                continue;
            }
            let mut scan = Scan::new(file, position, end, header.base_offset);
            if matches!(scan.next(true)?, Step::Batch { .. }) {
                return Ok(Some((position, header)));
            }
        }
        at += places as u64;
    }
    Ok(None)
}
