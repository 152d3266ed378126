//! Conditions of catalog queries: a column against literals.

use regex::RegexBuilder;

use super::super::error::{PgError, Result};
use super::super::lexer::{Token, TokenKind, significant};
use super::rows::Row;
use super::unsupported;

/// Whether a row is what WHERE demands.
pub(super) fn matches(row: &Row, conditions: &[String]) -> Result<bool> {
    for condition in conditions {
        if !holds(row, condition)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(row: &Row, condition: &str) -> Result<bool> {
    let error = || unsupported(condition);
    if row.joins.contains(&condition) {
        return Ok(true);
    }
    // A condition that is a column by itself, such as pg_table_is_visible(oid).
    let (negated, bare) = match condition.strip_prefix("not ") {
        Some(bare) => (true, bare),
        None => (false, condition),
    };
    if let Some(value) = row.value(bare) {
        return Ok((value.as_deref() == Some("t")) != negated);
    }
    let tokens = significant(condition);
    let text = |token: &Token| &condition[token.range.clone()];
    let at = tokens
        .iter()
        .position(|token| {
            matches!(text(token), "=" | "<" | ">" | "!" | "~" | "in" | "not" | "operator")
        })
        .ok_or_else(error)?;
    let end = tokens[at].range.start;
    let value = row.value(condition[..end].trim()).ok_or_else(error)?;
    let value = value.unwrap_or_default();
    let literals: Vec<String> =
        tokens[at..].iter().filter_map(|t| literal(text(t), t.kind)).collect();
    let operator: String = tokens[at..]
        .iter()
        .map(text)
        .take_while(|text| matches!(*text, "=" | "<" | ">" | "!" | "~" | "in" | "not" | "operator"))
        .collect();
    let first = || literals.first().ok_or_else(error);
    let matches_regex = |pattern: &str| -> Result<bool> {
        let regex = RegexBuilder::new(pattern).size_limit(1 << 20).build();
        let regex = regex.map_err(|error| {
            PgError::new("2201B", format!("invalid regular expression: {error}"))
        })?;
        Ok(regex.is_match(&value))
    };
    Ok(match operator.as_str() {
        "=" => value == *first()?,
        "<>" | "!=" => value != *first()?,
        "in" => literals.contains(&value),
        "notin" => !literals.contains(&value),
        "~" => matches_regex(first()?)?,
        "!~" => !matches_regex(first()?)?,
        // OPERATOR(pg_catalog.~) 'pattern' COLLATE pg_catalog.default
        "operator" if condition.contains("operator(~)") => matches_regex(first()?)?,
        ">" => match (value.parse::<i64>(), first()?.parse::<i64>()) {
            (Ok(value), Ok(bound)) => value > bound,
            _ => return Err(error()),
        },
        _ => return Err(error()),
    })
}

/// The value of a string or number.
fn literal(text: &str, kind: TokenKind) -> Option<String> {
    match kind {
        TokenKind::String if text.starts_with(['e', 'E']) => {
            let inner = text[1..].trim_matches('\'');
            Some(inner.replace("\\\\", "\\"))
        }
        TokenKind::String => {
            let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
            Some(inner.replace("''", "'"))
        }
        TokenKind::Word if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(text.to_owned()),
        _ => None,
    }
}
