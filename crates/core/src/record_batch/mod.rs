//! Record batch v2: the format of records on disk and on the wire (KIP-98, magic 2).
//!
//! A batch is a header of [`HEADER_BYTES`] bytes and, possibly compressed as a whole,
//! its records. All numbers are big-endian; those inside records are zigzag varints.
//!
//! ```text
//!  0 base offset i64        21 attributes i16          43 producer id i64
//!  8 batch length i32       23 last offset delta i32   51 producer epoch i16
//! 12 leader epoch i32       27 base timestamp i64      53 base sequence i32
//! 16 magic i8               35 max timestamp i64       57 record count i32
//! 17 crc32c u32 (from 21)                              61 records ...
//! ```
//!
//! The checksum starts behind the base offset and the leader epoch, so a log sets both
//! without touching the rest: see [`set_base_offset`].
//!
//! - [`BatchHeader`], [`split`]: look at batches without decoding records;
//! - [`RecordBatch::records`]: read the records, borrowed from the batch;
//! - [`RecordBatch::outline`]: look at each without unpacking them all;
//! - [`BatchBuilder`]: write a batch; [`Retained`]: write one again with fewer records;
//!   [`RecordBatch::recompressed`]: write one again in another codec.
//!
//! Nothing here allocates by a number that came in the bytes; the only growing buffer is
//! that of decompression, and [`DecompressionLimits`] bound it.

mod builder;
mod compression;
mod header;
mod outline;
mod reader;
mod recompressed;
mod retained;
#[cfg(test)]
mod tests;
mod unpack;
mod varint;

pub use builder::{
    BatchBuilder, ControlKind, EndMarker, NewRecord, control_batch, parse_control_record,
};
pub use compression::{Codec, Compression, DecompressionLimits, compress, decompress};
pub use header::{
    Attributes, BatchHeader, HEADER_BYTES, LENGTH_PREFIX_BYTES, MAGIC, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, RecordBatch, RecordBatches, TimestampType, last_sequence_of,
    set_append_time, set_base_offset, set_leader_epoch, split,
};
pub use outline::RecordOutline;
pub use reader::{Header, Headers, Record, Records};
pub use recompressed::Recompressed;
pub use retained::Retained;

/// Why bytes are not a record batch, or not one that is taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    /// The bytes end inside a batch.
    #[error("{needed} bytes needed, {available} there")]
    Truncated {
        /// Bytes that the batch should have.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
    /// Another format version; 0 and 1 are those of clients older than Kafka 0.11.
    #[error("message format {0} is not supported, only 2 is")]
    Magic(i8),
    /// The checksum does not match.
    #[error("checksum is {found:#010x}, the batch says {expected:#010x}")]
    Checksum {
        /// As the batch says.
        expected: u32,
        /// As its bytes say.
        found: u32,
    },
    /// A number or a shape that no batch can have.
    #[error("{0}")]
    Malformed(&'static str),
    /// A codec that does not exist.
    #[error("compression codec {0} is unknown")]
    UnknownCodec(u8),
    /// The compressed bytes are not of the codec.
    #[error("{codec} data is damaged: {detail}")]
    Compression {
        /// The codec.
        codec: Compression,
        /// What the codec said.
        detail: String,
    },
    /// Decompressing would take more memory than is granted.
    #[error("decompressed records would take more than {limit} bytes")]
    TooLarge {
        /// Bytes granted.
        limit: usize,
    },
}
