//! Bytes to messages and back: framing with bounds.
//!
//! The message types are those of the `pgwire` crate, the reading is not: its decoders
//! trust the counts and lengths inside a message, and panic where one is wrong.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::error::{PgError, Result, sqlstate};

/// Longest message before the client is known.
const MAX_STARTUP_BYTES: usize = 10_000;
/// How much is read ahead while a statement runs.
const READ_AHEAD_BYTES: usize = 64 << 10;
/// When buffered output is written out.
const FLUSH_BYTES: usize = 64 << 10;

/// Why a message was not answered as it should be.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client went away, or its socket failed.
    Gone,
    /// The client must hear of it.
    Refused(PgError),
}

impl From<PgError> for Failure {
    fn from(error: PgError) -> Self {
        Self::Refused(error)
    }
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// The reading side of a connection.
pub(super) struct Inbox {
    socket: OwnedReadHalf,
    buffer: BytesMut,
    max_message_bytes: usize,
}

impl Inbox {
    pub(super) fn new(socket: OwnedReadHalf, max_message_bytes: usize) -> Self {
        Self { socket, buffer: BytesMut::new(), max_message_bytes }
    }

    /// The next message that has no type: what comes before and as the start-up message.
    pub(super) async fn next_untyped(&mut self) -> Result<Bytes, Failure> {
        self.fill(4).await?;
        self.take_body(MAX_STARTUP_BYTES).await
    }

    /// The next message: its type and body.
    pub(super) async fn next(&mut self) -> Result<(u8, Bytes), Failure> {
        self.fill(5).await?;
        let message_type = self.buffer[0];
        self.buffer.advance(1);
        Ok((message_type, self.take_body(self.max_message_bytes).await?))
    }

    async fn take_body(&mut self, limit: usize) -> Result<Bytes, Failure> {
        let declared = (&self.buffer[..4]).get_i32();
        let length = usize::try_from(declared).unwrap_or(0);
        if length < 4 {
            return Err(PgError::protocol(format!("invalid message length {declared}")).into());
        }
        if length > limit {
            let text = format!("a message of {length} bytes is larger than the {limit} allowed");
            return Err(PgError::new(sqlstate::TOO_LARGE, text).fatal().into());
        }
        self.fill(length).await?;
        self.buffer.advance(4);
        Ok(self.buffer.split_to(length - 4).freeze())
    }

    /// Reads until the buffer has `bytes`. It grows with what arrives, not with what was
    /// announced.
    async fn fill(&mut self, bytes: usize) -> Result<(), Failure> {
        while self.buffer.len() < bytes {
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Err(Failure::Gone);
            }
        }
        Ok(())
    }

    /// Returns once the client has gone away; reads a little ahead meanwhile. Dropping
    /// the future loses nothing.
    pub(super) async fn closed(&mut self) {
        while self.buffer.len() < READ_AHEAD_BYTES {
            match self.socket.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending().await
    }
}

/// The writing side of a connection.
pub(super) struct Outbox {
    socket: OwnedWriteHalf,
    buffer: BytesMut,
    timeout: Duration,
}

impl Outbox {
    pub(super) fn new(socket: OwnedWriteHalf, timeout: Duration) -> Self {
        Self { socket, buffer: BytesMut::new(), timeout }
    }

    /// Puts a message behind the others.
    pub(super) fn put(&mut self, message: PgWireBackendMessage) -> Result<()> {
        let start = self.buffer.len();
        message.encode(&mut self.buffer).map_err(|error| {
            self.buffer.truncate(start);
            PgError::new(sqlstate::TOO_LARGE, error.to_string())
        })
    }

    /// The bytes that wait, for messages that are written in place.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Writes out what waits if it is much.
    pub(super) async fn relieve(&mut self) -> Result<(), Failure> {
        if self.buffer.len() >= FLUSH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Writes out what waits. A client that takes nothing for too long is cut off, so
    /// that what it was reading is let go. Dropping the future loses nothing.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        while !self.buffer.is_empty() {
            let write = self.socket.write_buf(&mut self.buffer);
            match tokio::time::timeout(self.timeout, write).await {
                Ok(Ok(written)) if written > 0 => {}
                Ok(_) => return Err(Failure::Gone),
                Err(_) => {
                    tracing::warn!("a PostgreSQL client read nothing for too long; cut off");
                    return Err(Failure::Gone);
                }
            }
        }
        Ok(())
    }

    /// Says that nothing more will come.
    pub(super) async fn close(mut self) {
        if self.flush().await.is_ok() {
            // The client may be gone already.
            let _ = self.socket.shutdown().await;
        }
    }
}
