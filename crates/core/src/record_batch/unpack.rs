//! Compressed records as a stream, with a bound on what comes out.
//!
//! What a stream holds in memory does not grow with what comes out of it: one block or
//! window of its codec at most, and of that what was filled.

use std::io::{self, BufRead, BufReader, Read};

use super::BatchError;
use super::compression::{
    Compression, DecompressionLimits, snappy_blocks, unsnap_block, zstd_decoder,
};

/// Bytes that are asked of a decoder at once.
const BUFFER_BYTES: usize = 8 << 10;

/// The decompressed `input` as a stream. Errors of the stream hold a [`BatchError`]: see
/// [`reason`].
pub(super) fn unpack<'a>(
    codec: Compression,
    input: &'a [u8],
    limits: &DecompressionLimits,
) -> Result<Box<dyn BufRead + 'a>, BatchError> {
    let limit = limits.for_input(input.len());
    let decoder: Box<dyn Read + 'a> = match codec {
        Compression::None => return Ok(Box::new(input)),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Snappy => Box::new(Unsnapped::new(input, limit)?),
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
        Compression::Zstd => Box::new(zstd_decoder(input, limit)?),
    };
    let bounded = Bounded { codec, decoder, left: limit, limit };
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, bounded)))
}

/// Why a stream of records failed.
pub(super) fn reason(error: io::Error) -> BatchError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return BatchError::Malformed("a record ends inside a field");
    }
    let other = |_| BatchError::Malformed("the records cannot be read");
    error.downcast::<BatchError>().unwrap_or_else(other)
}

/// A decoder out of which no more than so much may come.
struct Bounded<'a> {
    codec: Compression,
    decoder: Box<dyn Read + 'a>,
    left: usize,
    limit: usize,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read =
            self.decoder.read(buf).map_err(|error| match error.downcast::<BatchError>() {
                Ok(reason) => io::Error::other(reason),
                Err(error) => io::Error::other(self.codec.damaged(error)),
            })?;
        let too_large = || io::Error::other(BatchError::TooLarge { limit: self.limit });
        self.left = self.left.checked_sub(read).ok_or_else(too_large)?;
        Ok(read)
    }
}

/// Snappy, block by block.
struct Unsnapped<'a> {
    blocks: Box<dyn Iterator<Item = Result<&'a [u8], BatchError>> + 'a>,
    limit: usize,
    block: Vec<u8>,
    past: usize,
}

impl<'a> Unsnapped<'a> {
    fn new(input: &'a [u8], limit: usize) -> Result<Self, BatchError> {
        let blocks = Box::new(snappy_blocks(input)?);
        Ok(Self { blocks, limit, block: Vec::new(), past: 0 })
    }
}

impl Read for Unsnapped<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.past == self.block.len() {
            let Some(block) = self.blocks.next() else { return Ok(0) };
            self.block.clear();
            self.past = 0;
            let unpacked = block.and_then(|block| {
                unsnap_block(block, self.limit, &mut self.limit.clone(), &mut self.block)
            });
            unpacked.map_err(io::Error::other)?;
        }
        let rest = &self.block[self.past..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.past += len;
        Ok(len)
    }
}
