//! What stands in braces behind a verb: `{hex}`, `{big32}`, `{go[2006]}`, `{unpack[>I]}`.

use regex::bytes::Regex;

use super::FormatError;
use super::format::{NumberField, What};
use super::number::{NUMBERS, NumberEncoding};
use super::text::{TEXTS, TextEncoding};
use super::time::TimeEncoding;
use super::unpack::Pack;

/// Longest number that `{N}` digits may have.
const DIGITS_MAX: usize = 18;

/// A modifier and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Modifier<'a> {
    /// The whole format string, and the byte at which the modifier begins in it.
    pub(super) format: &'a str,
    pub(super) at: usize,
    pub(super) text: &'a str,
}

impl<'a> Modifier<'a> {
    fn wrong(self, offset: usize, message: impl Into<String>) -> FormatError {
        FormatError::new(self.format, self.at + offset, message)
    }

    /// For topic, key and value. `reading` is for the format of an input.
    pub(super) fn of_text(self, reading: bool) -> Result<TextEncoding, FormatError> {
        if let Some((_, encoding)) = TEXTS.iter().find(|(name, _)| *name == self.text) {
            return Ok(encoding.clone());
        }
        if let Some((pack, offset)) = self.argument("unpack")?
            && !reading
        {
            let pack = Pack::parse(pack);
            return pack
                .map(TextEncoding::Unpack)
                .map_err(|(at, message)| self.wrong(offset + at, message));
        }
        if let Some((expression, offset)) = self.argument("re")?
            && reading
        {
            // The match has to begin where the field does.
            let anchored = Regex::new(&format!("^(?:{expression})"));
            return anchored.map(TextEncoding::Regex).map_err(|error| {
                self.wrong(offset, format!("'{expression}' is no regular expression: {error}"))
            });
        }
        let last = if reading { "re[...]" } else { "unpack[...]" };
        Err(self.wrong(
            0,
            format!("'{}' is not known for bytes; {}, {last} are", self.text, names(TEXTS)),
        ))
    }

    /// For numbers.
    pub(super) fn of_number(self, reading: bool) -> Result<NumberEncoding, FormatError> {
        if let Some((_, encoding)) = NUMBERS.iter().find(|(name, _)| *name == self.text) {
            return Ok(*encoding);
        }
        match self.text.parse::<usize>() {
            Ok(digits) if reading && (1..=DIGITS_MAX).contains(&digits) => {
                Ok(NumberEncoding::Digits(digits))
            }
            Ok(_) if reading => Err(self.wrong(0, format!("1 to {DIGITS_MAX} digits can be read"))),
            _ => Err(self.wrong(
                0,
                format!("'{}' is not known for numbers; {} are", self.text, names(NUMBERS)),
            )),
        }
    }

    /// For the timestamp: a date, or a number.
    pub(super) fn of_time(self, reading: bool) -> Result<What, FormatError> {
        let time = match (self.argument("strftime")?, self.argument("go")?) {
            (Some((format, offset)), _) => Some((TimeEncoding::strftime(format), offset)),
            (_, Some((layout, offset))) => Some((TimeEncoding::go(layout), offset)),
            _ => None,
        };
        match time {
            Some(_) if reading => {
                Err(self.wrong(0, "a timestamp is read as a number of milliseconds only"))
            }
            Some((Ok(time), _)) => Ok(What::Time(time)),
            Some((Err(message), offset)) => Err(self.wrong(offset, message)),
            None => Ok(What::Number(NumberField::Timestamp, self.of_number(reading)?)),
        }
    }

    /// For `%a`.
    pub(super) fn of_attribute(self) -> Result<What, FormatError> {
        let (name, form) = self.text.split_once(';').unwrap_or((self.text, "ascii"));
        if name != "timestamp-type" {
            return Err(self.wrong(
                0,
                format!(
                    "'{name}' cannot be printed: the Kafka client hands records out without it; \
                     timestamp-type can"
                ),
            ));
        }
        let at = self.at + self.text.len() - form.len().min(self.text.len());
        let form = Modifier { at, text: form, ..self };
        Ok(What::Number(NumberField::TimestampType, form.of_number(false)?))
    }

    /// The argument of `name[...]`, and where it begins in the modifier. It is wrapped in
    /// any number of the same bracket, brace or `#`.
    fn argument(self, name: &str) -> Result<Option<(&'a str, usize)>, FormatError> {
        let Some(wrapped) = self.text.strip_prefix(name) else {
            return Ok(None);
        };
        let Some(open) = wrapped.chars().next() else {
            return Err(self.wrong(0, format!("'{name}' needs an argument, as in {name}[...]")));
        };
        let close = match open {
            '[' => ']',
            '{' => '}',
            '(' => ')',
            '#' => '#',
            _ => return Ok(None),
        };
        let depth = wrapped.chars().take_while(|c| *c == open).count();
        // "##" alone opens and closes with nothing between.
        let depth = if open == '#' { depth.min(wrapped.len() / 2).max(1) } else { depth };
        let closed =
            wrapped.len() >= 2 * depth && wrapped.chars().rev().take(depth).all(|c| c == close);
        if !closed {
            let end = close.to_string().repeat(depth);
            return Err(self.wrong(name.len(), format!("'{name}' has no closing '{end}'")));
        }
        Ok(Some((&wrapped[depth..wrapped.len() - depth], name.len() + depth)))
    }
}

fn names<T>(list: &[(&str, T)]) -> String {
    list.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
