//! `LIKE` and `SIMILAR TO`.

use regex::Regex;

use super::compile;
use crate::functions::signature::{Arguments, BindError, BindResult, Bound, Want};
use crate::functions::values::{Kernel, KernelError, Text, bools};
use crate::types::SqlType;

/// A compiled pattern: most are a plain comparison in disguise.
enum Like {
    Equal(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Regex(Regex),
}

impl Like {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Equal(part) => text == part,
            Self::Prefix(part) => text.starts_with(part.as_str()),
            Self::Suffix(part) => text.ends_with(part.as_str()),
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Regex(regex) => regex.is_match(text),
        }
    }

    fn new(pattern: &str, escape: Option<char>) -> Result<Self, KernelError> {
        let plain =
            |text: &str| !text.contains(['%', '_']) && escape.is_none_or(|e| !text.contains(e));
        let (rest, open_start) = match pattern.strip_prefix('%') {
            Some(rest) => (rest, true),
            None => (pattern, false),
        };
        let (rest, open_end) = match rest.strip_suffix('%') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        if plain(rest) {
            let part = rest.to_owned();
            return Ok(match (open_start, open_end) {
                (false, false) => Self::Equal(part),
                (false, true) => Self::Prefix(part),
                (true, false) => Self::Suffix(part),
                (true, true) => Self::Contains(part),
            });
        }
        let mut regex = String::from("(?s)^");
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                c if Some(c) == escape => match chars.next() {
                    Some(next) => regex.push_str(&regex::escape(&next.to_string())),
                    None => return Err("the LIKE pattern ends in its escape character".to_owned()),
                },
                '%' => regex.push_str(".*"),
                '_' => regex.push('.'),
                c => regex.push_str(&regex::escape(&c.to_string())),
            }
        }
        regex.push('$');
        compile(&regex).map(Self::Regex)
    }
}

/// `text LIKE pattern [ESCAPE c]`.
pub(crate) fn bind(arguments: &Arguments<'_>, negated: bool) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text, Want::Text], 1)?;
    let escape = escape_of(arguments)?;
    let constant = arguments
        .text_literal(1)
        .map(|pattern| Like::new(pattern, escape).map_err(BindError::new))
        .transpose()?;
    let fallible = constant.is_none();
    let kernel = Kernel::new(move |arguments, rows| {
        let (text, pattern) = (Text::of(&arguments[0])?, Text::of(&arguments[1])?);
        bools(rows, |row| {
            let (Some(text), Some(pattern)) = (text.get(row), pattern.get(row)) else {
                return Ok(None);
            };
            let matches = match &constant {
                Some(like) => like.matches(text),
                None => Like::new(pattern, escape)?.matches(text),
            };
            Ok(Some(matches != negated))
        })
    });
    let bound = Bound::new(params, SqlType::Boolean, kernel);
    Ok(if fallible { bound.fallible() } else { bound })
}

fn escape_of(arguments: &Arguments<'_>) -> Result<Option<char>, BindError> {
    if arguments.len() < 3 {
        return Ok(None);
    }
    let text = arguments.text_literal(2).unwrap_or_default();
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(escape), None) => Ok(Some(escape)),
        _ => Err(BindError::new("ESCAPE takes a single constant character")),
    }
}

/// `text SIMILAR TO pattern`: SQL's regular expressions.
pub(crate) fn bind_similar(arguments: &Arguments<'_>, negated: bool) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text], 0)?;
    let constant = arguments
        .text_literal(1)
        .map(|pattern| similar(pattern).map_err(BindError::new))
        .transpose()?;
    let kernel = Kernel::new(move |arguments, rows| {
        let (text, pattern) = (Text::of(&arguments[0])?, Text::of(&arguments[1])?);
        bools(rows, |row| {
            let (Some(text), Some(pattern)) = (text.get(row), pattern.get(row)) else {
                return Ok(None);
            };
            let matches = match &constant {
                Some(regex) => regex.is_match(text),
                None => similar(pattern)?.is_match(text),
            };
            Ok(Some(matches != negated))
        })
    });
    Ok(Bound::new(params, SqlType::Boolean, kernel).fallible())
}

fn similar(pattern: &str) -> Result<Regex, KernelError> {
    let mut regex = String::from("(?s)^(?:");
    let mut in_class = false;
    for c in pattern.chars() {
        match c {
            '%' if !in_class => regex.push_str(".*"),
            '_' if !in_class => regex.push('.'),
            '.' | '^' | '$' if !in_class => {
                regex.push('\\');
                regex.push(c);
            }
            c => {
                in_class = (in_class || c == '[') && c != ']';
                regex.push(c);
            }
        }
    }
    regex.push_str(")$");
    compile(&regex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_patterns() {
        for (pattern, text, matches) in [
            ("abc", "abc", true),
            ("a%", "abc", true),
            ("%c", "abc", true),
            ("%b%", "abc", true),
            ("a_c", "abc", true),
            ("a_c", "abbc", false),
            ("%", "", true),
            ("a.c", "abc", false),
            ("a%d%g", "abcdefg", true),
        ] {
            assert_eq!(Like::new(pattern, None).unwrap().matches(text), matches, "{pattern}");
        }
        assert!(Like::new("50!%", Some('!')).unwrap().matches("50%"));
        assert!(!Like::new("50!%", Some('!')).unwrap().matches("505"));
    }
}
