//! Flink's data types: how they are written, and their form in Arrow.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit};
use thalweg_stream::table::SQL_TYPE_KEY;

/// Length of `STRING` and `BYTES`: no limit.
pub const UNBOUNDED: u32 = i32::MAX as u32;

/// Zone in Arrow's type of `TIMESTAMP_LTZ`: values are instants.
pub const INSTANT_ZONE: &str = "UTC";

/// Largest precision of a decimal.
pub const MAX_DECIMAL_PRECISION: u8 = 38;

/// A type of Flink SQL, without its nullability.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum SqlType {
    /// The type of `NULL`.
    Null,
    /// `BOOLEAN`.
    Boolean,
    /// `TINYINT`.
    TinyInt,
    /// `SMALLINT`.
    SmallInt,
    /// `INT`.
    Int,
    /// `BIGINT`.
    BigInt,
    /// `FLOAT`.
    Float,
    /// `DOUBLE`.
    Double,
    /// `DECIMAL(precision, scale)`.
    Decimal(u8, u8),
    /// `CHAR(n)`.
    Char(u32),
    /// `VARCHAR(n)`; `STRING` where unbounded.
    Varchar(u32),
    /// `BINARY(n)`.
    Binary(u32),
    /// `VARBINARY(n)`; `BYTES` where unbounded.
    Varbinary(u32),
    /// `DATE`.
    Date,
    /// `TIME(p)`.
    Time(u8),
    /// `TIMESTAMP(p)`: wall-clock time without a zone.
    Timestamp(u8),
    /// `TIMESTAMP_LTZ(p)`: an instant.
    TimestampLtz(u8),
    /// `INTERVAL YEAR TO MONTH`.
    IntervalMonths,
    /// `INTERVAL DAY TO SECOND`.
    IntervalTime,
    /// `ARRAY<t>`.
    Array(Box<SqlType>),
    /// `MAP<k, v>`.
    Map(Box<SqlType>, Box<SqlType>),
    /// `ROW<name t, ...>`.
    Row(Vec<RowField>),
}

/// A field of a `ROW`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RowField {
    /// Its name.
    pub name: String,
    /// Its type.
    pub sql_type: SqlType,
}

impl SqlType {
    /// `STRING`.
    pub const STRING: Self = Self::Varchar(UNBOUNDED);
    /// `BYTES`.
    pub const BYTES: Self = Self::Varbinary(UNBOUNDED);

    /// Whether it is a number.
    pub fn is_numeric(&self) -> bool {
        self.is_integer() || matches!(self, Self::Float | Self::Double | Self::Decimal(..))
    }

    /// Whether it is a whole number other than a decimal.
    pub fn is_integer(&self) -> bool {
        matches!(self, Self::TinyInt | Self::SmallInt | Self::Int | Self::BigInt)
    }

    /// Whether it is text.
    pub fn is_string(&self) -> bool {
        matches!(self, Self::Char(_) | Self::Varchar(_))
    }

    /// Whether it is bytes.
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_) | Self::Varbinary(_))
    }

    /// Whether it is a point in time with date and time of day.
    pub fn is_timestamp(&self) -> bool {
        matches!(self, Self::Timestamp(_) | Self::TimestampLtz(_))
    }

    /// Whether it is an interval.
    pub fn is_interval(&self) -> bool {
        matches!(self, Self::IntervalMonths | Self::IntervalTime)
    }

    /// Precision and scale as a decimal, for whole numbers too.
    pub fn as_decimal(&self) -> Option<(u8, u8)> {
        Some(match self {
            Self::TinyInt => (3, 0),
            Self::SmallInt => (5, 0),
            Self::Int => (10, 0),
            Self::BigInt => (20, 0),
            Self::Decimal(precision, scale) => (*precision, *scale),
            _ => return None,
        })
    }

    /// The form in memory.
    pub fn to_arrow(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Boolean => DataType::Boolean,
            Self::TinyInt => DataType::Int8,
            Self::SmallInt => DataType::Int16,
            Self::Int => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale as i8),
            Self::Char(_) | Self::Varchar(_) => DataType::Utf8,
            Self::Binary(_) | Self::Varbinary(_) => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time(_) => DataType::Time32(TimeUnit::Millisecond),
            Self::Timestamp(precision) => DataType::Timestamp(time_unit(*precision), None),
            Self::TimestampLtz(precision) => {
                DataType::Timestamp(time_unit(*precision), Some(INSTANT_ZONE.into()))
            }
            Self::IntervalMonths => DataType::Interval(IntervalUnit::YearMonth),
            Self::IntervalTime => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Array(element) => DataType::List(element.to_plain_field("item")),
            Self::Map(key, value) => {
                let key = Field::new("keys", key.to_arrow(), false);
                let entries = Fields::from(vec![Arc::new(key), value.to_plain_field("values")]);
                let entries = Field::new("entries", DataType::Struct(entries), false);
                DataType::Map(Arc::new(entries), false)
            }
            Self::Row(fields) => DataType::Struct(
                fields.iter().map(|field| field.sql_type.to_plain_field(&field.name)).collect(),
            ),
        }
    }

    fn to_plain_field(&self, name: &str) -> FieldRef {
        Arc::new(self.to_field(name, true))
    }

    /// A column of this type. Where Arrow's type says less, the field's metadata keeps
    /// the rest under [`SQL_TYPE_KEY`].
    pub fn to_field(&self, name: &str, nullable: bool) -> Field {
        let field = Field::new(name, self.to_arrow(), nullable);
        if Self::from_arrow(field.data_type()).as_ref() == Some(self) {
            return field;
        }
        field.with_metadata([(SQL_TYPE_KEY.to_owned(), self.to_string())].into())
    }

    /// The type of a column, with what its metadata says.
    pub fn from_field(field: &Field) -> Option<Self> {
        match field.metadata().get(SQL_TYPE_KEY) {
            Some(text) => crate::parser::parse_type(text).ok(),
            None => Self::from_arrow(field.data_type()),
        }
    }

    /// The type that an Arrow type alone stands for; `None` for those that Flink has
    /// no type for.
    pub fn from_arrow(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean,
            DataType::Int8 => Self::TinyInt,
            DataType::Int16 | DataType::UInt8 => Self::SmallInt,
            DataType::Int32 | DataType::UInt16 => Self::Int,
            DataType::Int64 | DataType::UInt32 => Self::BigInt,
            DataType::UInt64 => Self::Decimal(20, 0),
            DataType::Float16 | DataType::Float32 => Self::Float,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(precision, scale) if *scale >= 0 => {
                Self::Decimal(*precision, *scale as u8)
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::STRING,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::BYTES,
            DataType::FixedSizeBinary(length) => Self::Binary(*length as u32),
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time(0),
            DataType::Timestamp(unit, None) => Self::Timestamp(precision_of(*unit)),
            DataType::Timestamp(unit, Some(_)) => Self::TimestampLtz(precision_of(*unit)),
            DataType::Interval(IntervalUnit::YearMonth) => Self::IntervalMonths,
            DataType::Interval(_) | DataType::Duration(_) => Self::IntervalTime,
            DataType::List(element) | DataType::LargeList(element) => {
                Self::Array(Box::new(Self::from_field(element)?))
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => Self::Map(
                    Box::new(Self::from_field(&fields[0])?),
                    Box::new(Self::from_field(&fields[1])?),
                ),
                _ => return None,
            },
            DataType::Struct(fields) => Self::Row(
                fields
                    .iter()
                    .map(|field| {
                        let sql_type = Self::from_field(field)?;
                        Some(RowField { name: field.name().clone(), sql_type })
                    })
                    .collect::<Option<_>>()?,
            ),
            DataType::Dictionary(_, values) => Self::from_arrow(values)?,
            _ => return None,
        })
    }
}

/// The coarsest unit that keeps a precision.
fn time_unit(precision: u8) -> TimeUnit {
    match precision {
        0..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    }
}

fn precision_of(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

impl fmt::Display for SqlType {
    /// As Flink writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Boolean => f.write_str("BOOLEAN"),
            Self::TinyInt => f.write_str("TINYINT"),
            Self::SmallInt => f.write_str("SMALLINT"),
            Self::Int => f.write_str("INT"),
            Self::BigInt => f.write_str("BIGINT"),
            Self::Float => f.write_str("FLOAT"),
            Self::Double => f.write_str("DOUBLE"),
            Self::Decimal(precision, scale) => write!(f, "DECIMAL({precision}, {scale})"),
            Self::Char(length) => write!(f, "CHAR({length})"),
            Self::Varchar(UNBOUNDED) => f.write_str("STRING"),
            Self::Varchar(length) => write!(f, "VARCHAR({length})"),
            Self::Binary(length) => write!(f, "BINARY({length})"),
            Self::Varbinary(UNBOUNDED) => f.write_str("BYTES"),
            Self::Varbinary(length) => write!(f, "VARBINARY({length})"),
            Self::Date => f.write_str("DATE"),
            Self::Time(precision) => write!(f, "TIME({precision})"),
            Self::Timestamp(precision) => write!(f, "TIMESTAMP({precision})"),
            Self::TimestampLtz(precision) => write!(f, "TIMESTAMP_LTZ({precision})"),
            Self::IntervalMonths => f.write_str("INTERVAL YEAR TO MONTH"),
            Self::IntervalTime => f.write_str("INTERVAL DAY TO SECOND"),
            Self::Array(element) => write!(f, "ARRAY<{element}>"),
            Self::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            Self::Row(fields) => {
                f.write_str("ROW<")?;
                for (number, field) in fields.iter().enumerate() {
                    let comma = if number == 0 { "" } else { ", " };
                    let name = field.name.replace('`', "``");
                    write!(f, "{comma}`{name}` {}", field.sql_type)?;
                }
                f.write_str(">")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_keeps_what_arrow_forgets() {
        for text in [
            "CHAR(3)",
            "VARCHAR(10)",
            "STRING",
            "TIMESTAMP(0)",
            "TIMESTAMP_LTZ(3)",
            "TIME(3)",
            "DECIMAL(23, 3)",
            "ARRAY<CHAR(2)>",
            "MAP<STRING, INT>",
            "ROW<`a` INT, `b c` ROW<`d` TIMESTAMP(6)>>",
        ] {
            let sql_type = crate::parser::parse_type(text).unwrap();
            assert_eq!(sql_type.to_string(), text);
            assert_eq!(SqlType::from_field(&sql_type.to_field("x", true)), Some(sql_type));
        }
    }
}
