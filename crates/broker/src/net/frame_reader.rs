//! Cuts a byte stream into request frames: a length of four bytes, then as many bytes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use thalweg_core::env::Clock;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{sleep, timeout};

use super::memory::{Memory, RequestShare, SMALL_REQUEST_BYTES};
use crate::options::Limits;
use crate::request::RequestError;

/// What is buffered beyond the current frame, at most: a read of the socket.
const READ_BYTES: usize = 16 << 10;
/// A long frame gets this much room at first, and more as its bytes arrive, so that
/// naming a length costs the sender as much as it costs us.
const FIRST_RESERVE_BYTES: usize = (1 << 20) - (40 << 10);
/// Length of the fixed part of a request header.
const HEADER_BYTES: usize = 8;
/// A long frame has a second more for each of so many bytes.
const BYTES_PER_SECOND_MIN: usize = 1 << 20;

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
    clock: Arc<dyn Clock>,
    /// Monotonic time at which the frame under way has to be there.
    deadline_ns: u64,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(socket: R, clock: Arc<dyn Clock>, limits: &Limits) -> Self {
        Self {
            socket,
            buffer: BytesMut::new(),
            idle_timeout: limits.idle_timeout,
            frame_timeout: limits.frame_timeout,
            clock,
            deadline_ns: 0,
        }
    }

    /// The start of the next frame; `None` where the peer closed between frames.
    ///
    /// # Errors
    /// The socket failed, the peer stalled, or the length is no length.
    pub(super) async fn start(&mut self) -> Result<Option<FrameStart>, RequestError> {
        if self.buffer.is_empty() {
            self.buffer.reserve(READ_BYTES);
            let read = timeout(self.idle_timeout, self.socket.read_buf(&mut self.buffer)).await;
            if read.map_err(|_| RequestError::Stalled)?? == 0 {
                return Ok(None);
            }
        }
        self.deadline_ns = self.clock.monotonic_ns() + nanoseconds(self.frame_timeout);
        while self.buffer.len() < 6 {
            self.read_on().await?;
        }
        let length = (&self.buffer[..4]).get_i32();
        let api_key = (&self.buffer[4..6]).get_i16();
        match usize::try_from(length) {
            Ok(length) if length >= HEADER_BYTES => Ok(Some(FrameStart { length, api_key })),
            _ => Err(RequestError::Malformed(format!("frame length {length}"))),
        }
    }

    /// Reads nothing for so long, which is not held against the peer.
    pub(super) async fn pause(&mut self, wait: Duration) {
        self.deadline_ns += nanoseconds(wait);
        sleep(wait).await;
    }

    /// The bytes of the frame whose start was read, with their share of the memory.
    ///
    /// # Errors
    /// The socket failed or the peer stalled. Waiting for memory is not held against it.
    pub(super) async fn body(
        &mut self,
        length: usize,
        memory: &Memory,
    ) -> Result<(Bytes, RequestShare), RequestError> {
        self.buffer.advance(4);
        if length > SMALL_REQUEST_BYTES {
            return self.long_body(length, memory).await;
        }
        while self.buffer.len() < length {
            self.read_on().await?;
        }
        let share = memory.small_request(length).await;
        Ok((self.buffer.split_to(length).freeze(), share.into()))
    }

    async fn long_body(
        &mut self,
        length: usize,
        memory: &Memory,
    ) -> Result<(Bytes, RequestShare), RequestError> {
        self.deadline_ns +=
            nanoseconds(Duration::from_secs((length / BYTES_PER_SECOND_MIN) as u64));
        let mut growing = memory.large_request();
        let buffered = self.buffer.len().min(length);
        let mut frame = BytesMut::with_capacity(length.min(FIRST_RESERVE_BYTES));
        frame.extend_from_slice(&self.buffer.split_to(buffered));
        while frame.len() < length {
            let asked_ns = self.clock.monotonic_ns();
            let room = growing.grow(frame.len(), length).await;
            self.deadline_ns += self.clock.monotonic_ns() - asked_ns;
            while frame.len() < room {
                if frame.len() == frame.capacity() {
                    frame.reserve(frame.len().min(length - frame.len()));
                }
                let mut rest = (&mut self.socket).take((room - frame.len()) as u64);
                let left = left(&*self.clock, self.deadline_ns);
                read_some(&mut rest, &mut frame, left).await?;
            }
        }
        Ok((frame.freeze(), growing.finish()))
    }

    async fn read_on(&mut self) -> Result<(), RequestError> {
        self.buffer.reserve(READ_BYTES);
        let left = left(&*self.clock, self.deadline_ns);
        read_some(&mut self.socket, &mut self.buffer, left).await
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX / 4)
}

/// Time until a deadline.
fn left(clock: &dyn Clock, deadline_ns: u64) -> Duration {
    Duration::from_nanos(deadline_ns.saturating_sub(clock.monotonic_ns()))
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
