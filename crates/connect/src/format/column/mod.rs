//! Column builders: where decoders put the values of a row, one after another.
//!
//! A column may lag behind: it is brought up to the current row (with nulls) only when it
//! gets its next value, so fields that a record lets out cost nothing. After a record that
//! turned out bad, [`Column::settle`] gives every column the same length again; the decoder
//! drops such rows when it finishes the batch.

mod leaf;
mod nested;
mod relabel;
mod rows;
mod validity;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, TimeUnit};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::datetime::{TimestampParser, TimestampStyle};
use super::types::type_name;
pub(crate) use leaf::{
    BinaryColumn, BooleanColumn, DateColumn, DecimalColumn, FixedColumn, StringColumn, TimeColumn,
    TimestampColumn, trim_java,
};
pub(crate) use nested::{ListColumn, MapColumn, StructColumn};
pub(crate) use relabel::relabel;
pub(crate) use rows::Rows;

/// Why a text is not a value of a type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ValueFault {
    /// It does not look like one.
    Syntax,
    /// It is one that the type has no place for.
    OutOfRange,
}

/// A column under construction.
#[derive(Debug)]
pub(crate) enum Column {
    Null(usize),
    Boolean(BooleanColumn),
    Int8(FixedColumn<arrow_array::types::Int8Type>),
    Int16(FixedColumn<arrow_array::types::Int16Type>),
    Int32(FixedColumn<arrow_array::types::Int32Type>),
    Int64(FixedColumn<arrow_array::types::Int64Type>),
    Float32(FixedColumn<arrow_array::types::Float32Type>),
    Float64(FixedColumn<arrow_array::types::Float64Type>),
    Decimal(DecimalColumn),
    String(StringColumn),
    Binary(BinaryColumn),
    Date(DateColumn),
    Time(TimeColumn),
    Timestamp(Box<TimestampColumn>),
    Struct(Box<StructColumn>),
    List(Box<ListColumn>),
    Map(Box<MapColumn>),
}

/// Does the same for every kind of column.
macro_rules! each {
    ($column:expr, $name:ident => $body:expr, null $length:ident => $null:expr) => {
        match $column {
            Column::Null($length) => $null,
            Column::Boolean($name) => $body,
            Column::Int8($name) => $body,
            Column::Int16($name) => $body,
            Column::Int32($name) => $body,
            Column::Int64($name) => $body,
            Column::Float32($name) => $body,
            Column::Float64($name) => $body,
            Column::Decimal($name) => $body,
            Column::String($name) => $body,
            Column::Binary($name) => $body,
            Column::Date($name) => $body,
            Column::Time($name) => $body,
            Column::Timestamp($name) => $body,
            Column::Struct($name) => $body,
            Column::List($name) => $body,
            Column::Map($name) => $body,
        }
    };
}

impl Column {
    /// A builder for a field's type; `style` is how timestamps are written.
    pub(crate) fn new(field: &Field, style: TimestampStyle) -> Result<Self> {
        Ok(match field.data_type() {
            DataType::Null => Self::Null(0),
            DataType::Boolean => Self::Boolean(BooleanColumn::default()),
            DataType::Int8 => Self::Int8(FixedColumn::default()),
            DataType::Int16 => Self::Int16(FixedColumn::default()),
            DataType::Int32 => Self::Int32(FixedColumn::default()),
            DataType::Int64 => Self::Int64(FixedColumn::default()),
            DataType::Float32 => Self::Float32(FixedColumn::default()),
            DataType::Float64 => Self::Float64(FixedColumn::default()),
            DataType::Decimal128(precision, scale) => {
                Self::Decimal(DecimalColumn::new(*precision, *scale))
            }
            DataType::Utf8 => Self::String(StringColumn::new(false)),
            DataType::Utf8View => Self::String(StringColumn::new(true)),
            DataType::Binary => Self::Binary(BinaryColumn::new(false)),
            DataType::BinaryView => Self::Binary(BinaryColumn::new(true)),
            DataType::Date32 => Self::Date(DateColumn::default()),
            DataType::Time32(unit @ (TimeUnit::Second | TimeUnit::Millisecond))
            | DataType::Time64(unit @ (TimeUnit::Microsecond | TimeUnit::Nanosecond)) => {
                Self::Time(TimeColumn::new(*unit))
            }
            DataType::Timestamp(unit, zone) => {
                let parser = TimestampParser::new(style, zone.is_some());
                Self::Timestamp(Box::new(TimestampColumn::new(*unit, zone.clone(), parser)))
            }
            DataType::Struct(fields) => Self::Struct(Box::new(StructColumn::new(fields, style)?)),
            DataType::List(item) => Self::List(Box::new(ListColumn::new(item, style)?)),
            DataType::Map(entries, sorted) => {
                Self::Map(Box::new(MapColumn::new(entries, *sorted, style)?))
            }
            other => {
                return Err(StreamError::Invalid(format!(
                    "column '{}': values of type {} cannot be read from text formats",
                    field.name(),
                    type_name(other)
                )));
            }
        })
    }

    /// Number of entries.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        each!(self, column => column.len(), null len => *len)
    }

    /// Appends nulls until there are `len` entries.
    pub(crate) fn pad_to(&mut self, len: usize) {
        let missing = len.saturating_sub(self.len());
        if missing > 0 {
            each!(self, column => column.append_nulls(missing), null length => *length += missing);
        }
    }

    /// Brings the column to exactly `len` entries after a record that broke off in its
    /// last entry.
    pub(crate) fn settle(&mut self, len: usize) {
        match self {
            Self::Struct(column) => column.settle(len),
            Self::List(column) => column.settle(len),
            Self::Map(column) => column.settle(len),
            _ => self.pad_to(len),
        }
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        each!(self, column => column.memory_bytes(), null _length => 0)
    }

    /// Takes the entries out. `relaxed`: nested fields are declared nullable, because rows
    /// that will be dropped may hold nulls where there must be none.
    pub(crate) fn finish(&mut self, relaxed: bool) -> Result<ArrayRef> {
        match self {
            Self::Null(len) => {
                Ok(std::sync::Arc::new(arrow_array::NullArray::new(std::mem::take(len))))
            }
            Self::Struct(column) => column.finish(relaxed),
            Self::List(column) => column.finish(relaxed),
            Self::Map(column) => column.finish(relaxed),
            Self::Boolean(column) => column.finish(),
            Self::Int8(column) => column.finish(),
            Self::Int16(column) => column.finish(),
            Self::Int32(column) => column.finish(),
            Self::Int64(column) => column.finish(),
            Self::Float32(column) => column.finish(),
            Self::Float64(column) => column.finish(),
            Self::Decimal(column) => column.finish(),
            Self::String(column) => column.finish(),
            Self::Binary(column) => column.finish(),
            Self::Date(column) => column.finish(),
            Self::Time(column) => column.finish(),
            Self::Timestamp(column) => column.finish(),
        }
    }

    /// Appends the value that a text says, by Flink's rules for strings: numbers and
    /// booleans may stand in one. Nested types take none.
    pub(crate) fn append_text(&mut self, text: &str) -> Result<(), ValueFault> {
        match self {
            Self::Null(len) => *len += 1,
            Self::Boolean(column) => column.append_parsed(text)?,
            Self::Int8(column) => column.append_parsed(text)?,
            Self::Int16(column) => column.append_parsed(text)?,
            Self::Int32(column) => column.append_parsed(text)?,
            Self::Int64(column) => column.append_parsed(text)?,
            Self::Float32(column) => column.append_parsed(text)?,
            Self::Float64(column) => column.append_parsed(text)?,
            Self::Decimal(column) => column.append_parsed(trim_java(text).as_bytes())?,
            Self::String(column) => column.append(text),
            Self::Binary(column) => column.append_base64(text.as_bytes())?,
            Self::Date(column) => column.append_parsed(text.as_bytes())?,
            Self::Time(column) => column.append_parsed(text.as_bytes())?,
            Self::Timestamp(column) => column.append_parsed(text.as_bytes())?,
            Self::Struct(_) | Self::List(_) | Self::Map(_) => return Err(ValueFault::Syntax),
        }
        Ok(())
    }

    /// The type's name in SQL.
    pub(crate) fn type_name(&self) -> String {
        match self {
            Self::Null(_) => "NULL".into(),
            Self::Boolean(_) => "BOOLEAN".into(),
            Self::Int8(_) => "TINYINT".into(),
            Self::Int16(_) => "SMALLINT".into(),
            Self::Int32(_) => "INT".into(),
            Self::Int64(_) => "BIGINT".into(),
            Self::Float32(_) => "FLOAT".into(),
            Self::Float64(_) => "DOUBLE".into(),
            Self::Decimal(column) => column.type_name(),
            Self::String(_) => "STRING".into(),
            Self::Binary(_) => "BYTES".into(),
            Self::Date(_) => "DATE".into(),
            Self::Time(_) => "TIME".into(),
            Self::Timestamp(column) => column.type_name(),
            Self::Struct(_) => "ROW".into(),
            Self::List(column) => format!("ARRAY<{}>", column.items.type_name()),
            Self::Map(_) => "MAP".into(),
        }
    }

    /// What a text should look like, where the type alone does not say it.
    pub(crate) fn expected(&self) -> Option<&'static str> {
        match self {
            Self::Timestamp(column) => Some(column.parser.expected()),
            Self::Date(_) => Some("yyyy-MM-dd"),
            Self::Time(_) => Some("HH:mm:ss.SSS"),
            Self::Binary(_) => Some("base64"),
            _ => None,
        }
    }
}
