//! CSV records into columns.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use thalweg_stream::error::Result;

use super::CsvOptions;
use crate::format::column::{Column, Rows, ValueFault};
use crate::format::datetime::TimestampStyle;
use crate::format::{BlankLines, Decoded, RowDecoder};

/// Decodes CSV records.
#[derive(Debug)]
pub(crate) struct CsvDecoder {
    rows: Rows,
    /// For each field of a record the column that wants it.
    targets: Vec<Option<usize>>,
    options: CsvOptions,
    scratch: String,
}

impl CsvDecoder {
    /// A decoder for records with these fields, of which `columns` are wanted.
    pub(crate) fn new(fields: &SchemaRef, columns: &[usize], options: &CsvOptions) -> Result<Self> {
        let wanted = Arc::new(fields.project(columns)?);
        let mut targets = vec![None; fields.fields().len()];
        for (target, &column) in columns.iter().enumerate() {
            targets[column] = Some(target);
        }
        Ok(Self {
            rows: Rows::new(&wanted, TimestampStyle::Sql)?,
            targets,
            options: options.clone(),
            scratch: String::new(),
        })
    }

    fn record(&mut self, text: &str) -> Decoded {
        let mut rest = Some(text);
        for field in 0..self.targets.len() {
            let Some(here) = rest else {
                return self.too_few(field);
            };
            let (value, after) = split_field(here, &self.options, &mut self.scratch)?;
            rest = after;
            if let Some(target) = self.targets[field] {
                let Some(field) = self.rows.root.fields.get_mut(target) else { continue };
                let appended = append(&mut field.column, value, &self.options);
                if let Err(reason) = appended
                    && !self.options.ignore_parse_errors
                {
                    return Err(format!("field '{}': {reason}", field.name));
                }
            }
        }
        if rest.is_some() && !self.options.ignore_parse_errors {
            return Err(format!("more than the table's {} fields", self.targets.len()));
        }
        self.check_required()
    }

    fn too_few(&self, fields: usize) -> Decoded {
        if self.options.ignore_parse_errors {
            return self.check_required();
        }
        Err(format!("{fields} fields, but the table has {}", self.targets.len()))
    }

    fn check_required(&self) -> Decoded {
        let root = &self.rows.root;
        if !root.any_required {
            return Ok(());
        }
        let row = root.len();
        match root.fields.iter().find(|field| field.required && field.column.len() == row) {
            Some(field) => Err(format!("field '{}': null, but the column is NOT NULL", field.name)),
            None => Ok(()),
        }
    }
}

impl RowDecoder for CsvDecoder {
    fn decode(&mut self, record: &[u8]) -> Decoded {
        let outcome = match simdutf8::compat::from_utf8(record) {
            Ok(text) => {
                let row = self.rows.root.len();
                for field in &mut self.rows.root.fields {
                    field.column.pad_to(row);
                }
                self.record(text)
            }
            Err(error) => Err(format!("not valid UTF-8 (byte {})", error.valid_up_to())),
        };
        self.rows.end_row(outcome.is_ok());
        outcome
    }

    fn blank_lines(&self) -> BlankLines {
        BlankLines { white: true, comments: self.options.allow_comments }
    }

    fn take_back(&mut self) {
        self.rows.take_back();
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes()
    }

    fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        self.rows.finish()
    }
}

/// A field of a record.
#[derive(Clone, Copy)]
struct Field<'a> {
    text: &'a str,
    quoted: bool,
}

/// The first field of `text`, and what follows its separator, if there is one.
fn split_field<'t: 'f, 'f>(
    text: &'t str,
    options: &CsvOptions,
    scratch: &'f mut String,
) -> Result<(Field<'f>, Option<&'t str>), String> {
    let bytes = text.as_bytes();
    if let (Some(quote), Some(&first)) = (options.quote, bytes.first())
        && first == quote
    {
        return split_quoted(text, quote, options, scratch);
    }
    let Some(escape) = options.escape else {
        let end = memchr::memchr(options.delimiter, bytes);
        let field = Field { text: &text[..end.unwrap_or(text.len())], quoted: false };
        return Ok((field, end.map(|end| &text[end + 1..])));
    };
    scratch.clear();
    let mut from = 0;
    while let Some(found) = memchr::memchr2(options.delimiter, escape, &bytes[from..]) {
        let at = from + found;
        scratch.push_str(&text[from..at]);
        if bytes[at] == options.delimiter {
            return Ok((Field { text: scratch, quoted: false }, Some(&text[at + 1..])));
        }
        from = push_escaped(text, at, scratch);
    }
    scratch.push_str(&text[from..]);
    Ok((Field { text: scratch, quoted: false }, None))
}

/// Takes the character behind an escape character as it is; gives the place behind it.
fn push_escaped(text: &str, at: usize, out: &mut String) -> usize {
    let Some(escaped) = text[at + 1..].chars().next() else { return at + 1 };
    out.push(escaped);
    at + 1 + escaped.len_utf8()
}

fn split_quoted<'t: 'f, 'f>(
    text: &'t str,
    quote: u8,
    options: &CsvOptions,
    scratch: &'f mut String,
) -> Result<(Field<'f>, Option<&'t str>), String> {
    let bytes = text.as_bytes();
    let escape = options.escape.unwrap_or(quote);
    scratch.clear();
    let mut from = 1;
    loop {
        let Some(found) = memchr::memchr2(quote, escape, &bytes[from..]) else {
            return Err("a quoted field does not end (in a file, a record is one line)".into());
        };
        let at = from + found;
        scratch.push_str(&text[from..at]);
        if bytes[at] != quote {
            from = push_escaped(text, at, scratch);
        } else if bytes.get(at + 1) == Some(&quote) {
            scratch.push(char::from(quote));
            from = at + 2;
        } else {
            let field = Field { text: scratch, quoted: true };
            return match bytes.get(at + 1) {
                None => Ok((field, None)),
                Some(&next) if next == options.delimiter => Ok((field, Some(&text[at + 2..]))),
                Some(_) => Err("a quoted field goes on behind its closing quote".into()),
            };
        }
    }
}

fn append(column: &mut Column, field: Field<'_>, options: &CsvOptions) -> Result<(), String> {
    if options.null_literal.as_deref() == Some(field.text) {
        return Ok(());
    }
    if field.text.is_empty() && !field.quoted && !matches!(column, Column::String(_)) {
        return Ok(());
    }
    append_value(column, field.text, options)
}

fn append_value(column: &mut Column, text: &str, options: &CsvOptions) -> Result<(), String> {
    let outcome = match column {
        Column::List(list) => {
            let items = text.split(options.array_delimiter.as_str());
            for item in items.filter(|_| !text.is_empty()) {
                append_item(&mut list.items, item, list.required, options)?;
            }
            return list.append_valid().map_err(|error| error.to_string());
        }
        Column::Struct(row) => {
            let index = row.len();
            let mut items = text.split(options.array_delimiter.as_str());
            for field in &mut row.fields {
                field.column.pad_to(index);
                let item = items.next().ok_or("fewer fields than the nested row has")?;
                append_item(&mut field.column, item, field.required, options)?;
            }
            row.append_valid();
            return Ok(());
        }
        _ => column.append_text(text),
    };
    outcome.map_err(|fault| describe(text, column, fault))
}

fn append_item(
    column: &mut Column,
    text: &str,
    required: bool,
    options: &CsvOptions,
) -> Result<(), String> {
    let len = column.len();
    let outcome = append(column, Field { text, quoted: false }, options);
    if outcome.is_err() && !options.ignore_parse_errors {
        return outcome;
    }
    if required && column.len() == len {
        return Err("null, but NOT NULL".into());
    }
    column.pad_to(len + 1);
    Ok(())
}

fn describe(text: &str, column: &Column, fault: ValueFault) -> String {
    let shown: String = text.chars().take(40).collect();
    let name = column.type_name();
    match (fault, column.expected()) {
        (ValueFault::OutOfRange, _) => format!("'{shown}' is out of the range of {name}"),
        (ValueFault::Syntax, Some(expected)) => {
            format!("'{shown}' is not of type {name} (expected '{expected}')")
        }
        (ValueFault::Syntax, None) => format!("'{shown}' is not of type {name}"),
    }
}
