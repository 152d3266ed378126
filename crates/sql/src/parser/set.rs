//! `SET` and `RESET`.

use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::parse_word;
use crate::error::Span;

/// A change of the session's settings.
#[derive(Clone, PartialEq, Debug)]
pub enum Set {
    /// `SET`: shows all.
    ShowAll,
    /// `SET 'key' = 'value'`.
    Value {
        /// The setting.
        key: String,
        /// Its new value.
        value: String,
        /// Where the key stands.
        span: Option<Span>,
    },
    /// `RESET 'key'`.
    Reset(String),
    /// `RESET`.
    ResetAll,
}

impl Set {
    pub(crate) fn parse(parser: &mut Parser) -> Result<Self, ParserError> {
        if parse_word(parser, "RESET") {
            if parser.peek_token_ref().token == Token::EOF || parse_word(parser, "ALL") {
                return Ok(Self::ResetAll);
            }
            return Ok(Self::Reset(parse_key(parser)?));
        }
        parser.next_token();
        if parser.peek_token_ref().token == Token::EOF {
            return Ok(Self::ShowAll);
        }
        // PostgreSQL's scopes; a session is all that there is.
        let _ = parse_word(parser, "SESSION") || parse_word(parser, "LOCAL");
        let span = Span::from_parser(parser.peek_token().span);
        let key = parse_key(parser)?;
        if !parser.consume_token(&Token::Eq) && !parse_word(parser, "TO") {
            // `SET TIME ZONE 'UTC'`, `SET NAMES 'utf8'`.
            let words = ["time zone", "names", "transaction", "characteristics as transaction"];
            let lower = key.to_lowercase();
            if !words.iter().any(|word| lower.starts_with(word)) {
                return parser.expected("'=' and a value", parser.peek_token());
            }
        }
        Ok(Self::Value { key, value: parse_value(parser)?, span })
    }
}

fn parse_key(parser: &mut Parser) -> Result<String, ParserError> {
    let token = parser.next_token();
    let mut key = match token.token {
        Token::SingleQuotedString(key) => return Ok(key),
        Token::Word(word) => word.value,
        _ => return parser.expected("the name of a setting, in single quotes", token),
    };
    loop {
        match &parser.peek_token_ref().token {
            Token::Period => key.push('.'),
            Token::Minus => key.push('-'),
            Token::Word(word) if key.ends_with(['.', '-']) => key.push_str(&word.value),
            Token::Word(word) if !word.value.eq_ignore_ascii_case("TO") => {
                key.push(' ');
                key.push_str(&word.value);
            }
            _ => return Ok(key),
        }
        parser.next_token();
    }
}

/// A string, or bare words and numbers up to the end.
fn parse_value(parser: &mut Parser) -> Result<String, ParserError> {
    if let Token::SingleQuotedString(value) = &parser.peek_token_ref().token {
        let value = value.clone();
        parser.next_token();
        return Ok(value);
    }
    let mut value = String::new();
    while parser.peek_token_ref().token != Token::EOF {
        value.push_str(&parser.next_token().token.to_string());
    }
    Ok(value)
}
