//! JSON objects as MAP values: every key counts, and of equal ones the last.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::fault::{Fault, Outcome};
use super::scan::{Cursor, unescape};
use super::value::Context;
use crate::format::column::MapColumn;

/// A map with more keys than this is checked for duplicates by hashing.
const FEW_KEYS: usize = 8;

impl Context<'_> {
    /// Reads an object into an entry of a map column.
    pub(super) fn map(
        &mut self,
        cursor: &mut Cursor<'_>,
        map: &mut MapColumn,
        depth: u32,
    ) -> Outcome<()> {
        cursor.check_depth(depth)?;
        let mut seen = SeenKeys::default();
        let mut left = if self.careful { Some(count_map_keys(cursor, depth)?) } else { None };
        cursor.at += 1;
        cursor.skip_space();
        if cursor.peek() == b'}' {
            cursor.at += 1;
        } else {
            loop {
                self.map_entry(cursor, map, depth, &mut seen, &mut left)?;
                cursor.skip_space();
                if cursor.peek() == b'}' {
                    cursor.at += 1;
                    break;
                }
                cursor.expect(b',', "',' or '}'")?;
                cursor.skip_space();
            }
        }
        map.append_valid().map_err(|error| Fault::record(cursor.at, error.to_string()))
    }

    fn map_entry<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        map: &mut MapColumn,
        depth: u32,
        seen: &mut SeenKeys<'a>,
        left: &mut Option<HashMap<String, u32>>,
    ) -> Outcome<()> {
        let start = cursor.at;
        let (content, escaped) = cursor.string()?;
        cursor.skip_space();
        cursor.expect(b':', "':'")?;
        if let Some(left) = left {
            let count = left.get_mut(&*key_text(content, escaped));
            if count.is_some_and(|count| {
                *count -= 1;
                *count > 0
            }) {
                cursor.skip_space();
                return cursor.skip_value(depth + 1);
            }
        } else if escaped || !seen.insert(content) {
            // Escaped keys are rare enough to be compared the careful way.
            return Err(Fault::duplicate_key(start));
        }
        map.keys.append_text(&key_text(content, escaped)).map_err(|_| {
            let what = format!("'{content}' is no key of the map's key type");
            Fault::record(start, what)
        })?;
        self.item(cursor, &mut map.values, map.required, depth, "a map value")
    }
}

/// The keys of a map so far, as they stand in the text and without escapes.
#[derive(Default)]
struct SeenKeys<'a> {
    few: Vec<&'a str>,
    many: HashSet<&'a str>,
}

impl<'a> SeenKeys<'a> {
    /// False where it was there already.
    fn insert(&mut self, key: &'a str) -> bool {
        if self.few.len() < FEW_KEYS {
            let new = !self.few.contains(&key);
            self.few.push(key);
            return new;
        }
        if self.many.is_empty() {
            self.many.extend(&self.few);
        }
        self.many.insert(key)
    }
}

fn key_text(content: &str, escaped: bool) -> Cow<'_, str> {
    if !escaped {
        return content.into();
    }
    let mut text = String::new();
    unescape(content, &mut text);
    text.into()
}

/// How often each key comes in the object at the cursor, which stays.
fn count_map_keys(cursor: &Cursor<'_>, depth: u32) -> Outcome<HashMap<String, u32>> {
    let mut ahead = cursor.clone();
    let mut counts = HashMap::new();
    ahead.at += 1;
    ahead.skip_space();
    if ahead.peek() == b'}' {
        return Ok(counts);
    }
    loop {
        let (content, escaped) = ahead.string()?;
        *counts.entry(key_text(content, escaped).into_owned()).or_insert(0) += 1;
        ahead.skip_space();
        ahead.expect(b':', "':'")?;
        ahead.skip_space();
        ahead.skip_value(depth + 1)?;
        ahead.skip_space();
        if ahead.peek() == b'}' {
            return Ok(counts);
        }
        ahead.expect(b',', "',' or '}'")?;
        ahead.skip_space();
    }
}
