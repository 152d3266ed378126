//! Encoding of responses, in pieces so that record bytes are not copied.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use crate::net::budget::Share;
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
    pieces: VecDeque<Bytes>,
    shares: Vec<Share>,
}

impl ResponseFrame {
    /// A frame of a first piece, which begins with four bytes of room for the length,
    /// and further ones. The shares are held until the frame is sent.
    pub(crate) fn of_pieces(mut first: BytesMut, rest: Vec<Bytes>, shares: Vec<Share>) -> Self {
        let length = first.len() - 4 + rest.iter().map(Bytes::len).sum::<usize>();
        first[..4].copy_from_slice(&(length as u32).to_be_bytes());
        let mut pieces = VecDeque::with_capacity(1 + rest.len());
        pieces.push_back(first.freeze());
        pieces.extend(rest.into_iter().filter(|piece| !piece.is_empty()));
        Self { pieces, shares }
    }

    /// Bytes of all pieces.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
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

    /// The pieces in order, and what to hold until they are sent.
    pub(crate) fn into_pieces(self) -> (VecDeque<Bytes>, Vec<Share>) {
        (self.pieces, self.shares)
    }
}
