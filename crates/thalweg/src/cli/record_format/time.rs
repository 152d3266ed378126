//! How timestamps are written: by a Go layout or by strftime, in UTC.

use chrono::DateTime;
use chrono::format::{Item, StrftimeItems};

/// A date format that chrono knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeEncoding(String);

/// Pieces of a Go layout (package time) and their strftime form. Longer ones come before
/// their own beginnings. Times are UTC, so zones are fixed text.
const GO_LAYOUT: &[(&str, &str)] = &[
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("MST", "UTC"),
    ("2006", "%Y"),
    ("Z07:00", "Z"),
    ("Z0700", "Z"),
    ("-07:00", "+00:00"),
    ("-0700", "+0000"),
    ("-07", "+00"),
    (".000000000", "%.9f"),
    (".000000", "%.6f"),
    (".000", "%.3f"),
    ("002", "%j"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("pm", "%P"),
    ("_2", "%e"),
    ("1", "%-m"),
    ("2", "%-d"),
    ("3", "%-I"),
    ("4", "%-M"),
    ("5", "%-S"),
    ("%", "%%"),
];

impl TimeEncoding {
    /// A strftime format.
    ///
    /// # Errors
    /// That it has a conversion which is not known.
    pub(super) fn strftime(format: &str) -> Result<Self, String> {
        if StrftimeItems::new(format).any(|item| item == Item::Error) {
            return Err(format!("'{format}' has a conversion that strftime does not know"));
        }
        Ok(Self(format.to_owned()))
    }

    /// A Go layout such as `2006-01-02T15:04:05Z07:00`.
    ///
    /// # Errors
    /// Fractions of a second that leave out zeros are not supported.
    pub(super) fn go(layout: &str) -> Result<Self, String> {
        if layout.contains(".9") || layout.contains(",9") {
            return Err("fractions of a second are written .000 here, not .999".to_owned());
        }
        let mut format = String::new();
        let mut rest = layout;
        while let Some(first) = rest.chars().next() {
            let piece = GO_LAYOUT.iter().find(|(piece, _)| rest.starts_with(piece));
            match piece {
                Some((piece, meaning)) => {
                    format.push_str(meaning);
                    rest = &rest[piece.len()..];
                }
                None => {
                    format.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        Self::strftime(&format)
    }

    /// Appends milliseconds since the Unix epoch as a date; as a number where no date is
    /// that far away.
    pub(super) fn write(&self, millis: i64, out: &mut Vec<u8>) {
        let text = match DateTime::from_timestamp_millis(millis) {
            Some(time) => time.format(&self.0).to_string(),
            None => millis.to_string(),
        };
        out.extend_from_slice(text.as_bytes());
    }
}
