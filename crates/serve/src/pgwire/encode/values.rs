//! Typed columns: an Arrow array brought to one of few types.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, LargeBinaryArray, LargeListArray, LargeStringArray, MapArray,
    PrimitiveArray, StringArray, StringViewArray, StructArray,
};
use arrow_cast::CastOptions;
use arrow_schema::{DataType, TimeUnit};
use chrono_tz::Tz;
use pgwire::api::Type;

use super::super::error::{PgError, Result};
use super::super::types::PgColumn;

/// Values of a column.
pub(super) enum Values {
    Bool(BooleanArray),
    Int16(PrimitiveArray<Int16Type>),
    Int32(PrimitiveArray<Int32Type>),
    Int64(PrimitiveArray<Int64Type>),
    Float32(PrimitiveArray<Float32Type>),
    Float64(PrimitiveArray<Float64Type>),
    Decimal128(PrimitiveArray<Decimal128Type>),
    Decimal256(PrimitiveArray<Decimal256Type>),
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    Utf8View(StringViewArray),
    Bytes(LargeBinaryArray),
    Date(PrimitiveArray<Date32Type>),
    Time(PrimitiveArray<Time64MicrosecondType>),
    Timestamp(PrimitiveArray<TimestampMicrosecondType>),
    /// With the session's zone.
    Instant(PrimitiveArray<TimestampMicrosecondType>, Tz),
    Interval(PrimitiveArray<IntervalMonthDayNanoType>),
    /// A list that PostgreSQL has an array type for, and the type of its items.
    Array(LargeListArray, Box<Values>, Type),
    /// Anything else that is nested, as JSON.
    JsonList(LargeListArray, Box<Values>),
    Struct(StructArray, Vec<(String, Values)>),
    Map(MapArray, Box<Values>, Box<Values>),
}

impl Values {
    /// Brings an array to the column's canonical type.
    pub(super) fn new(array: &ArrayRef, column: &PgColumn, zone: Tz) -> Result<Self> {
        let array = if array.data_type() == &column.canonical {
            array.clone()
        } else {
            cast(array, &column.canonical)?
        };
        Ok(match &column.canonical {
            DataType::Boolean => Self::Bool(array.as_boolean().clone()),
            DataType::Int16 => Self::Int16(array.as_primitive().clone()),
            DataType::Int32 => Self::Int32(array.as_primitive().clone()),
            DataType::Int64 => Self::Int64(array.as_primitive().clone()),
            DataType::Float32 => Self::Float32(array.as_primitive().clone()),
            DataType::Float64 => Self::Float64(array.as_primitive().clone()),
            DataType::Decimal128(..) => Self::Decimal128(array.as_primitive().clone()),
            DataType::Decimal256(..) => Self::Decimal256(array.as_primitive().clone()),
            DataType::Utf8 => Self::Utf8(array.as_string().clone()),
            DataType::LargeUtf8 => Self::LargeUtf8(array.as_string().clone()),
            DataType::Utf8View => Self::Utf8View(array.as_string_view().clone()),
            DataType::LargeBinary => Self::Bytes(array.as_binary().clone()),
            DataType::Date32 => Self::Date(array.as_primitive().clone()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(array.as_primitive().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => {
                Self::Timestamp(array.as_primitive().clone())
            }
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
                Self::Instant(array.as_primitive().clone(), zone)
            }
            DataType::Interval(_) => Self::Interval(array.as_primitive().clone()),
            _ => Self::nested(&array, column, zone)?,
        })
    }

    fn nested(array: &ArrayRef, column: &PgColumn, zone: Tz) -> Result<Self> {
        let child = |array: &ArrayRef| Self::new(array, &PgColumn::of(array.data_type()), zone);
        match array.data_type() {
            DataType::Struct(fields) => {
                let array = array.as_struct().clone();
                let children = fields
                    .iter()
                    .zip(array.columns())
                    .map(|(field, column)| Ok((field.name().clone(), child(column)?)))
                    .collect::<Result<_>>()?;
                Ok(Self::Struct(array, children))
            }
            DataType::Map(..) => {
                let array = array.as_map().clone();
                let (keys, values) = (child(array.keys())?, child(array.values())?);
                Ok(Self::Map(array, Box::new(keys), Box::new(values)))
            }
            DataType::LargeList(item) if column.pg_type != Type::JSON => {
                let item = PgColumn::of(item.data_type());
                let list = array.as_list::<i64>().clone();
                let values = Self::new(list.values(), &item, zone)?;
                Ok(Self::Array(list, Box::new(values), item.pg_type))
            }
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _) => {
                let list = cast(array, &DataType::LargeList(item.clone()))?;
                let list = list.as_list::<i64>().clone();
                let values = child(list.values())?;
                Ok(Self::JsonList(list, Box::new(values)))
            }
            other => Err(PgError::not_supported(format!(
                "columns of type {other} cannot be sent over the PostgreSQL protocol"
            ))),
        }
    }

    /// Whether there is no value.
    pub(super) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Bool(array) => array.is_null(row),
            Self::Int16(array) => array.is_null(row),
            Self::Int32(array) => array.is_null(row),
            Self::Int64(array) => array.is_null(row),
            Self::Float32(array) => array.is_null(row),
            Self::Float64(array) => array.is_null(row),
            Self::Decimal128(array) => array.is_null(row),
            Self::Decimal256(array) => array.is_null(row),
            Self::Utf8(array) => array.is_null(row),
            Self::LargeUtf8(array) => array.is_null(row),
            Self::Utf8View(array) => array.is_null(row),
            Self::Bytes(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Time(array) => array.is_null(row),
            Self::Timestamp(array) | Self::Instant(array, _) => array.is_null(row),
            Self::Interval(array) => array.is_null(row),
            Self::Array(array, ..) | Self::JsonList(array, _) => array.is_null(row),
            Self::Struct(array, _) => array.is_null(row),
            Self::Map(array, ..) => array.is_null(row),
        }
    }
}

/// Range of a list's items.
pub(super) fn items(list: &LargeListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = list.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

/// Casts without turning what does not fit into null.
fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Ok(arrow_cast::cast_with_options(array, to, &options)?)
}
