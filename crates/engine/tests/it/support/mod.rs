//! What the tests need around a job: a source, sinks, views and graphs.

pub(crate) mod expression;
pub(crate) mod file;
pub(crate) mod graph;
pub(crate) mod rig;
pub(crate) mod sim;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod view;
