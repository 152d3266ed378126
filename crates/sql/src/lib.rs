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
