//! The parser's errors, turned into ours with a place and advice.

use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{ErrorCode, Position, Span, SqlError};

/// Words that start a statement.
pub(crate) const STATEMENT_WORDS: &[&str] = &[
    "BEGIN",
    "CANCEL",
    "CREATE",
    "DESCRIBE",
    "DROP",
    "EXECUTE",
    "EXPLAIN",
    "INSERT",
    "RESET",
    "RESTART",
    "SELECT",
    "SET",
    "SHOW",
    "STOP",
    "SUBSCRIBE",
    "USE",
    "VALUES",
    "WITH",
];

/// Turns the parser's error into ours. It names its place only in its text.
pub(crate) fn from_parser(error: ParserError, tokens: &[TokenWithSpan]) -> SqlError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => {
            return SqlError::not_supported("expressions and subqueries nested this deep");
        }
    };
    let (message, place) = split_place(&text);
    let at_end = message.ends_with("found: EOF");
    let span = place
        .and_then(|place| token_at(tokens, place))
        .or_else(|| tokens.last().filter(|_| at_end).and_then(after))
        .or_else(|| place.map(|start| Span { start, end: start }));
    let mut error = SqlError::new(ErrorCode::Syntax, reword(message)).at(span);
    if let Some(word) = span.and_then(|span| word_at(tokens, span.start)) {
        error = error.with_hint(hint_for(message, &word));
    }
    error
}

/// `Expected: x, found: y at Line: 1, Column: 2` into its message and place.
fn split_place(text: &str) -> (&str, Option<Position>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else { return (text, None) };
    let mut numbers = place.split(", Column: ").map(|number| number.trim().parse::<u64>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(line)), Some(Ok(column))) => (message, Some(Position { line, column })),
        _ => (text, None),
    }
}

fn reword(message: &str) -> String {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    match message.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) {
        Some((wanted, "EOF")) => format!("expected {wanted}, but the statement ends here"),
        Some((wanted, found)) => format!("expected {wanted}, found `{found}`"),
        None => message.to_owned(),
    }
}

fn token_at(tokens: &[TokenWithSpan], place: Position) -> Option<Span> {
    let token = tokens.iter().find(|token| {
        token.span.start.line == place.line && token.span.start.column == place.column
    })?;
    Span::from_parser(token.span)
}

fn after(token: &TokenWithSpan) -> Option<Span> {
    let span = Span::from_parser(token.span)?;
    Some(Span { start: span.end, end: span.end })
}

fn word_at(tokens: &[TokenWithSpan], place: Position) -> Option<String> {
    tokens.iter().find_map(|token| match &token.token {
        Token::Word(word)
            if token.span.start.line == place.line && token.span.start.column == place.column =>
        {
            Some(word.value.clone())
        }
        _ => None,
    })
}

/// A misspelt keyword of those that were expected, or a reserved word that needs quotes.
fn hint_for(message: &str, word: &str) -> Option<String> {
    let wanted = message.strip_prefix("Expected: ")?;
    let wanted = wanted.split(", found").next()?;
    let words = wanted.split([' ', ',']).filter(|word| word.len() > 2);
    let words = words.filter(|word| word.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let words: Vec<&str> = words.collect();
    if let Some(meant) = crate::suggest::nearest(word, words) {
        return Some(format!("did you mean `{meant}`?"));
    }
    wanted.contains("identifier").then(|| {
        format!("`{word}` is a reserved word; as a name it needs backticks: `` `{word}` ``")
    })
}
