//! The values of generated rows.

use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, SchemaRef, TimeUnit};
use thalweg_core::env::{Random, SeededRandom};
use thalweg_core::time::Millis;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use crate::format::column::Column;
use crate::format::datetime::{DayTime, TimestampStyle};
use crate::format::decimal::{parse_decimal, push_plain};
use crate::format::types::type_name;
use crate::options::Options;

/// Characters of a random string unless the table says otherwise; Flink's default.
const DEFAULT_LENGTH: usize = 100;
/// The longest that may be asked for.
const MAX_LENGTH: usize = 1 << 20;

/// How a field's values come about.
#[derive(Clone, Debug)]
pub(super) struct FieldGenerator {
    kind: Kind,
    /// Of a million rows how many have null.
    null_per_million: u32,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Whole numbers from..=to, one after another.
    Sequence {
        from: i64,
        to: i64,
    },
    Boolean,
    /// Whole numbers of a range.
    Integer {
        min: i64,
        max: i64,
    },
    /// Other numbers of a range; for decimals with the scale of their type.
    Real {
        min: f64,
        max: f64,
    },
    /// Hexadecimal digits, or bytes.
    Text {
        length: usize,
        varying: bool,
    },
    /// The time at which the row is due, less up to this many milliseconds.
    Time {
        max_past: i64,
    },
}

impl FieldGenerator {
    pub(super) fn new(field: &Field, options: &Options<'_>) -> Result<Self> {
        let own = options.under(&format!("fields.{}.", field.name()));
        let sequence = own.choice("kind", &[("random", false), ("sequence", true)], false)?;
        let null_rate: f64 = own.number("null-rate")?.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&null_rate) {
            return Err(own.wrong("null-rate", "a number from 0 to 1"));
        }
        let kind = if sequence { Kind::sequence(field, &own)? } else { Kind::random(field, &own)? };
        if null_rate > 0.0 && !field.is_nullable() {
            return Err(own.wrong("null-rate", "0 for a NOT NULL column"));
        }
        Ok(Self { kind, null_per_million: (null_rate * 1e6) as u32 })
    }

    /// How many rows a sequence has.
    pub(super) fn rows(&self) -> Option<u64> {
        match self.kind {
            Kind::Sequence { from, to } => Some((i128::from(to) - i128::from(from) + 1) as u64),
            _ => None,
        }
    }

    fn bytes(&self) -> u64 {
        match self.kind {
            Kind::Text { length, .. } => length as u64 + 4,
            _ => 8,
        }
    }
}

impl Kind {
    fn sequence(field: &Field, own: &Options<'_>) -> Result<Self> {
        own.required("start")?;
        own.required("end")?;
        let from = own.number("start")?.unwrap_or(0);
        let to = own.number("end")?.unwrap_or(0);
        if to < from {
            return Err(own.wrong("end", format!("at least the start, {from}")));
        }
        match field.data_type() {
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal128(..)
            | DataType::Utf8
            | DataType::Utf8View => Ok(Self::Sequence { from, to }),
            other => Err(unsupported(field, other)),
        }
    }

    fn random(field: &Field, own: &Options<'_>) -> Result<Self> {
        Ok(match field.data_type() {
            DataType::Boolean => Self::Boolean,
            DataType::Int8 => Self::integer(own, i8::MIN.into(), i8::MAX.into())?,
            DataType::Int16 => Self::integer(own, i16::MIN.into(), i16::MAX.into())?,
            DataType::Int32 => Self::integer(own, i32::MIN.into(), i32::MAX.into())?,
            DataType::Int64 => Self::integer(own, i64::MIN, i64::MAX)?,
            DataType::Float32 => Self::real(own, f64::from(f32::MIN), f64::from(f32::MAX))?,
            DataType::Float64 => Self::real(own, f64::MIN, f64::MAX)?,
            DataType::Decimal128(precision, scale) => {
                let most = 10_f64.powi(i32::from(*precision) - i32::from(*scale)) - 1.0;
                Self::real(own, -most, most)?
            }
            DataType::Utf8 | DataType::Utf8View | DataType::Binary | DataType::BinaryView => {
                let length = own.number("length")?.unwrap_or(DEFAULT_LENGTH);
                if length == 0 || length > MAX_LENGTH {
                    return Err(own.wrong("length", format!("a number from 1 to {MAX_LENGTH}")));
                }
                Self::Text { length, varying: own.bool("var-len", false)? }
            }
            DataType::Date32 | DataType::Timestamp(..) => {
                let max_past = own.duration_ms("max-past")?.unwrap_or(0);
                Self::Time { max_past: i64::try_from(max_past).unwrap_or(i64::MAX) }
            }
            other => return Err(unsupported(field, other)),
        })
    }

    fn integer(own: &Options<'_>, lowest: i64, highest: i64) -> Result<Self> {
        let min = own.number("min")?.unwrap_or(lowest);
        let max = own.number("max")?.unwrap_or(highest);
        if min < lowest || max > highest || min > max {
            return Err(own.wrong("max", format!("a range within {lowest}..={highest}")));
        }
        Ok(Self::Integer { min, max })
    }

    fn real(own: &Options<'_>, lowest: f64, highest: f64) -> Result<Self> {
        let min: f64 = own.number("min")?.unwrap_or(lowest);
        let max: f64 = own.number("max")?.unwrap_or(highest);
        if !(min >= lowest && max <= highest && min <= max) {
            return Err(own.wrong("max", format!("a range within {lowest}..={highest}")));
        }
        Ok(Self::Real { min, max })
    }
}

fn unsupported(field: &Field, data_type: &DataType) -> StreamError {
    StreamError::Invalid(format!(
        "column '{}': 'datagen' makes no values of type {}",
        field.name(),
        type_name(data_type)
    ))
}

/// Makes rows.
pub(super) struct RowGenerator {
    begin: Millis,
    rate: u64,
    fields: Vec<WantedField>,
}

struct WantedField {
    seed: u64,
    generator: FieldGenerator,
    data_type: DataType,
    column: Column,
}

impl RowGenerator {
    /// A generator of the wanted columns, given by number with their generators.
    pub(super) fn new(
        seed: u64,
        begin: Millis,
        rate: u64,
        wanted: impl Iterator<Item = (usize, FieldGenerator)>,
        schema: &SchemaRef,
    ) -> Result<Self> {
        let fields = wanted
            .zip(schema.fields())
            .map(|((number, generator), field)| {
                Ok(WantedField {
                    // Which other columns are wanted must not matter.
                    seed: SeededRandom::for_part(seed, number as u64).next_u64(),
                    generator,
                    data_type: field.data_type().clone(),
                    column: Column::new(field, TimestampStyle::Sql)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { begin, rate, fields })
    }

    /// Bytes of a row, about.
    pub(super) fn row_bytes(&self) -> u64 {
        self.fields.iter().map(|field| field.generator.bytes()).sum()
    }

    /// The columns of a range of rows.
    pub(super) fn generate(&mut self, rows: Range<u64>) -> Result<Vec<ArrayRef>> {
        for field in &mut self.fields {
            for (at, row) in rows.clone().enumerate() {
                let random = SeededRandom::for_part(field.seed, row);
                if !random.chance(field.generator.null_per_million) {
                    let elapsed = u128::from(row) * 1000 / u128::from(self.rate);
                    let due = i64::try_from(elapsed).unwrap_or(i64::MAX);
                    field.append(row, self.begin.saturating_add(due), &random);
                }
                field.column.pad_to(at + 1);
            }
        }
        self.fields.iter_mut().map(|field| field.column.finish(false)).collect()
    }
}

impl WantedField {
    fn append(&mut self, row: u64, due: Millis, random: &SeededRandom) {
        match self.generator.kind {
            Kind::Sequence { from, .. } => self.number(from.wrapping_add_unsigned(row)),
            Kind::Boolean => {
                if let Column::Boolean(column) = &mut self.column {
                    column.append(random.next_u64() & 1 == 1);
                }
            }
            Kind::Integer { min, max } => {
                let span = max.wrapping_sub(min).cast_unsigned().wrapping_add(1);
                // All 64 bits are wanted where the span does not fit.
                let drawn = if span == 0 { random.next_u64() } else { random.below(span) };
                self.number(min.wrapping_add_unsigned(drawn));
            }
            Kind::Real { min, max } => {
                let part = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                self.real(min + (max - min) * part, min, max);
            }
            Kind::Text { length, varying } => {
                let length =
                    if varying { 1 + random.below(length as u64) as usize } else { length };
                self.text(length, random);
            }
            Kind::Time { max_past } => {
                let past = random.below(max_past.saturating_add(1).cast_unsigned()).cast_signed();
                self.time(due.saturating_sub(past));
            }
        }
    }

    fn number(&mut self, value: i64) {
        match &mut self.column {
            Column::Int8(column) => column.append(value as i8),
            Column::Int16(column) => column.append(value as i16),
            Column::Int32(column) => column.append(value as i32),
            Column::Int64(column) => column.append(value),
            // Too large for the type: null, which the padding makes of it.
            column => drop(column.append_text(itoa::Buffer::new().format(value))),
        }
    }

    fn real(&mut self, value: f64, min: f64, max: f64) {
        let value = value.clamp(min, max);
        match &mut self.column {
            Column::Float32(column) => column.append(value as f32),
            Column::Float64(column) => column.append(value),
            Column::Decimal(column) => {
                let DataType::Decimal128(precision, scale) = self.data_type else { return };
                let text = format!("{value:.0$}", usize::from(scale.unsigned_abs()));
                if let Ok(value) = parse_decimal(text.as_bytes(), precision, scale) {
                    let mut text = Vec::new();
                    push_plain(&mut text, value, scale);
                    let _ = column.append_parsed(&text);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, length: usize, random: &SeededRandom) {
        match &mut self.column {
            Column::String(column) => {
                let mut text = String::with_capacity(length + 16);
                while text.len() < length {
                    text.push_str(&format!("{:016x}", random.next_u64()));
                }
                column.append(&text[..length]);
            }
            Column::Binary(column) => {
                let mut bytes = Vec::with_capacity(length + 8);
                while bytes.len() < length {
                    bytes.extend_from_slice(&random.next_u64().to_le_bytes());
                }
                column.append(&bytes[..length]);
            }
            _ => {}
        }
    }

    fn time(&mut self, at: Millis) {
        let at = DayTime::of_unit(at, TimeUnit::Millisecond);
        match &mut self.column {
            Column::Timestamp(column) => {
                if let Some(value) = at.in_unit(column.unit()) {
                    column.append(value);
                }
            }
            Column::Date(column) => column.append(at.days),
            _ => {}
        }
    }
}
