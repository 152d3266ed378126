//! The narrow waist: the words in which SQL, engine, connectors and models talk.
//!
//! `sql` yields a [`graph::Graph`], `engine` runs graphs, `connect` supplies sources
//! and sinks. None of them knows another; they meet in the traits of this crate.
//! Values cross it as Arrow arrays, expressions as [`expression::Expression`]s that
//! are evaluated once a batch.
//!
//! What is not here: no planner, no runtime, no format, no file, no socket.

pub mod aggregate;
pub mod change_batch;
pub mod connector;
pub mod error;
pub mod expression;
pub mod graph;
pub mod marks;
pub mod record;
pub mod row_kind;
pub mod sink;
pub mod source;
pub mod table;
pub mod view;
pub mod window;

pub use change_batch::ChangeBatch;
pub use error::StreamError;
pub use marks::Marks;
pub use row_kind::RowKind;
