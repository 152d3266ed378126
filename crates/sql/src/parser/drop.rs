//! `DROP`.

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

use super::name::Name;
use super::parse_word;

/// Kinds of catalog objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectKind {
    /// A table of a connector.
    Table,
    /// A named query.
    View,
    /// A kept result.
    MaterializedView,
    /// A named function.
    Function,
    /// A database.
    Database,
}

impl ObjectKind {
    /// As it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Function => "function",
            Self::Database => "database",
        }
    }
}

/// `DROP kind [IF EXISTS] name`.
#[derive(Clone, PartialEq, Debug)]
pub struct Drop {
    /// What kind of object.
    pub kind: ObjectKind,
    /// Its name.
    pub name: Name,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// `CASCADE`.
    pub cascade: bool,
}

impl Drop {
    pub(crate) fn parse(parser: &mut Parser) -> Result<Self, ParserError> {
        parser.next_token();
        let _ = parse_word(parser, "TEMPORARY") && parse_word(parser, "SYSTEM");
        let kind = if parser.parse_keyword(Keyword::TABLE) {
            ObjectKind::Table
        } else if parser.parse_keyword(Keyword::VIEW) {
            ObjectKind::View
        } else if parser.parse_keywords(&[Keyword::MATERIALIZED, Keyword::VIEW]) {
            ObjectKind::MaterializedView
        } else if parser.parse_keyword(Keyword::FUNCTION) {
            ObjectKind::Function
        } else if parser.parse_keyword(Keyword::DATABASE) {
            ObjectKind::Database
        } else {
            return parser.expected(
                "TABLE, VIEW, MATERIALIZED VIEW, FUNCTION or DATABASE after DROP",
                parser.peek_token(),
            );
        };
        let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let name = Name::parse(parser)?;
        let cascade = parser.parse_keyword(Keyword::CASCADE);
        if !cascade {
            let _ = parser.parse_keyword(Keyword::RESTRICT);
        }
        Ok(Self { kind, name, if_exists, cascade })
    }
}
