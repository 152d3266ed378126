//! Names of objects as they are written: `table`, `database.table` or all three parts.

use std::fmt;

use sqlparser::ast::ObjectName;
use sqlparser::parser::{Parser, ParserError};

use crate::error::Span;

/// A name of one to three parts, with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// The parts, as written, without quotes.
    pub parts: Vec<String>,
    /// Where it stands.
    pub span: Option<Span>,
}

impl Name {
    /// A name that is not from a text.
    pub fn new<I: Into<String>>(parts: impl IntoIterator<Item = I>) -> Self {
        Self { parts: parts.into_iter().map(Into::into).collect(), span: None }
    }

    pub(crate) fn parse(parser: &mut Parser) -> Result<Self, ParserError> {
        let start = parser.peek_token();
        let name = Self::from_object(&parser.parse_object_name(false)?);
        if name.parts.is_empty() || name.parts.len() > 3 {
            return parser.expected("a name of one to three parts", start);
        }
        Ok(name)
    }

    pub(crate) fn from_object(name: &ObjectName) -> Self {
        let idents: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        let parts = idents.iter().map(|ident| ident.value.clone()).collect();
        let span = match (idents.first(), idents.last()) {
            (Some(first), Some(last)) => Span::from_parser(sqlparser::tokenizer::Span {
                start: first.span.start,
                end: last.span.end,
            }),
            _ => None,
        };
        Self { parts, span }
    }

    /// The last part.
    pub fn last(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.join("."))
    }
}
