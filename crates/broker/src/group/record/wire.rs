//! Kafka's primitive types, as far as the coordinator's records use them.

use bytes::{Buf, Bytes};

/// Longest text of the old form, whose length has 16 bits.
pub(crate) const TEXT_BYTES_MAX: usize = i16::MAX as usize;

/// Writes fields one after another.
pub(super) struct Writer {
    out: Vec<u8>,
    /// Compact lengths, and tagged fields behind each structure.
    flexible: bool,
}

impl Writer {
    /// Begins with the version of the record.
    pub(super) fn new(version: i16, flexible: bool) -> Self {
        Self { out: version.to_be_bytes().to_vec(), flexible }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.out.push(value as u8);
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn uuid(&mut self, value: u128) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    /// Texts longer than [`TEXT_BYTES_MAX`] are refused before they come here; one that
    /// came all the same would be cut, not spoil what follows.
    pub(super) fn text(&mut self, text: &str) {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        match self.flexible {
            true => self.varint(text.len() as u32 + 1),
            false => self.out.extend_from_slice(&(text.len() as i16).to_be_bytes()),
        }
        self.out.extend_from_slice(text.as_bytes());
    }

    pub(super) fn nullable_text(&mut self, text: Option<&str>) {
        match (text, self.flexible) {
            (Some(text), _) => self.text(text),
            (None, true) => self.varint(0),
            (None, false) => self.out.extend_from_slice(&(-1_i16).to_be_bytes()),
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        match self.flexible {
            true => self.varint(bytes.len() as u32 + 1),
            false => self.i32(bytes.len() as i32),
        }
        self.out.extend_from_slice(bytes);
    }

    /// Number of elements that follow.
    pub(super) fn count(&mut self, count: usize) {
        match self.flexible {
            true => self.varint(count as u32 + 1),
            false => self.i32(count as i32),
        }
    }

    /// Ends a structure that has no tagged fields.
    pub(super) fn end(&mut self) {
        if self.flexible {
            self.varint(0);
        }
    }

    /// Ends a structure with one tagged field.
    pub(super) fn end_with(&mut self, tag: u32, field: impl FnOnce(&mut Self)) {
        let mut inner = Self { out: Vec::new(), flexible: self.flexible };
        field(&mut inner);
        self.varint(1);
        self.varint(tag);
        self.varint(inner.out.len() as u32);
        self.out.extend_from_slice(&inner.out);
    }
}

/// Reads fields one after another; every length is checked against what is there.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Reader<'a> {
    /// Takes the version off, and what comes after it.
    pub(super) fn new(bytes: &'a [u8]) -> Result<(i16, Self), String> {
        let mut reader = Self { rest: bytes, flexible: false };
        let version = i16::from_be_bytes(reader.take()?);
        Ok((version, reader))
    }

    /// From here on lengths are compact and structures have tagged fields.
    pub(super) fn flexible(mut self, flexible: bool) -> Self {
        self.flexible = flexible;
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or("a record ends inside a field")?;
        self.rest = rest;
        Ok(*taken)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or("a record ends inside a field")?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn i8(&mut self) -> Result<i8, String> {
        self.take().map(i8::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, String> {
        self.take().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, String> {
        self.take().map(i64::from_be_bytes)
    }

    pub(super) fn uuid(&mut self) -> Result<u128, String> {
        self.take().map(u128::from_be_bytes)
    }

    pub(super) fn varint(&mut self) -> Result<u32, String> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let byte = self.rest.try_get_u8().map_err(|_| "a record ends inside a field")?;
            value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number of more than five bytes".into())
    }

    /// A length, or `None` for null.
    fn length(&mut self, wide: bool) -> Result<Option<usize>, String> {
        let length = match (self.flexible, wide) {
            (true, _) => return Ok((self.varint()? as usize).checked_sub(1)),
            (false, true) => self.i32()?,
            (false, false) => i32::from(i16::from_be_bytes(self.take()?)),
        };
        match length {
            -1 => Ok(None),
            _ => usize::try_from(length).map(Some).map_err(|_| "a negative length".into()),
        }
    }

    pub(super) fn nullable_text(&mut self) -> Result<Option<String>, String> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        let text = self.slice(length)?.to_vec();
        String::from_utf8(text).map(Some).map_err(|error| error.to_string())
    }

    pub(super) fn text(&mut self) -> Result<String, String> {
        self.nullable_text()?.ok_or_else(|| "null where a text must be".into())
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, String> {
        let length = self.length(true)?.unwrap_or(0);
        self.slice(length).map(Bytes::copy_from_slice)
    }

    /// The elements of an array. Nothing is reserved for them: what is there counts.
    pub(super) fn array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let count = self.length(true)?.unwrap_or(0);
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// Ends a structure; tagged fields go to `each` with their tag, unknown ones may be
    /// passed over.
    pub(super) fn end(
        &mut self,
        mut each: impl FnMut(u32, &mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            let mut field = Reader { rest: self.slice(size)?, flexible: true };
            each(tag, &mut field)?;
        }
        Ok(())
    }

    /// Ends a structure of which no tagged field is known.
    pub(super) fn end_plain(&mut self) -> Result<(), String> {
        self.end(|_, _| Ok(()))
    }
}
