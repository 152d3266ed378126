//! `CREATE VIEW` and `CREATE MATERIALIZED VIEW`.

use sqlparser::ast::{Ident, Query};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::create_table::parse_options;
use super::name::Name;
use super::{Source, parse_comment, parse_if_not_exists};

/// A view: a name for a query.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateView {
    /// The name.
    pub name: Name,
    /// `TEMPORARY`.
    pub temporary: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Other names for the columns; empty keeps those of the query.
    pub columns: Vec<Ident>,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// The query.
    pub query: Box<Query>,
    /// The whole definition, as written.
    pub text: String,
}

/// A materialized view: a job whose result is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateMaterializedView {
    /// The name.
    pub name: Name,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Other names for the columns; empty keeps those of the query.
    pub columns: Vec<Ident>,
    /// `WITH (...)`.
    pub options: Vec<(String, String)>,
    /// The query.
    pub query: Box<Query>,
    /// The whole definition, as written.
    pub text: String,
}

impl CreateView {
    /// After `CREATE [TEMPORARY] VIEW`.
    pub(crate) fn parse(
        parser: &mut Parser,
        source: &Source<'_>,
        start: usize,
        temporary: bool,
    ) -> Result<Self, ParserError> {
        let if_not_exists = parse_if_not_exists(parser);
        let name = Name::parse(parser)?;
        let columns = parse_columns(parser)?;
        let comment = parse_comment(parser)?;
        parser.expect_keyword_is(Keyword::AS)?;
        let query = parser.parse_query()?;
        let text = source.since(start, parser);
        Ok(Self { name, temporary, if_not_exists, columns, comment, query, text })
    }
}

impl CreateMaterializedView {
    /// After `CREATE MATERIALIZED VIEW`.
    pub(crate) fn parse(
        parser: &mut Parser,
        source: &Source<'_>,
        start: usize,
    ) -> Result<Self, ParserError> {
        let if_not_exists = parse_if_not_exists(parser);
        let name = Name::parse(parser)?;
        let columns = parse_columns(parser)?;
        let options = if parser.parse_keyword(Keyword::WITH) {
            parse_options(parser)?.into_iter().map(|(key, value, _)| (key, value)).collect()
        } else {
            Vec::new()
        };
        parser.expect_keyword_is(Keyword::AS)?;
        let query = parser.parse_query()?;
        let text = source.since(start, parser);
        Ok(Self { name, if_not_exists, columns, options, query, text })
    }
}

fn parse_columns(parser: &mut Parser) -> Result<Vec<Ident>, ParserError> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(Vec::new());
    }
    let columns = parser.parse_comma_separated(|parser| {
        let name = parser.parse_identifier()?;
        parse_comment(parser)?;
        Ok(name)
    })?;
    parser.expect_token(&Token::RParen)?;
    Ok(columns)
}
