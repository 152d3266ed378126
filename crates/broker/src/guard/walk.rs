//! Walks a request along its shape. Reads, never allocates.

use super::schema::{Field, Kind, Schema, Tagged};

/// Unknown tagged fields that one request may carry. Clients send none or a few;
/// each costs a map entry when it is decoded.
const UNKNOWN_TAGS_MAX: usize = 64;

/// What the arrays of a request may take when they are decoded: so many times its bytes, and
/// so much in any case. The codec keeps each element in a structure with room for the fields
/// of all versions, however few bytes it had on the wire. What clients send stays far below:
/// with names of five letters a request may be about 17 000 topics, with longer ones about
/// any number.
const DECODED_TIMES: usize = 6;
const DECODED_FLOOR_BYTES: usize = 512 << 10;

/// Why a request is not decoded. The connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum GuardError {
    /// A length, a count or a number goes beyond the end of the request.
    #[error("a length or count goes beyond the end of the request")]
    Truncated,
    /// A length or count below -1, or a number of more than five bytes.
    #[error("a malformed length or count")]
    Malformed,
    /// More elements than the budget allows.
    #[error("more array elements than a request may have")]
    TooManyElements,
    /// Elements of hardly any bytes, so many that they would take far more memory than they
    /// took to send.
    #[error("more array elements than a request of its size may have")]
    TooDense,
    /// More tagged fields that nobody knows than allowed.
    #[error("more unknown tagged fields than a request may have")]
    TooManyTags,
    /// The same known tagged field twice, or one of the wrong length.
    #[error("a malformed tagged field")]
    MalformedTag,
}

/// What a request that passed has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Checked {
    /// Elements of all arrays.
    pub(crate) elements: usize,
    /// Bytes after the last field.
    pub(crate) unread_bytes: usize,
}

/// Checks that decoding `body` as `version` of a request of this shape reads within
/// the bytes and creates at most `element_budget` elements. Bytes after the last field
/// are let pass, as in Kafka: librdkafka sends some when it asks for all topics.
///
/// # Errors
/// What is wrong with the bytes.
pub(crate) fn check(
    schema: &Schema,
    version: i16,
    body: &[u8],
    element_budget: usize,
) -> Result<Checked, GuardError> {
    let mut walk = Walk {
        rest: body,
        version,
        flexible: version >= schema.flexible_since,
        elements: element_budget,
        decoded_bytes: DECODED_TIMES.saturating_mul(body.len()).saturating_add(DECODED_FLOOR_BYTES),
        tags: UNKNOWN_TAGS_MAX,
    };
    walk.structure(schema.fields, schema.tagged)?;
    Ok(Checked { elements: element_budget - walk.elements, unread_bytes: walk.rest.len() })
}

/// A text or bytes in the codec's form: a pointer into the request, its length, and who
/// holds it.
const TEXT_BYTES: usize = 32;
/// A vector, or the map of the tagged fields that a structure does not know.
const CONTAINER_BYTES: usize = 24;

/// What an element of an array takes when it is decoded, less what its own arrays do.
fn structure_bytes(fields: &[Field]) -> usize {
    let of_field = |field: &Field| match &field.kind {
        Kind::Fixed(size) => *size,
        Kind::Str | Kind::Bytes => TEXT_BYTES,
        Kind::Scalars(_) | Kind::Strs | Kind::Array(_) => CONTAINER_BYTES,
        Kind::Optional(fields) => structure_bytes(fields),
    };
    let of_fields: usize = fields.iter().map(of_field).sum();
    of_fields.next_multiple_of(8) + CONTAINER_BYTES
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
    decoded_bytes: usize,
    tags: usize,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &[Field], tagged: &[Tagged]) -> Result<(), GuardError> {
        self.fields(fields)?;
        if self.flexible { self.tagged_fields(tagged) } else { Ok(()) }
    }

    fn fields(&mut self, fields: &[Field]) -> Result<(), GuardError> {
        for field in fields {
            if (field.since..=field.until).contains(&self.version) {
                self.field(&field.kind)?;
            }
        }
        Ok(())
    }

    fn field(&mut self, kind: &Kind) -> Result<(), GuardError> {
        match kind {
            Kind::Fixed(size) => self.skip(*size),
            Kind::Str => {
                let length = self.length(2)?;
                self.skip(length)
            }
            Kind::Bytes => {
                let length = self.length(4)?;
                self.skip(length)
            }
            Kind::Scalars(size) => {
                let count = self.count(*size, *size)?;
                self.skip(count * size)
            }
            Kind::Strs => {
                for _ in 0..self.count(if self.flexible { 1 } else { 2 }, TEXT_BYTES)? {
                    self.field(&Kind::Str)?;
                }
                Ok(())
            }
            Kind::Array(fields) => {
                for _ in 0..self.count(self.smallest(fields), structure_bytes(fields))? {
                    self.structure(fields, &[])?;
                }
                Ok(())
            }
            Kind::Optional(fields) => match self.take::<1>()?[0] as i8 {
                ..0 => Ok(()),
                _ => self.structure(fields, &[]),
            },
        }
    }

    /// Number of elements of an array, each of at least `element_size` bytes, and of
    /// `decoded_size` when it is decoded. Null counts as none.
    fn count(&mut self, element_size: usize, decoded_size: usize) -> Result<usize, GuardError> {
        let count = self.length(4)?;
        if count > self.rest.len() / element_size.max(1) {
            return Err(GuardError::Truncated);
        }
        self.elements = self.elements.checked_sub(count).ok_or(GuardError::TooManyElements)?;
        self.decoded_bytes = count
            .checked_mul(decoded_size)
            .and_then(|bytes| self.decoded_bytes.checked_sub(bytes))
            .ok_or(GuardError::TooDense)?;
        Ok(count)
    }

    /// A length or count in its compact form, or in `width` bytes. Null is 0.
    fn length(&mut self, width: usize) -> Result<usize, GuardError> {
        if self.flexible {
            return Ok((self.varint()? as usize).saturating_sub(1));
        }
        let length = match width {
            2 => i32::from(i16::from_be_bytes(self.take()?)),
            _ => i32::from_be_bytes(self.take()?),
        };
        match length {
            -1 => Ok(0),
            _ => usize::try_from(length).map_err(|_| GuardError::Malformed),
        }
    }

    /// Fewest bytes that a structure takes.
    fn smallest(&self, fields: &[Field]) -> usize {
        let (text, block) = if self.flexible { (1, 1) } else { (2, 4) };
        let of_fields: usize = fields
            .iter()
            .filter(|field| (field.since..=field.until).contains(&self.version))
            .map(|field| match field.kind {
                Kind::Fixed(size) => size,
                Kind::Str => text,
                Kind::Optional(_) => 1,
                Kind::Bytes | Kind::Scalars(_) | Kind::Strs | Kind::Array(_) => block,
            })
            .sum();
        of_fields + usize::from(self.flexible)
    }

    fn tagged_fields(&mut self, known: &[Tagged]) -> Result<(), GuardError> {
        let mut seen = 0_u64;
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            let known = known.iter().find(|field| field.tag == tag && self.version >= field.since);
            let Some(field) = known else {
                self.tags = self.tags.checked_sub(1).ok_or(GuardError::TooManyTags)?;
                self.skip(size)?;
                continue;
            };
            // The codec decodes a known field without looking at its size.
            if seen & (1 << tag) != 0 || size > self.rest.len() {
                return Err(GuardError::MalformedTag);
            }
            seen |= 1 << tag;
            let after = self.rest.len() - size;
            if field.is_struct {
                self.structure(field.fields, &[])?;
            } else {
                self.fields(field.fields)?;
            }
            if self.rest.len() != after {
                return Err(GuardError::MalformedTag);
            }
        }
        Ok(())
    }

    fn varint(&mut self) -> Result<u32, GuardError> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.take()?;
            if shift == 28 && byte > 0x0f {
                return Err(GuardError::Malformed);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(GuardError::Malformed)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], GuardError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(GuardError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn skip(&mut self, size: usize) -> Result<(), GuardError> {
        self.rest = self.rest.get(size..).ok_or(GuardError::Truncated)?;
        Ok(())
    }
}
