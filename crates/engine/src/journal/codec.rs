//! Bytes of journal records and snapshot meta: varints, length-prefixed bytes.

use crate::error::{JobError, Result};

/// Writes values one after another.
#[derive(Debug, Default)]
pub(crate) struct Encoder(pub(crate) Vec<u8>);

impl Encoder {
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// LEB128.
    pub(crate) fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Zigzag LEB128.
    pub(crate) fn int(&mut self, value: i64) {
        self.uint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Eight bytes, little-endian: for hashes, which varints only make longer.
    pub(crate) fn fixed(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.uint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    pub(crate) fn option(&mut self, value: Option<u64>) {
        self.byte(value.is_some().into());
        if let Some(value) = value {
            self.uint(value);
        }
    }

    pub(crate) fn len(&mut self, len: usize) {
        self.uint(len as u64);
    }
}

/// Reads what [`Encoder`] wrote. Every length is checked against what is left before
/// anything is allocated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Decoder<'a> {
    /// Of bytes; `what` names them in errors.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    fn damaged(&self, detail: &str) -> JobError {
        JobError::Corrupt(format!("{}: {detail}", self.what))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, tail) =
            self.rest.split_at_checked(len).ok_or_else(|| self.damaged("it ends too early"))?;
        self.rest = tail;
        Ok(head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn uint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.damaged("a number is too long"))
    }

    pub(crate) fn int(&mut self) -> Result<i64> {
        let value = self.uint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(crate) fn fixed(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.uint()?;
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        let bytes = self.bytes()?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.damaged("a text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    pub(crate) fn option(&mut self) -> Result<Option<u64>> {
        if self.byte()? == 0 { Ok(None) } else { self.uint().map(Some) }
    }

    /// The number of elements that follow, each of at least one byte.
    pub(crate) fn len(&mut self) -> Result<usize> {
        let len = self.uint()?;
        usize::try_from(len)
            .ok()
            .filter(|&len| len <= self.rest.len())
            .ok_or_else(|| self.damaged("a list is longer than its bytes"))
    }

    /// A list, read element by element.
    pub(crate) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let len = self.len()?;
        (0..len).map(|_| read(self)).collect()
    }

    /// A number that has to fit a smaller type.
    pub(crate) fn small<T: TryFrom<u64>>(&mut self) -> Result<T> {
        T::try_from(self.uint()?).map_err(|_| self.damaged("a number is out of range"))
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Says that all was read.
    pub(crate) fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged("bytes behind its end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        let mut encoder = Encoder::default();
        for value in [0, 1, 127, 128, 300, u64::MAX] {
            encoder.uint(value);
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            encoder.int(value);
        }
        encoder.fixed(42);
        encoder.text("épo");
        let mut decoder = Decoder::new(&encoder.0, "test");
        for value in [0, 1, 127, 128, 300, u64::MAX] {
            assert_eq!(decoder.uint().unwrap(), value);
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(decoder.int().unwrap(), value);
        }
        assert_eq!(decoder.fixed().unwrap(), 42);
        assert_eq!(decoder.text().unwrap(), "épo");
        decoder.end().unwrap();
    }

    #[test]
    fn lengths_are_checked_before_anything_is_allocated() {
        let mut encoder = Encoder::default();
        encoder.uint(u64::MAX >> 1);
        assert!(Decoder::new(&encoder.0, "test").bytes().is_err());
        assert!(Decoder::new(&encoder.0, "test").list(|d| d.byte()).is_err());
        assert!(Decoder::new(&[0x80; 11], "test").uint().is_err());
    }
}
