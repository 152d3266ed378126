//! Builders of columns with children: ROW, ARRAY and MAP.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, FieldRef, Fields};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::Column;
use super::validity::Validity;
use crate::format::datetime::TimestampStyle;
use crate::format::json::KeyTable;
use crate::format::types::type_name;

/// A child of a ROW.
#[derive(Debug)]
pub(crate) struct StructField {
    /// Its name.
    pub(crate) name: Box<str>,
    /// Its values.
    pub(crate) column: Column,
    /// Whether it must not be null.
    pub(crate) required: bool,
}

/// ROW values; also the builder of a whole record.
#[derive(Debug)]
pub(crate) struct StructColumn {
    /// The children, in declared order.
    pub(crate) fields: Vec<StructField>,
    /// Whether any child must not be null.
    pub(crate) any_required: bool,
    /// Which keys records had, for decoders that match by name.
    pub(crate) keys: KeyTable,
    declared: Fields,
    nulls: Validity,
}

impl StructColumn {
    pub(crate) fn new(declared: &Fields, style: TimestampStyle) -> Result<Self> {
        let fields = declared
            .iter()
            .map(|field| {
                Ok(StructField {
                    name: field.name().as_str().into(),
                    column: Column::new(field, style)?,
                    required: !field.is_nullable(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let any_required = fields.iter().any(|field| field.required);
        let keys = KeyTable::new(fields.iter().map(|field| &*field.name));
        let nulls = Validity::default();
        Ok(Self { fields, any_required, keys, declared: declared.clone(), nulls })
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Ends a row whose fields are in.
    #[inline]
    pub(crate) fn append_valid(&mut self) {
        self.nulls.append_valid();
    }

    pub(crate) fn append_nulls(&mut self, count: usize) {
        self.nulls.append_nulls(count);
    }

    pub(crate) fn settle(&mut self, len: usize) {
        if self.len() + 1 != len {
            // Not begun in this row: nothing is broken.
            return self.append_nulls(len.saturating_sub(self.len()));
        }
        for field in &mut self.fields {
            field.column.settle(len);
        }
        self.append_nulls(1);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.fields.iter().map(|field| field.column.memory_bytes()).sum::<usize>()
            + self.nulls.memory_bytes()
    }

    /// Takes the children out, brought to the same length.
    pub(crate) fn finish_columns(&mut self, relaxed: bool) -> Result<Vec<ArrayRef>> {
        let len = self.len();
        self.fields
            .iter_mut()
            .map(|field| {
                field.column.pad_to(len);
                field.column.finish(relaxed)
            })
            .collect()
    }

    /// Forgets how many rows there were; the children are taken out already.
    pub(crate) fn reset(&mut self) {
        self.nulls.finish();
    }

    pub(crate) fn finish(&mut self, relaxed: bool) -> Result<ArrayRef> {
        let len = self.len();
        let columns = self.finish_columns(relaxed)?;
        let fields = if relaxed { relax(&self.declared, &columns) } else { self.declared.clone() };
        let nulls = self.nulls.finish();
        Ok(Arc::new(StructArray::try_new_with_length(fields, columns, nulls, len)?))
    }
}

/// The fields as they are where nulls may stand anywhere.
fn relax(declared: &Fields, columns: &[ArrayRef]) -> Fields {
    declared
        .iter()
        .zip(columns)
        .map(|(field, column)| {
            let field = field.as_ref().clone().with_nullable(true);
            Arc::new(field.with_data_type(column.data_type().clone()))
        })
        .collect()
}

/// Ends of the entries of a column of lists, and which are null.
#[derive(Debug)]
struct Spans {
    ends: Vec<i32>,
    nulls: Validity,
}

impl Spans {
    fn new() -> Self {
        Self { ends: vec![0], nulls: Validity::default() }
    }

    fn len(&self) -> usize {
        self.nulls.len()
    }

    fn last_end(&self) -> i32 {
        self.ends.last().copied().unwrap_or(0)
    }

    fn push(&mut self, end: usize, valid: bool) -> Result<()> {
        let end = i32::try_from(end).map_err(|_| StreamError::OverBudget {
            what: "an array column of one batch".into(),
            budget_bytes: i32::MAX as usize,
        })?;
        self.ends.push(end);
        if valid {
            self.nulls.append_valid();
        } else {
            self.nulls.append_nulls(1);
        }
        Ok(())
    }

    fn push_nulls(&mut self, count: usize) {
        let end = self.last_end();
        self.ends.resize(self.ends.len() + count, end);
        self.nulls.append_nulls(count);
    }

    fn memory_bytes(&self) -> usize {
        self.ends.capacity() * size_of::<i32>() + self.nulls.memory_bytes()
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Option<arrow_buffer::NullBuffer>) {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        (OffsetBuffer::new(ScalarBuffer::from(ends)), self.nulls.finish())
    }
}

/// ARRAY values.
#[derive(Debug)]
pub(crate) struct ListColumn {
    /// The items of all entries.
    pub(crate) items: Column,
    /// Whether items must not be null.
    pub(crate) required: bool,
    declared: FieldRef,
    spans: Spans,
}

impl ListColumn {
    pub(crate) fn new(declared: &FieldRef, style: TimestampStyle) -> Result<Self> {
        Ok(Self {
            items: Column::new(declared, style)?,
            required: !declared.is_nullable(),
            declared: declared.clone(),
            spans: Spans::new(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Ends an entry whose items are in.
    pub(crate) fn append_valid(&mut self) -> Result<()> {
        self.spans.push(self.items.len(), true)
    }

    pub(crate) fn append_nulls(&mut self, count: usize) {
        self.spans.push_nulls(count);
    }

    pub(crate) fn settle(&mut self, len: usize) {
        if self.len() + 1 != len {
            return self.append_nulls(len.saturating_sub(self.len()));
        }
        // Items of a broken entry stay behind; the null entry spans them. Should there be
        // too many to count, they were refused when the entry was to end.
        self.items.settle(self.items.len() + 1);
        let _ = self.spans.push(self.items.len(), false);
        self.append_nulls(len.saturating_sub(self.len()));
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.items.memory_bytes() + self.spans.memory_bytes()
    }

    pub(crate) fn finish(&mut self, relaxed: bool) -> Result<ArrayRef> {
        let items = self.items.finish(relaxed)?;
        let (offsets, nulls) = self.spans.take();
        let field =
            if relaxed { relax_field(&self.declared, &items) } else { self.declared.clone() };
        Ok(Arc::new(ListArray::try_new(field, offsets, items, nulls)?))
    }
}

fn relax_field(declared: &Field, values: &ArrayRef) -> FieldRef {
    let field = declared.clone().with_nullable(true);
    Arc::new(field.with_data_type(values.data_type().clone()))
}

/// MAP values.
#[derive(Debug)]
pub(crate) struct MapColumn {
    /// The keys of all entries.
    pub(crate) keys: Column,
    /// The values of all entries.
    pub(crate) values: Column,
    /// Whether values must not be null.
    pub(crate) required: bool,
    entries: FieldRef,
    pair: Fields,
    sorted: bool,
    spans: Spans,
}

impl MapColumn {
    pub(crate) fn new(entries: &FieldRef, sorted: bool, style: TimestampStyle) -> Result<Self> {
        let DataType::Struct(pair) = entries.data_type() else {
            return Err(StreamError::Internal(format!(
                "a map of {} instead of keys and values",
                type_name(entries.data_type())
            )));
        };
        let [key, value] = &pair[..] else {
            return Err(StreamError::Internal("a map without a key and a value".into()));
        };
        Ok(Self {
            keys: Column::new(key, style)?,
            values: Column::new(value, style)?,
            required: !value.is_nullable(),
            entries: entries.clone(),
            pair: pair.clone(),
            sorted,
            spans: Spans::new(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Ends an entry whose keys and values are in.
    pub(crate) fn append_valid(&mut self) -> Result<()> {
        self.spans.push(self.keys.len(), true)
    }

    pub(crate) fn append_nulls(&mut self, count: usize) {
        self.spans.push_nulls(count);
    }

    pub(crate) fn settle(&mut self, len: usize) {
        if self.len() + 1 != len {
            return self.append_nulls(len.saturating_sub(self.len()));
        }
        // Keys come whole, so only the last value can be unfinished.
        let pairs = self.keys.len();
        self.values.settle(pairs);
        let _ = self.spans.push(pairs, false);
        self.append_nulls(len.saturating_sub(self.len()));
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.keys.memory_bytes() + self.values.memory_bytes() + self.spans.memory_bytes()
    }

    pub(crate) fn finish(&mut self, relaxed: bool) -> Result<ArrayRef> {
        let columns = vec![self.keys.finish(relaxed)?, self.values.finish(relaxed)?];
        let (offsets, nulls) = self.spans.take();
        let (entries, pair) = if relaxed {
            let relaxed = relax(&self.pair, &columns);
            // Keys are never null, and arrays of maps insist on it.
            let pair: Fields = [self.pair[0].clone(), relaxed[1].clone()].into_iter().collect();
            let data_type = DataType::Struct(pair.clone());
            (Arc::new(self.entries.as_ref().clone().with_data_type(data_type)), pair)
        } else {
            (self.entries.clone(), self.pair.clone())
        };
        let entry_array = StructArray::try_new(pair, columns, None)?;
        Ok(Arc::new(MapArray::try_new(entries, offsets, entry_array, nulls, self.sorted)?))
    }
}
