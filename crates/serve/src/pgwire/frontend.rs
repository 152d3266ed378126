//! Messages of the client (PostgreSQL documentation, 55.7), read with bounds.

use bytes::{Buf, Bytes};

use super::error::{PgError, Result};

/// What a client may send once it is connected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum FrontendMessage {
    Query(String),
    Parse {
        statement: String,
        sql: String,
        param_types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Target),
    Close(Target),
    Execute {
        portal: String,
        max_rows: i32,
    },
    Flush,
    Sync,
    Terminate,
    /// What belongs to a COPY that is over.
    CopyRemains,
}

/// A portal made of a prepared statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) param_formats: Vec<i16>,
    pub(super) params: Vec<Option<Bytes>>,
    pub(super) result_formats: Vec<i16>,
}

/// What Describe and Close are about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Statement(String),
    Portal(String),
}

impl FrontendMessage {
    /// Reads a message's body.
    pub(super) fn decode(message_type: u8, body: Bytes) -> Result<Self> {
        let mut body = Body(body);
        let message = match message_type {
            b'Q' => Self::Query(body.string()?),
            b'P' => Self::Parse {
                statement: body.string()?,
                sql: body.string()?,
                param_types: body.list(|body| body.i32().map(|oid| oid as u32))?,
            },
            b'B' => Self::Bind(Bind {
                portal: body.string()?,
                statement: body.string()?,
                param_formats: body.list(Body::i16)?,
                params: body.list(Body::value)?,
                result_formats: body.list(Body::i16)?,
            }),
            b'D' => Self::Describe(body.target()?),
            b'C' => Self::Close(body.target()?),
            b'E' => Self::Execute { portal: body.string()?, max_rows: body.i32()? },
            b'H' => Self::Flush,
            b'S' => Self::Sync,
            b'X' => Self::Terminate,
            b'd' | b'c' | b'f' => return Ok(Self::CopyRemains),
            b'F' => return Err(PgError::not_supported("function calls are not supported").fatal()),
            other => {
                return Err(PgError::protocol(format!("invalid frontend message type {other}")));
            }
        };
        if body.0.has_remaining() {
            return Err(PgError::protocol("a message is longer than what it says"));
        }
        Ok(message)
    }
}

/// What is left of a message's body.
pub(super) struct Body(pub(super) Bytes);

impl Body {
    fn check(&self, bytes: usize) -> Result<()> {
        if self.0.remaining() < bytes {
            return Err(PgError::protocol("insufficient data left in message"));
        }
        Ok(())
    }

    fn u8(&mut self) -> Result<u8> {
        self.check(1)?;
        Ok(self.0.get_u8())
    }

    fn i16(&mut self) -> Result<i16> {
        self.check(2)?;
        Ok(self.0.get_i16())
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.check(4)?;
        Ok(self.0.get_i32())
    }

    /// Text up to a zero byte.
    pub(super) fn string(&mut self) -> Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| PgError::protocol("a string in a message has no end"))?;
        let bytes = self.0.split_to(end);
        self.0.advance(1);
        String::from_utf8(bytes.to_vec())
            .map_err(|_| PgError::new("22021", "invalid byte sequence for encoding \"UTF8\""))
    }

    /// A value of a parameter.
    fn value(&mut self) -> Result<Option<Bytes>> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length)
                    .map_err(|_| PgError::protocol("a parameter has a negative length"))?;
                self.check(length)?;
                Ok(Some(self.0.split_to(length)))
            }
        }
    }

    /// A counted list. Every item takes at least two bytes, so the count is checked
    /// before room is made for it.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = usize::from(self.i16()? as u16);
        self.check(count * 2)?;
        (0..count).map(|_| item(self)).collect()
    }

    fn target(&mut self) -> Result<Target> {
        match self.u8()? {
            b'S' => Ok(Target::Statement(self.string()?)),
            b'P' => Ok(Target::Portal(self.string()?)),
            other => Err(PgError::protocol(format!("invalid message subtype {other}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bind_is_read() {
        let body = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0";
        let message = FrontendMessage::decode(b'B', Bytes::from_static(body)).expect("valid");
        let bind = Bind {
            portal: "p".into(),
            statement: "s".into(),
            param_formats: vec![1],
            params: vec![Some(Bytes::from_static(b"x")), None],
            result_formats: vec![],
        };
        assert_eq!(message, FrontendMessage::Bind(bind));
    }

    #[test]
    fn lying_counts_and_lengths_are_refused() {
        for body in [&b"p\0s\0\xff\xff"[..], b"p\0s\0\0\0\0\x01\x7f\xff\xff\xff", b"p", b"p\0s\0\0"]
        {
            let error = FrontendMessage::decode(b'B', Bytes::from_static(body)).expect_err("short");
            assert!(error.fatal);
        }
        assert!(FrontendMessage::decode(b'S', Bytes::from_static(b"x")).is_err(), "too long");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(message_type: u8, body: Vec<u8>) {
            let _ = FrontendMessage::decode(message_type, body.into());
        }

        /// Bodies that begin like a real message go deeper.
        #[test]
        fn no_bind_makes_it_panic(body: Vec<u8>) {
            let body = [b"p\0s\0", body.as_slice()].concat();
            let _ = FrontendMessage::decode(b'B', body.clone().into());
            let _ = FrontendMessage::decode(b'P', body.into());
        }
    }
}
