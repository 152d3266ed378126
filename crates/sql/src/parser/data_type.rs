//! Flink's data types as text.

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use crate::types::{MAX_DECIMAL_PRECISION, RowField, SqlType, UNBOUNDED};

/// A type with the nullability that was written after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DeclaredType {
    pub(crate) sql_type: SqlType,
    pub(crate) nullable: bool,
}

/// Parses a type at the parser's place, with `NOT NULL`, `NULL` and the postfixes
/// `ARRAY` and `MULTISET`.
pub(crate) fn parse(parser: &mut Parser) -> Result<DeclaredType, ParserError> {
    let mut sql_type = parse_name(parser)?;
    let mut nullable = parse_nullability(parser)?;
    while parser.parse_keyword(Keyword::ARRAY) {
        sql_type = SqlType::Array(Box::new(sql_type));
        nullable = parse_nullability(parser)?;
    }
    Ok(DeclaredType { sql_type, nullable })
}

fn parse_nullability(parser: &mut Parser) -> Result<bool, ParserError> {
    if parser.parse_keywords(&[Keyword::NOT, Keyword::NULL]) {
        return Ok(false);
    }
    let _ = parser.parse_keyword(Keyword::NULL);
    Ok(true)
}

fn parse_name(parser: &mut Parser) -> Result<SqlType, ParserError> {
    let token = parser.peek_token();
    let Token::Word(word) = &token.token else {
        return parser.expected("a data type", token);
    };
    let name = word.value.to_ascii_uppercase();
    parser.next_token();
    Ok(match name.as_str() {
        "BOOLEAN" | "BOOL" => SqlType::Boolean,
        "TINYINT" => SqlType::TinyInt,
        "SMALLINT" => SqlType::SmallInt,
        "INT" | "INTEGER" => SqlType::Int,
        "BIGINT" => SqlType::BigInt,
        "FLOAT" => SqlType::Float,
        "DOUBLE" => {
            let _ = parser.parse_keyword(Keyword::PRECISION);
            SqlType::Double
        }
        "DECIMAL" | "DEC" | "NUMERIC" => parse_decimal(parser)?,
        "CHAR" | "CHARACTER" => {
            if parser.parse_keyword(Keyword::VARYING) {
                SqlType::Varchar(parse_length(parser)?.unwrap_or(UNBOUNDED))
            } else {
                SqlType::Char(parse_length(parser)?.unwrap_or(1))
            }
        }
        // Flink says VARCHAR(1) for a bare VARCHAR in a cast, and means no limit in
        // the DDL that people write; one meaning serves both.
        "VARCHAR" => SqlType::Varchar(parse_length(parser)?.unwrap_or(UNBOUNDED)),
        "STRING" | "TEXT" => SqlType::STRING,
        "BINARY" => SqlType::Binary(parse_length(parser)?.unwrap_or(1)),
        "VARBINARY" => SqlType::Varbinary(parse_length(parser)?.unwrap_or(UNBOUNDED)),
        "BYTES" | "BYTEA" => SqlType::BYTES,
        "DATE" => SqlType::Date,
        "TIME" => {
            let precision = parse_precision(parser, 0)?;
            let _ = parser.parse_keywords(&[Keyword::WITHOUT, Keyword::TIME, Keyword::ZONE]);
            SqlType::Time(precision)
        }
        "TIMESTAMP" => parse_timestamp(parser)?,
        "TIMESTAMP_LTZ" | "TIMESTAMPTZ" => SqlType::TimestampLtz(parse_precision(parser, 6)?),
        "INTERVAL" => parse_interval(parser)?,
        "ARRAY" => {
            parser.expect_token(&Token::Lt)?;
            let element = parse(parser)?.sql_type;
            expect_gt(parser)?;
            SqlType::Array(Box::new(element))
        }
        "MAP" => {
            parser.expect_token(&Token::Lt)?;
            let key = parse(parser)?.sql_type;
            parser.expect_token(&Token::Comma)?;
            let value = parse(parser)?.sql_type;
            expect_gt(parser)?;
            SqlType::Map(Box::new(key), Box::new(value))
        }
        "ROW" => parse_row(parser)?,
        "NULL" => SqlType::Null,
        _ => {
            parser.prev_token();
            return parser.expected("a data type", token);
        }
    })
}

/// `ROW<a INT, b STRING>` or `ROW(a INT, b STRING)`, with comments on fields.
fn parse_row(parser: &mut Parser) -> Result<SqlType, ParserError> {
    let in_parens = parser.consume_token(&Token::LParen);
    if !in_parens {
        parser.expect_token(&Token::Lt)?;
    }
    let mut fields = Vec::new();
    loop {
        let name = parser.parse_identifier()?.value;
        let sql_type = parse(parser)?.sql_type;
        if matches!(parser.peek_token().token, Token::SingleQuotedString(_)) {
            parser.next_token();
        }
        fields.push(RowField { name, sql_type });
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    if in_parens {
        parser.expect_token(&Token::RParen)?;
    } else {
        expect_gt(parser)?;
    }
    Ok(SqlType::Row(fields))
}

/// `>`, also as the first half of `>>`, whose second half then stays.
fn expect_gt(parser: &mut Parser) -> Result<(), ParserError> {
    if parser.consume_token(&Token::Gt) {
        return Ok(());
    }
    // The tokenizer joins `>>`; callers split such tokens before parsing.
    let found = parser.peek_token();
    parser.expected("'>'", found)
}

fn parse_decimal(parser: &mut Parser) -> Result<SqlType, ParserError> {
    let (mut precision, mut scale) = (10, 0);
    if parser.consume_token(&Token::LParen) {
        precision = parse_number(parser, 1, u32::from(MAX_DECIMAL_PRECISION))?;
        if parser.consume_token(&Token::Comma) {
            scale = parse_number(parser, 0, precision)?;
        }
        parser.expect_token(&Token::RParen)?;
    }
    Ok(SqlType::Decimal(precision as u8, scale as u8))
}

fn parse_timestamp(parser: &mut Parser) -> Result<SqlType, ParserError> {
    let precision = parse_precision(parser, 6)?;
    if parser.parse_keyword(Keyword::WITH) {
        let word = parser.next_token();
        let local = matches!(&word.token, Token::Word(w) if w.value.eq_ignore_ascii_case("local"));
        if !local {
            return parser.expected("LOCAL TIME ZONE", word);
        }
        parser.expect_keywords(&[Keyword::TIME, Keyword::ZONE])?;
        return Ok(SqlType::TimestampLtz(precision));
    }
    if parser.parse_keyword(Keyword::WITHOUT) {
        parser.expect_keywords(&[Keyword::TIME, Keyword::ZONE])?;
    }
    Ok(SqlType::Timestamp(precision))
}

/// `INTERVAL YEAR TO MONTH`, `INTERVAL DAY TO SECOND` and their parts.
fn parse_interval(parser: &mut Parser) -> Result<SqlType, ParserError> {
    let first = parser.next_token();
    let Token::Word(word) = &first.token else {
        return parser.expected("a time unit", first);
    };
    let months = match word.value.to_ascii_uppercase().as_str() {
        "YEAR" | "MONTH" => true,
        "DAY" | "HOUR" | "MINUTE" | "SECOND" => false,
        _ => return parser.expected("a time unit", first),
    };
    parser.parse_optional_precision()?;
    if parser.parse_keyword(Keyword::TO) {
        parser.next_token();
        parser.parse_optional_precision()?;
    }
    Ok(if months { SqlType::IntervalMonths } else { SqlType::IntervalTime })
}

fn parse_length(parser: &mut Parser) -> Result<Option<u32>, ParserError> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(None);
    }
    let length = parse_number(parser, 1, UNBOUNDED)?;
    parser.expect_token(&Token::RParen)?;
    Ok(Some(length))
}

fn parse_precision(parser: &mut Parser, default: u8) -> Result<u8, ParserError> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(default);
    }
    let precision = parse_number(parser, 0, 9)?;
    parser.expect_token(&Token::RParen)?;
    Ok(precision as u8)
}

fn parse_number(parser: &mut Parser, min: u32, max: u32) -> Result<u32, ParserError> {
    let token = parser.peek_token();
    let number = match &token.token {
        Token::Number(digits, _) => digits.parse::<u32>().ok(),
        _ => None,
    };
    match number.filter(|number| (min..=max).contains(number)) {
        Some(number) => {
            parser.next_token();
            Ok(number)
        }
        None => parser.expected(&format!("a number from {min} to {max}"), token),
    }
}
