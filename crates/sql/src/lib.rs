//! Flink SQL to dataflow graph; the only home of DataFusion's planner.
//!
//! [`parser`] cuts a script into statements, a [`Session`] over the shared
//! [`catalog::Catalog`] executes those that need no engine and plans the others,
//! [`adhoc`] answers queries over views. Errors are [`error::SqlError`]: a code, an
//! SQLSTATE, a place in the text and, where there is one, a way out.
//!
//! ```no_run
//! use thalweg_sql::catalog::Catalog;
//! use thalweg_sql::parser::{self, Statement};
//! use thalweg_sql::{Outcome, PlannedInsert, Session};
//!
//! # fn main() -> Result<(), thalweg_sql::error::SqlError> {
//! # let connectors: thalweg_stream::connector::ConnectorsRef = unreachable!();
//! let mut session = Session::new(Catalog::default(), connectors);
//! let script = parser::substitute("CREATE TABLE t (a INT) WITH (...); ...", &|_| None)?;
//! for parsed in parser::parse(&script)? {
//!     match session.execute(&parsed.statement)? {
//!         Outcome::Done { tag, created, dropped } => { /* keep `created` in the catalog's topic */ }
//!         Outcome::Rows { schema, rows } => { /* SHOW, DESCRIBE, EXPLAIN */ }
//!         Outcome::Engine => match &parsed.statement {
//!             Statement::Insert(insert) => match session.plan_insert(insert)? {
//!                 PlannedInsert::Job(job) => { /* run job.graph */ }
//!                 PlannedInsert::Rows { table, rows } => { /* write them once */ }
//!             },
//!             Statement::CreateMaterializedView(create) => {
//!                 session.create_materialized_view(create)?;
//!             }
//!             _ => {}
//!         },
//!     }
//! }
//! # Ok(())
//! # }
//! ```

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
pub use expr::zone::{SessionZone, TIME_ZONE_VERSION};
pub use plan::{PlannedInsert, PlannedJob, QueryShape, fingerprint};
pub use session::{Outcome, Session, SessionState};

/// Stack for walking trees that were written by machines. Their size is bounded when
/// they are parsed.
const LARGE_STACK_BYTES: usize = 64 << 20;

/// Runs `work` where there is room for deep recursion.
fn on_large_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(LARGE_STACK_BYTES / 4, LARGE_STACK_BYTES, work)
}
