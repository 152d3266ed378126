//! What is wrong with a format string, shown under a caret.

use std::fmt;

/// An error in a format string, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FormatError {
    /// The whole format string.
    text: String,
    /// Byte at which the mistake begins.
    at: usize,
    /// What is wrong, and what would be right.
    message: String,
}

impl FormatError {
    pub(crate) fn new(text: &str, at: usize, message: impl Into<String>) -> Self {
        Self { text: text.to_owned(), at: at.min(text.len()), message: message.into() }
    }

    /// The same mistake where the format is part of a longer one that has it at `offset`.
    pub(crate) fn inside(self, text: &str, offset: usize) -> Self {
        Self { text: text.to_owned(), at: self.at + offset, message: self.message }
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.text.get(..self.at).unwrap_or_default().chars().count();
        // Control characters would move the caret away from its place.
        let shown: String =
            self.text.chars().map(|c| if c.is_control() { '\u{b7}' } else { c }).collect();
        writeln!(f, "format string: {}", self.message)?;
        writeln!(f, "  {shown}")?;
        write!(f, "  {}^", " ".repeat(before))
    }
}

impl std::error::Error for FormatError {}
