//! Builders of columns without children.

use std::str::FromStr;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, StringBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, BinaryViewArray, PrimitiveArray, StringViewArray};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use thalweg_stream::error::Result;

use super::ValueFault;
use super::validity::Validity;
use crate::format::datetime::{TimestampParser, parse_date, parse_time};
use crate::format::decimal::{DecimalFault, parse_decimal};

/// Java's `String.trim`: drops all characters up to the space at both ends.
pub(crate) fn trim_java(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// Values of a fixed width and which of them are null.
#[derive(Debug)]
struct Values<N> {
    values: Vec<N>,
    nulls: Validity,
}

impl<N> Default for Values<N> {
    fn default() -> Self {
        Self { values: Vec::new(), nulls: Validity::default() }
    }
}

impl<N: Copy + Default> Values<N> {
    #[inline]
    fn append(&mut self, value: N) {
        self.nulls.append_valid();
        self.values.push(value);
    }

    fn append_nulls(&mut self, count: usize) {
        self.nulls.append_nulls(count);
        self.values.resize(self.values.len() + count, N::default());
    }

    /// Takes all, and makes room for as many again.
    fn take(&mut self) -> (Vec<N>, Option<NullBuffer>) {
        let room = Vec::with_capacity(self.values.len());
        (std::mem::replace(&mut self.values, room), self.nulls.finish())
    }

    fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<N>() + self.nulls.memory_bytes()
    }
}

fn array<T: ArrowPrimitiveType>(
    (values, nulls): (Vec<T::Native>, Option<NullBuffer>),
) -> Result<PrimitiveArray<T>> {
    Ok(PrimitiveArray::try_new(ScalarBuffer::from(values), nulls)?)
}

/// Numbers of a fixed width.
#[derive(Debug)]
pub(crate) struct FixedColumn<T: ArrowPrimitiveType>(Values<T::Native>);

impl<T: ArrowPrimitiveType> Default for FixedColumn<T> {
    fn default() -> Self {
        Self(Values::default())
    }
}

impl<T: ArrowPrimitiveType> FixedColumn<T> {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.values.len()
    }

    #[inline]
    pub(crate) fn append(&mut self, value: T::Native) {
        self.0.append(value);
    }

    pub(crate) fn append_nulls(&mut self, count: usize) {
        self.0.append_nulls(count);
    }

    pub(crate) fn append_parsed(&mut self, text: &str) -> Result<(), ValueFault>
    where
        T::Native: FromStr,
    {
        let text = trim_java(text);
        let value = text.parse().map_err(|_| {
            // A number that the type cannot hold, or none at all.
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { ValueFault::OutOfRange } else { ValueFault::Syntax }
        })?;
        self.append(value);
        Ok(())
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(array::<T>(self.0.take())?))
    }
}

/// Truth values.
#[derive(Debug, Default)]
pub(crate) struct BooleanColumn(BooleanBuilder);

impl BooleanColumn {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        arrow_array::builder::ArrayBuilder::len(&self.0)
    }

    pub(crate) fn append(&mut self, value: bool) {
        self.0.append_value(value);
    }

    pub(crate) fn append_parsed(&mut self, text: &str) -> Result<(), ValueFault> {
        let text = trim_java(text);
        let truth = text.eq_ignore_ascii_case("true");
        if !truth && !text.eq_ignore_ascii_case("false") {
            return Err(ValueFault::Syntax);
        }
        self.append(truth);
        Ok(())
    }

    pub(crate) fn append_nulls(&mut self, count: usize) {
        self.0.append_nulls(count);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.capacity() / 4
    }

    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(self.0.finish()))
    }
}

/// Exact numbers.
#[derive(Debug)]
pub(crate) struct DecimalColumn {
    values: Values<i128>,
    precision: u8,
    scale: i8,
}

impl DecimalColumn {
    pub(crate) fn new(precision: u8, scale: i8) -> Self {
        Self { values: Values::default(), precision, scale }
    }

    pub(crate) fn type_name(&self) -> String {
        format!("DECIMAL({}, {})", self.precision, self.scale)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.values.values.len()
    }

    pub(crate) fn append_parsed(&mut self, text: &[u8]) -> Result<(), ValueFault> {
        let value =
            parse_decimal(text, self.precision, self.scale).map_err(|fault| match fault {
                DecimalFault::Syntax => ValueFault::Syntax,
                DecimalFault::Overflow => ValueFault::OutOfRange,
            })?;
        self.values.append(value);
        Ok(())
    }

    pub(crate) fn append_nulls(&mut self, count: usize) {
        self.values.append_nulls(count);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.values.memory_bytes()
    }

    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        let array = array::<Decimal128Type>(self.values.take())?;
        Ok(Arc::new(array.with_precision_and_scale(self.precision, self.scale)?))
    }
}

/// Texts.
#[derive(Debug)]
pub(crate) struct StringColumn {
    builder: StringBuilder,
    views: bool,
}

impl StringColumn {
    pub(crate) fn new(views: bool) -> Self {
        Self { builder: StringBuilder::with_capacity(0, 0), views }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.builder.offsets_slice().len() - 1
    }

    #[inline]
    pub(crate) fn append(&mut self, text: &str) {
        self.builder.append_value(text);
    }

    pub(crate) fn append_nulls(&mut self, count: usize) {
        self.builder.append_nulls(count);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.builder.values_capacity() + self.builder.offsets_capacity() * size_of::<i32>()
    }

    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        let array = self.builder.finish();
        self.builder = StringBuilder::with_capacity(array.len(), array.values().len());
        Ok(if self.views { Arc::new(StringViewArray::from(&array)) } else { Arc::new(array) })
    }
}

/// Byte strings.
#[derive(Debug)]
pub(crate) struct BinaryColumn {
    builder: BinaryBuilder,
    views: bool,
    scratch: Vec<u8>,
}

impl BinaryColumn {
    pub(crate) fn new(views: bool) -> Self {
        Self { builder: BinaryBuilder::with_capacity(0, 0), views, scratch: Vec::new() }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.builder.offsets_slice().len() - 1
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.builder.append_value(bytes);
    }

    pub(crate) fn append_base64(&mut self, text: &[u8]) -> Result<(), ValueFault> {
        self.scratch.clear();
        BASE64.decode_vec(text, &mut self.scratch).map_err(|_| ValueFault::Syntax)?;
        self.builder.append_value(&self.scratch);
        Ok(())
    }

    pub(crate) fn append_nulls(&mut self, count: usize) {
        self.builder.append_nulls(count);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.builder.values_capacity() + self.builder.offsets_capacity() * size_of::<i32>()
    }

    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        let array = self.builder.finish();
        Ok(if self.views { Arc::new(BinaryViewArray::from(&array)) } else { Arc::new(array) })
    }
}

/// Dates.
#[derive(Debug, Default)]
pub(crate) struct DateColumn(Values<i32>);

impl DateColumn {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.values.len()
    }

    /// Appends a number of days since 1970-01-01.
    pub(crate) fn append(&mut self, days: i32) {
        self.0.append(days);
    }

    pub(crate) fn append_parsed(&mut self, text: &[u8]) -> Result<(), ValueFault> {
        self.0.append(parse_date(text).ok_or(ValueFault::Syntax)?);
        Ok(())
    }

    pub(crate) fn append_nulls(&mut self, count: usize) {
        self.0.append_nulls(count);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(array::<Date32Type>(self.0.take())?))
    }
}

/// Times of day, held in their unit.
#[derive(Debug)]
pub(crate) struct TimeColumn {
    values: Values<i64>,
    unit: TimeUnit,
}

impl TimeColumn {
    pub(crate) fn new(unit: TimeUnit) -> Self {
        Self { values: Values::default(), unit }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.values.values.len()
    }

    pub(crate) fn append_parsed(&mut self, text: &[u8]) -> Result<(), ValueFault> {
        let nanos = parse_time(text).ok_or(ValueFault::Syntax)?;
        self.values.append(match self.unit {
            TimeUnit::Second => nanos / 1_000_000_000,
            TimeUnit::Millisecond => nanos / 1_000_000,
            TimeUnit::Microsecond => nanos / 1000,
            TimeUnit::Nanosecond => nanos,
        });
        Ok(())
    }

    pub(crate) fn append_nulls(&mut self, count: usize) {
        self.values.append_nulls(count);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.values.memory_bytes()
    }

    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        let (values, nulls) = self.values.take();
        let short = |values: Vec<i64>| values.into_iter().map(|value| value as i32).collect();
        Ok(match self.unit {
            TimeUnit::Second => Arc::new(array::<Time32SecondType>((short(values), nulls))?),
            TimeUnit::Millisecond => {
                Arc::new(array::<Time32MillisecondType>((short(values), nulls))?)
            }
            TimeUnit::Microsecond => Arc::new(array::<Time64MicrosecondType>((values, nulls))?),
            TimeUnit::Nanosecond => Arc::new(array::<Time64NanosecondType>((values, nulls))?),
        })
    }
}

/// Points in time.
#[derive(Debug)]
pub(crate) struct TimestampColumn {
    values: Values<i64>,
    unit: TimeUnit,
    zone: Option<Arc<str>>,
    /// Reads their text.
    pub(crate) parser: TimestampParser,
}

impl TimestampColumn {
    pub(crate) fn new(unit: TimeUnit, zone: Option<Arc<str>>, parser: TimestampParser) -> Self {
        Self { values: Values::default(), unit, zone, parser }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.values.values.len()
    }

    #[inline]
    pub(crate) fn append_parsed(&mut self, text: &[u8]) -> Result<(), ValueFault> {
        let at = self.parser.parse(text).ok_or(ValueFault::Syntax)?;
        self.values.append(at.in_unit(self.unit).ok_or(ValueFault::OutOfRange)?);
        Ok(())
    }

    /// Appends a number of the column's units since 1970.
    pub(crate) fn append(&mut self, value: i64) {
        self.values.append(value);
    }

    pub(crate) fn type_name(&self) -> String {
        let suffix = if self.zone.is_some() { "_LTZ" } else { "" };
        let digits = match self.unit {
            TimeUnit::Second => 0,
            TimeUnit::Millisecond => 3,
            TimeUnit::Microsecond => 6,
            TimeUnit::Nanosecond => 9,
        };
        format!("TIMESTAMP{suffix}({digits})")
    }

    /// The unit.
    pub(crate) fn unit(&self) -> TimeUnit {
        self.unit
    }

    pub(crate) fn append_nulls(&mut self, count: usize) {
        self.values.append_nulls(count);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.values.memory_bytes()
    }

    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        let taken = self.values.take();
        let data_type = DataType::Timestamp(self.unit, self.zone.clone());
        Ok(match self.unit {
            TimeUnit::Second => {
                Arc::new(array::<TimestampSecondType>(taken)?.with_data_type(data_type))
            }
            TimeUnit::Millisecond => {
                Arc::new(array::<TimestampMillisecondType>(taken)?.with_data_type(data_type))
            }
            TimeUnit::Microsecond => {
                Arc::new(array::<TimestampMicrosecondType>(taken)?.with_data_type(data_type))
            }
            TimeUnit::Nanosecond => {
                Arc::new(array::<TimestampNanosecondType>(taken)?.with_data_type(data_type))
            }
        })
    }
}
