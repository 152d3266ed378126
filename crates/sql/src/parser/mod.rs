//! From text to statements: Flink SQL with PostgreSQL's materialized views.
//!
//! One file a statement. The parser of expressions and queries is `sqlparser`'s, with
//! `dialect::FlinkDialect`; what Flink adds around it is parsed here.

pub(crate) mod create_table;
pub(crate) mod create_view;
pub(crate) mod data_type;
pub(crate) mod dialect;
pub(crate) mod drop;
pub(crate) mod error;
pub(crate) mod explain;
pub(crate) mod function;
pub(crate) mod insert;
pub(crate) mod name;
pub(crate) mod set;
pub(crate) mod show;
pub(crate) mod statement;
pub(crate) mod tokens;

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

pub use create_table::{ColumnKind, CreateTable, TableColumn, WatermarkDefinition};
pub use create_view::{CreateMaterializedView, CreateView};
pub use drop::{Drop, ObjectKind};
pub use explain::Explain;
pub use function::CreateFunction;
pub use insert::Insert;
pub use name::Name;
pub use set::Set;
pub use show::Show;
pub use statement::{ParsedStatement, Statement, Transaction};
pub use tokens::substitute;

use crate::error::{ErrorCode, Result, SqlError};
use crate::types::SqlType;
use dialect::FlinkDialect;
use tokens::StatementTokens;

/// Nesting of expressions and subqueries that is parsed.
const MAX_DEPTH: usize = 64;

/// Parses all statements of a script.
///
/// # Errors
/// The first thing that is not Flink SQL, with its place in `text`.
pub fn parse(text: &str) -> Result<Vec<ParsedStatement>> {
    tokens::split(text)?.into_iter().map(|tokens| parse_tokens(text, tokens)).collect()
}

/// Parses a text that holds exactly one statement.
///
/// # Errors
/// As [`parse`]; no statement, or more than one.
pub fn parse_one(text: &str) -> Result<ParsedStatement> {
    let mut statements = parse(text)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(SqlError::new(ErrorCode::Syntax, "there is no statement")),
        (Some(second), false) => {
            Err(SqlError::new(ErrorCode::Syntax, "expected a single statement").at(second.span))
        }
    }
}

/// Parses a data type, such as `ROW<a INT, b ARRAY<STRING>>`.
///
/// # Errors
/// What is not a type of Flink.
pub fn parse_type(text: &str) -> Result<SqlType> {
    let tokens = tokens::split(text)?;
    let Some(StatementTokens { tokens, .. }) = tokens.into_iter().next() else {
        return Err(SqlError::new(ErrorCode::Syntax, "expected a data type"));
    };
    run(tokens, |parser| Ok(data_type::parse(parser)?.sql_type))
}

/// Parses an expression that stands alone, such as a stored computed column.
pub(crate) fn parse_expression(text: &str) -> Result<sqlparser::ast::Expr> {
    let Some(StatementTokens { tokens, .. }) = tokens::split(text)?.into_iter().next() else {
        return Err(SqlError::new(ErrorCode::Syntax, "expected an expression"));
    };
    run(tokens, |parser| parser.parse_expr())
}

fn parse_tokens(text: &str, statement: StatementTokens) -> Result<ParsedStatement> {
    let StatementTokens { tokens, span } = statement;
    let source = Source { text, tokens: &tokens };
    let parsed = run(tokens.clone(), |parser| statement::parse(parser, &source))?;
    Ok(ParsedStatement { statement: parsed, text: source.between(0, tokens.len()), span })
}

/// Runs a parser over tokens to their end.
fn run<T>(
    tokens: Vec<TokenWithSpan>,
    parse: impl FnOnce(&mut Parser) -> Result<T, ParserError>,
) -> Result<T> {
    let mut parser = Parser::new(&FlinkDialect)
        .with_recursion_limit(MAX_DEPTH)
        .with_tokens_with_locations(tokens.clone());
    let parsed = parse(&mut parser).and_then(|parsed| match parser.peek_token() {
        TokenWithSpan { token: Token::EOF, .. } => Ok(parsed),
        more => parser.expected("end of statement", more),
    });
    parsed.map_err(|error| error::from_parser(error, &tokens))
}

/// The text of the script, to cut definitions out of it as they were written.
pub(crate) struct Source<'a> {
    text: &'a str,
    tokens: &'a [TokenWithSpan],
}

impl Source<'_> {
    /// The text of the tokens `from..to`, numbers within the statement.
    pub(crate) fn between(&self, from: usize, to: usize) -> String {
        let (Some(first), Some(last)) =
            (self.tokens.get(from), self.tokens.get(to.saturating_sub(1)))
        else {
            return String::new();
        };
        let start = self.byte_offset(first.span.start);
        let end = self.byte_offset(last.span.end);
        self.text.get(start..end).unwrap_or_default().to_owned()
    }

    /// The text from token `from` to the parser's place.
    pub(crate) fn since(&self, from: usize, parser: &Parser) -> String {
        self.between(from, parser.index().min(self.tokens.len()))
    }

    fn byte_offset(&self, place: sqlparser::tokenizer::Location) -> usize {
        let mut offset = 0;
        for (number, line) in (1..).zip(self.text.split_inclusive('\n')) {
            if number == place.line {
                let column = place.column.saturating_sub(1) as usize;
                let within = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
                return offset + within;
            }
            offset += line.len();
        }
        self.text.len()
    }
}

/// Takes a word that is no keyword of the parser's.
pub(crate) fn parse_word(parser: &mut Parser, word: &str) -> bool {
    let found = peek_word(parser, word);
    if found {
        parser.next_token();
    }
    found
}

/// Whether the next token is this word, unquoted, in any case.
pub(crate) fn peek_word(parser: &Parser, word: &str) -> bool {
    is_word(&parser.peek_token_ref().token, word)
}

pub(crate) fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// Takes all of these words or fails.
pub(crate) fn expect_words(parser: &mut Parser, words: &[&str]) -> Result<(), ParserError> {
    for word in words {
        if !parse_word(parser, word) {
            return parser.expected(word, parser.peek_token());
        }
    }
    Ok(())
}

/// `IF NOT EXISTS`.
pub(crate) fn parse_if_not_exists(parser: &mut Parser) -> bool {
    parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS])
}

/// A string in single quotes.
pub(crate) fn parse_string(parser: &mut Parser) -> Result<String, ParserError> {
    let token = parser.next_token();
    match token.token {
        Token::SingleQuotedString(text) => Ok(text),
        _ => parser.expected("a string in single quotes", token),
    }
}

/// `COMMENT 'text'`, if there.
pub(crate) fn parse_comment(parser: &mut Parser) -> Result<Option<String>, ParserError> {
    if parser.parse_keyword(Keyword::COMMENT) {
        return parse_string(parser).map(Some);
    }
    Ok(None)
}
