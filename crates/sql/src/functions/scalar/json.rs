//! JSON in text.

use super::kernel;
use crate::functions::signature::{Arguments, BindError, BindResult, Bound, FunctionDef, Want};
use crate::functions::values::{Kernel, Text, bools, texts};
use crate::types::SqlType;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    kernel("json_value", &[], "JSON_VALUE(json, path)", json_value),
    kernel("json_query", &[], "JSON_QUERY(json, path)", json_query),
    kernel("json_exists", &[], "JSON_EXISTS(json, path)", |arguments| {
        let params = arguments.expect(&[Want::Text, Want::Text], 0)?;
        let path = Path::of(arguments)?;
        let kernel = Kernel::new(move |arguments, rows| {
            let text = Text::of(&arguments[0])?;
            bools(rows, |row| {
                let Some(text) = text.get(row) else { return Ok(None) };
                let document: Option<serde_json::Value> = serde_json::from_str(text).ok();
                Ok(Some(document.is_some_and(|document| path.find(&document).is_some())))
            })
        });
        Ok(Bound::new(params, SqlType::Boolean, kernel))
    }),
    kernel("is_json", &[], "IS_JSON(text)", |arguments| {
        let params = arguments.expect(&[Want::Text], 0)?;
        let kernel = Kernel::new(|arguments, rows| {
            let text = Text::of(&arguments[0])?;
            bools(rows, |row| {
                Ok(Some(text.get(row).is_some_and(|text| {
                    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
                })))
            })
        });
        Ok(Bound::new(params, SqlType::Boolean, kernel))
    }),
];

/// A path of keys and places: `$.a.b[0]['c']`, `lax` or `strict` before it.
struct Path(Vec<Step>);

enum Step {
    Key(String),
    Place(usize),
}

impl Path {
    fn of(arguments: &Arguments<'_>) -> Result<Self, BindError> {
        let text = arguments
            .text_literal(1)
            .ok_or_else(|| BindError::new("the path must be a constant"))?;
        Self::parse(text)
            .ok_or_else(|| BindError::new(format!("'{text}' is not a path such as '$.a.b[0]'")))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text =
            text.strip_prefix("lax ").or_else(|| text.strip_prefix("strict ")).unwrap_or(text);
        let mut rest = text.trim().strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let key = after[..end].trim_matches('"');
                if key.is_empty() || key == "*" {
                    return None;
                }
                steps.push(Step::Key(key.to_owned()));
                rest = &after[end..];
            } else {
                let after = rest.strip_prefix('[')?;
                let end = after.find(']')?;
                let inner = after[..end].trim();
                let key = inner.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\''));
                steps.push(match key {
                    Some(key) => Step::Key(key.to_owned()),
                    None => Step::Place(inner.parse().ok()?),
                });
                rest = &after[end + 1..];
            }
        }
        Some(Self(steps))
    }

    fn find<'a>(&self, document: &'a serde_json::Value) -> Option<&'a serde_json::Value> {
        self.0.iter().try_fold(document, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Place(place) => value.get(place),
        })
    }
}

/// A scalar as text; null for objects, arrays, nothing and broken JSON.
fn json_value(arguments: &Arguments<'_>) -> BindResult {
    text_at_path(arguments, |value, out| match value {
        serde_json::Value::String(text) => {
            out.push_str(text);
            true
        }
        serde_json::Value::Number(number) => {
            out.push_str(&number.to_string());
            true
        }
        serde_json::Value::Bool(value) => {
            out.push_str(if *value { "true" } else { "false" });
            true
        }
        _ => false,
    })
}

/// An object or array as JSON text.
fn json_query(arguments: &Arguments<'_>) -> BindResult {
    text_at_path(arguments, |value, out| {
        let nested = value.is_object() || value.is_array();
        if nested {
            out.push_str(&value.to_string());
        }
        nested
    })
}

fn text_at_path(
    arguments: &Arguments<'_>,
    write: fn(&serde_json::Value, &mut String) -> bool,
) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text], 0)?;
    let path = Path::of(arguments)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        texts(rows, |row, out| {
            let Some(text) = text.get(row) else { return Ok(false) };
            let document: Option<serde_json::Value> = serde_json::from_str(text).ok();
            let value = document.as_ref().and_then(|document| path.find(document));
            Ok(value.is_some_and(|value| write(value, out)))
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}
