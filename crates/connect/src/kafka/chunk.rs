//! Records as they stand in the journal between being processed and being published.
//!
//! ```text
//! version u8 = 1, then for each record, numbers as LEB128:
//!   timestamp (zigzag; -1: when it is published)
//!   key length + 1, key      (0: none)
//!   value length + 1, value  (0: none, a tombstone)
//!   number of headers, each: key length, key, value length + 1, value
//! ```

use thalweg_core::time::Millis;

/// The format's version, its first byte.
const VERSION: u8 = 1;

/// Stands for the time of publication.
pub(crate) const AT_PUBLICATION: Millis = -1;

/// A record to be published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ChunkRecord<'a> {
    pub(crate) timestamp: Millis,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

/// A chunk under construction.
#[derive(Debug, Default)]
pub(crate) struct ChunkBuilder {
    bytes: Vec<u8>,
    count: u32,
}

impl ChunkBuilder {
    /// Adds a record.
    pub(crate) fn push(
        &mut self,
        timestamp: Millis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) {
        if self.bytes.is_empty() {
            self.bytes.push(VERSION);
        }
        self.count += 1;
        let out = &mut self.bytes;
        put(out, ((timestamp << 1) ^ (timestamp >> 63)) as u64);
        put_nullable(out, key);
        put_nullable(out, value);
        put(out, headers.len() as u64);
        for (name, value) in headers {
            put(out, name.len() as u64);
            out.extend_from_slice(name.as_bytes());
            put_nullable(out, *value);
        }
    }

    /// Records so far.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the chunk.
    pub(crate) fn take(&mut self) -> (u32, Vec<u8>) {
        let room = Vec::with_capacity(self.bytes.len());
        (std::mem::take(&mut self.count), std::mem::replace(&mut self.bytes, room))
    }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.push(0),
        Some(bytes) => {
            put(out, bytes.len() as u64 + 1);
            out.extend_from_slice(bytes);
        }
    }
}

/// Reads a chunk; ends with `Err` where it is damaged.
#[derive(Debug)]
pub(crate) struct ChunkReader<'a> {
    rest: &'a [u8],
}

impl<'a> ChunkReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, String> {
        match bytes {
            [] => Ok(Self { rest: bytes }),
            [VERSION, rest @ ..] => Ok(Self { rest }),
            [version, ..] => Err(format!("output chunk of unknown version {version}")),
        }
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(len).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn nullable(&mut self) -> Option<Option<&'a [u8]>> {
        match self.number()? {
            0 => Some(None),
            len => self.bytes(len - 1).map(Some),
        }
    }

    fn record(&mut self) -> Option<ChunkRecord<'a>> {
        let timestamp = self.number()?;
        let timestamp = (timestamp >> 1) as i64 ^ -((timestamp & 1) as i64);
        let (key, value) = (self.nullable()?, self.nullable()?);
        let mut headers = Vec::new();
        for _ in 0..self.number()? {
            let len = self.number()?;
            let name = std::str::from_utf8(self.bytes(len)?).ok()?;
            headers.push((name, self.nullable()?));
        }
        Some(ChunkRecord { timestamp, key, value, headers })
    }
}

impl<'a> Iterator for ChunkReader<'a> {
    type Item = Result<ChunkRecord<'a>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_none() {
            self.rest = &[];
        }
        Some(record.ok_or_else(|| "output chunk is damaged".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_go_there_and_back() {
        let long = vec![7; 300];
        let mut builder = ChunkBuilder::default();
        builder.push(AT_PUBLICATION, None, Some(b"v"), &[]);
        builder.push(1_700_000_000_000, Some(b""), None, &[("h", Some(&long)), ("n", None)]);
        builder.push(i64::MIN, Some(&long), Some(b""), &[]);
        let (count, bytes) = builder.take();
        assert_eq!(count, 3);
        let records: Vec<_> = ChunkReader::new(&bytes).unwrap().map(Result::unwrap).collect();
        assert_eq!(records.len(), 3);
        assert_eq!(
            (records[0].timestamp, records[0].key, records[0].value),
            (-1, None, Some(&b"v"[..]))
        );
        assert_eq!(records[1].headers, [("h", Some(&long[..])), ("n", None)]);
        assert_eq!((records[2].timestamp, records[2].key), (i64::MIN, Some(&long[..])));
        assert_eq!(builder.take(), (0, Vec::new()));
    }

    /// The journal holds such bytes: they must stay readable for ever.
    #[test]
    fn golden_bytes() {
        let mut builder = ChunkBuilder::default();
        builder.push(-1, Some(b"k"), Some(b"v"), &[("h", Some(b"1"))]);
        assert_eq!(builder.take().1, b"\x01\x01\x02k\x02v\x01\x01h\x021");
    }

    #[test]
    fn damaged_chunks_end_in_an_error() {
        let mut builder = ChunkBuilder::default();
        builder.push(5, Some(b"key"), Some(b"value"), &[("h", Some(b"1"))]);
        let (_, bytes) = builder.take();
        for len in 2..bytes.len() {
            let mut reader = ChunkReader::new(&bytes[..len]).unwrap();
            assert!(reader.next().unwrap().is_err(), "{len}");
            assert!(reader.next().is_none());
        }
        assert!(ChunkReader::new(b"\x02").is_err());
        // A length far beyond the bytes allocates nothing.
        assert!(
            ChunkReader::new(b"\x01\x00\xff\xff\xff\xff\xff\x7f").unwrap().next().unwrap().is_err()
        );
    }
}
