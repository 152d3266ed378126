//! A look at every record of a batch without unpacking the whole: for checks on appends,
//! which must not take memory by what a client's bytes expand to.

use std::io::{self, BufRead, Read};

use super::unpack::{reason, unpack};
use super::{
    BatchError, BatchHeader, Compression, DecompressionLimits, RecordBatch, TimestampType,
};
use crate::ids::Offset;
use crate::time::Millis;

/// A record without its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordOutline {
    /// Its offset, counted from the batch's base offset.
    pub offset: Offset,
    /// Its timestamp, as [`super::Record::timestamp`].
    pub timestamp: Millis,
    /// Whether it has a key.
    pub has_key: bool,
    /// Whether it has a value.
    pub has_value: bool,
}

impl RecordBatch<'_> {
    /// Calls back with each record, whose form is checked as by [`RecordBatch::records`].
    ///
    /// # Errors
    /// Those of the batch; the callback has seen the records before then.
    pub fn outline(
        &self,
        limits: &DecompressionLimits,
        mut each: impl FnMut(RecordOutline),
    ) -> Result<(), BatchError> {
        let header = self.header();
        let codec = header.attributes.compression()?;
        if codec == Compression::None {
            for record in self.records(&mut Vec::new(), limits)? {
                let record = record?;
                each(RecordOutline {
                    offset: record.offset,
                    timestamp: record.timestamp,
                    has_key: record.key.is_some(),
                    has_value: record.value.is_some(),
                });
            }
            return Ok(());
        }
        let mut input = unpack(codec, self.body(), limits)?;
        let mut next_delta = 0;
        for _ in 0..header.record_count {
            let (delta, record) = outline(header, &mut input, next_delta)?;
            next_delta = delta.saturating_add(1);
            each(record);
        }
        match input.fill_buf().map_err(reason)? {
            [] => Ok(()),
            _ => Err(BatchError::Malformed("bytes behind the last record")),
        }
    }
}

fn outline(
    header: &BatchHeader,
    input: &mut dyn BufRead,
    next_delta: i32,
) -> Result<(i32, RecordOutline), BatchError> {
    let len = u64::try_from(varint(input)?)
        .map_err(|_| BatchError::Malformed("negative record length"))?;
    let mut record = input.take(len);
    skip(&mut record, 1)?; // Attributes of a record: unused.
    let timestamp_delta = varlong(&mut record)?;
    let offset_delta = varint(&mut record)?;
    if offset_delta < next_delta || offset_delta > header.last_offset_delta {
        return Err(BatchError::Malformed("offset delta out of order"));
    }
    let has_key = skip_nullable(&mut record)?;
    let has_value = skip_nullable(&mut record)?;
    let headers = varint(&mut record)?;
    if headers < 0 {
        return Err(BatchError::Malformed("negative number of headers"));
    }
    for _ in 0..headers {
        if !skip_nullable(&mut record)? {
            return Err(BatchError::Malformed("a header without a key"));
        }
        skip_nullable(&mut record)?;
    }
    if record.limit() > 0 {
        return Err(BatchError::Malformed("a record is longer than its fields"));
    }
    let stamped = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    let timestamp = match stamped {
        true => Some(header.max_timestamp),
        false => header.base_timestamp.checked_add(timestamp_delta),
    };
    let timestamp = timestamp.ok_or(BatchError::Malformed("timestamp out of range"))?;
    let offset = header.base_offset + i64::from(offset_delta);
    Ok((offset_delta, RecordOutline { offset, timestamp, has_key, has_value }))
}

fn varlong(input: &mut dyn BufRead) -> Result<i64, BatchError> {
    let mut value = 0_u64;
    for index in 0..10 {
        let mut byte = [0];
        input.read_exact(&mut byte).map_err(reason)?;
        if index == 9 && byte[0] > 1 {
            break;
        }
        value |= u64::from(byte[0] & 0x7f) << (7 * index);
        if byte[0] & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(BatchError::Malformed("varint too long"))
}

fn varint(input: &mut dyn BufRead) -> Result<i32, BatchError> {
    i32::try_from(varlong(input)?).map_err(|_| BatchError::Malformed("varint outside of 32 bits"))
}

/// Passes over bytes behind a varint length; false where the length stands for none.
fn skip_nullable(input: &mut dyn BufRead) -> Result<bool, BatchError> {
    match varint(input)? {
        -1 => Ok(false),
        len => {
            let len = u64::try_from(len)
                .map_err(|_| BatchError::Malformed("negative length in a record"))?;
            skip(input, len).map(|()| true)
        }
    }
}

fn skip(input: &mut dyn BufRead, mut len: u64) -> Result<(), BatchError> {
    while len > 0 {
        let available = input.fill_buf().map_err(reason)?.len() as u64;
        if available == 0 {
            return Err(reason(io::ErrorKind::UnexpectedEof.into()));
        }
        let passed = available.min(len);
        input.consume(passed as usize);
        len -= passed;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, NewRecord};
    use super::*;
    use crate::env::{Random, SeededRandom};

    fn outlines(bytes: &[u8]) -> Result<Vec<RecordOutline>, BatchError> {
        let mut found = Vec::new();
        RecordBatch::parse(bytes)?
            .outline(&DecompressionLimits::default(), |outline| found.push(outline))?;
        Ok(found)
    }

    fn records(bytes: &[u8]) -> Result<Vec<RecordOutline>, BatchError> {
        let mut scratch = Vec::new();
        let batch = RecordBatch::parse(bytes)?;
        let records = batch.records(&mut scratch, &DecompressionLimits::default())?;
        let outline = |record: super::super::Record<'_>| RecordOutline {
            offset: record.offset,
            timestamp: record.timestamp,
            has_key: record.key.is_some(),
            has_value: record.value.is_some(),
        };
        records.map(|record| record.map(outline)).collect()
    }

    #[test]
    fn it_sees_what_unpacking_shows() {
        let random = SeededRandom::new(11);
        for codec in Compression::ALL {
            for round in 0..40 {
                let mut batch = BatchBuilder::new(codec);
                for _ in 0..1 + random.below(30) {
                    let long = random.chance(50_000);
                    let bytes = vec![
                        random.next_u64() as u8;
                        random.below(200 + 90_000 * u64::from(long)) as usize
                    ];
                    let part = |of: u64| (random.below(of) > 0).then_some(&bytes[..]);
                    let headers = [("a", part(3)), ("b", part(3))];
                    batch
                        .push(&NewRecord {
                            timestamp: random.below(1 << 40) as i64,
                            key: part(4),
                            value: part(4),
                            headers: &headers[..random.below(3) as usize],
                        })
                        .unwrap();
                }
                let bytes = batch.build().unwrap();
                assert_eq!(outlines(&bytes), records(&bytes), "{codec}, {round}");
                // Damaged, both refuse or both say the same.
                for _ in 0..40 {
                    let mut damaged = bytes.to_vec();
                    let at = random.below(damaged.len() as u64) as usize;
                    damaged[at] ^= 1 << random.below(8);
                    let (streamed, unpacked) = (outlines(&damaged), records(&damaged));
                    assert_eq!(streamed.is_ok(), unpacked.is_ok(), "{streamed:?} {unpacked:?}");
                    if streamed.is_ok() {
                        assert_eq!(streamed, unpacked);
                    }
                }
            }
        }
    }
}
