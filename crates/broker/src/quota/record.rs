//! What is stored of a quota in `__client_quotas`.
//!
//! All numbers are big-endian; a text is its length (i16) and its bytes. A record without
//! a value says that nothing is set for the entity any more.
//!
//! ```text
//!  key    version i16 = 0   parts u8, then each:  type u8   name text, or -1 for the default
//!             types: 0 user, 1 client id
//!  value  version i16 = 0   quotas u8, then each: name text   value f64
//! ```
//!
//! The log's batches carry the checksum.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};

use super::entity::{Entity, Kind, Who};

/// Version that is written. A newer one is refused, older ones are read for ever.
pub(super) const VERSION: i16 = 0;

const USER: u8 = 0;
const CLIENT: u8 = 1;

/// Why a record is not one of ours.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum RecordError {
    /// It was written by a newer version.
    Newer(i16),
    /// It is damaged.
    Malformed(&'static str),
}

const ENDS_EARLY: RecordError = RecordError::Malformed("a record ends inside a field");
const UNKNOWN: RecordError = RecordError::Malformed("a type or name that does not exist");

pub(super) fn encode_key(entity: &Entity) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i16(VERSION);
    out.put_u8(entity.parts().count() as u8);
    for (of_type, who) in entity.parts() {
        out.put_u8(if of_type == Entity::USER { USER } else { CLIENT });
        match who.name() {
            None => out.put_i16(-1),
            Some(name) => put_text(&mut out, name),
        }
    }
    out
}

pub(super) fn decode_key(mut key: &[u8]) -> Result<Entity, RecordError> {
    check_version(&mut key)?;
    let mut entity = Entity::default();
    for _ in 0..key.try_get_u8().map_err(|_| ENDS_EARLY)? {
        let of_type = key.try_get_u8().map_err(|_| ENDS_EARLY)?;
        let who = Some(Who::from(take_text(&mut key)?));
        match of_type {
            USER => entity.user = who,
            CLIENT => entity.client = who,
            _ => return Err(UNKNOWN),
        }
    }
    Ok(entity)
}

pub(super) fn encode_value(quotas: &BTreeMap<Kind, f64>) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i16(VERSION);
    out.put_u8(quotas.len() as u8);
    for (kind, value) in quotas {
        put_text(&mut out, kind.key());
        out.put_f64(*value);
    }
    out
}

pub(super) fn decode_value(mut value: &[u8]) -> Result<BTreeMap<Kind, f64>, RecordError> {
    check_version(&mut value)?;
    let mut quotas = BTreeMap::new();
    for _ in 0..value.try_get_u8().map_err(|_| ENDS_EARLY)? {
        let key = take_text(&mut value)?.ok_or(UNKNOWN)?;
        let kind = Kind::of_key(&key).ok_or(UNKNOWN)?;
        quotas.insert(kind, value.try_get_f64().map_err(|_| ENDS_EARLY)?);
    }
    Ok(quotas)
}

fn check_version(input: &mut &[u8]) -> Result<(), RecordError> {
    match input.try_get_i16().map_err(|_| ENDS_EARLY)? {
        VERSION => Ok(()),
        newer => Err(RecordError::Newer(newer)),
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

/// A text; `None` where its length is -1.
fn take_text(input: &mut &[u8]) -> Result<Option<String>, RecordError> {
    let length = input.try_get_i16().map_err(|_| ENDS_EARLY)?;
    let Ok(length) = usize::try_from(length) else { return Ok(None) };
    let (text, rest) = input.split_at_checked(length).ok_or(ENDS_EARLY)?;
    *input = rest;
    let text = std::str::from_utf8(text).map_err(|_| RecordError::Malformed("not UTF-8"))?;
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of name, colon, bytes in hex.
    const FIXTURE: &str = include_str!("../../tests/fixtures/client_quotas_v0.hex");

    fn fixture(name: &str) -> Vec<u8> {
        let line = FIXTURE.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let digits: Vec<_> = line.expect("a line").bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| {
            u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hex")
        };
        digits.chunks(2).map(byte).collect()
    }

    #[test]
    fn the_fixture_is_read_for_ever() {
        let named = |name: &str| Some(Who::Named(name.to_owned()));
        let both = Entity { user: named("alice"), client: Some(Who::Default) };
        let client = Entity { user: None, client: named("c") };
        for (name, entity) in [("key both", both), ("key client", client)] {
            assert_eq!(encode_key(&entity), fixture(name));
            assert_eq!(decode_key(&fixture(name)), Ok(entity));
        }
        let quotas = BTreeMap::from([(Kind::Produce, 1024.0), (Kind::Request, 12.5)]);
        assert_eq!(encode_value(&quotas), fixture("value"));
        assert_eq!(decode_value(&fixture("value")), Ok(quotas));
    }

    #[test]
    fn what_is_cut_or_newer_is_refused() {
        for length in 0..fixture("value").len() {
            assert!(decode_value(&fixture("value")[..length]).is_err());
        }
        for length in 0..fixture("key both").len() {
            assert!(decode_key(&fixture("key both")[..length]).is_err());
        }
        assert_eq!(decode_value(&[0, 1, 0]), Err(RecordError::Newer(1)));
    }
}
