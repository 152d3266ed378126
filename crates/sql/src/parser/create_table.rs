//! `CREATE TABLE`: columns, watermark, primary key and the connector's options.

use sqlparser::ast::{Expr, Ident};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::name::Name;
use super::{
    Source, data_type, expect_words, parse_comment, parse_if_not_exists, parse_string, parse_word,
    peek_word,
};
use crate::error::Span;
use crate::types::SqlType;

/// A table's definition as it was written.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateTable {
    /// The name.
    pub name: Name,
    /// `TEMPORARY`: gone with the process.
    pub temporary: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Columns, in order.
    pub columns: Vec<TableColumn>,
    /// `WATERMARK FOR`, at most one.
    pub watermark: Option<WatermarkDefinition>,
    /// Columns of the primary key; empty where there is none.
    pub primary_key: Vec<Ident>,
    /// `COMMENT` of the table.
    pub comment: Option<String>,
    /// `PARTITIONED BY`.
    pub partitioned_by: Vec<Ident>,
    /// `WITH (...)`, with the place of each key.
    pub options: Vec<(String, String, Option<Span>)>,
    /// `LIKE other`: takes columns, watermark, key and options of another table.
    pub like: Option<Name>,
    /// The whole definition, as written.
    pub text: String,
}

/// A column of a table.
#[derive(Clone, PartialEq, Debug)]
pub struct TableColumn {
    /// Its name.
    pub name: Ident,
    /// Where its values come from.
    pub kind: ColumnKind,
    /// `COMMENT`.
    pub comment: Option<String>,
}

/// Where a column's values come from.
#[derive(Clone, PartialEq, Debug)]
pub enum ColumnKind {
    /// The stored row.
    Physical {
        /// Its type.
        sql_type: SqlType,
        /// Not `NOT NULL`.
        nullable: bool,
    },
    /// `name AS expression`.
    Computed {
        /// The expression.
        expr: Box<Expr>,
        /// It, as written.
        text: String,
    },
    /// `name type METADATA [FROM 'key'] [VIRTUAL]`.
    Metadata {
        /// Its type.
        sql_type: SqlType,
        /// Not `NOT NULL`.
        nullable: bool,
        /// Name of the connector's metadata.
        key: String,
        /// Not written to a sink.
        is_virtual: bool,
    },
}

/// `WATERMARK FOR column AS expression`.
#[derive(Clone, PartialEq, Debug)]
pub struct WatermarkDefinition {
    /// The event-time column.
    pub column: Ident,
    /// The watermark of a row.
    pub expr: Box<Expr>,
    /// It, as written.
    pub text: String,
}

impl CreateTable {
    /// After `CREATE [TEMPORARY] TABLE`.
    pub(crate) fn parse(
        parser: &mut Parser,
        source: &Source<'_>,
        start: usize,
        temporary: bool,
    ) -> Result<Self, ParserError> {
        let if_not_exists = parse_if_not_exists(parser);
        let mut table = Self {
            name: Name::parse(parser)?,
            temporary,
            if_not_exists,
            columns: Vec::new(),
            watermark: None,
            primary_key: Vec::new(),
            comment: None,
            partitioned_by: Vec::new(),
            options: Vec::new(),
            like: None,
            text: String::new(),
        };
        if parser.consume_token(&Token::LParen) && !parser.consume_token(&Token::RParen) {
            loop {
                table.parse_item(parser, source)?;
                if !parser.consume_token(&Token::Comma) {
                    break;
                }
            }
            let found = parser.peek_token();
            if !parser.consume_token(&Token::RParen) {
                return parser.expected("',' or ')' after a column definition", found);
            }
        }
        table.parse_tail(parser)?;
        table.text = source.since(start, parser);
        Ok(table)
    }

    fn parse_item(&mut self, parser: &mut Parser, source: &Source<'_>) -> Result<(), ParserError> {
        let ahead = parser.peek_nth_token(1);
        if peek_word(parser, "WATERMARK") && super::is_word(&ahead.token, "FOR") {
            return self.parse_watermark(parser, source);
        }
        if peek_word(parser, "CONSTRAINT") && matches!(ahead.token, Token::Word(_)) {
            parser.next_token();
            parser.parse_identifier()?;
            return self.parse_primary_key(parser);
        }
        if peek_word(parser, "PRIMARY") && super::is_word(&ahead.token, "KEY") {
            return self.parse_primary_key(parser);
        }
        self.parse_column(parser, source)
    }

    fn parse_watermark(
        &mut self,
        parser: &mut Parser,
        source: &Source<'_>,
    ) -> Result<(), ParserError> {
        let token = parser.next_token();
        if self.watermark.is_some() {
            return parser.expected("at most one WATERMARK", token);
        }
        expect_words(parser, &["FOR"])?;
        let column = parser.parse_identifier()?;
        expect_words(parser, &["AS"])?;
        let start = parser.index();
        let expr = Box::new(parser.parse_expr()?);
        let text = source.since(start, parser);
        self.watermark = Some(WatermarkDefinition { column, expr, text });
        Ok(())
    }

    fn parse_primary_key(&mut self, parser: &mut Parser) -> Result<(), ParserError> {
        let token = parser.peek_token();
        expect_words(parser, &["PRIMARY", "KEY"])?;
        if !self.primary_key.is_empty() {
            return parser.expected("at most one PRIMARY KEY", token);
        }
        parser.expect_token(&Token::LParen)?;
        self.primary_key = parser.parse_comma_separated(|parser| parser.parse_identifier())?;
        parser.expect_token(&Token::RParen)?;
        parse_not_enforced(parser)
    }

    fn parse_column(
        &mut self,
        parser: &mut Parser,
        source: &Source<'_>,
    ) -> Result<(), ParserError> {
        let name = parse_column_name(parser)?;
        if parser.parse_keyword(Keyword::AS) {
            let start = parser.index();
            let expr = Box::new(parser.parse_expr()?);
            let kind = ColumnKind::Computed { expr, text: source.since(start, parser) };
            let comment = parse_comment(parser)?;
            self.columns.push(TableColumn { name, kind, comment });
            return Ok(());
        }
        let declared = data_type::parse(parser)?;
        let (sql_type, mut nullable) = (declared.sql_type, declared.nullable);
        if peek_word(parser, "METADATA") {
            let kind = parse_metadata(parser, &name, sql_type, nullable)?;
            let comment = parse_comment(parser)?;
            self.columns.push(TableColumn { name, kind, comment });
            return Ok(());
        }
        let token = parser.peek_token();
        if parser.parse_keywords(&[Keyword::PRIMARY, Keyword::KEY]) {
            if !self.primary_key.is_empty() {
                return parser.expected("at most one PRIMARY KEY", token);
            }
            parse_not_enforced(parser)?;
            self.primary_key.push(name.clone());
        }
        if parser.parse_keywords(&[Keyword::NOT, Keyword::NULL]) {
            nullable = false;
        }
        let comment = parse_comment(parser)?;
        self.columns.push(TableColumn {
            name,
            kind: ColumnKind::Physical { sql_type, nullable },
            comment,
        });
        Ok(())
    }

    /// What follows the columns, in any order.
    fn parse_tail(&mut self, parser: &mut Parser) -> Result<(), ParserError> {
        loop {
            if let Some(comment) = parse_comment(parser)? {
                self.comment = Some(comment);
            } else if parse_word(parser, "PARTITIONED") {
                expect_words(parser, &["BY"])?;
                parser.expect_token(&Token::LParen)?;
                self.partitioned_by =
                    parser.parse_comma_separated(|parser| parser.parse_identifier())?;
                parser.expect_token(&Token::RParen)?;
            } else if parser.parse_keyword(Keyword::WITH) {
                self.options = parse_options(parser)?;
            } else if parser.parse_keyword(Keyword::LIKE) {
                self.like = Some(Name::parse(parser)?);
                if parser.peek_token_ref().token == Token::LParen {
                    let found = parser.peek_token();
                    return parser.expected("LIKE without options such as EXCLUDING", found);
                }
            } else {
                return Ok(());
            }
        }
    }
}

/// Any word: column names such as `key`, `value`, `day` or `timestamp` need no quotes.
fn parse_column_name(parser: &mut Parser) -> Result<Ident, ParserError> {
    let token = parser.peek_token();
    match token.token {
        Token::Word(word) => {
            parser.next_token();
            Ok(word.into_ident(token.span))
        }
        _ => parser.expected("a column name", token),
    }
}

fn parse_not_enforced(parser: &mut Parser) -> Result<(), ParserError> {
    let token = parser.peek_token();
    if parse_word(parser, "NOT") && parse_word(parser, "ENFORCED") {
        return Ok(());
    }
    parser.expected("NOT ENFORCED after the primary key (the data is not checked)", token)
}

fn parse_metadata(
    parser: &mut Parser,
    name: &Ident,
    sql_type: SqlType,
    nullable: bool,
) -> Result<ColumnKind, ParserError> {
    parser.next_token();
    let key = if parser.parse_keyword(Keyword::FROM) {
        parse_string(parser)?
    } else {
        name.value.clone()
    };
    let is_virtual = parse_word(parser, "VIRTUAL");
    Ok(ColumnKind::Metadata { sql_type, nullable, key, is_virtual })
}

/// `('key' = 'value', ...)`.
pub(crate) fn parse_options(
    parser: &mut Parser,
) -> Result<Vec<(String, String, Option<Span>)>, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let mut options = Vec::new();
    while !parser.consume_token(&Token::RParen) {
        let span = Span::from_parser(parser.peek_token().span);
        let key = parse_string(parser)?;
        parser.expect_token(&Token::Eq)?;
        let value = parse_string(parser)?;
        options.push((key, value, span));
        if !parser.consume_token(&Token::Comma) {
            parser.expect_token(&Token::RParen)?;
            break;
        }
    }
    Ok(options)
}
