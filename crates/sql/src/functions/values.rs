//! Arguments and results of kernels: typed access to columns and constants alike.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BinaryBuilder, BooleanArray, PrimitiveArray,
    StringArray, StringBuilder,
};
use datafusion::arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, Time32MillisecondType, TimestampMillisecondType,
};
use datafusion::logical_expr::ColumnarValue;

/// Bytes that a function that multiplies its input may make of one row.
pub(crate) const MAX_VALUE_BYTES: usize = 16 << 20;

/// Bytes that a function may make of one batch. Arrow's offsets would end at 2 GiB.
const MAX_ARRAY_BYTES: usize = 256 << 20;

/// Why a kernel failed, in words.
pub(crate) type KernelError = String;

/// What a kernel gives for all rows.
pub(crate) type KernelResult = Result<ArrayRef, KernelError>;

/// A function bound to its argument types: argument values and the number of rows in, a
/// value for each row out.
#[derive(Clone)]
pub(crate) struct Kernel(Arc<KernelFn>);

type KernelFn = dyn Fn(&[ColumnarValue], usize) -> KernelResult + Send + Sync;

impl Kernel {
    pub(crate) fn new(
        run: impl Fn(&[ColumnarValue], usize) -> KernelResult + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(run))
    }

    pub(crate) fn run(&self, arguments: &[ColumnarValue], rows: usize) -> KernelResult {
        (self.0)(arguments, rows)
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kernel")
    }
}

const TOO_LARGE: &str = "would have more than";

/// Whether a kernel failed because its result would be too large.
pub(crate) fn is_too_large(error: &str) -> bool {
    error.contains(TOO_LARGE)
}

/// Refuses a value that would be too long, before it is made.
pub(crate) fn check_value_bytes(bytes: usize) -> Result<(), KernelError> {
    if bytes > MAX_VALUE_BYTES {
        return Err(format!("the result {TOO_LARGE} {} MiB", MAX_VALUE_BYTES >> 20));
    }
    Ok(())
}

/// Refuses a batch that would be too large, before it is made.
fn check_array_bytes(bytes: usize) -> Result<(), KernelError> {
    if bytes > MAX_ARRAY_BYTES {
        let limit = MAX_ARRAY_BYTES >> 20;
        return Err(format!("the results of one batch {TOO_LARGE} {limit} MiB"));
    }
    Ok(())
}

/// An argument or result as an array of so many rows. A long constant is not repeated
/// without bounds.
pub(crate) fn expand(value: &ColumnarValue, rows: usize) -> KernelResult {
    if let ColumnarValue::Scalar(scalar) = value {
        check_array_bytes(scalar.size().saturating_mul(rows))?;
    }
    value.to_array(rows).map_err(|error| error.to_string())
}

/// An argument of a known array type; a constant stands for all rows.
pub(crate) struct Column<A> {
    array: A,
    constant: bool,
}

impl<A: Array + Clone + 'static> Column<A> {
    /// The argument as this type, which the binder made sure of.
    pub(crate) fn of(value: &ColumnarValue) -> Result<Self, KernelError> {
        let (array, constant) = match value {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(scalar) => {
                (scalar.to_array().map_err(|error| error.to_string())?, true)
            }
        };
        match array.as_any().downcast_ref::<A>() {
            Some(array) => Ok(Self { array: array.clone(), constant }),
            None => Err(format!("internal error: unexpected {} argument", array.data_type())),
        }
    }

    fn at(&self, row: usize) -> Option<usize> {
        let row = if self.constant { 0 } else { row };
        (!self.array.is_null(row)).then_some(row)
    }
}

impl Column<StringArray> {
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        self.at(row).map(|row| self.array.value(row))
    }
}

impl Column<BinaryArray> {
    pub(crate) fn get(&self, row: usize) -> Option<&[u8]> {
        self.at(row).map(|row| self.array.value(row))
    }
}

impl Column<BooleanArray> {
    pub(crate) fn get(&self, row: usize) -> Option<bool> {
        self.at(row).map(|row| self.array.value(row))
    }
}

impl<T: ArrowPrimitiveType> Column<PrimitiveArray<T>> {
    pub(crate) fn get(&self, row: usize) -> Option<T::Native> {
        self.at(row).map(|row| self.array.value(row))
    }
}

/// Text.
pub(crate) type Text = Column<StringArray>;
/// Bytes.
pub(crate) type Bytes = Column<BinaryArray>;
/// Truth values.
pub(crate) type Bools = Column<BooleanArray>;
/// `INT`.
pub(crate) type Ints = Column<PrimitiveArray<Int32Type>>;
/// `BIGINT`.
pub(crate) type BigInts = Column<PrimitiveArray<Int64Type>>;
/// `FLOAT`.
pub(crate) type Floats = Column<PrimitiveArray<Float32Type>>;
/// `DOUBLE`.
pub(crate) type Doubles = Column<PrimitiveArray<Float64Type>>;
/// `DECIMAL`, without its scale.
pub(crate) type Decimals = Column<PrimitiveArray<Decimal128Type>>;
/// `DATE`, in days.
pub(crate) type Dates = Column<PrimitiveArray<Date32Type>>;
/// `TIME`, in milliseconds.
pub(crate) type Times = Column<PrimitiveArray<Time32MillisecondType>>;
/// Timestamps in milliseconds.
pub(crate) type Millis = Column<PrimitiveArray<TimestampMillisecondType>>;
/// `INTERVAL DAY TO SECOND`.
pub(crate) type Intervals = Column<PrimitiveArray<IntervalMonthDayNanoType>>;

/// Numbers, row by row.
pub(crate) fn numbers<T: ArrowPrimitiveType>(
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<T::Native>, KernelError>,
) -> KernelResult {
    Ok(Arc::new(numbers_array::<T>(rows, &mut value)?))
}

/// As [`numbers`], for types that carry more than their width, such as a zone.
pub(crate) fn numbers_array<T: ArrowPrimitiveType>(
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<T::Native>, KernelError>,
) -> Result<PrimitiveArray<T>, KernelError> {
    let mut builder = PrimitiveArray::<T>::builder(rows);
    for row in 0..rows {
        builder.append_option(value(row)?);
    }
    Ok(builder.finish())
}

/// Truth values, row by row.
pub(crate) fn bools(
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<bool>, KernelError>,
) -> KernelResult {
    let mut builder = BooleanArray::builder(rows);
    for row in 0..rows {
        builder.append_option(value(row)?);
    }
    Ok(Arc::new(builder.finish()))
}

/// Text, row by row: `write` fills the buffer and says whether there is a value. Fails
/// where all rows together get too long.
pub(crate) fn texts(
    rows: usize,
    mut write: impl FnMut(usize, &mut String) -> Result<bool, KernelError>,
) -> KernelResult {
    let mut builder = StringBuilder::with_capacity(rows, rows * 8);
    let mut buffer = String::new();
    for row in 0..rows {
        buffer.clear();
        if write(row, &mut buffer)? {
            check_array_bytes(builder.values_slice().len() + buffer.len())?;
            builder.append_value(&buffer);
        } else {
            builder.append_null();
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Bytes, row by row. Fails where all rows together get too long.
pub(crate) fn bytes(
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<Vec<u8>>, KernelError>,
) -> KernelResult {
    let mut builder = BinaryBuilder::new();
    for row in 0..rows {
        match value(row)? {
            Some(value) => {
                check_array_bytes(builder.values_slice().len() + value.len())?;
                builder.append_value(value);
            }
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}
