//! From text to tokens and from tokens to statements: splitting at semicolons, hints,
//! `${NAME}`.

use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::dialect::FlinkDialect;
use crate::error::{ErrorCode, Result, Span, SqlError};

/// Connectives (`AND`, `OR`) in a statement above which it is refused: trees as deep as
/// that are not written by people, and walking them costs stack.
const MAX_CONNECTIVES: usize = 1000;

/// Arithmetic operators in a statement above which it is refused; they nest when they
/// run, too.
const MAX_ARITHMETIC: usize = 500;

/// The tokens of one statement, without the semicolon.
pub(crate) struct StatementTokens {
    pub(crate) tokens: Vec<TokenWithSpan>,
    pub(crate) span: Span,
}

/// Cuts a script into statements. Semicolons between `BEGIN [STATEMENT SET]` and `END`
/// do not cut.
pub(crate) fn split(text: &str) -> Result<Vec<StatementTokens>> {
    let mut tokens = Vec::new();
    let result = Tokenizer::new(&FlinkDialect, text).tokenize_with_location_into_buf(&mut tokens);
    if let Err(error) = result {
        let at = error.location;
        let span = sqlparser::tokenizer::Span { start: at, end: at };
        return Err(SqlError::new(ErrorCode::Syntax, error.message).at_parsed(span));
    }
    refuse_hints(&tokens)?;
    let mut statements = Vec::new();
    let mut current: Vec<TokenWithSpan> = Vec::new();
    let mut in_set = false;
    for token in tokens {
        match &token.token {
            Token::Whitespace(_) => {}
            Token::SemiColon if in_set && !ends_with(&current, "END") => current.push(token),
            Token::SemiColon => {
                in_set = false;
                push(&mut statements, std::mem::take(&mut current))?;
            }
            Token::EOF => {}
            _ => {
                push_split(&mut current, token);
                in_set |= ends_with(&current, "SET") && is_statement_set(&current);
            }
        }
    }
    push(&mut statements, current)?;
    Ok(statements)
}

/// `>>` closes two type parameters; no operator of Flink is written so.
fn push_split(tokens: &mut Vec<TokenWithSpan>, token: TokenWithSpan) {
    if token.token != Token::ShiftRight {
        tokens.push(token);
        return;
    }
    let start = token.span.start;
    let middle = Location { line: start.line, column: start.column + 1 };
    let end = token.span.end;
    for (start, end) in [(start, middle), (middle, end)] {
        let span = sqlparser::tokenizer::Span { start, end };
        tokens.push(TokenWithSpan { token: Token::Gt, span });
    }
}

fn word_is(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

fn ends_with(tokens: &[TokenWithSpan], word: &str) -> bool {
    tokens.last().is_some_and(|token| word_is(token, word))
}

/// `[EXECUTE | EXPLAIN ...] [BEGIN] STATEMENT SET`, so far without an `INSERT`.
fn is_statement_set(tokens: &[TokenWithSpan]) -> bool {
    let mut last = tokens.iter().rev();
    last.next();
    last.next().is_some_and(|token| word_is(token, "STATEMENT"))
        && !tokens.iter().any(|token| word_is(token, "INSERT"))
}

fn push(statements: &mut Vec<StatementTokens>, tokens: Vec<TokenWithSpan>) -> Result<()> {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return Ok(()) };
    let span = sqlparser::tokenizer::Span { start: first.span.start, end: last.span.end };
    let span = Span::from_parser(span).unwrap_or_default();
    let count =
        |wanted: fn(&Token) -> bool| tokens.iter().filter(|token| wanted(&token.token)).count();
    if count(is_connective) > MAX_CONNECTIVES {
        let message = format!("a statement with more than {MAX_CONNECTIVES} times AND or OR");
        let hint = "write a long chain of OR as IN (...)".to_owned();
        return Err(SqlError::not_supported(message).at(span).with_hint(hint));
    }
    if count(is_arithmetic) > MAX_ARITHMETIC {
        let message = format!("a statement with more than {MAX_ARITHMETIC} arithmetic operators");
        return Err(SqlError::not_supported(message).at(span));
    }
    statements.push(StatementTokens { tokens, span });
    Ok(())
}

fn is_connective(token: &Token) -> bool {
    const WORDS: [&str; 6] = ["AND", "OR", "NOT", "UNION", "JOIN", "IS"];
    match token {
        Token::Word(word) => WORDS.iter().any(|name| word.value.eq_ignore_ascii_case(name)),
        _ => false,
    }
}

fn is_arithmetic(token: &Token) -> bool {
    matches!(
        token,
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat
    )
}

/// Hints are comments to the tokenizer; dropping one would change what the query means.
fn refuse_hints(tokens: &[TokenWithSpan]) -> Result<()> {
    for token in tokens {
        if let Token::Whitespace(Whitespace::MultiLineComment(comment)) = &token.token
            && comment.starts_with('+')
        {
            return Err(SqlError::not_supported("hints (`/*+ ... */`)")
                .at_parsed(token.span)
                .with_hint("put options into WITH (...) of the table, or use SET".to_owned()));
        }
    }
    Ok(())
}

/// Replaces `${NAME}` by what `lookup` gives, everywhere in the text.
///
/// # Errors
/// A name for which `lookup` gives nothing, a `${` that is not closed.
pub fn substitute(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let at = text.len() - rest.len() + start;
        out.push_str(&rest[..start]);
        let body = &rest[start + 2..];
        let Some(end) = body.find('}').filter(|end| !body[..*end].contains('\n')) else {
            return Err(SqlError::new(ErrorCode::Syntax, "`${` is not closed by `}`")
                .at(span_of_bytes(text, at, 2)));
        };
        let name = body[..end].trim();
        let Some(value) = lookup(name) else {
            let message = format!("there is no value for `${{{name}}}`");
            let hint = format!("set {name} in the environment, or with --set {name}=value");
            return Err(SqlError::new(ErrorCode::UnknownObject, message)
                .at(span_of_bytes(text, at, end + 3))
                .with_hint(hint));
        };
        out.push_str(&value);
        rest = &body[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn span_of_bytes(text: &str, at: usize, length: usize) -> Span {
    use crate::error::Position;
    let before = &text[..at];
    let line = before.matches('\n').count() as u64 + 1;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[line_start..].chars().count() as u64 + 1;
    let width = text[at..at + length].chars().count() as u64;
    let start = Position { line, column };
    Span { start, end: Position { line, column: column + width } }
}
