//! Exchange edges: they hold what one epoch moves from one subtask to another.

mod buffer;
mod partition;
mod spill;

pub(crate) use buffer::{EdgeBudget, EdgeBuffer};
pub(crate) use partition::{EdgeRun, EdgeWriter};
pub(crate) use spill::{SpillDir, read_exact};
