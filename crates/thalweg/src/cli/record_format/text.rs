//! How bytes are written and read: raw, hexadecimal, base64, JSON, unpacked.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use regex::bytes::Regex;

use super::json_text;
use super::unpack::Pack;

/// The form of a topic, key or value.
#[derive(Debug, Clone)]
pub(super) enum TextEncoding {
    Raw,
    Hex,
    Base64,
    /// Base64 without padding.
    Base64Raw,
    /// Compact JSON.
    Json,
    /// Binary fields as text; for writing only.
    Unpack(Pack),
    /// What matches; for reading only.
    Regex(Regex),
}

/// The modifiers of bytes that take no argument.
pub(super) const TEXTS: &[(&str, TextEncoding)] = &[
    ("raw", TextEncoding::Raw),
    ("hex", TextEncoding::Hex),
    ("base64", TextEncoding::Base64),
    ("base64raw", TextEncoding::Base64Raw),
    ("json", TextEncoding::Json),
];

impl TextEncoding {
    /// Appends bytes in this form.
    pub(super) fn write(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Raw | Self::Regex(_) => out.extend_from_slice(bytes),
            Self::Hex => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend(bytes.iter().flat_map(|byte| {
                    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
                }));
            }
            Self::Base64 => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
            Self::Base64Raw => out.extend_from_slice(STANDARD_NO_PAD.encode(bytes).as_bytes()),
            Self::Json => json_text::write(bytes, out),
            Self::Unpack(pack) => {
                if let Err(error) = pack.write(bytes, out) {
                    out.extend_from_slice(format!("!{error}").as_bytes());
                }
            }
        }
    }

    /// The bytes that `text` stands for; `None` where it stays as it is.
    ///
    /// # Errors
    /// What `text` should have been.
    pub(super) fn decode(&self, text: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
        match self {
            Self::Raw | Self::Regex(_) | Self::Unpack(_) => Ok(None),
            Self::Json if json_text::is_valid(text) => Ok(Some(json_text::compact(text))),
            Self::Json => Err("JSON"),
            Self::Hex => from_hex(text).ok_or("an even number of hexadecimal digits").map(Some),
            Self::Base64 => STANDARD.decode(text).map(Some).map_err(|_| "base64"),
            Self::Base64Raw => {
                STANDARD_NO_PAD.decode(text).map(Some).map_err(|_| "base64 without padding")
            }
        }
    }
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}
