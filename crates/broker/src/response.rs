//! Encoding of responses, in pieces so that record bytes are not copied.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use crate::api::Api;
use crate::net::budget::Share;
use crate::quota::place_of_throttle_time;
use crate::request::RequestError;

/// What ties a response to its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseHead {
    pub(crate) correlation_id: i32,
    pub(crate) version: i16,
}

impl ResponseHead {
    /// Encodes a response with its header and length.
    ///
    /// # Errors
    /// The response says something that its version cannot carry.
    pub(crate) fn encode<R: Encodable + HeaderVersion>(
        self,
        response: &R,
    ) -> Result<ResponseFrame, RequestError> {
        let failed = |error| RequestError::Encode(format!("{error:#}"));
        let size = response.compute_size(self.version).map_err(failed)?;
        let mut buffer = BytesMut::with_capacity(size + 16);
        buffer.put_i32(0);
        buffer.put_i32(self.correlation_id);
        if R::header_version(self.version) >= 1 {
            buffer.put_u8(0);
        }
        response.encode(&mut buffer, self.version).map_err(failed)?;
        Ok(ResponseFrame::of_pieces(buffer, Vec::new(), Vec::new()))
    }
}

/// A response as it goes to the socket.
pub(crate) struct ResponseFrame {
    first: BytesMut,
    rest: Vec<Bytes>,
    shares: Vec<Share>,
    /// How long the client is told to wait.
    throttle: Duration,
}

impl ResponseFrame {
    /// A frame of a first piece, which begins with four bytes of room for the length,
    /// and further ones. The shares are held until the frame is sent.
    pub(crate) fn of_pieces(mut first: BytesMut, rest: Vec<Bytes>, shares: Vec<Share>) -> Self {
        let length = first.len() - 4 + rest.iter().map(Bytes::len).sum::<usize>();
        first[..4].copy_from_slice(&(length as u32).to_be_bytes());
        Self { first, rest, shares, throttle: Duration::ZERO }
    }

    /// Bytes of all pieces.
    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.rest.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether the memory for it is accounted for.
    pub(crate) fn has_room(&self) -> bool {
        !self.shares.is_empty()
    }

    /// The same frame, holding these shares until it is sent.
    pub(crate) fn in_room(mut self, shares: Vec<Share>) -> Self {
        self.shares.extend(shares);
        self
    }

    /// The same frame, for a client that should wait for so long.
    pub(crate) fn throttled(mut self, wait: Duration) -> Self {
        self.throttle = self.throttle.max(wait);
        self
    }

    /// How long the client should wait.
    pub(crate) fn throttle(&self) -> Duration {
        self.throttle
    }

    /// Writes the time to wait where it stands in an encoded answer of a version.
    pub(crate) fn tell_throttle(&mut self, api: &Api, version: i16) {
        let (flexible, length) = (api.is_flexible(version), self.first.len());
        let place = place_of_throttle_time(api.key, version, flexible, length);
        if let Some(at) = place.and_then(|at| self.first.get_mut(at..at + 4)) {
            at.copy_from_slice(&(self.throttle.as_millis() as i32).to_be_bytes());
        }
    }

    /// The pieces in order, and what to hold until they are sent.
    pub(crate) fn into_pieces(self) -> (VecDeque<Bytes>, Vec<Share>) {
        let mut pieces = VecDeque::with_capacity(1 + self.rest.len());
        pieces.push_back(self.first.freeze());
        pieces.extend(self.rest.into_iter().filter(|piece| !piece.is_empty()));
        (pieces, self.shares)
    }
}
