//! JSON in a record, kept as it was written: only blanks between its tokens go, so that
//! numbers and the order of keys stay.

use serde::de::IgnoredAny;

/// Where the first JSON value of some bytes ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JsonEnd {
    At(usize),
    /// It may go on in bytes that are not there yet.
    More,
    Wrong,
}

/// Finds the end of the JSON value at the start of `data`. `end` says that nothing follows.
pub(super) fn find_end(data: &[u8], end: bool) -> JsonEnd {
    let mut values = serde_json::Deserializer::from_slice(data).into_iter::<IgnoredAny>();
    match values.next() {
        // A number at the end of what is there may have more digits.
        Some(Ok(_))
            if values.byte_offset() == data.len()
                && !end
                && !data.ends_with(b"}")
                && !data.ends_with(b"]")
                && !data.ends_with(b"\"") =>
        {
            JsonEnd::More
        }
        Some(Ok(_)) => JsonEnd::At(values.byte_offset()),
        Some(Err(error)) if error.is_eof() && !end => JsonEnd::More,
        None if !end => JsonEnd::More,
        _ => JsonEnd::Wrong,
    }
}

/// Whether bytes are one JSON value.
pub(super) fn is_valid(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// A JSON text without the blanks between its tokens.
pub(super) fn compact(text: &[u8]) -> Vec<u8> {
    let mut compacted = Vec::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for &byte in text {
        if !quoted && byte.is_ascii_whitespace() {
            continue;
        }
        if byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && byte == b'\\' && !escaped;
        compacted.push(byte);
    }
    compacted
}

/// Appends JSON as it is, without blanks, and other bytes as a JSON string.
pub(super) fn write(bytes: &[u8], out: &mut Vec<u8>) {
    if is_valid(bytes) {
        out.extend_from_slice(&compact(bytes));
    } else {
        let text = serde_json::Value::from(String::from_utf8_lossy(bytes));
        out.extend_from_slice(text.to_string().as_bytes());
    }
}
