//! What the tests need around a job: a source, sinks, views and graphs.

pub mod graph;
pub mod rig;
pub mod sim;
pub mod sink;
pub mod source;
pub mod view;
