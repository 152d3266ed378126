//! The window columns of a result.

use arrow_array::ArrayRef;
use arrow_schema::{FieldRef, SchemaRef};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::window::{Bounds, WindowTime};

use super::super::time_column::{check_instant, instants};

/// `window_start`, `window_end` and, for event time, `window_time`, after the others.
pub(super) struct WindowColumns {
    fields: Vec<FieldRef>,
}

impl WindowColumns {
    /// The columns of `schema` from `first` on.
    pub(super) fn new(schema: &SchemaRef, first: usize, time: WindowTime) -> Result<Self> {
        let wanted = if matches!(time, WindowTime::Event { .. }) { 3 } else { 2 };
        let fields = schema.fields().get(first..).unwrap_or_default().to_vec();
        if fields.len() != wanted {
            return Err(StreamError::Internal("window columns do not fit the schema".into()));
        }
        fields.iter().try_for_each(|field| check_instant(field))?;
        Ok(Self { fields })
    }

    /// The columns of rows in these windows.
    pub(super) fn write(&self, windows: impl Iterator<Item = Bounds> + Clone) -> Vec<ArrayRef> {
        let columns = self.fields.iter().enumerate().map(|(number, field)| {
            let windows = windows.clone();
            let times = match number {
                0 => windows.map(|bounds| bounds.start).collect(),
                1 => windows.map(|bounds| bounds.end).collect(),
                _ => windows.map(Bounds::max_timestamp).collect(),
            };
            instants(field, times)
        });
        columns.collect()
    }
}
