//! The codecs of record batches, with a bound on what comes out.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use super::BatchError;

/// How the records of a batch are compressed. The numbers are those on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip (RFC 1952).
    Gzip = 1,
    /// Snappy, raw or in the framing of xerial's snappy-java, which Java clients use.
    Snappy = 2,
    /// The LZ4 frame format.
    Lz4 = 3,
    /// Zstandard (RFC 8878).
    Zstd = 4,
}

impl Compression {
    /// All codecs.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this number.
    ///
    /// # Errors
    /// [`BatchError::UnknownCodec`].
    pub fn from_id(id: u8) -> Result<Self, BatchError> {
        Self::ALL.get(usize::from(id)).copied().ok_or(BatchError::UnknownCodec(id))
    }

    /// The codec's name as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    pub(super) fn damaged(self, detail: impl fmt::Display) -> BatchError {
        BatchError::Compression { codec: self, detail: detail.to_string() }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A codec and how hard it tries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Codec {
    /// The codec.
    pub compression: Compression,
    /// Its level as it counts them itself (KIP-390); its usual one if `None`. Snappy and LZ4
    /// have one only, whatever stands here.
    pub level: Option<i32>,
}

impl From<Compression> for Codec {
    fn from(compression: Compression) -> Self {
        Self { compression, level: None }
    }
}

/// How much may come out of a compressed batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecompressionLimits {
    /// Never more bytes than this.
    pub max_output: usize,
    /// Never more than this many times the input...
    pub max_ratio: usize,
    /// ...unless that is less than this: a few bytes may well stand for some megabytes
    /// of zeros.
    pub ratio_floor: usize,
}

impl Default for DecompressionLimits {
    fn default() -> Self {
        Self { max_output: 64 << 20, max_ratio: 1024, ratio_floor: 4 << 20 }
    }
}

impl DecompressionLimits {
    /// Bytes that may come out of `input` bytes.
    pub fn for_input(&self, input: usize) -> usize {
        input.saturating_mul(self.max_ratio).max(self.ratio_floor).min(self.max_output)
    }
}

const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16;
const XERIAL_BLOCK_BYTES: usize = 32 << 10;
/// Three bytes stand for 64 at most.
const SNAPPY_RATIO_MAX: usize = 22;

/// Appends the decompressed `input` to `out`.
///
/// # Errors
/// [`BatchError::TooLarge`] beyond `limits`, [`BatchError::Compression`] on damaged
/// input. `out` may hold a part then.
pub fn decompress(
    codec: Compression,
    input: &[u8],
    limits: &DecompressionLimits,
    out: &mut Vec<u8>,
) -> Result<(), BatchError> {
    let limit = limits.for_input(input.len());
    match codec {
        Compression::None => {
            out.extend_from_slice(input);
            Ok(())
        }
        Compression::Gzip => {
            read_bounded(codec, flate2::read::MultiGzDecoder::new(input), limit, out)
        }
        Compression::Snappy => unsnap(input, limit, out),
        Compression::Lz4 => {
            read_bounded(codec, lz4_flex::frame::FrameDecoder::new(input), limit, out)
        }
        Compression::Zstd => read_bounded(codec, zstd_decoder(input, limit)?, limit, out),
    }
}

/// A decoder of Zstandard out of which no more than `limit` bytes are wanted.
pub(super) fn zstd_decoder(
    input: &[u8],
    limit: usize,
) -> Result<zstd::stream::read::Decoder<'static, &[u8]>, BatchError> {
    let damaged = |error: io::Error| Compression::Zstd.damaged(error);
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(damaged)?;
    // The window is memory too, taken as the frame says. 8 MiB are those of the highest
    // ordinary level, whatever the content's size.
    let window_log = limit.max(8 << 20).next_power_of_two().ilog2().min(27);
    decoder.window_log_max(window_log).map_err(damaged)?;
    Ok(decoder)
}

fn read_bounded(
    codec: Compression,
    decoder: impl Read,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), BatchError> {
    let start = out.len();
    let mut decoder = decoder.take(limit as u64 + 1);
    decoder.read_to_end(out).map_err(|error| codec.damaged(error))?;
    if out.len() - start > limit { Err(BatchError::TooLarge { limit }) } else { Ok(()) }
}

fn unsnap(input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
    let mut left = limit;
    snappy_blocks(input)?.try_for_each(|block| unsnap_block(block?, limit, &mut left, out))
}

/// The blocks of snappy data: one, or those of xerial's framing.
pub(super) fn snappy_blocks(
    input: &[u8],
) -> Result<impl Iterator<Item = Result<&[u8], BatchError>>, BatchError> {
    let mut raw = Some(input).filter(|input| !input.starts_with(&XERIAL_MAGIC));
    let mut framed = match raw {
        Some(_) => &[][..],
        None => input
            .get(XERIAL_HEADER_BYTES..)
            .ok_or_else(|| Compression::Snappy.damaged("the header is cut"))?,
    };
    Ok(std::iter::from_fn(move || {
        if framed.is_empty() {
            return raw.take().map(Ok);
        }
        let rest = std::mem::take(&mut framed);
        let block = rest
            .split_first_chunk::<4>()
            .and_then(|(len, tail)| tail.split_at_checked(u32::from_be_bytes(*len) as usize));
        let Some((block, tail)) = block else {
            return Some(Err(Compression::Snappy.damaged("a block is cut")));
        };
        framed = tail;
        Some(Ok(block))
    }))
}

/// Raw snappy says first how long its output is: checked before memory is taken for it.
pub(super) fn unsnap_block(
    block: &[u8],
    limit: usize,
    left: &mut usize,
    out: &mut Vec<u8>,
) -> Result<(), BatchError> {
    let damaged = |error: snap::Error| Compression::Snappy.damaged(error);
    let len = snap::raw::decompress_len(block).map_err(damaged)?;
    if len / SNAPPY_RATIO_MAX > block.len() {
        return Err(Compression::Snappy.damaged("a block says that it holds more than it can"));
    }
    *left = left.checked_sub(len).ok_or(BatchError::TooLarge { limit })?;
    let start = out.len();
    out.resize(start + len, 0);
    let written =
        snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(damaged)?;
    out.truncate(start + written);
    Ok(())
}

/// Appends the compressed `input` to `out`.
///
/// # Errors
/// [`BatchError::Compression`] where the codec fails, which it does not on memory.
pub fn compress(codec: Compression, input: &[u8], out: &mut Vec<u8>) -> Result<(), BatchError> {
    compress_stream(codec.into(), &mut { input }, out).map_err(|error| codec.damaged(error))
}

/// Writes the compressed `input` to `out`. Errors are those of `input`, `out` and the codec.
pub(super) fn compress_stream(
    codec: Codec,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> io::Result<()> {
    match codec.compression {
        Compression::None => {
            io::copy(input, out)?;
        }
        Compression::Gzip => {
            let level = codec.level.and_then(|level| u32::try_from(level).ok());
            let level = level.map_or_else(flate2::Compression::default, flate2::Compression::new);
            let mut encoder = flate2::write::GzEncoder::new(out, level);
            io::copy(input, &mut encoder)?;
            encoder.finish()?;
        }
        Compression::Snappy => snap_blocks(input, out)?,
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(out);
            io::copy(input, &mut encoder)?;
            encoder.finish().map_err(io::Error::other)?;
        }
        Compression::Zstd => {
            let mut encoder = zstd_encoder(codec.level, out)?;
            io::copy(input, &mut encoder)?;
            encoder.finish()?;
        }
    }
    Ok(())
}

/// High levels of Zstandard take hundreds of megabytes for tables that a batch never fills,
/// and windows that readers refuse; here they are bounded to about 16 MiB, with a window of
/// 2 MiB.
fn zstd_encoder(
    level: Option<i32>,
    out: &mut dyn Write,
) -> io::Result<zstd::stream::write::Encoder<'static, &mut dyn Write>> {
    use zstd::zstd_safe::CParameter::{ChainLog, HashLog, WindowLog};

    let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
    let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
    if level > zstd::DEFAULT_COMPRESSION_LEVEL {
        for parameter in [WindowLog(21), HashLog(20), ChainLog(21)] {
            encoder.set_parameter(parameter)?;
        }
    }
    Ok(encoder)
}

/// In xerial's framing, which every client reads.
fn snap_blocks(input: &mut dyn BufRead, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&XERIAL_MAGIC)?;
    out.write_all(&1_i32.to_be_bytes())?;
    out.write_all(&1_i32.to_be_bytes())?;
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; XERIAL_BLOCK_BYTES];
    loop {
        let len = fill(input, &mut block)?;
        if len == 0 {
            return Ok(());
        }
        let packed = encoder.compress_vec(&block[..len]).map_err(io::Error::other)?;
        out.write_all(&(packed.len() as u32).to_be_bytes())?;
        out.write_all(&packed)?;
    }
}

/// Reads until `block` is full or the input ends; the number of bytes read.
fn fill(input: &mut dyn BufRead, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match input.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(codec: Compression, input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        compress(codec, input, &mut out).unwrap();
        out
    }

    #[test]
    fn bombs_are_refused() {
        let zeros = vec![0; 8 << 20];
        let limits =
            DecompressionLimits { max_output: 64 << 20, max_ratio: 20, ratio_floor: 1 << 20 };
        for codec in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
            let input = packed(codec, &zeros);
            let result = decompress(codec, &input, &limits, &mut Vec::new());
            assert!(matches!(result, Err(BatchError::TooLarge { .. })), "{codec}: {result:?}");
        }
        let tight = DecompressionLimits { max_output: 1 << 20, ..limits };
        let input = packed(Compression::Snappy, &zeros);
        let result = decompress(Compression::Snappy, &input, &tight, &mut Vec::new());
        assert!(matches!(result, Err(BatchError::TooLarge { .. })));
        // A raw block that claims gigabytes takes none.
        let liar = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        let mut out = Vec::new();
        assert!(decompress(Compression::Snappy, &liar, &limits, &mut out).is_err());
        assert!(out.capacity() < 1 << 20);
    }

    #[test]
    fn snappy_raw_and_framed() {
        let input = b"raw blocks come from librdkafka, framed ones from Java".repeat(2000);
        let raw = snap::raw::Encoder::new().compress_vec(&input).unwrap();
        for bytes in [raw, packed(Compression::Snappy, &input)] {
            let mut out = Vec::new();
            decompress(Compression::Snappy, &bytes, &DecompressionLimits::default(), &mut out)
                .unwrap();
            assert_eq!(out, input);
        }
    }
}
