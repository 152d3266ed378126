//! `INSERT INTO` and statement sets.

use sqlparser::ast::{Ident, Query};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::name::Name;
use super::{expect_words, parse_word};

/// `INSERT INTO table [(columns)] query`.
#[derive(Clone, PartialEq, Debug)]
pub struct Insert {
    /// The table that takes the rows.
    pub table: Name,
    /// The columns that the query fills, in its order; empty for all.
    pub columns: Vec<Ident>,
    /// What gives the rows.
    pub query: Box<Query>,
}

impl Insert {
    pub(crate) fn parse(parser: &mut Parser) -> Result<Self, ParserError> {
        expect_words(parser, &["INSERT"])?;
        let token = parser.peek_token();
        if parse_word(parser, "OVERWRITE") {
            return parser.expected("INTO (INSERT OVERWRITE needs a batch sink)", token);
        }
        parser.expect_keyword_is(Keyword::INTO)?;
        let _ = parser.parse_keyword(Keyword::TABLE);
        let table = Name::parse(parser)?;
        let columns = if parser.peek_token_ref().token == Token::LParen
            && !starts_query(&parser.peek_nth_token(1).token)
        {
            parser.next_token();
            let columns = parser.parse_comma_separated(|parser| parser.parse_identifier())?;
            parser.expect_token(&Token::RParen)?;
            columns
        } else {
            Vec::new()
        };
        Ok(Self { table, columns, query: parser.parse_query()? })
    }
}

fn starts_query(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES)
        }
        Token::LParen => true,
        _ => false,
    }
}

/// `STATEMENT SET [BEGIN] [;] INSERT ...; INSERT ...; END`.
pub(crate) fn parse_statement_set(parser: &mut Parser) -> Result<Vec<Insert>, ParserError> {
    expect_words(parser, &["STATEMENT", "SET"])?;
    parse_word(parser, "BEGIN");
    let mut inserts = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        if parse_word(parser, "END") {
            break;
        }
        inserts.push(Insert::parse(parser)?);
        let found = parser.peek_token();
        if found.token != Token::SemiColon && !super::is_word(&found.token, "END") {
            return parser.expected("';' or END in the statement set", found);
        }
    }
    if inserts.is_empty() {
        return parser.expected("at least one INSERT in the statement set", parser.peek_token());
    }
    Ok(inserts)
}
