//! Aggregation by key and window.

use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::window::Window;

use super::time_column::MAX_MEASURE;

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
