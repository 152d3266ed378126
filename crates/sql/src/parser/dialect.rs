//! Flink's dialect for the SQL parser: what differs from the parser's defaults.

use sqlparser::ast::{
    CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName,
};
use sqlparser::dialect::{Dialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::data_type;

/// Name of the function that stands for `TABLE t PARTITION BY keys` in the arguments of
/// a table function: the table, then the keys.
pub(crate) const PARTITIONED: &str = "$partitioned";

/// Flink SQL. Identifiers are quoted by backticks and never folded; double quotes are
/// accepted too, since PostgreSQL's clients write them.
#[derive(Debug)]
pub(crate) struct FlinkDialect;

impl Dialect for FlinkDialect {
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`' || ch == '"'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_' || ch == '$'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_' || ch == '$'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_match_recognize(&self) -> bool {
        true
    }

    fn supports_values_as_table_factor(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        false
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let (first, second) = (parser.peek_token(), parser.peek_nth_token(1));
        let Token::Word(word) = &first.token else { return None };
        match (word.keyword, &second.token) {
            (Keyword::CAST, Token::LParen) => Some(parse_cast(parser, CastKind::Cast)),
            (Keyword::TRY_CAST, Token::LParen) => Some(parse_cast(parser, CastKind::TryCast)),
            (Keyword::TABLE, Token::Word(_) | Token::LParen) => Some(parse_table(parser)),
            _ => None,
        }
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        sqlparser::dialect::GenericDialect {}.prec_value(prec)
    }
}

/// `CAST(e AS type)` with Flink's types: the type stands as its own text in a custom
/// type's name.
fn parse_cast(parser: &mut Parser, kind: CastKind) -> Result<Expr, ParserError> {
    parser.next_token();
    parser.expect_token(&Token::LParen)?;
    let expr = parser.parse_expr()?;
    parser.expect_keyword_is(Keyword::AS)?;
    let start = parser.peek_token().span.start;
    let sql_type = data_type::parse(parser)?;
    let end = parser.get_current_token().span.end;
    parser.expect_token(&Token::RParen)?;
    let mut name = Ident::new(sql_type.sql_type.to_string());
    name.span = sqlparser::tokenizer::Span { start, end };
    let data_type = DataType::Custom(ObjectName::from(vec![name]), Vec::new());
    Ok(Expr::Cast { kind, expr: Box::new(expr), data_type, array: false, format: None })
}

/// `TABLE t`, `TABLE (query)`, with `PARTITION BY`, in the arguments of a table function.
fn parse_table(parser: &mut Parser) -> Result<Expr, ParserError> {
    let keyword = parser.next_token();
    let table = if parser.consume_token(&Token::LParen) {
        if !parser.peek_keyword(Keyword::SELECT) && !parser.peek_keyword(Keyword::WITH) {
            // `TABLE(f(...))` of a FROM clause, which the caller knows how to parse.
            let inner = parser.parse_expr()?;
            parser.expect_token(&Token::RParen)?;
            return Ok(inner);
        }
        let query = parser.parse_query()?;
        parser.expect_token(&Token::RParen)?;
        Expr::Subquery(query)
    } else {
        let name = parser.parse_object_name(false)?;
        let parts: Vec<Ident> =
            name.0.into_iter().filter_map(|part| part.as_ident().cloned()).collect();
        match <[Ident; 1]>::try_from(parts) {
            Ok([single]) => Expr::Identifier(single),
            Err(parts) => Expr::CompoundIdentifier(parts),
        }
    };
    if !parser.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        return Ok(table);
    }
    let in_parens = parser.consume_token(&Token::LParen);
    let mut arguments = vec![table, Expr::Identifier(parser.parse_identifier()?)];
    while next_is_another_key(parser, in_parens) {
        parser.next_token();
        arguments.push(Expr::Identifier(parser.parse_identifier()?));
    }
    if in_parens {
        parser.expect_token(&Token::RParen)?;
    }
    let mut name = Ident::new(PARTITIONED);
    name.span = keyword.span;
    Ok(Expr::Function(call(name, arguments)))
}

/// Without parentheses a comma may end the keys: `TABLE t PARTITION BY k, DESCRIPTOR(..)`.
fn next_is_another_key(parser: &Parser, in_parens: bool) -> bool {
    let [comma, name, after] = parser.peek_tokens();
    comma == Token::Comma
        && (in_parens || (matches!(name, Token::Word(_)) && after != Token::LParen))
}

/// A plain call.
pub(crate) fn call(name: Ident, arguments: Vec<Expr>) -> Function {
    let args = arguments
        .into_iter()
        .map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)))
        .collect();
    Function {
        name: ObjectName::from(vec![name]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }
}
