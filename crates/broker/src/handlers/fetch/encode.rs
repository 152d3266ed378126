//! Encoding of fetch responses, by hand: the codec would copy every record.
//!
//! The response becomes a list of pieces in which the bytes that the log gave appear as
//! they are. A test holds this against the codec's decoder, version by version.

use bytes::{BufMut, Bytes, BytesMut};
use thalweg_core::partition_log::{AbortedTransaction, Isolation};

use super::collect::{Fetch, PartitionFetch, TopicFetch};
use crate::error_code::NONE;
use crate::net::budget::Share;
use crate::request::RequestError;
use crate::response::{ResponseFrame, ResponseHead};

/// First version with compact lengths and tagged fields.
const FLEXIBLE_SINCE: i16 = 12;

/// Encodes what a fetch has read.
///
/// # Errors
/// More than a frame can hold.
pub(super) fn encode(
    head: ResponseHead,
    error_code: i16,
    mut fetch: Fetch,
) -> Result<ResponseFrame, RequestError> {
    if fetch.bytes() > i32::MAX as usize / 2 {
        return Err(RequestError::Encode("too many records for one response".into()));
    }
    let shares = fetch.take_shares();
    let mut out = Pieces::new(head.version);
    out.buffer.put_i32(0);
    out.buffer.put_i32(head.correlation_id);
    out.tags();
    out.buffer.put_i32(0); // throttle time
    if head.version >= 7 {
        out.buffer.put_i16(error_code);
        out.buffer.put_i32(0); // session id
    }
    out.count(fetch.topics.len());
    for topic in fetch.topics {
        out.topic(topic, fetch.isolation);
    }
    out.tags();
    Ok(out.finish(shares))
}

struct Pieces {
    version: i16,
    flexible: bool,
    /// The first piece, once the first records follow it.
    first: Option<BytesMut>,
    rest: Vec<Bytes>,
    buffer: BytesMut,
}

impl Pieces {
    fn new(version: i16) -> Self {
        let flexible = version >= FLEXIBLE_SINCE;
        Self { version, flexible, first: None, rest: Vec::new(), buffer: BytesMut::new() }
    }

    fn topic(&mut self, topic: TopicFetch, isolation: Isolation) {
        if self.version >= 13 {
            self.buffer.put_u128(topic.id.as_u128());
        } else if self.flexible {
            self.varint(topic.name.len() + 1);
            self.buffer.put_slice(topic.name.as_bytes());
        } else {
            self.buffer.put_u16(topic.name.len() as u16);
            self.buffer.put_slice(topic.name.as_bytes());
        }
        self.count(topic.partitions.len());
        for partition in topic.partitions {
            self.partition(partition, isolation);
        }
        self.tags();
    }

    fn partition(&mut self, partition: PartitionFetch, isolation: Isolation) {
        let (code, offsets) = match &partition.source {
            Ok(_) => (NONE, [partition.offsets.high_watermark, partition.offsets.last_stable]),
            Err(code) => (code.code(), [-1, -1]),
        };
        self.buffer.put_i32(partition.index);
        self.buffer.put_i16(code);
        offsets.iter().for_each(|offset| self.buffer.put_i64(*offset));
        if self.version >= 5 {
            self.buffer.put_i64(if code == NONE { partition.offsets.start } else { -1 });
        }
        self.aborted_transactions(isolation, &partition.aborted);
        if self.version >= 11 {
            self.buffer.put_i32(-1); // preferred read replica
        }
        let length = partition.chunks.iter().map(Bytes::len).sum::<usize>();
        if self.flexible {
            self.varint(length + 1);
        } else {
            self.buffer.put_i32(length as i32);
        }
        for chunk in partition.chunks {
            self.records(chunk);
        }
        self.tags();
    }

    /// Who reads uncommitted does not want the list at all.
    fn aborted_transactions(&mut self, isolation: Isolation, aborted: &[AbortedTransaction]) {
        match (isolation, self.flexible) {
            (Isolation::ReadCommitted, _) => self.count(aborted.len()),
            (Isolation::ReadUncommitted, true) => self.varint(0),
            (Isolation::ReadUncommitted, false) => self.buffer.put_i32(-1),
        }
        for transaction in aborted {
            self.buffer.put_i64(transaction.producer.0);
            self.buffer.put_i64(transaction.first_offset);
            self.tags();
        }
    }

    fn records(&mut self, chunk: Bytes) {
        let before = self.buffer.split();
        match self.first {
            None => self.first = Some(before),
            Some(_) => self.rest.push(before.freeze()),
        }
        self.rest.push(chunk);
    }

    fn count(&mut self, count: usize) {
        if self.flexible { self.varint(count + 1) } else { self.buffer.put_i32(count as i32) }
    }

    fn tags(&mut self) {
        if self.flexible {
            self.buffer.put_u8(0);
        }
    }

    fn varint(&mut self, value: usize) {
        let mut value = value as u32;
        while value >= 0x80 {
            self.buffer.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    fn finish(mut self, shares: Vec<Share>) -> ResponseFrame {
        match self.first {
            None => ResponseFrame::of_pieces(self.buffer, self.rest, shares),
            Some(first) => {
                self.rest.push(self.buffer.freeze());
                ResponseFrame::of_pieces(first, self.rest, shares)
            }
        }
    }
}
