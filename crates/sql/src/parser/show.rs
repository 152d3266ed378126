//! `SHOW`.

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::name::Name;
use super::{parse_string, parse_word};

/// `SHOW` something.
#[derive(Clone, PartialEq, Debug)]
pub enum Show {
    /// `SHOW TABLES [LIKE 'pattern']`: tables and views.
    Tables(Option<String>),
    /// `SHOW VIEWS`.
    Views,
    /// `SHOW MATERIALIZED VIEWS`.
    MaterializedViews,
    /// `SHOW JOBS`.
    Jobs,
    /// `SHOW JOB 'id or name'`.
    Job(String),
    /// `SHOW DATABASES`.
    Databases,
    /// `SHOW CATALOGS`.
    Catalogs,
    /// `SHOW [USER] FUNCTIONS`.
    Functions,
    /// `SHOW COLUMNS FROM table`.
    Columns(Name),
    /// `SHOW CREATE TABLE | VIEW | MATERIALIZED VIEW name`.
    Create(Name),
    /// `SHOW CURRENT DATABASE`.
    CurrentDatabase,
    /// `SHOW CURRENT CATALOG`.
    CurrentCatalog,
    /// Any other word: a setting, such as PostgreSQL's `server_version`.
    Setting(String),
}

impl Show {
    pub(crate) fn parse(parser: &mut Parser) -> Result<Self, ParserError> {
        parser.next_token();
        if parse_word(parser, "TABLES") {
            return Ok(Self::Tables(parse_like(parser)?));
        }
        if parse_word(parser, "VIEWS") {
            return Ok(Self::Views);
        }
        if parser.parse_keyword(Keyword::MATERIALIZED) {
            super::expect_words(parser, &["VIEWS"])?;
            return Ok(Self::MaterializedViews);
        }
        if parse_word(parser, "JOBS") {
            return Ok(Self::Jobs);
        }
        if parse_word(parser, "JOB") {
            let token = parser.next_token();
            return match token.token {
                Token::SingleQuotedString(job) => Ok(Self::Job(job)),
                Token::Word(word) => Ok(Self::Job(word.value)),
                Token::Number(number, _) => Ok(Self::Job(number)),
                _ => parser.expected("the id or name of a job", token),
            };
        }
        if parse_word(parser, "DATABASES") {
            return Ok(Self::Databases);
        }
        if parse_word(parser, "CATALOGS") {
            return Ok(Self::Catalogs);
        }
        if parse_word(parser, "USER") {
            super::expect_words(parser, &["FUNCTIONS"])?;
            return Ok(Self::Functions);
        }
        if parse_word(parser, "FUNCTIONS") {
            return Ok(Self::Functions);
        }
        if parse_word(parser, "COLUMNS") {
            if !parser.parse_keyword(Keyword::IN) {
                parser.expect_keyword_is(Keyword::FROM)?;
            }
            return Ok(Self::Columns(Name::parse(parser)?));
        }
        if parser.parse_keyword(Keyword::CREATE) {
            let _ = parser.parse_keyword(Keyword::MATERIALIZED);
            if !parser.parse_keyword(Keyword::TABLE) {
                parser.expect_keyword_is(Keyword::VIEW)?;
            }
            return Ok(Self::Create(Name::parse(parser)?));
        }
        if parse_word(parser, "CURRENT") {
            if parse_word(parser, "DATABASE") {
                return Ok(Self::CurrentDatabase);
            }
            super::expect_words(parser, &["CATALOG"])?;
            return Ok(Self::CurrentCatalog);
        }
        parse_setting(parser)
    }
}

fn parse_like(parser: &mut Parser) -> Result<Option<String>, ParserError> {
    parser.parse_keyword(Keyword::LIKE).then(|| parse_string(parser)).transpose()
}

fn parse_setting(parser: &mut Parser) -> Result<Show, ParserError> {
    let token = parser.next_token();
    let mut name = match token.token {
        Token::Word(word) => word.value,
        Token::SingleQuotedString(name) => return Ok(Show::Setting(name)),
        _ => {
            return parser.expected(
                "TABLES, VIEWS, JOBS, DATABASES, CATALOGS, FUNCTIONS, COLUMNS or CREATE",
                token,
            );
        }
    };
    // PostgreSQL's settings of several words and Flink's of several parts.
    while let Token::Word(_) | Token::Period = parser.peek_token_ref().token {
        match parser.next_token().token {
            Token::Period => name.push('.'),
            Token::Word(word) if name.ends_with('.') => name.push_str(&word.value),
            Token::Word(word) => {
                name.push(' ');
                name.push_str(&word.value);
            }
            _ => {}
        }
    }
    Ok(Show::Setting(name))
}
