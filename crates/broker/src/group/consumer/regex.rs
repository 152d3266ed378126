//! Subscription by regular expression (KIP-848: the syntax of RE2, for whole names).
//!
//! The `regex` crate has RE2's syntax and its promise of linear time. `\Q...\E` is
//! translated; `\C` (one byte, whatever it is) is not supported, and would match nothing
//! in a topic name that `.` does not.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};

use crate::error_code::ErrorCode;
use crate::group::messages::{Refusal, TopicFilter};
use crate::group::topics::TopicsImage;

/// Longest expression.
const PATTERN_BYTES_MAX: usize = 4_096;
/// Most memory that a compiled expression may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// The visible topics whose names match as a whole.
///
/// # Errors
/// It is no expression.
pub(super) fn resolve(
    pattern: &str,
    image: &TopicsImage,
    visible: &TopicFilter,
) -> Result<BTreeSet<String>, Refusal> {
    let regex = compile(pattern)?;
    let matching = image.names().filter(|name| regex.is_match(name) && (visible.0)(name));
    Ok(matching.map(str::to_owned).collect())
}

/// Compiles an expression for whole names.
///
/// # Errors
/// What is wrong with it.
pub(super) fn compile(pattern: &str) -> Result<Regex, Refusal> {
    let refused = |detail: String| {
        let message = format!("SubscribedTopicRegex '{pattern}' is not valid: {detail}");
        Refusal::new(ErrorCode::InvalidRegularExpression, message)
    };
    if pattern.len() > PATTERN_BYTES_MAX {
        let detail = format!("an expression has at most {PATTERN_BYTES_MAX} bytes");
        return Err(Refusal::new(ErrorCode::InvalidRegularExpression, detail));
    }
    let pattern = unquote(pattern);
    let build = |pattern: &str| {
        let built = RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).build();
        built.map_err(|error| refused(error.to_string()))
    };
    // By itself first: in brackets something else could become valid.
    build(&pattern)?;
    build(&format!(r"\A(?:{pattern})\z"))
}

/// Writes what stands between `\Q` and `\E` so that it stands for itself.
fn unquote(pattern: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(pattern.len()), pattern);
    while let Some(at) = rest.find('\\') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(quoted) = from.strip_prefix("\\Q") {
            let (literal, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(literal));
            rest = after;
        } else {
            let escaped = from.chars().take(2).map(char::len_utf8).sum();
            out.push_str(&from[..escaped]);
            rest = &from[escaped..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        compile(pattern).expect("an expression").is_match(name)
    }

    #[test]
    fn expressions_are_for_whole_names() {
        assert!(matches("orders-.*", "orders-eu") && !matches("orders-.*", "my-orders-eu"));
        assert!(matches("a|b", "b") && !matches("a|b", "ab"));
        assert!(matches(r"\Qa.b\E.*", "a.bc") && !matches(r"\Qa.b\E.*", "aXbc"));
        assert!(matches(r"\\Q", r"\Q"), "an escaped backslash begins no quotation");
        assert!(matches("(?i)ORDERS", "orders"));
        assert!(matches("", ""));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_a_reason() {
        for bad in ["(", "a)(b", "[z-a]", r"\C", "(?=a)", "(a{1000}){1000}", &"a".repeat(5_000)] {
            let refusal = compile(bad).expect_err(bad);
            assert_eq!(refusal.code, ErrorCode::InvalidRegularExpression);
        }
    }
}
