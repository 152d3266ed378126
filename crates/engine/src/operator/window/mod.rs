//! Aggregation by key and window.

mod clock;
mod columns;
mod late;
mod session;
mod sessions;
mod sliced;
mod slices;
mod slicing;
mod spans;

use arrow_schema::SchemaRef;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::graph::WindowAggregate;
use thalweg_stream::window::{Window, WindowTime};

use super::time_column::check_event_time;
use super::{Operator, aggregate};

use super::time_column::MAX_MEASURE;
use session::SessionWindows;
use sliced::SlicedWindows;
use slicing::Slicing;

/// Builds one subtask of a windowed aggregation.
pub(super) fn build(
    node: &WindowAggregate,
    input: &SchemaRef,
    schema: SchemaRef,
    updating: bool,
) -> Result<Box<dyn Operator>> {
    check_measures(node.window)?;
    if !(0..=MAX_MEASURE).contains(&node.allowed_lateness) {
        let lateness = node.allowed_lateness;
        return Err(StreamError::Invalid(format!("a lateness of {lateness} ms is out of range")));
    }
    if let WindowTime::Event { column } = node.time {
        check_event_time(input.field(column))?;
    }
    Ok(match (node.window, Slicing::of(node.window)) {
        (Window::Session { gap }, _) => {
            Box::new(SessionWindows::new(node, gap, input, schema, updating)?)
        }
        (_, Some(slicing)) => Box::new(SlicedWindows::new(node, slicing, input, schema, updating)?),
        (_, None) => return Err(StreamError::Internal("a window without slices".into())),
    })
}

/// A windowed aggregation as its stored state is marked with.
fn describe(node: &WindowAggregate, updating: bool) -> String {
    let window = match node.window {
        Window::Tumbling { size, offset } => format!("tumble(size={size}, offset={offset})"),
        Window::Hopping { slide, size, offset } => {
            format!("hop(slide={slide}, size={size}, offset={offset})")
        }
        Window::Cumulating { step, size, offset } => {
            format!("cumulate(step={step}, size={size}, offset={offset})")
        }
        Window::Session { gap } => format!("session(gap={gap})"),
    };
    let time = match node.time {
        WindowTime::Event { .. } => "event time",
        WindowTime::Processing => "processing time",
    };
    let aggregates = aggregate::describe(&node.aggregates, updating);
    format!("{window} in {time}, lateness {}; {aggregates}", node.allowed_lateness)
}

/// Refuses measures of a window that make no sense.
pub(super) fn check_measures(window: Window) -> Result<()> {
    let (parts, offset) = match window {
        Window::Tumbling { size, offset } => (vec![("size", size)], offset),
        Window::Hopping { slide, size, offset } => (vec![("slide", slide), ("size", size)], offset),
        Window::Cumulating { step, size, offset } => (vec![("step", step), ("size", size)], offset),
        Window::Session { gap } => (vec![("gap", gap)], 0),
    };
    for (name, value) in &parts {
        if !(1..=MAX_MEASURE).contains(value) {
            return Err(StreamError::Invalid(format!(
                "a window's {name} of {value} ms is out of range"
            )));
        }
    }
    if offset.unsigned_abs() > MAX_MEASURE as u64 {
        return Err(StreamError::Invalid(format!(
            "a window's offset of {offset} ms is out of range"
        )));
    }
    if let [(name, part), (_, size)] = parts[..]
        && size % part != 0
    {
        return Err(StreamError::Invalid(format!(
            "a window's size ({size} ms) has to be a multiple of its {name} ({part} ms)"
        )));
    }
    Ok(())
}
