//! Zigzag varints as record batches use them.

use super::BatchError;

/// Reads from the front of a slice, moving it on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

const ENDS: BatchError = BatchError::Malformed("a record ends inside a field");

impl<'a> Cursor<'a> {
    /// A signed 64-bit varint (`varlong`).
    pub(super) fn varlong(&mut self) -> Result<i64, BatchError> {
        let mut value = 0_u64;
        for (index, &byte) in self.0.iter().take(10).enumerate() {
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = &self.0[index + 1..];
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        if self.0.len() < 10 { Err(ENDS) } else { Err(BatchError::Malformed("varint too long")) }
    }

    /// A signed 32-bit varint.
    pub(super) fn varint(&mut self) -> Result<i32, BatchError> {
        i32::try_from(self.varlong()?)
            .map_err(|_| BatchError::Malformed("varint outside of 32 bits"))
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, BatchError> {
        let (&first, rest) = self.0.split_first().ok_or(ENDS)?;
        self.0 = rest;
        Ok(first)
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], BatchError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(ENDS)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Bytes behind a varint length, -1 standing for none.
    pub(super) fn nullable(&mut self) -> Result<Option<&'a [u8]>, BatchError> {
        match self.varint()? {
            -1 => Ok(None),
            len => match usize::try_from(len) {
                Ok(len) => self.take(len).map(Some),
                Err(_) => Err(BatchError::Malformed("negative length in a record")),
            },
        }
    }
}

/// Appends a signed varint.
pub(super) fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes that [`put`] writes.
pub(super) fn len(value: i64) -> usize {
    let bits = 64 - (((value << 1) ^ (value >> 63)) as u64 | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_round_trip() {
        for value in [0, 1, -1, 63, -64, 64, i64::from(i32::MAX), i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!(out.len(), len(value), "{value}");
            let mut cursor = Cursor(&out);
            assert_eq!(cursor.varlong(), Ok(value));
            assert!(cursor.0.is_empty());
            assert!(Cursor(&out[..out.len() - 1]).varlong().is_err());
        }
        assert!(Cursor(&[0xff; 11]).varlong().is_err());
        let mut wide = Vec::new();
        put(&mut wide, i64::from(i32::MAX) + 1);
        assert!(Cursor(&wide).varint().is_err());
    }
}
