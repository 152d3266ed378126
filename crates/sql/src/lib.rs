//! Flink SQL to dataflow graph; the only home of DataFusion's planner.

pub mod adhoc;
pub mod catalog;
pub mod error;
mod explain;
mod expr;
mod functions;
pub mod parser;
mod plan;
mod session;
pub mod settings;
mod suggest;
pub mod types;

pub use explain::explain;
pub use expr::zone::SessionZone;
pub use plan::{PlannedInsert, PlannedJob, QueryShape, fingerprint};
pub use session::{Outcome, Session, SessionState};

/// Stack for walking trees that were written by machines. Their size is bounded when
/// they are parsed.
const LARGE_STACK_BYTES: usize = 64 << 20;

/// Runs `work` where there is room for deep recursion.
fn on_large_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(LARGE_STACK_BYTES / 4, LARGE_STACK_BYTES, work)
}
