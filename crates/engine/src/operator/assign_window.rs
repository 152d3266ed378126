//! Gives each row the windows that hold it.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use thalweg_core::time::Millis;
use thalweg_stream::error::Result;
use thalweg_stream::window::{Window, WindowTime};
use thalweg_stream::{ChangeBatch, Marks, StreamError};

use super::calc::build_rows;
use super::time_column::{check_event_time, check_instant, clamp, event_times, instants};
use super::window::check_measures;
use super::{Collector, Operator, OperatorContext};

/// Columns that are added: `window_start`, `window_end`, `window_time`.
const ADDED: usize = 3;

/// Adds the window columns to each row, once for each window that holds it, earliest
/// window first. Nothing is late here: that is for what aggregates the windows.
pub(super) struct AssignWindow {
    window: Window,
    time: WindowTime,
    schema: SchemaRef,
}

impl AssignWindow {
    pub(super) fn new(
        window: Window,
        time: WindowTime,
        input_schema: &SchemaRef,
        schema: SchemaRef,
    ) -> Result<Self> {
        check_measures(window)?;
        if matches!(window, Window::Session { .. }) {
            return Err(StreamError::Invalid(
                "a session window depends on other rows: it can be aggregated, not assigned".into(),
            ));
        }
        if let WindowTime::Event { column } = time {
            check_event_time(input_schema.field(column))?;
        }
        let inputs = input_schema.fields().len();
        if schema.fields().len() != inputs + ADDED {
            return Err(StreamError::Internal("window columns do not fit the schema".into()));
        }
        for field in &schema.fields()[inputs..] {
            check_instant(field)?;
        }
        Ok(Self { window, time, schema })
    }
}

impl Operator for AssignWindow {
    fn process(
        &mut self,
        _: usize,
        batch: &ChangeBatch,
        _: Millis,
        context: &OperatorContext,
        out: &mut Collector,
    ) -> Result<()> {
        let Copies { sources, starts, ends, first_copy } = self.assign(batch, context)?;
        let rows = batch.num_rows();
        let mut marks = Marks::none();
        for (row, watermark) in batch.marks.iter() {
            marks.push(first_copy[row], watermark);
        }
        let kinds = batch
            .kinds
            .as_ref()
            .map(|kinds| sources.iter().map(|&row| kinds[row as usize]).collect::<Arc<[_]>>());
        let mut columns = self.copies(&batch.rows, sources)?;
        let fields = &self.schema.fields()[columns.len()..];
        let last_instants = ends.iter().map(|end| end - 1).collect();
        columns.push(instants(&fields[0], starts));
        columns.push(instants(&fields[1], ends));
        columns.push(instants(&fields[2], last_instants));
        let rows = build_rows(self.schema.clone(), columns, first_copy[rows])?;
        out.batches.push(ChangeBatch { rows, kinds, marks });
        Ok(())
    }

    fn input_rows(
        &self,
        batch: &ChangeBatch,
        context: &OperatorContext,
    ) -> Result<Option<Vec<u32>>> {
        Ok(Some(self.assign(batch, context)?.sources))
    }

    fn finish_epoch(&mut self, _: Millis, _: &OperatorContext, _: &mut Collector) -> Result<()> {
        Ok(())
    }

    fn restore(&mut self, name: &str, _: &RecordBatch, _: &OperatorContext) -> Result<()> {
        Err(StreamError::Incompatible(format!("window assignment has no state {name}")))
    }
}

/// Copies of rows, one for each window that holds the row.
struct Copies {
    /// The row of each copy.
    sources: Vec<u32>,
    starts: Vec<Millis>,
    ends: Vec<Millis>,
    /// Number of the first copy of each row, and of all copies.
    first_copy: Vec<usize>,
}

impl AssignWindow {
    fn assign(&self, batch: &ChangeBatch, context: &OperatorContext) -> Result<Copies> {
        let rows = batch.num_rows();
        let times = match self.time {
            WindowTime::Event { column } => event_times(&batch.rows, column)?,
            WindowTime::Processing => vec![context.now; rows].into(),
        };
        let (mut sources, mut starts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut first_copy = Vec::with_capacity(rows + 1);
        let mut windows = Vec::new();
        for (row, &time) in times.iter().enumerate() {
            first_copy.push(sources.len());
            self.window.assign(clamp(time), &mut windows);
            for bounds in &windows {
                sources.push(row as u32);
                starts.push(bounds.start);
                ends.push(bounds.end);
            }
        }
        first_copy.push(sources.len());
        Ok(Copies { sources, starts, ends, first_copy })
    }

    fn copies(&self, rows: &RecordBatch, sources: Vec<u32>) -> Result<Vec<ArrayRef>> {
        if matches!(self.window, Window::Tumbling { .. }) {
            return Ok(rows.columns().to_vec());
        }
        let sources = UInt32Array::from(sources);
        let columns = rows.columns().iter().map(|column| take(column, &sources, None));
        Ok(columns.collect::<Result<_, _>>()?)
    }
}
