//! Cuts a byte stream into request frames: a length of four bytes, then as many bytes.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::options::Limits;
use crate::request::RequestError;

/// What is buffered beyond the current frame, at most: a read of the socket.
const READ_BYTES: usize = 16 << 10;
/// Frames up to here are cut out of the read buffer; longer ones get their own.
const SMALL_FRAME_BYTES: usize = READ_BYTES;
/// A long frame gets this much room at first, and more as its bytes arrive, so that
/// naming a length costs the sender as much as it costs us.
const FIRST_RESERVE_BYTES: usize = 1 << 20;
/// Length of the fixed part of a request header.
const HEADER_BYTES: usize = 8;

/// Start of a frame, before its body is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameStart {
    /// Bytes after the length field.
    pub(super) length: usize,
    /// API key.
    pub(super) api_key: i16,
}

/// Reads frames off a socket.
pub(super) struct FrameReader<R> {
    socket: R,
    buffer: BytesMut,
    idle_timeout: Duration,
    frame_timeout: Duration,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(socket: R, limits: &Limits) -> Self {
        Self {
            socket,
            buffer: BytesMut::new(),
            idle_timeout: limits.idle_timeout,
            frame_timeout: limits.frame_timeout,
        }
    }

    /// The start of the next frame; `None` where the peer closed between frames.
    ///
    /// # Errors
    /// The socket failed, the peer stalled, or the length is no length.
    pub(super) async fn start(&mut self) -> Result<Option<FrameStart>, RequestError> {
        while self.buffer.len() < 6 {
            let between = self.buffer.is_empty();
            let patience = if between { self.idle_timeout } else { self.frame_timeout };
            self.buffer.reserve(READ_BYTES);
            let read = timeout(patience, self.socket.read_buf(&mut self.buffer)).await;
            match read.map_err(|_| RequestError::Stalled)?? {
                0 if between => return Ok(None),
                0 => return Err(RequestError::Io(io::ErrorKind::UnexpectedEof.into())),
                _ => {}
            }
        }
        let length = (&self.buffer[..4]).get_i32();
        let api_key = (&self.buffer[4..6]).get_i16();
        match usize::try_from(length) {
            Ok(length) if length >= HEADER_BYTES => Ok(Some(FrameStart { length, api_key })),
            _ => Err(RequestError::Malformed(format!("frame length {length}"))),
        }
    }

    /// The bytes of the frame whose start was read.
    ///
    /// # Errors
    /// The socket failed or the peer stalled.
    pub(super) async fn body(&mut self, length: usize) -> Result<Bytes, RequestError> {
        self.buffer.advance(4);
        if length <= SMALL_FRAME_BYTES {
            while self.buffer.len() < length {
                self.buffer.reserve(READ_BYTES);
                Self::read_some(&mut self.socket, &mut self.buffer, self.frame_timeout).await?;
            }
            return Ok(self.buffer.split_to(length).freeze());
        }
        let buffered = self.buffer.len().min(length);
        let mut frame = BytesMut::with_capacity(length.min(FIRST_RESERVE_BYTES));
        frame.extend_from_slice(&self.buffer.split_to(buffered));
        while frame.len() < length {
            if frame.len() == frame.capacity() {
                frame.reserve(frame.len().min(length - frame.len()));
            }
            let mut rest = (&mut self.socket).take((length - frame.len()) as u64);
            Self::read_some(&mut rest, &mut frame, self.frame_timeout).await?;
        }
        Ok(frame.freeze())
    }

    async fn read_some(
        socket: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
        patience: Duration,
    ) -> Result<(), RequestError> {
        match timeout(patience, socket.read_buf(buffer)).await {
            Err(_) => Err(RequestError::Stalled),
            Ok(Ok(0)) => Err(RequestError::Io(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => Ok(read.map(|_| ())?),
        }
    }
}
