//! The format strings of `thalweg consume -f`: those of rpk, with kcat's `%s`, `%S`, `%K`.
//!
//! `%t` topic, `%p` partition, `%o` offset, `%k` key, `%v` or `%s` value, `%d` timestamp in
//! milliseconds, `%h` headers as `k=v,...`, `%K` and `%S` lengths of key and value (-1 for
//! null), `%%` a percent sign; `%k{hex}` and `%v{hex}` print bytes as hexadecimal digits.
//! `\n`, `\t`, `\r`, `\0`, `\\` are what they are in most languages.

use krafka::consumer::ConsumerRecord;

/// A parsed format string.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConsumeFormat(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Headers,
    Key { hex: bool },
    Value { hex: bool },
    KeyLength,
    ValueLength,
}

impl ConsumeFormat {
    /// Parses a format string; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            rest = &rest[first.len_utf8()..];
            match first {
                '%' => match directive(&mut rest)? {
                    None => literal.push(b'%'),
                    Some(part) => {
                        if !literal.is_empty() {
                            parts.push(Part::Text(std::mem::take(&mut literal)));
                        }
                        parts.push(part);
                    }
                },
                '\\' => literal.push(escape(&mut rest)?),
                other => literal.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    /// Appends a record.
    pub(crate) fn write(&self, record: &ConsumerRecord, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Topic => out.extend_from_slice(record.topic.as_bytes()),
                Part::Partition => out.extend_from_slice(record.partition.to_string().as_bytes()),
                Part::Offset => out.extend_from_slice(record.offset.to_string().as_bytes()),
                Part::Timestamp => out.extend_from_slice(record.timestamp.to_string().as_bytes()),
                Part::Headers => write_headers(record, out),
                Part::Key { hex } => write_bytes(record.key.as_deref(), *hex, out),
                Part::Value { hex } => write_bytes(record.value.as_deref(), *hex, out),
                Part::KeyLength => write_length(record.key.as_deref(), out),
                Part::ValueLength => write_length(record.value.as_deref(), out),
            }
        }
    }
}

fn directive(rest: &mut &str) -> Result<Option<Part>, String> {
    let Some(letter) = rest.chars().next() else {
        return Err("a format ends in '%'; write '%%' for a percent sign".to_owned());
    };
    *rest = &rest[letter.len_utf8()..];
    let mut hex = false;
    if let Some(after) = rest.strip_prefix('{') {
        let Some((modifier, after)) = after.split_once('}') else {
            return Err(format!("'%{letter}{{' has no closing '}}'"));
        };
        if modifier != "hex" || !matches!(letter, 'k' | 'v' | 's') {
            return Err(format!(
                "'%{letter}{{{modifier}}}' is not known; %k{{hex}}, %v{{hex}} are"
            ));
        }
        hex = true;
        *rest = after;
    }
    Ok(Some(match letter {
        '%' => return Ok(None),
        't' => Part::Topic,
        'p' => Part::Partition,
        'o' => Part::Offset,
        'd' | 'T' => Part::Timestamp,
        'h' => Part::Headers,
        'k' => Part::Key { hex },
        'v' | 's' => Part::Value { hex },
        'K' => Part::KeyLength,
        'V' | 'S' => Part::ValueLength,
        other => return Err(format!("'%{other}' is not known; use %t %p %o %k %v %d %h %K %S")),
    }))
}

fn escape(rest: &mut &str) -> Result<u8, String> {
    let Some(letter) = rest.chars().next() else {
        return Err("a format ends in '\\'".to_owned());
    };
    *rest = &rest[letter.len_utf8()..];
    Ok(match letter {
        'n' => b'\n',
        't' => b'\t',
        'r' => b'\r',
        '0' => 0,
        '\\' => b'\\',
        other => return Err(format!("'\\{other}' is not known; use \\n \\t \\r \\0 \\\\")),
    })
}

fn write_bytes(bytes: Option<&[u8]>, hex: bool, out: &mut Vec<u8>) {
    match (bytes, hex) {
        (None, _) => out.extend_from_slice(b"null"),
        (Some(bytes), false) => out.extend_from_slice(bytes),
        (Some(bytes), true) => {
            for byte in bytes {
                out.extend_from_slice(format!("{byte:02x}").as_bytes());
            }
        }
    }
}

fn write_length(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    let length = bytes.map_or(-1, |bytes| bytes.len() as i64);
    out.extend_from_slice(length.to_string().as_bytes());
}

fn write_headers(record: &ConsumerRecord, out: &mut Vec<u8>) {
    for (index, header) in record.headers.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(header.0.as_bytes());
        out.push(b'=');
        write_bytes(header.1.as_deref(), false, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(format: &str) -> String {
        let record = ConsumerRecord::new("t", 2, 7, Some(vec![b'k'].into()), None);
        let mut out = Vec::new();
        ConsumeFormat::parse(format).expect("format").write(&record, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn directives_and_escapes() {
        assert_eq!(formatted("%t/%p@%o %k=%v\\n"), "t/2@7 k=null\n");
        assert_eq!(formatted("%k{hex} %K %S 100%%"), "6b 1 -1 100%");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(ConsumeFormat::parse("%q").expect_err("error").contains("%q"));
        assert!(ConsumeFormat::parse("%k{base9}").expect_err("error").contains("base9"));
        assert!(ConsumeFormat::parse("%").is_err());
        assert!(ConsumeFormat::parse("\\").is_err());
    }
}
