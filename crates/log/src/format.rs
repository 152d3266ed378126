//! How everything but batches is written to disk: an envelope with magic, version,
//! length and checksum, and plain big-endian fields inside.
//!
//! ```text
//!  0 magic [8]   8 version u16   10 zero u16   12 payload length u32
//! 16 crc32c u32 of bytes 0..16 and the payload   20 payload
//! ```
//!
//! The envelope itself never changes, so that a checksum can be told from a version
//! that this program does not know.

/// Bytes before the payload.
pub(crate) const ENVELOPE_BYTES: usize = 20;

/// The version of every format that does not name another. An older program refuses a
/// newer number.
pub(crate) const VERSION: u16 = 1;

/// What kind of thing an envelope holds.
pub(crate) type Magic = [u8; 8];

/// Why bytes are not what they should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("it ends too early")]
    Truncated,
    #[error("it is of another kind or damaged at its start")]
    Magic,
    #[error("its checksum does not match")]
    Checksum,
    #[error("it has format version {found}; this program knows versions up to {known}")]
    Newer { found: u16, known: u16 },
    #[error("{0}")]
    Malformed(&'static str),
}

/// Puts a payload into an envelope.
pub(crate) fn seal(magic: &Magic, payload: &[u8]) -> Vec<u8> {
    seal_version(magic, VERSION, payload)
}

/// As [`seal`], with another version.
pub(crate) fn seal_version(magic: &Magic, version: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(ENVELOPE_BYTES + payload.len());
    out.extend_from_slice(magic);
    out.extend_from_slice(&version.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out), payload);
    out.extend_from_slice(&crc.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Takes the payload out of the envelope at the front of `bytes`.
pub(crate) fn open<'a>(magic: &Magic, bytes: &'a [u8]) -> Result<&'a [u8], FormatError> {
    open_version(magic, VERSION, bytes).map(|(_, payload)| payload)
}

/// As [`open`], for a format with several versions, up to `known`.
pub(crate) fn open_version<'a>(
    magic: &Magic,
    known: u16,
    bytes: &'a [u8],
) -> Result<(u16, &'a [u8]), FormatError> {
    let (head, rest) = bytes.split_at_checked(ENVELOPE_BYTES).ok_or(FormatError::Truncated)?;
    if head[..8] != *magic {
        return Err(FormatError::Magic);
    }
    let mut fields = Fields(&head[8..]);
    let version = fields.u16()?;
    let _ = fields.u16()?;
    let len = fields.u32()? as usize;
    let crc = fields.u32()?;
    let payload = rest.get(..len).ok_or(FormatError::Truncated)?;
    if crc32c::crc32c_append(crc32c::crc32c(&head[..16]), payload) != crc {
        return Err(FormatError::Checksum);
    }
    if (1..=known).contains(&version) {
        Ok((version, payload))
    } else {
        Err(FormatError::Newer { found: version, known })
    }
}

/// Reads fields from the front of a payload.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(FormatError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(FormatError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, FormatError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, FormatError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, FormatError> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn u128(&mut self) -> Result<u128, FormatError> {
        self.array().map(u128::from_be_bytes)
    }

    /// Text behind a 16-bit length.
    pub(crate) fn text(&mut self) -> Result<String, FormatError> {
        let len = usize::from(self.u16()?);
        let bytes = self.take(len)?;
        let text =
            std::str::from_utf8(bytes).map_err(|_| FormatError::Malformed("text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    pub(crate) fn end(&self) -> Result<(), FormatError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(FormatError::Malformed("there is more than its fields"))
        }
    }
}

/// Appends text behind a 16-bit length. Longer text is cut: callers check before.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let len = text.len().min(usize::from(u16::MAX));
    out.extend_from_slice(&(len as u16).to_be_bytes());
    out.extend_from_slice(&text.as_bytes()[..len]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: Magic = *b"test-fmt";

    #[test]
    fn every_flipped_bit_is_seen() {
        let sealed = seal(&MAGIC, b"payload");
        assert_eq!(open(&MAGIC, &sealed), Ok(&b"payload"[..]));
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&MAGIC, &bad).is_err(), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(open(&MAGIC, &sealed[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let newer = seal_version(&MAGIC, 2, b"?");
        assert_eq!(open(&MAGIC, &newer), Err(FormatError::Newer { found: 2, known: 1 }));
    }
}
