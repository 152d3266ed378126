//! From a format string to its parts.

use super::FormatError;
use super::escape::escape;
use super::format::{Format, NumberField, Part, TextField, What};
use super::modifier::Modifier;
use super::number::NumberEncoding;
use super::text::TextEncoding;
use super::verbs::{Field, VERBS, Verb, known};

/// What a format string is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
    /// Of one header, inside `%h{...}`; the flag is that of reading.
    Header {
        reading: bool,
    },
}

impl Use {
    fn reads(self) -> bool {
        matches!(self, Self::Read | Self::Header { reading: true })
    }
}

impl Format {
    /// Parses the format of an output.
    ///
    /// # Errors
    /// What is wrong with it, under a caret.
    pub(crate) fn for_writing(text: &str) -> Result<Self, FormatError> {
        parse(text, Use::Write)
    }

    /// Parses the format of an input.
    ///
    /// # Errors
    /// What is wrong with it, under a caret.
    pub(super) fn for_reading(text: &str) -> Result<Self, FormatError> {
        parse(text, Use::Read)
    }

    /// Whether records have to come with their partition's offsets.
    pub(crate) fn needs_watermarks(&self) -> bool {
        use NumberField::{HighWatermark, LastStable, LogStart};
        self.parts
            .iter()
            .any(|part| matches!(part.what, What::Number(LogStart | LastStable | HighWatermark, _)))
    }
}

fn parse(text: &str, purpose: Use) -> Result<Format, FormatError> {
    let mut parts = Vec::new();
    let mut literal = Vec::new();
    let mut literal_at = 0;
    let mut at = 0;
    while at < text.len() {
        if literal.is_empty() {
            literal_at = at;
        }
        match text.as_bytes()[at] {
            b'\\' => {
                let (byte, taken) = escape(text, at)?;
                literal.push(byte);
                at += taken;
            }
            b'%' => {
                let (verb, modifier, after) = directive(text, at)?;
                if verb.field == Field::Character {
                    literal.push(verb.letter as u8);
                } else {
                    if !literal.is_empty() {
                        let what = What::Literal(std::mem::take(&mut literal));
                        parts.push(Part { what, at: literal_at });
                    }
                    parts.push(Part { what: meaning(text, at, verb, modifier, purpose)?, at });
                }
                at = after;
            }
            byte => {
                literal.push(byte);
                at += 1;
            }
        }
    }
    if !literal.is_empty() {
        parts.push(Part { what: What::Literal(literal), at: literal_at });
    }
    Ok(Format { parts, text: text.to_owned() })
}

/// The verb at byte `at`, its modifier, and where the text goes on.
fn directive(
    text: &str,
    at: usize,
) -> Result<(&'static Verb, Option<Modifier<'_>>, usize), FormatError> {
    let Some(letter) = text[at + 1..].chars().next() else {
        return Err(FormatError::new(text, at, "a format ends in '%'; write '%%' for the sign"));
    };
    if matches!(letter, 'x' | 'y') {
        let message = "the Kafka client hands records out without producer id and epoch";
        return Err(FormatError::new(text, at, message));
    }
    let Some(verb) = VERBS.iter().find(|verb| verb.letter == letter) else {
        let message = format!("'%{letter}' is not known; there are {}", known());
        return Err(FormatError::new(text, at, message));
    };
    let open = at + 2;
    if verb.field == Field::Character || !text[open..].starts_with('{') {
        return Ok((verb, None, open));
    }
    let Some(length) = closing_brace(&text[open + 1..]) else {
        let message = "this brace is not closed; write '%{' for the character";
        return Err(FormatError::new(text, open, message));
    };
    let modifier =
        Modifier { format: text, at: open + 1, text: &text[open + 1..open + 1 + length] };
    Ok((verb, Some(modifier), open + 1 + length + 1))
}

/// Bytes before the brace that closes what began before `text`. Braces nest; `%{` and `%}`
/// are characters.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'%' | b'\\' => drop(bytes.next()),
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn meaning(
    text: &str,
    at: usize,
    verb: &Verb,
    modifier: Option<Modifier<'_>>,
    purpose: Use,
) -> Result<What, FormatError> {
    let wrong = |message: String| Err(FormatError::new(text, at, message));
    let letter = verb.letter;
    if purpose.reads() && !verb.reads {
        return wrong(format!("'%{letter}' ({}) can be printed, not read", verb.meaning));
    }
    if matches!(purpose, Use::Header { .. }) && !"kKvVsS".contains(letter) {
        return wrong(format!("'%{letter}' is not known in a header; there are %k %K %v %V"));
    }
    let number = |field| {
        let encoding = modifier.map_or(Ok(NumberEncoding::Ascii), |m| m.of_number(purpose.reads()));
        Ok(What::Number(field, encoding?))
    };
    match verb.field {
        Field::Text(field) => {
            let encoding =
                modifier.map_or(Ok(TextEncoding::Raw), |m| m.of_text(purpose.reads()))?;
            if field == TextField::Topic && matches!(encoding, TextEncoding::Unpack(_)) {
                return wrong("a topic is text: it cannot be unpacked".to_owned());
            }
            Ok(What::Text(field, encoding))
        }
        Field::Number(field) => number(field),
        Field::Big32(field) => match modifier {
            None => Ok(What::Number(field, NumberEncoding::Big(4))),
            Some(_) => wrong("'%R' takes no modifier; '%S' does".to_owned()),
        },
        Field::Timestamp => match modifier {
            None => number(NumberField::Timestamp),
            Some(modifier) => modifier.of_time(purpose.reads()),
        },
        Field::Attribute => match modifier {
            None => wrong("'%a' needs to know which: %a{timestamp-type}".to_owned()),
            Some(modifier) => modifier.of_attribute(),
        },
        Field::Headers => match modifier {
            None if purpose.reads() => {
                wrong("headers are read with their number and format: %H{1}%h{%k=%v;}".to_owned())
            }
            None => Ok(What::HeaderList),
            Some(inner) => {
                let inside = Use::Header { reading: purpose.reads() };
                let format = parse(inner.text, inside);
                format.map(What::Headers).map_err(|error| error.inside(text, inner.at))
            }
        },
        // Characters are literal text.
        Field::Character => Ok(What::Literal(vec![letter as u8])),
    }
}
