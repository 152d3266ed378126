//! Values of JSON into the builders of their columns.

use super::fault::{Fault, FaultKind, Outcome};
use super::keys::Target;
use super::scan::{Cursor, Token, unescape};
use crate::format::column::{Column, ListColumn, StructColumn, ValueFault, trim_java};

/// How much of a value is shown in a message.
const SHOWN_CHARS: usize = 40;

/// What holds for a whole record.
pub(super) struct Context<'s> {
    /// A field that is not there makes the record bad.
    pub(super) fail_on_missing: bool,
    /// A value that does not fit its column is null.
    pub(super) ignore_errors: bool,
    /// Keys may come twice: look ahead in each object for the last of each.
    pub(super) careful: bool,
    /// For unescaping.
    pub(super) scratch: &'s mut String,
}

impl Context<'_> {
    /// The record itself: an object, with nothing behind it.
    pub(super) fn root(&mut self, cursor: &mut Cursor<'_>, row: &mut StructColumn) -> Outcome<()> {
        if cursor.peek() != b'{' {
            return cursor.expected("a JSON object");
        }
        self.object(cursor, row, 0)?;
        cursor.skip_space();
        if !cursor.is_at_end() && cursor.peek() != b'\n' {
            return cursor.expected("nothing more behind the record");
        }
        Ok(())
    }

    /// Reads an object into the fields of a row; the row itself is not ended.
    #[inline]
    fn object(
        &mut self,
        cursor: &mut Cursor<'_>,
        row: &mut StructColumn,
        depth: u32,
    ) -> Outcome<()> {
        cursor.check_depth(depth)?;
        let mut left = if self.careful { Some(self.count_keys(cursor, row, depth)?) } else { None };
        let index = row.len();
        let mut step = 0;
        loop {
            let target = match row.keys.predict(cursor.rest(), &mut step) {
                Some((len, target)) => {
                    cursor.at += len;
                    target
                }
                None => match self.lead(cursor, row, &mut step)? {
                    Lead::Key(target) => target,
                    Lead::Close => break,
                },
            };
            match target {
                Some(field) if is_last(&mut left, field) => {
                    self.field(cursor, row, field, index, depth)?;
                }
                _ => {
                    cursor.skip_space();
                    cursor.skip_value(depth + 1)?;
                }
            }
            match cursor.peek() {
                b'}' => {
                    cursor.at += 1;
                    break;
                }
                // The lead of a first key would fit here, but it is not the first.
                b'{' => return cursor.expected("',' or '}'"),
                _ => {}
            }
        }
        if row.any_required || self.fail_on_missing {
            self.check_missing(cursor, row, index)?;
        }
        Ok(())
    }

    /// Parses what stands before a value, or the end of the object.
    fn lead(
        &mut self,
        cursor: &mut Cursor<'_>,
        row: &mut StructColumn,
        step: &mut usize,
    ) -> Outcome<Lead> {
        let start = cursor.at;
        let first = cursor.peek() == b'{';
        if first {
            cursor.at += 1;
            cursor.skip_space();
            if cursor.peek() == b'}' {
                cursor.at += 1;
                return Ok(Lead::Close);
            }
        } else {
            cursor.skip_space();
            if cursor.peek() == b'}' {
                cursor.at += 1;
                return Ok(Lead::Close);
            }
            cursor.expect(b',', "',' or '}'")?;
            cursor.skip_space();
        }
        let target = self.key(cursor, row)?;
        cursor.skip_space();
        let from_start = cursor.since(start).as_bytes();
        row.keys.learn(from_start, 0..from_start.len(), target, step);
        Ok(Lead::Key(target))
    }

    /// Passes a key and its colon; gives its field.
    fn key(&mut self, cursor: &mut Cursor<'_>, row: &StructColumn) -> Outcome<Target> {
        let (content, escaped) = cursor.string()?;
        let target = if escaped {
            self.scratch.clear();
            unescape(content, self.scratch);
            row.keys.find(self.scratch)
        } else {
            row.keys.find(content)
        };
        cursor.skip_space();
        cursor.expect(b':', "':'")?;
        Ok(target)
    }

    /// How often each field comes in the object at the cursor, which stays.
    fn count_keys(
        &mut self,
        cursor: &Cursor<'_>,
        row: &StructColumn,
        depth: u32,
    ) -> Outcome<Vec<u32>> {
        let mut ahead = cursor.clone();
        let mut counts = vec![0; row.fields.len()];
        ahead.at += 1;
        ahead.skip_space();
        if ahead.peek() == b'}' {
            return Ok(counts);
        }
        loop {
            if let Some(field) = self.key(&mut ahead, row)? {
                counts[field as usize] += 1;
            }
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

    #[inline]
    fn field(
        &mut self,
        cursor: &mut Cursor<'_>,
        row: &mut StructColumn,
        field: u32,
        index: usize,
        depth: u32,
    ) -> Outcome<()> {
        let Some(field) = row.fields.get_mut(field as usize) else { return Ok(()) };
        let len = field.column.len();
        if len != index {
            if len > index {
                return Err(Fault::duplicate_key(cursor.at));
            }
            field.column.pad_to(index);
        }
        let start = cursor.at;
        let appended = match self.value(cursor, &mut field.column, depth + 1) {
            Ok(appended) => appended,
            Err(fault) if self.ignore_errors && fault.kind() == FaultKind::Value => false,
            Err(fault) => return Err(fault.within(&field.name)),
        };
        if !appended {
            // Null, which the column need not hear of before the next value.
            if field.required {
                let what = "null, but the column is NOT NULL".to_owned();
                return Err(Fault::record(start, what).within(&field.name));
            }
            if self.fail_on_missing {
                field.column.pad_to(index + 1);
            }
        }
        Ok(())
    }

    #[cold]
    fn check_missing(&self, cursor: &Cursor<'_>, row: &StructColumn, index: usize) -> Outcome<()> {
        for field in &row.fields {
            if field.column.len() == index + 1 {
                continue;
            }
            if field.required || self.fail_on_missing {
                let why = if field.required { ", but the column is NOT NULL" } else { "" };
                let fault = Fault::record(cursor.at, format!("missing{why}"));
                return Err(fault.within(&field.name));
            }
        }
        Ok(())
    }

    /// Reads a value. False: it is null, and nothing was appended.
    #[inline]
    fn value(&mut self, cursor: &mut Cursor<'_>, column: &mut Column, depth: u32) -> Outcome<bool> {
        cursor.skip_space();
        match (cursor.peek(), &mut *column) {
            (b'n', _) => return cursor.word("null").map(|()| false),
            (b'"', Column::String(column)) => {
                let (content, escaped) = cursor.string()?;
                if escaped {
                    self.scratch.clear();
                    unescape(content, self.scratch);
                    column.append(self.scratch);
                } else {
                    column.append(content);
                }
                return Ok(true);
            }
            (b'-' | b'0'..=b'9', Column::Int64(column)) => {
                if let Some(value) = cursor.short_integer() {
                    column.append(value);
                    return Ok(true);
                }
            }
            (b'-' | b'0'..=b'9', Column::Int32(column)) => {
                let start = cursor.at;
                match cursor.short_integer().map(i32::try_from) {
                    Some(Ok(value)) => {
                        column.append(value);
                        return Ok(true);
                    }
                    Some(Err(_)) => cursor.at = start,
                    None => {}
                }
            }
            (b'"', Column::Timestamp(column)) => {
                let start = cursor.at;
                let (content, escaped) = cursor.string()?;
                if !escaped && column.append_parsed(content.as_bytes()).is_ok() {
                    return Ok(true);
                }
                cursor.at = start;
            }
            (b'{', Column::Struct(row)) => {
                self.object(cursor, row, depth)?;
                row.append_valid();
                return Ok(true);
            }
            (b'[', Column::List(list)) => return self.array(cursor, list, depth).map(|()| true),
            (b'{', Column::Map(map)) => return self.map(cursor, map, depth).map(|()| true),
            _ => {}
        }
        self.scalar(cursor, column, depth)
    }

    /// Reads a value by its token: everything that is not the usual case.
    fn scalar(
        &mut self,
        cursor: &mut Cursor<'_>,
        column: &mut Column,
        depth: u32,
    ) -> Outcome<bool> {
        let start = cursor.at;
        let token = cursor.token(depth, self.scratch)?;
        let fitted = match (token, &mut *column) {
            (Token::Null, _) => return Ok(false),
            (Token::String(text), column) => column.append_text(text),
            (Token::Number(text), column) => append_number(column, text),
            (Token::True, Column::Boolean(column)) => {
                column.append(true);
                Ok(())
            }
            (Token::False, Column::Boolean(column)) => {
                column.append(false);
                Ok(())
            }
            (Token::True, Column::String(column)) => {
                column.append("true");
                Ok(())
            }
            (Token::False, Column::String(column)) => {
                column.append("false");
                Ok(())
            }
            (Token::Nested(text), Column::String(column)) => {
                column.append(&compact(text));
                Ok(())
            }
            (_, Column::Null(len)) => {
                *len += 1;
                Ok(())
            }
            _ => Err(ValueFault::Syntax),
        };
        fitted.map(|()| true).map_err(|fault| describe(start, token, column, fault))
    }

    fn array(&mut self, cursor: &mut Cursor<'_>, list: &mut ListColumn, depth: u32) -> Outcome<()> {
        cursor.check_depth(depth)?;
        cursor.at += 1;
        cursor.skip_space();
        if cursor.peek() == b']' {
            cursor.at += 1;
        } else {
            loop {
                self.item(cursor, &mut list.items, list.required, depth, "an array item")?;
                cursor.skip_space();
                if cursor.peek() == b']' {
                    cursor.at += 1;
                    break;
                }
                cursor.expect(b',', "',' or ']'")?;
            }
        }
        list.append_valid().map_err(|error| Fault::record(cursor.at, error.to_string()))
    }

    /// Reads a value that stands in no field, so that null must be appended.
    pub(super) fn item(
        &mut self,
        cursor: &mut Cursor<'_>,
        column: &mut Column,
        required: bool,
        depth: u32,
        what: &str,
    ) -> Outcome<()> {
        let start = cursor.at;
        let appended = match self.value(cursor, column, depth + 1) {
            Err(fault) if self.ignore_errors && fault.kind() == FaultKind::Value => false,
            outcome => outcome?,
        };
        if !appended {
            if required {
                let what = format!("{what} is null, but its type is NOT NULL");
                return Err(Fault::record(start, what));
            }
            column.pad_to(column.len() + 1);
        }
        Ok(())
    }
}

/// What [`Context::lead`] came upon.
enum Lead {
    Key(Target),
    Close,
}

/// Whether this is the last time that the field's key comes.
#[inline]
fn is_last(left: &mut Option<Vec<u32>>, field: u32) -> bool {
    match left.as_mut().and_then(|left| left.get_mut(field as usize)) {
        None => true,
        Some(count) => {
            *count -= 1;
            *count == 0
        }
    }
}

/// Appends a number, given as it is written.
fn append_number(column: &mut Column, text: &str) -> Result<(), ValueFault> {
    match column {
        Column::Null(_) | Column::Decimal(_) | Column::String(_) => column.append_text(text),
        Column::Int8(_) | Column::Int16(_) | Column::Float32(_) | Column::Float64(_) => {
            column.append_text(text)
        }
        Column::Int32(column) => {
            column.append(i32::try_from(whole(text)?).map_err(|_| ValueFault::OutOfRange)?);
            Ok(())
        }
        Column::Int64(column) => {
            column.append(whole(text)?);
            Ok(())
        }
        _ => Err(ValueFault::Syntax),
    }
}

/// The whole part of a number, as Jackson gives it for INT and BIGINT.
fn whole(text: &str) -> Result<i64, ValueFault> {
    if let Ok(value) = text.parse() {
        return Ok(value);
    }
    let value: f64 = trim_java(text).parse().map_err(|_| ValueFault::Syntax)?;
    // 2^63 is a double, and the first that is too large.
    let limit = 9_223_372_036_854_775_808.0;
    if text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit())
        || !(-limit..limit).contains(&value)
    {
        return Err(ValueFault::OutOfRange);
    }
    Ok(value as i64)
}

/// JSON text without the white space between its tokens.
fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut cursor = Cursor::record(text);
    while !cursor.is_at_end() {
        cursor.skip_space();
        let start = cursor.at;
        if cursor.peek() != b'"' || cursor.string().is_err() {
            cursor.at = start + 1;
        }
        out.push_str(cursor.since(start));
    }
    out
}

#[cold]
fn describe(at: usize, token: Token<'_>, column: &Column, fault: ValueFault) -> Fault {
    let shown = match token {
        Token::Null => "null".to_owned(),
        Token::True => "true".to_owned(),
        Token::False => "false".to_owned(),
        Token::Number(text) => shorten(text),
        Token::String(text) => format!("'{}'", shorten(text)),
        Token::Nested(text) if text.starts_with('[') => "an array".to_owned(),
        Token::Nested(_) => "an object".to_owned(),
    };
    let name = column.type_name();
    let mut what = match fault {
        ValueFault::Syntax => format!("{shown} is not of type {name}"),
        ValueFault::OutOfRange => format!("{shown} is out of the range of {name}"),
    };
    if let (ValueFault::Syntax, Some(expected)) = (fault, column.expected()) {
        what.push_str(&format!(" (expected '{expected}')"));
        if let (Token::String(text), Column::Timestamp(_)) = (token, column)
            && text.as_bytes().get(10) == Some(&b'T')
            && expected.as_bytes().get(10) == Some(&b' ')
        {
            what.push_str("; for ISO-8601 set 'json.timestamp-format.standard' = 'ISO-8601'");
        }
    }
    Fault::value(at, what)
}

fn shorten(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown
}
