//! What is stored of a transactional id, in the format of Kafka's own topic
//! `__transaction_state`, so that Kafka's tools can read it.
//!
//! All numbers are big-endian. A record without a value says that the id is forgotten.
//!
//! ```text
//!  key    version i16 = 0   transactional id: length i16, bytes
//!
//!  value  version i16 = 1   producer id i64   epoch i16   timeout ms i32   status i8
//!         partitions: count + 1 varint (0 for none),
//!             topic: length + 1 varint, bytes   numbers: count + 1 varint, i32 each   0
//!         last update i64   start i64
//!         tagged fields: count varint, then tag varint, size varint, value each
//!             0 previous producer id i64   1 next producer id i64   2 protocol i16
//! ```
//!
//! Version 0 has lengths and counts of fixed size and no tagged fields. It is read too,
//! and never written. The log's batches carry the checksum.

use bytes::{Buf, BufMut};
use thalweg_core::ids::{ProducerId, TopicPartition};
use thalweg_core::record_batch::NO_PRODUCER_EPOCH;

use super::state::{NO_PRODUCER, Producer, Protocol, State, Transaction};

const KEY_VERSION: i16 = 0;
/// Version that is written. A newer one is refused, older ones are read for ever.
pub(super) const VALUE_VERSION: i16 = 1;

const PREVIOUS_ID: u32 = 0;
const NEXT_ID: u32 = 1;
const PROTOCOL: u32 = 2;

/// Why a record is not one of ours.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum RecordError {
    /// It was written by a newer version.
    Newer(i16),
    /// It is damaged.
    Malformed(&'static str),
}

const ENDS_EARLY: RecordError = RecordError::Malformed("a record ends inside a field");

/// The record that says where a transactional id stands: key and value.
pub(super) fn encode(transaction: &Transaction) -> (Vec<u8>, Option<Vec<u8>>) {
    (encode_key(&transaction.id), Some(encode_value(transaction)))
}

/// Bytes of a record.
pub(super) fn size_bytes(key: &[u8], value: Option<&[u8]>) -> usize {
    key.len() + value.map_or(0, <[u8]>::len)
}

/// The key of a transactional id, which is at most `i16::MAX` bytes long.
pub(super) fn encode_key(id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + id.len());
    out.put_i16(KEY_VERSION);
    out.put_i16(id.len() as i16);
    out.put_slice(id.as_bytes());
    out
}

/// The transactional id of a key.
pub(super) fn decode_key(key: &[u8]) -> Result<String, RecordError> {
    let mut input = Reader { rest: key, compact: false };
    match input.i16()? {
        KEY_VERSION => {
            let id = input.text()?;
            input.end()?;
            Ok(id)
        }
        newer => Err(RecordError::Newer(newer)),
    }
}

/// The value of a transactional id.
pub(super) fn encode_value(transaction: &Transaction) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + 16 * transaction.partitions.len());
    out.put_i16(VALUE_VERSION);
    out.put_i64(transaction.producer.id.0);
    out.put_i16(transaction.producer.epoch);
    out.put_i32(transaction.timeout_ms);
    out.put_i8(transaction.state as i8);
    put_partitions(&mut out, transaction);
    out.put_i64(transaction.updated_at);
    out.put_i64(transaction.started_at);
    let mut tagged = Vec::new();
    if transaction.previous_id != NO_PRODUCER {
        tagged.push((PREVIOUS_ID, transaction.previous_id.0.to_be_bytes().to_vec()));
    }
    if transaction.next_id != NO_PRODUCER {
        tagged.push((NEXT_ID, transaction.next_id.0.to_be_bytes().to_vec()));
    }
    let level = transaction.protocol.feature_level();
    if level != 0 {
        tagged.push((PROTOCOL, level.to_be_bytes().to_vec()));
    }
    put_varint(&mut out, tagged.len());
    for (tag, value) in tagged {
        put_varint(&mut out, tag as usize);
        put_varint(&mut out, value.len());
        out.put_slice(&value);
    }
    out
}

/// Partitions by topic; an empty transaction has none rather than no partitions.
fn put_partitions(out: &mut Vec<u8>, transaction: &Transaction) {
    if transaction.state == State::Empty {
        return put_varint(out, 0);
    }
    let partitions: Vec<_> = transaction.partitions.iter().collect();
    let topics: Vec<_> = partitions.chunk_by(|one, next| one.topic == next.topic).collect();
    put_varint(out, topics.len() + 1);
    for of_topic in topics {
        put_varint(out, of_topic[0].topic.len() + 1);
        out.put_slice(of_topic[0].topic.as_bytes());
        put_varint(out, of_topic.len() + 1);
        of_topic.iter().for_each(|partition| out.put_i32(partition.partition));
        out.put_u8(0);
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// The transactional id of a key, as a value describes it.
pub(super) fn decode_value(id: String, value: &[u8]) -> Result<Transaction, RecordError> {
    let mut input = Reader { rest: value, compact: false };
    let version = input.i16()?;
    if !(0..=VALUE_VERSION).contains(&version) {
        return Err(RecordError::Newer(version));
    }
    input.compact = version >= 1;
    let producer = Producer::new(input.i64()?, input.i16()?);
    let timeout_ms = input.i32()?;
    let status = input.i8()?;
    let state = State::from_status(status);
    let state = state.ok_or(RecordError::Malformed("a state that cannot be stored"))?;
    let mut transaction = Transaction {
        id,
        producer,
        previous_id: NO_PRODUCER,
        next_id: NO_PRODUCER,
        last_epoch: NO_PRODUCER_EPOCH,
        timeout_ms,
        state,
        partitions: input.partitions()?,
        updated_at: input.i64()?,
        started_at: input.i64()?,
        protocol: Protocol::Classic,
    };
    if version >= 1 {
        input.tagged(|tag, value| {
            match tag {
                PREVIOUS_ID => transaction.previous_id = ProducerId(value.i64()?),
                NEXT_ID => transaction.next_id = ProducerId(value.i64()?),
                PROTOCOL => transaction.protocol = Protocol::from_feature_level(value.i16()?),
                // Kafka adds fields here without a new version.
                _ => value.rest = &[],
            }
            value.end()
        })?;
    }
    input.end()?;
    Ok(transaction)
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Lengths and counts are varints, and structures have tagged fields.
    compact: bool,
}

impl<'a> Reader<'a> {
    fn i8(&mut self) -> Result<i8, RecordError> {
        self.rest.try_get_i8().map_err(|_| ENDS_EARLY)
    }

    fn i16(&mut self) -> Result<i16, RecordError> {
        self.rest.try_get_i16().map_err(|_| ENDS_EARLY)
    }

    fn i32(&mut self) -> Result<i32, RecordError> {
        self.rest.try_get_i32().map_err(|_| ENDS_EARLY)
    }

    fn i64(&mut self) -> Result<i64, RecordError> {
        self.rest.try_get_i64().map_err(|_| ENDS_EARLY)
    }

    fn varint(&mut self) -> Result<u32, RecordError> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let byte = self.rest.try_get_u8().map_err(|_| ENDS_EARLY)?;
            let bits = u32::from(byte & 0x7f);
            if bits.leading_zeros() < shift {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(RecordError::Malformed("a number of more than 32 bits"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<String, RecordError> {
        let length = match self.compact {
            true => i64::from(self.varint()?) - 1,
            false => i64::from(self.i16()?),
        };
        let length = usize::try_from(length).map_err(|_| RecordError::Malformed("a null text"))?;
        let text = std::str::from_utf8(self.take(length)?);
        Ok(text.map_err(|_| RecordError::Malformed("a text that is not UTF-8"))?.to_owned())
    }

    /// Number of elements; null counts as none.
    fn count(&mut self) -> Result<usize, RecordError> {
        let count = match self.compact {
            true => i64::from(self.varint()?) - 1,
            false => i64::from(self.i32()?),
        };
        // Each element takes a byte at least.
        match usize::try_from(count) {
            Ok(count) if count > self.rest.len() => Err(ENDS_EARLY),
            Ok(count) => Ok(count),
            Err(_) => Ok(0),
        }
    }

    fn partitions(&mut self) -> Result<std::collections::BTreeSet<TopicPartition>, RecordError> {
        let mut partitions = std::collections::BTreeSet::new();
        for _ in 0..self.count()? {
            let topic = self.text()?;
            for _ in 0..self.count()? {
                partitions.insert(TopicPartition::new(topic.clone(), self.i32()?));
            }
            if self.compact {
                self.tagged(|_, _| Ok(()))?;
            }
        }
        Ok(partitions)
    }

    fn tagged(
        &mut self,
        mut each: impl FnMut(u32, &mut Reader<'a>) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        for _ in 0..self.varint()? {
            let (tag, size) = (self.varint()?, self.varint()? as usize);
            each(tag, &mut Reader { rest: self.take(size)?, compact: true })?;
        }
        Ok(())
    }

    fn end(&self) -> Result<(), RecordError> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(RecordError::Malformed("a record is longer than its fields")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// As Kafka 4.1 writes it: made by hand along its published message definition.
    const FIXTURE: &str = include_str!("../../tests/fixtures/transaction_state_v1.hex");

    fn example() -> Transaction {
        let partitions = [("orders", 0), ("orders", 7), ("__consumer_offsets", 0)];
        let partitions = partitions.map(|(topic, number)| TopicPartition::new(topic, number));
        Transaction {
            id: "tx".into(),
            producer: Producer::new(4_000, i16::MAX),
            previous_id: ProducerId(4_000),
            next_id: ProducerId(5_000),
            last_epoch: NO_PRODUCER_EPOCH,
            timeout_ms: 60_000,
            state: State::PrepareCommit,
            partitions: BTreeSet::from(partitions),
            started_at: 1_700_000_000_000,
            updated_at: 1_700_000_000_500,
            protocol: Protocol::EpochBump,
        }
    }

    fn bytes_of(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| {
            u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hex")
        };
        digits.chunks(2).map(byte).collect()
    }

    /// Lines of the fixture: name, a colon, bytes in hex.
    fn fixture(name: &str) -> Vec<u8> {
        let line = FIXTURE.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        bytes_of(line.expect("a line of the fixture"))
    }

    #[test]
    fn the_fixtures_are_read_for_ever() {
        assert_eq!(encode_key("tx"), fixture("key"));
        assert_eq!(decode_key(&fixture("key")), Ok("tx".into()));
        assert_eq!(encode_value(&example()), fixture("value v1"));
        assert_eq!(decode_value("tx".into(), &fixture("value v1")), Ok(example()));
        let classic = Transaction {
            previous_id: NO_PRODUCER,
            next_id: NO_PRODUCER,
            protocol: Protocol::Classic,
            ..example()
        };
        assert_eq!(decode_value("tx".into(), &fixture("value v0")), Ok(classic));
        let empty = Transaction::new("tx", ProducerId(9));
        let empty = Transaction { producer: Producer::new(9, 0), timeout_ms: 1, ..empty };
        assert_eq!(encode_value(&empty), fixture("empty v1"));
        assert_eq!(decode_value("tx".into(), &fixture("empty v1")), Ok(empty));
    }

    #[test]
    fn newer_versions_are_refused_and_newer_fields_are_skipped() {
        let mut newer = fixture("value v1");
        newer[1] = 2;
        assert_eq!(decode_value("tx".into(), &newer), Err(RecordError::Newer(2)));
        let mut key = fixture("key");
        key[1] = 1;
        assert_eq!(decode_key(&key), Err(RecordError::Newer(1)));
        let mut more = encode_value(&Transaction::new("tx", ProducerId(9)));
        assert_eq!(more.pop(), Some(0), "no tagged fields");
        more.extend([1, 9, 2, 0xab, 0xcd]);
        assert_eq!(decode_value("tx".into(), &more), Ok(Transaction::new("tx", ProducerId(9))));
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        for good in [fixture("value v1"), fixture("value v0"), fixture("empty v1")] {
            for length in 0..good.len() {
                assert!(decode_value("tx".into(), &good[..length]).is_err(), "{length} bytes");
            }
            for at in 0..good.len() {
                for byte in [0, 0x7f, 0x80, 0xff] {
                    let mut damaged = good.clone();
                    damaged[at] = byte;
                    let _ = decode_value("tx".into(), &damaged);
                }
            }
        }
    }
}
