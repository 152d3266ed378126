//! Reading the records of a batch, borrowed from its bytes.

use super::varint::Cursor;
use super::{BatchError, Compression, DecompressionLimits, RecordBatch, TimestampType, decompress};
use crate::ids::Offset;
use crate::time::Millis;

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its offset, counted from the batch's base offset.
    pub offset: Offset,
    /// Its timestamp: the producer's, or the batch's where the log stamps. -1: none.
    pub timestamp: Millis,
    /// The key, if any.
    pub key: Option<&'a [u8]>,
    /// The value, if any.
    pub value: Option<&'a [u8]>,
    /// The headers, already checked.
    pub headers: Headers<'a>,
}

/// A header of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    /// The key; UTF-8 by convention, not checked.
    pub key: &'a [u8],
    /// The value, if any.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    left: i32,
    rest: Cursor<'a>,
}

impl<'a> Headers<'a> {
    fn parse(cursor: &mut Cursor<'a>) -> Result<Self, BatchError> {
        let count = cursor.varint()?;
        if count < 0 {
            return Err(BatchError::Malformed("negative number of headers"));
        }
        let headers = Self { left: count, rest: *cursor };
        for _ in 0..count {
            parse_header(cursor)?;
        }
        Ok(headers)
    }
}

fn parse_header<'a>(cursor: &mut Cursor<'a>) -> Result<Header<'a>, BatchError> {
    let key = cursor.nullable()?.ok_or(BatchError::Malformed("a header without a key"))?;
    Ok(Header { key, value: cursor.nullable()? })
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        parse_header(&mut self.rest).ok()
    }
}

/// The records of a batch; made by [`RecordBatch::records`]. After an error it ends.
#[derive(Debug)]
pub struct Records<'a> {
    rest: Cursor<'a>,
    left: i32,
    next_delta: i32,
    last_delta: i32,
    base_offset: Offset,
    base_timestamp: Millis,
    append_time: Option<Millis>,
}

impl<'a> RecordBatch<'a> {
    /// The records. Those of a compressed batch are unpacked into `scratch` first, whose
    /// former content is dropped and whose memory is reused.
    ///
    /// The checksum is not looked at: see [`RecordBatch::verify_crc`].
    ///
    /// # Errors
    /// Of decompression; those of the records come from the iterator.
    pub fn records<'b>(
        &self,
        scratch: &'b mut Vec<u8>,
        limits: &DecompressionLimits,
    ) -> Result<Records<'b>, BatchError>
    where
        'a: 'b,
    {
        let header = self.header();
        let body: &'b [u8] = match header.attributes.compression()? {
            Compression::None => self.body(),
            codec => {
                scratch.clear();
                decompress(codec, self.body(), limits, scratch)?;
                scratch
            }
        };
        let stamped = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        Ok(Records {
            rest: Cursor(body),
            left: header.record_count,
            next_delta: 0,
            last_delta: header.last_offset_delta,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_time: stamped.then_some(header.max_timestamp),
        })
    }
}

impl<'a> Records<'a> {
    /// Records still to come, as the batch says.
    pub fn remaining(&self) -> usize {
        self.left.max(0) as usize
    }

    fn parse(&mut self) -> Result<Record<'a>, BatchError> {
        let len = usize::try_from(self.rest.varint()?)
            .map_err(|_| BatchError::Malformed("negative record length"))?;
        let mut cursor = Cursor(self.rest.take(len)?);
        cursor.byte()?; // Attributes of a record: unused.
        let timestamp_delta = cursor.varlong()?;
        let offset_delta = cursor.varint()?;
        // Gaps are compaction's; going back or past the batch would break every reader.
        if offset_delta < self.next_delta || offset_delta > self.last_delta {
            return Err(BatchError::Malformed("offset delta out of order"));
        }
        let key = cursor.nullable()?;
        let value = cursor.nullable()?;
        let headers = Headers::parse(&mut cursor)?;
        if !cursor.0.is_empty() {
            return Err(BatchError::Malformed("a record is longer than its fields"));
        }
        self.next_delta = offset_delta.saturating_add(1);
        let timestamp = match self.append_time {
            Some(append_time) => append_time,
            None => self
                .base_timestamp
                .checked_add(timestamp_delta)
                .ok_or(BatchError::Malformed("timestamp out of range"))?,
        };
        let offset = self.base_offset + i64::from(offset_delta);
        Ok(Record { offset, timestamp, key, value, headers })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            let surplus = !self.rest.0.is_empty();
            self.rest = Cursor(&[]);
            return surplus.then_some(Err(BatchError::Malformed("bytes behind the last record")));
        }
        let record = self.parse();
        if record.is_ok() {
            self.left -= 1;
        } else {
            self.left = 0;
            self.rest = Cursor(&[]);
        }
        Some(record)
    }
}
