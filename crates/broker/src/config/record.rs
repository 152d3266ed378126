//! What is stored of altered settings in `__dynamic_configs`.
//!
//! All numbers are big-endian; a text is its length (i16) and its bytes. A record holds all
//! settings of its resource; one without a value says that there are none any more.
//!
//! ```text
//!  key    version i16 = 0   type u8   name text
//!         types: 4 broker (name empty: the default of all brokers), 32 group
//!  value  version i16 = 0   settings i16, then each: name text   value text
//! ```
//!
//! The log's batches carry the checksum.

use bytes::{Buf, BufMut};

use super::dynamic::{Resource, Settings};

/// Version that is written. A newer one is refused, older ones are read for ever.
pub(super) const VERSION: i16 = 0;

const BROKER: u8 = 4;
const GROUP: u8 = 32;

/// Why a record is not one of ours.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum RecordError {
    /// It was written by a newer version.
    Newer(i16),
    /// It is damaged.
    Malformed(&'static str),
}

const ENDS_EARLY: RecordError = RecordError::Malformed("a record ends inside a field");

pub(super) fn encode_key(resource: &Resource) -> Vec<u8> {
    let (of_type, name) = match resource {
        Resource::AllBrokers => (BROKER, ""),
        Resource::Broker(name) => (BROKER, name.as_str()),
        Resource::Group(name) => (GROUP, name.as_str()),
    };
    let mut out = Vec::new();
    out.put_i16(VERSION);
    out.put_u8(of_type);
    put_text(&mut out, name);
    out
}

pub(super) fn decode_key(mut key: &[u8]) -> Result<Resource, RecordError> {
    check_version(&mut key)?;
    let of_type = key.try_get_u8().map_err(|_| ENDS_EARLY)?;
    let name = take_text(&mut key)?;
    match of_type {
        BROKER if name.is_empty() => Ok(Resource::AllBrokers),
        BROKER => Ok(Resource::Broker(name)),
        GROUP => Ok(Resource::Group(name)),
        _ => Err(RecordError::Malformed("a type of resources that does not exist")),
    }
}

pub(super) fn encode_value(settings: &Settings) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i16(VERSION);
    out.put_i16(settings.len() as i16);
    for (name, value) in settings {
        put_text(&mut out, name);
        put_text(&mut out, value);
    }
    out
}

pub(super) fn decode_value(mut value: &[u8]) -> Result<Settings, RecordError> {
    check_version(&mut value)?;
    let mut settings = Settings::new();
    for _ in 0..value.try_get_i16().map_err(|_| ENDS_EARLY)? {
        let name = take_text(&mut value)?;
        settings.insert(name, take_text(&mut value)?);
    }
    Ok(settings)
}

fn check_version(input: &mut &[u8]) -> Result<(), RecordError> {
    match input.try_get_i16().map_err(|_| ENDS_EARLY)? {
        VERSION => Ok(()),
        newer => Err(RecordError::Newer(newer)),
    }
}

/// A text of [`super::dynamic::TEXT_BYTES_MAX`] bytes at most.
fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

fn take_text(input: &mut &[u8]) -> Result<String, RecordError> {
    let length = input.try_get_i16().map_err(|_| ENDS_EARLY)?;
    let length = usize::try_from(length).map_err(|_| RecordError::Malformed("a length below 0"))?;
    let (text, rest) = input.split_at_checked(length).ok_or(ENDS_EARLY)?;
    *input = rest;
    let text = std::str::from_utf8(text).map_err(|_| RecordError::Malformed("not UTF-8"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of name, colon, bytes in hex.
    const FIXTURE: &str = include_str!("../../tests/fixtures/dynamic_configs_v0.hex");

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
        for (name, resource) in [
            ("key all brokers", Resource::AllBrokers),
            ("key broker", Resource::Broker("1".into())),
            ("key group", Resource::Group("g".into())),
        ] {
            assert_eq!(encode_key(&resource), fixture(name));
            assert_eq!(decode_key(&fixture(name)), Ok(resource));
        }
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let settings = Settings::from([pair("log.retention.ms", "-1"), pair("segment.ms", "7")]);
        assert_eq!(encode_value(&settings), fixture("value"));
        assert_eq!(decode_value(&fixture("value")), Ok(settings));
    }

    #[test]
    fn what_is_cut_or_newer_is_refused() {
        for length in 0..fixture("value").len() {
            assert!(decode_value(&fixture("value")[..length]).is_err());
        }
        for length in 0..fixture("key group").len() {
            assert!(decode_key(&fixture("key group")[..length]).is_err());
        }
        assert_eq!(decode_value(&[0, 1, 0, 0]), Err(RecordError::Newer(1)));
        assert!(matches!(decode_key(&[0, 0, 2, 0, 0]), Err(RecordError::Malformed(_))));
    }
}
