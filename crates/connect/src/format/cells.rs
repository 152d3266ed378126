//! Columns as encoders see them: downcast once a batch, read cell by cell.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, RecordBatch, StringArray,
    StringViewArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::json::json_key;
use super::types::type_name;

/// A column with its nulls.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    /// Which cells are null.
    nulls: Option<NullBuffer>,
    /// The others.
    pub(crate) values: Values,
}

/// The values of a column, by kind.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    Null,
    Boolean(BooleanArray),
    Int8(ScalarBuffer<i8>),
    Int16(ScalarBuffer<i16>),
    Int32(ScalarBuffer<i32>),
    Int64(ScalarBuffer<i64>),
    UInt64(Vec<u64>),
    Float32(ScalarBuffer<f32>),
    Float64(ScalarBuffer<f64>),
    Decimal(ScalarBuffer<i128>, i8),
    String(StringArray),
    StringView(StringViewArray),
    Binary(BinaryArray),
    BinaryView(BinaryViewArray),
    Date(ScalarBuffer<i32>),
    /// Nanoseconds of the day.
    Time(Vec<i64>),
    Timestamp {
        values: ScalarBuffer<i64>,
        unit: TimeUnit,
        zoned: bool,
    },
    Struct(Vec<NamedCells>),
    List(OffsetBuffer<i32>, Box<Cells>),
    Map {
        offsets: OffsetBuffer<i32>,
        keys: Box<Cells>,
        values: Box<Cells>,
    },
}

/// A named column.
#[derive(Clone, Debug)]
pub(crate) struct NamedCells {
    /// The name as a key of a JSON object, with its colon.
    pub(crate) json_key: Box<[u8]>,
    pub(crate) cells: Cells,
}

impl Cells {
    /// Downcasts a column.
    ///
    /// # Errors
    /// [`StreamError::Invalid`] for a type that no encoder writes.
    pub(crate) fn new(array: &ArrayRef) -> Result<Self> {
        let values = values(array)?;
        Ok(Self { nulls: array.logical_nulls(), values })
    }

    /// The columns of a batch.
    pub(crate) fn of_batch(rows: &RecordBatch) -> Result<Vec<NamedCells>> {
        named(rows.schema_ref().fields(), rows.columns())
    }

    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}

fn named(fields: &arrow_schema::Fields, columns: &[ArrayRef]) -> Result<Vec<NamedCells>> {
    fields
        .iter()
        .zip(columns)
        .map(|(field, column)| {
            Ok(NamedCells { json_key: json_key(field.name()), cells: Cells::new(column)? })
        })
        .collect()
}

fn values(array: &ArrayRef) -> Result<Values> {
    Ok(match array.data_type() {
        DataType::Null => Values::Null,
        DataType::Boolean => Values::Boolean(array.as_boolean().clone()),
        DataType::Int8 => Values::Int8(array.as_primitive::<Int8Type>().values().clone()),
        DataType::Int16 => Values::Int16(array.as_primitive::<Int16Type>().values().clone()),
        DataType::Int32 => Values::Int32(array.as_primitive::<Int32Type>().values().clone()),
        DataType::Int64 => Values::Int64(array.as_primitive::<Int64Type>().values().clone()),
        DataType::UInt8 => unsigned(array.as_primitive::<UInt8Type>().values()),
        DataType::UInt16 => unsigned(array.as_primitive::<UInt16Type>().values()),
        DataType::UInt32 => unsigned(array.as_primitive::<UInt32Type>().values()),
        DataType::UInt64 => unsigned(array.as_primitive::<UInt64Type>().values()),
        DataType::Float32 => Values::Float32(array.as_primitive::<Float32Type>().values().clone()),
        DataType::Float64 => Values::Float64(array.as_primitive::<Float64Type>().values().clone()),
        DataType::Decimal128(_, scale) => {
            Values::Decimal(array.as_primitive::<Decimal128Type>().values().clone(), *scale)
        }
        DataType::Utf8 => Values::String(array.as_string().clone()),
        DataType::Utf8View => Values::StringView(array.as_string_view().clone()),
        DataType::Binary => Values::Binary(array.as_binary().clone()),
        DataType::BinaryView => Values::BinaryView(array.as_binary_view().clone()),
        DataType::Date32 => Values::Date(array.as_primitive::<Date32Type>().values().clone()),
        DataType::Time32(unit) | DataType::Time64(unit) => times(array, *unit),
        DataType::Timestamp(unit, zone) => Values::Timestamp {
            values: timestamps(array, *unit),
            unit: *unit,
            zoned: zone.is_some(),
        },
        DataType::Struct(fields) => Values::Struct(named(fields, array.as_struct().columns())?),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            Values::List(list.offsets().clone(), Box::new(Cells::new(list.values())?))
        }
        DataType::Map(..) => {
            let map = array.as_map();
            Values::Map {
                offsets: map.offsets().clone(),
                keys: Box::new(Cells::new(map.keys())?),
                values: Box::new(Cells::new(map.values())?),
            }
        }
        other => {
            return Err(StreamError::Invalid(format!(
                "values of type {} cannot be written as text",
                type_name(other)
            )));
        }
    })
}

fn unsigned<T: Copy + Into<u64>>(values: &[T]) -> Values {
    Values::UInt64(values.iter().map(|&value| value.into()).collect())
}

fn times(array: &ArrayRef, unit: TimeUnit) -> Values {
    fn scaled<T: Copy + Into<i64>>(values: &[T], factor: i64) -> Vec<i64> {
        values.iter().map(|&value| value.into().wrapping_mul(factor)).collect()
    }
    Values::Time(match unit {
        TimeUnit::Second => {
            scaled(array.as_primitive::<Time32SecondType>().values(), 1_000_000_000)
        }
        TimeUnit::Millisecond => {
            scaled(array.as_primitive::<Time32MillisecondType>().values(), 1_000_000)
        }
        TimeUnit::Microsecond => {
            scaled(array.as_primitive::<Time64MicrosecondType>().values(), 1000)
        }
        TimeUnit::Nanosecond => scaled(array.as_primitive::<Time64NanosecondType>().values(), 1),
    })
}

fn timestamps(array: &ArrayRef, unit: TimeUnit) -> ScalarBuffer<i64> {
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values().clone(),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values().clone(),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values().clone(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values().clone(),
    }
}
