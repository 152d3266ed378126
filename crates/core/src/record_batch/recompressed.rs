//! A batch in another codec: everything else of it stays as the producer sent it.

use std::io::{self, Write};

use bytes::Bytes;

use super::compression::{Codec, Compression, DecompressionLimits, compress_stream};
use super::header::{self, BatchHeader, HEADER_BYTES, LENGTH_PREFIX_BYTES};
use super::unpack::{reason, unpack};
use super::{BatchError, RecordBatch};

/// What became of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recompressed {
    /// The batch, with a size and a checksum of its own.
    Batch(Bytes),
    /// It would have so many bytes, which is more than was granted.
    TooLarge(usize),
}

impl RecordBatch<'_> {
    /// The batch with its records in `codec`, of `max_bytes` at most. Takes no more memory
    /// than that and what the codecs hold, whatever the records expand to.
    ///
    /// # Errors
    /// As [`super::decompress`]. The records themselves are not looked at.
    pub fn recompressed(
        &self,
        codec: impl Into<Codec>,
        limits: &DecompressionLimits,
        max_bytes: usize,
    ) -> Result<Recompressed, BatchError> {
        let codec = codec.into();
        let attributes = self.header().attributes;
        let mut records = unpack(attributes.compression()?, self.body(), limits)?;
        let max_bytes = max_bytes.min(i32::MAX as usize - LENGTH_PREFIX_BYTES);
        let mut out = Limited { bytes: vec![0; HEADER_BYTES], size: HEADER_BYTES, max_bytes };
        compress_stream(codec, &mut records, &mut out)
            .map_err(|error| told(codec.compression, error))?;
        if out.size > max_bytes {
            return Ok(Recompressed::TooLarge(out.size));
        }
        let mut bytes = out.bytes;
        let attributes = attributes.with_compression(codec.compression);
        let fields = BatchHeader { size: bytes.len(), attributes, ..*self.header() };
        header::write(&fields, &mut bytes);
        Ok(Recompressed::Batch(bytes.into()))
    }
}

/// Errors of reading hold a reason of their own; what remains is the encoder's.
fn told(codec: Compression, error: io::Error) -> BatchError {
    if error.get_ref().is_some_and(|inner| inner.is::<BatchError>()) {
        reason(error)
    } else {
        codec.damaged(error)
    }
}

/// Keeps what fits and counts the rest.
struct Limited {
    bytes: Vec<u8>,
    size: usize,
    max_bytes: usize,
}

impl Write for Limited {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.size += buf.len();
        if self.size <= self.max_bytes {
            self.bytes.extend_from_slice(buf);
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, NewRecord, set_base_offset};
    use super::*;

    const LIMITS: DecompressionLimits =
        DecompressionLimits { max_output: 64 << 20, max_ratio: 1024, ratio_floor: 4 << 20 };

    fn batch(codec: Compression, count: u32, value: &[u8]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(codec).producer(9, 3, 40).transactional(true);
        let headers = [("h", Some(&b"1"[..])), ("h", None)];
        for number in 0..count {
            let key = number.to_be_bytes();
            let (key, value) = ((number % 3 > 0).then_some(&key[..]), Some(value));
            let timestamp = 1_000 - i64::from(number);
            builder.push(&NewRecord { timestamp, key, value, headers: &headers }).unwrap();
        }
        let mut bytes = builder.build().unwrap().to_vec();
        set_base_offset(&mut bytes, 700);
        bytes
    }

    /// Each record, in words.
    fn records(bytes: &[u8]) -> Vec<String> {
        let batch = RecordBatch::parse(bytes).unwrap();
        batch.verify_crc().unwrap();
        let mut scratch = Vec::new();
        let records = batch.records(&mut scratch, &LIMITS).unwrap();
        records
            .map(|record| {
                let record = record.unwrap();
                let headers: Vec<_> = record.headers.collect();
                let (offset, time) = (record.offset, record.timestamp);
                format!("{offset} {time} {:?} {:?} {headers:?}", record.key, record.value)
            })
            .collect()
    }

    #[test]
    fn only_the_codec_changes() {
        for from in Compression::ALL {
            let before = batch(from, 300, &[b'v'; 400]);
            let source = RecordBatch::parse(&before).unwrap();
            for to in Compression::ALL {
                let after = source.recompressed(to, &LIMITS, 1 << 20).unwrap();
                let Recompressed::Batch(after) = after else { panic!("{after:?}") };
                assert_eq!(records(&after), records(&before), "{from} to {to}");
                let header = *RecordBatch::parse(&after).unwrap().header();
                assert_eq!(header.attributes.compression(), Ok(to));
                let (size, crc, attributes) = (header.size, header.crc, header.attributes);
                let expected = BatchHeader { size, crc, attributes, ..*source.header() };
                assert_eq!(header, expected, "{from} to {to}");
                assert!(attributes.is_transactional());
                assert_eq!(size, after.len());
            }
        }
    }

    /// Each level of a codec packs as much as the one before or more, and what the highest
    /// makes is read back with the window that readers grant.
    #[test]
    fn levels_are_felt() {
        let mut words = Vec::new();
        for number in 0_u32..60_000 {
            words.extend_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes()[..2]);
            words.extend_from_slice(b"the same words again and again");
        }
        let before = batch(Compression::None, 2, &words);
        let source = RecordBatch::parse(&before).unwrap();
        for (compression, levels) in
            [(Compression::Gzip, [1, 6, 9]), (Compression::Zstd, [-100, 3, 22])]
        {
            let sizes = levels.map(|level| {
                let codec = Codec { compression, level: Some(level) };
                let made = source.recompressed(codec, &LIMITS, 16 << 20).unwrap();
                let Recompressed::Batch(made) = made else { panic!("{made:?}") };
                assert_eq!(records(&made), records(&before), "{codec:?}");
                made.len()
            });
            assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{compression}: {sizes:?}");
        }
    }

    #[test]
    fn what_grows_too_large_is_only_counted() {
        let small = batch(Compression::Zstd, 30, &[0; 100_000]);
        let source = RecordBatch::parse(&small).unwrap();
        let grown = source.recompressed(Compression::None, &LIMITS, 1 << 20).unwrap();
        let Recompressed::TooLarge(size) = grown else { panic!("{grown:?}") };
        assert_eq!(size, batch(Compression::None, 30, &[0; 100_000]).len());
        let tight = DecompressionLimits { max_output: 1 << 20, ..LIMITS };
        let refused = source.recompressed(Compression::Gzip, &tight, 1 << 20);
        assert_eq!(refused, Err(BatchError::TooLarge { limit: 1 << 20 }));
    }

    #[test]
    fn damaged_records_are_refused() {
        for from in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
            let mut bytes = batch(from, 30, &[7; 90]);
            bytes[HEADER_BYTES + 1] ^= 0xff;
            let source = RecordBatch::parse(&bytes).unwrap();
            let refused = source.recompressed(Compression::Snappy, &LIMITS, 1 << 20);
            assert!(matches!(refused, Err(BatchError::Compression { codec, .. }) if codec == from));
        }
    }
}
