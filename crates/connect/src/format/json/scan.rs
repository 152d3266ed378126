//! Walking over JSON text: white space, strings, numbers, and skipping what is not needed.
//!
//! The text is UTF-8 already. Positions are bytes. The grammar is that of RFC 8259, held
//! strictly also where a value is skipped, so that a record is good or bad no matter which
//! columns a query reads.

use super::fault::{Fault, Outcome};

/// How deep values may be nested, the record itself included.
pub(super) const MAX_DEPTH: u32 = 128;

/// What a scalar or nested value is, with its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token<'a> {
    Null,
    True,
    False,
    /// A number, as written.
    Number(&'a str),
    /// A string, unescaped.
    String(&'a str),
    /// An object or an array, as written.
    Nested(&'a str),
}

/// A place in a text.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// Where the next byte stands.
    pub(super) at: usize,
    /// Bits of the characters that are white space.
    space: u64,
}

/// Space, tab, carriage return.
const SPACE_IN_LINE: u64 = 1 << b' ' | 1 << b'\t' | 1 << b'\r';

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// A word whose lowest set high bit marks the first byte of `word` that is a quote, a
/// backslash or a control character. Bits above the first may be wrong.
#[inline]
pub(super) fn special_bytes(word: u64) -> u64 {
    let quote = word ^ (LOW_BITS * b'"' as u64);
    let backslash = word ^ (LOW_BITS * b'\\' as u64);
    let quotes = quote.wrapping_sub(LOW_BITS) & !quote;
    let backslashes = backslash.wrapping_sub(LOW_BITS) & !backslash;
    let controls = word.wrapping_sub(LOW_BITS * 0x20) & !word;
    (quotes | backslashes | controls) & HIGH_BITS
}

impl<'a> Cursor<'a> {
    /// At the start of a text that holds one record. Line breaks are white space.
    pub(super) fn record(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0, space: SPACE_IN_LINE | 1 << b'\n' }
    }

    /// At the start of a text that holds a record a line.
    pub(super) fn lines(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0, space: SPACE_IN_LINE }
    }

    /// The next byte; 0, which stands in no valid JSON, at the end.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// The bytes from here on.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The text from `start` to here.
    #[inline]
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at)
            && byte <= b' '
            && self.space >> byte & 1 == 1
        {
            self.at += 1;
        }
    }

    /// Says what should stand here.
    #[cold]
    pub(super) fn expected<T>(&self, what: &str) -> Outcome<T> {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            None if self.is_at_end() => "the end".to_owned(),
            Some('\n') => "the end of the line".to_owned(),
            Some(found) => format!("{found:?}"),
            None => "a part of a character".to_owned(),
        };
        Err(Fault::syntax(self.at, format!("expected {what}, found {found}")))
    }

    /// Passes a byte that must stand here.
    pub(super) fn expect(&mut self, byte: u8, what: &str) -> Outcome<()> {
        if self.peek() != byte {
            return self.expected(what);
        }
        self.at += 1;
        Ok(())
    }

    /// Passes a string. Gives the part between the quotes and whether it has escapes.
    #[inline]
    pub(super) fn string(&mut self) -> Outcome<(&'a str, bool)> {
        if self.peek() != b'"' {
            return self.expected("a string");
        }
        let start = self.at + 1;
        let mut escaped = false;
        self.at = start;
        loop {
            self.at = self.find_special(self.at);
            match self.peek() {
                b'"' => {
                    let content = self.since(start);
                    self.at += 1;
                    return Ok((content, escaped));
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ if self.is_at_end() => return self.expected("'\"' at the end of a string"),
                _ => return self.expected("a string without control characters"),
            }
        }
    }

    /// The first place from `at` on that holds a quote, a backslash or a control character.
    #[inline]
    fn find_special(&self, mut at: usize) -> usize {
        while let Some(block) = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<32>()) {
            let (words, _) = block.as_chunks::<8>();
            for (number, word) in words.iter().enumerate() {
                let special = special_bytes(u64::from_le_bytes(*word));
                if special != 0 {
                    return at + number * 8 + (special.trailing_zeros() / 8) as usize;
                }
            }
            at += 32;
        }
        while let Some(&byte) = self.bytes.get(at)
            && byte != b'"'
            && byte != b'\\'
            && byte >= b' '
        {
            at += 1;
        }
        at
    }

    /// Passes an escape sequence, of which only the form is checked.
    fn escape(&mut self) -> Outcome<()> {
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.at += 1;
                Ok(())
            }
            b'u' => {
                let unit = self.unicode_escape()?;
                match unit {
                    0xd800..=0xdbff if self.rest().starts_with(b"\\u") => {
                        self.at += 1;
                        let low = self.unicode_escape()?;
                        if (0xdc00..=0xdfff).contains(&low) { Ok(()) } else { self.lone() }
                    }
                    0xd800..=0xdfff => self.lone(),
                    _ => Ok(()),
                }
            }
            _ => self.expected("an escape sequence"),
        }
    }

    #[cold]
    fn lone(&self) -> Outcome<()> {
        Err(Fault::syntax(self.at, "a surrogate stands alone in an escape sequence".into()))
    }

    /// Passes `uXXXX`.
    fn unicode_escape(&mut self) -> Outcome<u32> {
        let mut unit = 0;
        for at in self.at + 1..self.at + 5 {
            let digit = self.bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
            match digit {
                Some(digit) => unit = unit << 4 | digit,
                None => return self.expected("an escape sequence with four hexadecimal digits"),
            }
        }
        self.at += 5;
        Ok(unit)
    }

    /// Passes a number; gives it as written.
    pub(super) fn number(&mut self) -> Outcome<&'a str> {
        let start = self.at;
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.since(start))
    }

    fn digits(&mut self) -> Outcome<()> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start { self.expected("a digit") } else { Ok(()) }
    }

    /// Passes a whole number of at most 18 digits, if one stands here and ends here.
    #[inline]
    pub(super) fn short_integer(&mut self) -> Option<i64> {
        let rest = self.rest();
        let (negative, digits) = match rest {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let mut value: i64 = 0;
        let mut count = 0;
        while let Some(&byte) = digits.get(count) {
            let digit = byte ^ b'0';
            if digit > 9 {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
            count += 1;
        }
        let ends = !matches!(digits.get(count), Some(b'.' | b'e' | b'E'));
        let leading_zero = count > 1 && digits[0] == b'0';
        if count == 0 || count > 18 || !ends || leading_zero {
            return None;
        }
        self.at += count + usize::from(negative);
        Some(if negative { -value } else { value })
    }

    /// Passes a word such as `null`.
    #[inline]
    pub(super) fn word(&mut self, word: &'static str) -> Outcome<()> {
        if !self.rest().starts_with(word.as_bytes()) {
            return self.expected("a value");
        }
        self.at += word.len();
        Ok(())
    }

    /// Passes a value of any kind. Escaped strings are unescaped into `scratch`.
    pub(super) fn token<'b>(&mut self, depth: u32, scratch: &'b mut String) -> Outcome<Token<'b>>
    where
        'a: 'b,
    {
        let start = self.at;
        match self.peek() {
            b'"' => match self.string()? {
                (content, false) => Ok(Token::String(content)),
                (content, true) => {
                    scratch.clear();
                    unescape(content, scratch);
                    Ok(Token::String(scratch))
                }
            },
            b'-' | b'0'..=b'9' => Ok(Token::Number(self.number()?)),
            b'{' | b'[' => {
                self.skip_value(depth)?;
                Ok(Token::Nested(self.since(start)))
            }
            b't' => self.word("true").map(|()| Token::True),
            b'f' => self.word("false").map(|()| Token::False),
            _ => self.word("null").map(|()| Token::Null),
        }
    }

    /// Passes a value without looking at what it is.
    pub(super) fn skip_value(&mut self, depth: u32) -> Outcome<()> {
        match self.peek() {
            b'"' => self.string().map(|_| ()),
            b'-' | b'0'..=b'9' => self.number().map(|_| ()),
            b'{' => self.skip_nested(b'}', depth, |cursor, depth| {
                cursor.string()?;
                cursor.skip_space();
                cursor.expect(b':', "':'")?;
                cursor.skip_space();
                cursor.skip_value(depth)
            }),
            b'[' => self.skip_nested(b']', depth, Self::skip_value),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            _ => self.word("null"),
        }
    }

    fn skip_nested(
        &mut self,
        close: u8,
        depth: u32,
        mut skip_one: impl FnMut(&mut Self, u32) -> Outcome<()>,
    ) -> Outcome<()> {
        self.check_depth(depth)?;
        self.at += 1;
        self.skip_space();
        if self.peek() == close {
            self.at += 1;
            return Ok(());
        }
        loop {
            skip_one(self, depth + 1)?;
            self.skip_space();
            if self.peek() == close {
                self.at += 1;
                return Ok(());
            }
            self.expect(b',', if close == b'}' { "',' or '}'" } else { "',' or ']'" })?;
            self.skip_space();
        }
    }

    /// Refuses a nested value that stands too deep.
    pub(super) fn check_depth(&self, depth: u32) -> Outcome<()> {
        if depth < MAX_DEPTH {
            return Ok(());
        }
        Err(Fault::syntax(self.at, format!("nested deeper than {MAX_DEPTH} levels")))
    }
}

/// Resolves the escape sequences of a string whose form was checked.
pub(super) fn unescape(content: &str, out: &mut String) {
    let mut rest = content;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or_default();
        let resolved = match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (unit, after) = take_unit(rest);
                rest = after;
                let code = match unit {
                    0xd800..=0xdbff => {
                        let (low, after) = take_unit(rest.get(2..).unwrap_or_default());
                        rest = after;
                        0x10000 + ((unit - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff)
                    }
                    unit => unit,
                };
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => char::from(other),
        };
        out.push(resolved);
    }
    out.push_str(rest);
}

fn take_unit(text: &str) -> (u32, &str) {
    let digits = text.get(..4).unwrap_or_default();
    (u32::from_str_radix(digits, 16).unwrap_or(0), text.get(4..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_special_byte_is_found_at_every_place() {
        for len in 0..100 {
            for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
                let mut bytes = vec![b'x'; 100];
                bytes[len] = special;
                let text = String::from_utf8(bytes).unwrap();
                assert_eq!(Cursor::record(&text).find_special(0), len, "{special}");
            }
        }
        let text = "\u{7f}\u{80}\u{ff}\u{10ffff} !#[]~".repeat(20);
        assert_eq!(Cursor::record(&text).find_special(0), text.len());
    }

    #[test]
    fn escapes() {
        let check = |json: &str, expected: &str| {
            let mut cursor = Cursor::record(json);
            let (content, escaped) = cursor.string().unwrap();
            assert!(escaped && cursor.is_at_end());
            let mut out = String::new();
            unescape(content, &mut out);
            assert_eq!(out, expected);
        };
        check(r#""a\"b\\c\/d""#, "a\"b\\c/d");
        check(r#""\b\f\n\r\t""#, "\u{8}\u{c}\n\r\t");
        check(r#""\u00e9\u20AC\uD83D\ude00!""#, "é€😀!");
        for bad in
            [r#""\x""#, r#""\u12""#, r#""\u12g4""#, r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#]
        {
            assert!(Cursor::record(bad).string().is_err(), "{bad}");
        }
    }

    #[test]
    fn short_integers_end_where_numbers_end() {
        let check = |text: &str, expected| {
            assert_eq!(Cursor::record(text).short_integer(), expected, "{text}");
        };
        check("0,", Some(0));
        check("-12}", Some(-12));
        check("999999999999999999", Some(999_999_999_999_999_999));
        for other in ["1000000000000000000", "01", "-", "1.5", "1e3", "x", ""] {
            check(other, None);
        }
    }
}
