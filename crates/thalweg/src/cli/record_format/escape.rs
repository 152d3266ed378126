//! Backslash escapes: `\n`, `\t`, `\r`, `\0`, `\\`, `\xNN`.

use super::FormatError;

/// Reads the escape whose backslash is at byte `at` of `text`: the byte it means and
/// how many bytes it takes there.
pub(super) fn escape(text: &str, at: usize) -> Result<(u8, usize), FormatError> {
    let wrong = |message: &str| Err(FormatError::new(text, at, message));
    let rest = &text[at + 1..];
    let Some(letter) = rest.chars().next() else {
        return wrong("a '\\' at the end escapes nothing; write '\\\\' for a backslash");
    };
    let byte = match letter {
        'n' => b'\n',
        't' => b'\t',
        'r' => b'\r',
        '0' => 0,
        '\\' => b'\\',
        'x' => {
            let digits = rest.get(1..3).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
            return match digits.map(|digits| u8::from_str_radix(digits, 16)) {
                Some(Ok(byte)) => Ok((byte, 4)),
                _ => wrong("'\\x' needs two hexadecimal digits, as in '\\x1f'"),
            };
        }
        other => {
            return wrong(&format!(
                "'\\{other}' is not known; there are \\n \\t \\r \\0 \\\\ \\xNN"
            ));
        }
    };
    Ok((byte, 2))
}

/// A text with its escapes replaced, as for delimiters.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text.as_bytes()[at] == b'\\' {
            let (byte, taken) = escape(text, at)?;
            bytes.push(byte);
            at += taken;
        } else {
            bytes.push(text.as_bytes()[at]);
            at += 1;
        }
    }
    Ok(bytes)
}
