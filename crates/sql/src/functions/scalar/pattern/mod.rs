//! Patterns in text: `LIKE`, and regular expressions in Java's syntax as far as the
//! linear-time engine knows it (no look-around, no back-references).

pub(crate) mod like;

use std::sync::Arc;

use datafusion::arrow::datatypes::Int32Type;
use regex::Regex;

use super::kernel;
use crate::functions::signature::{Arguments, BindError, BindResult, Bound, FunctionDef, Want};
use crate::functions::values::{
    Ints, Kernel, KernelError, Text, bools, check_value_bytes, numbers, texts,
};
use crate::types::SqlType;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    kernel("regexp", &["rlike", "regexp_like"], "REGEXP(text, regex)", |arguments| {
        let (params, patterns) = bind(arguments, &[Want::Text, Want::Text], 0)?;
        let shared = Arc::clone(&patterns);
        let kernel = Kernel::new(move |arguments, rows| {
            let (text, pattern) = (Text::of(&arguments[0])?, Text::of(&arguments[1])?);
            bools(rows, |row| {
                let (Some(text), Some(pattern)) = (text.get(row), pattern.get(row)) else {
                    return Ok(None);
                };
                Ok(Some(patterns.get(pattern)?.is_match(text)))
            })
        });
        Ok(shared.bound(params, SqlType::Boolean, kernel))
    }),
    kernel("regexp_extract", &[], "REGEXP_EXTRACT(text, regex[, group])", extract),
    kernel("regexp_replace", &[], "REGEXP_REPLACE(text, regex, replacement)", replace),
    kernel("regexp_count", &[], "REGEXP_COUNT(text, regex)", |arguments| {
        let (params, patterns) = bind(arguments, &[Want::Text, Want::Text], 0)?;
        let shared = Arc::clone(&patterns);
        let kernel = Kernel::new(move |arguments, rows| {
            let (text, pattern) = (Text::of(&arguments[0])?, Text::of(&arguments[1])?);
            numbers::<Int32Type>(rows, |row| {
                let (Some(text), Some(pattern)) = (text.get(row), pattern.get(row)) else {
                    return Ok(None);
                };
                Ok(Some(patterns.get(pattern)?.find_iter(text).count() as i32))
            })
        });
        Ok(shared.bound(params, SqlType::Int, kernel))
    }),
];

/// Bytes that one compiled expression may take.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// Regular expressions of a call: compiled once where the pattern is a constant.
struct Patterns {
    constant: Option<(String, Regex)>,
}

impl Patterns {
    /// Only a pattern that is no constant can turn out wrong.
    fn bound(&self, params: Vec<SqlType>, returns: SqlType, kernel: Kernel) -> Bound {
        let bound = Bound::new(params, returns, kernel);
        if self.constant.is_some() { bound } else { bound.fallible() }
    }

    fn get(&self, pattern: &str) -> Result<RegexOf<'_>, KernelError> {
        match &self.constant {
            Some((text, regex)) if text == pattern => Ok(RegexOf::Constant(regex)),
            _ => compile(pattern).map(RegexOf::Fresh),
        }
    }
}

/// Borrowed or made for one row.
enum RegexOf<'a> {
    Constant(&'a Regex),
    Fresh(Regex),
}

impl std::ops::Deref for RegexOf<'_> {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        match self {
            Self::Constant(regex) => regex,
            Self::Fresh(regex) => regex,
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, KernelError> {
    regex::RegexBuilder::new(pattern).size_limit(MAX_REGEX_BYTES).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => format!("the regex '{pattern}' is too large"),
            _ => format!("the regex '{pattern}' is not supported"),
        }
    })
}

/// Checks the arguments, of which the second is the pattern.
fn bind(
    arguments: &Arguments<'_>,
    wants: &[Want],
    optional: usize,
) -> Result<(Vec<SqlType>, Arc<Patterns>), BindError> {
    let params = arguments.expect(wants, optional)?;
    let constant = match arguments.text_literal(1) {
        Some(text) => Some((text.to_owned(), compile(text).map_err(BindError::new)?)),
        None => None,
    };
    Ok((params, Arc::new(Patterns { constant })))
}

/// The group of the first match, the whole match by default; null without a match.
fn extract(arguments: &Arguments<'_>) -> BindResult {
    let (params, patterns) = bind(arguments, &[Want::Text, Want::Text, Want::Int], 1)?;
    let shared = Arc::clone(&patterns);
    let kernel = Kernel::new(move |arguments, rows| {
        let (text, pattern) = (Text::of(&arguments[0])?, Text::of(&arguments[1])?);
        let group = arguments.get(2).map(Ints::of).transpose()?;
        texts(rows, |row, out| {
            let (Some(text), Some(pattern)) = (text.get(row), pattern.get(row)) else {
                return Ok(false);
            };
            let group = match &group {
                None => 0,
                Some(group) => match group.get(row).map(usize::try_from) {
                    Some(Ok(group)) => group,
                    _ => return Ok(false),
                },
            };
            let regex = patterns.get(pattern)?;
            let found = if group == 0 {
                regex.find(text)
            } else {
                regex.captures(text).and_then(|captures| captures.get(group))
            };
            let Some(found) = found else { return Ok(false) };
            out.push_str(found.as_str());
            Ok(true)
        })
    });
    Ok(shared.bound(params, SqlType::STRING, kernel))
}

/// All matches; `$1` in the replacement is a group, as in Java.
fn replace(arguments: &Arguments<'_>) -> BindResult {
    let (params, patterns) = bind(arguments, &[Want::Text, Want::Text, Want::Text], 0)?;
    let shared = Arc::clone(&patterns);
    let kernel = Kernel::new(move |arguments, rows| {
        let (text, pattern) = (Text::of(&arguments[0])?, Text::of(&arguments[1])?);
        let new = Text::of(&arguments[2])?;
        texts(rows, |row, out| {
            let (Some(text), Some(pattern), Some(new)) =
                (text.get(row), pattern.get(row), new.get(row))
            else {
                return Ok(false);
            };
            let regex = patterns.get(pattern)?;
            replace_all(&regex, text, &braced_groups(new), out)?;
            Ok(true)
        })
    });
    Ok(shared.bound(params, SqlType::STRING, kernel))
}

/// Writes the text with every match replaced, as long as it does not get too long.
fn replace_all(
    regex: &Regex,
    text: &str,
    replacement: &str,
    out: &mut String,
) -> Result<(), KernelError> {
    let mut kept = 0;
    for captures in regex.captures_iter(text) {
        let Some(found) = captures.get(0) else { continue };
        out.push_str(&text[kept..found.start()]);
        // A group is at most as long as the match.
        let groups = replacement.bytes().filter(|byte| *byte == b'$').count();
        let most = replacement.len().saturating_add(groups.saturating_mul(found.len()));
        check_value_bytes(out.len().saturating_add(most))?;
        captures.expand(replacement, out);
        kept = found.end();
    }
    out.push_str(&text[kept..]);
    Ok(())
}

/// Java ends a group's number at the first character that is no digit; the regex engine
/// takes letters too, unless braces stand around it.
fn braced_groups(replacement: &str) -> String {
    let mut out = String::with_capacity(replacement.len());
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => {}
            },
            '$' if chars.peek().is_some_and(char::is_ascii_digit) => {
                out.push_str("${");
                while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    out.push(digit);
                }
                out.push('}');
            }
            other => out.push(other),
        }
    }
    out
}
