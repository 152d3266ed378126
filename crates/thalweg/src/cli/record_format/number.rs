//! How numbers are written and read: decimal, hexadecimal, big and little endian.

/// The form of a number. Too large numbers are cut to their low bits, as in rpk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberEncoding {
    Ascii,
    /// So many hexadecimal digits.
    Hex(usize),
    /// So many bytes, the high one first.
    Big(usize),
    /// So many bytes, the low one first.
    Little(usize),
    Bool,
    /// So many decimal digits; for reading only.
    Digits(usize),
}

/// The modifiers of numbers.
pub(super) const NUMBERS: &[(&str, NumberEncoding)] = &[
    ("ascii", NumberEncoding::Ascii),
    ("number", NumberEncoding::Ascii),
    ("hex64", NumberEncoding::Hex(16)),
    ("hex32", NumberEncoding::Hex(8)),
    ("hex16", NumberEncoding::Hex(4)),
    ("hex8", NumberEncoding::Hex(2)),
    ("hex4", NumberEncoding::Hex(1)),
    ("big64", NumberEncoding::Big(8)),
    ("big32", NumberEncoding::Big(4)),
    ("big16", NumberEncoding::Big(2)),
    ("big8", NumberEncoding::Big(1)),
    ("little64", NumberEncoding::Little(8)),
    ("little32", NumberEncoding::Little(4)),
    ("little16", NumberEncoding::Little(2)),
    ("little8", NumberEncoding::Little(1)),
    ("byte", NumberEncoding::Big(1)),
    ("bool", NumberEncoding::Bool),
];

/// Digits of the longest number that fits 64 bits, with its sign.
const DIGITS_MAX: usize = 20;

/// What came of reading a number at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NumberRead {
    /// The number, and the bytes that it takes.
    Done(i64, usize),
    /// It may go on in bytes that are not there yet.
    More,
    /// There is no such number.
    Wrong,
}

impl NumberEncoding {
    /// Appends a number.
    pub(super) fn write(self, number: i64, out: &mut Vec<u8>) {
        match self {
            Self::Ascii | Self::Digits(_) => out.extend_from_slice(number.to_string().as_bytes()),
            Self::Hex(digits) => {
                let mask = if digits >= 16 { u64::MAX } else { (1u64 << (4 * digits)) - 1 };
                let low = number as u64 & mask;
                out.extend_from_slice(format!("{low:0digits$x}").as_bytes());
            }
            Self::Big(bytes) => out.extend_from_slice(&number.to_be_bytes()[8 - bytes..]),
            Self::Little(bytes) => out.extend_from_slice(&number.to_le_bytes()[..bytes]),
            Self::Bool => out.extend_from_slice(if number == 0 { b"false" } else { b"true" }),
        }
    }

    /// Reads a number at the start of `data`. `end` says that nothing follows `data`.
    pub(super) fn read(self, data: &[u8], end: bool) -> NumberRead {
        match self {
            Self::Ascii => read_ascii(data, end),
            Self::Bool => [("true", 1), ("false", 0)]
                .into_iter()
                .find_map(|(word, number)| {
                    if data.starts_with(word.as_bytes()) {
                        Some(NumberRead::Done(number, word.len()))
                    } else if word.as_bytes().starts_with(data) && !end {
                        Some(NumberRead::More)
                    } else {
                        None
                    }
                })
                .unwrap_or(NumberRead::Wrong),
            Self::Hex(length) | Self::Big(length) | Self::Little(length) | Self::Digits(length) => {
                match data.get(..length) {
                    None if end => NumberRead::Wrong,
                    None => NumberRead::More,
                    Some(bytes) => self
                        .read_exact(bytes)
                        .map_or(NumberRead::Wrong, |number| NumberRead::Done(number, length)),
                }
            }
        }
    }

    /// The number in all of `bytes`, for encodings of a fixed length.
    fn read_exact(self, bytes: &[u8]) -> Option<i64> {
        let text = || std::str::from_utf8(bytes).ok();
        match self {
            Self::Hex(_) => u64::from_str_radix(text()?, 16).ok().map(|number| number as i64),
            Self::Digits(_) => text()?.parse().ok(),
            Self::Big(_) => Some(sign_extended(bytes.iter().copied(), bytes.len())),
            _ => Some(sign_extended(bytes.iter().rev().copied(), bytes.len())),
        }
    }
}

/// Four and eight bytes are signed, because a length of -1 is a null; shorter ones are not.
fn sign_extended(bytes: impl Iterator<Item = u8>, length: usize) -> i64 {
    let number = bytes.fold(0u64, |number, byte| number << 8 | u64::from(byte));
    if length == 4 { i64::from(number as u32 as i32) } else { number as i64 }
}

fn read_ascii(data: &[u8], end: bool) -> NumberRead {
    let sign = usize::from(data.first() == Some(&b'-'));
    let digits = data[sign..].iter().take(DIGITS_MAX).take_while(|byte| byte.is_ascii_digit());
    let length = sign + digits.count();
    if length == data.len() && !end && length < DIGITS_MAX {
        return NumberRead::More;
    }
    let number = std::str::from_utf8(&data[..length]).ok().and_then(|text| text.parse().ok());
    number.map_or(NumberRead::Wrong, |number| NumberRead::Done(number, length))
}
