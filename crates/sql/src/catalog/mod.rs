//! The catalog: every object has a name of three parts, a stable id and a version.
//!
//! The catalog is in memory. What would bring it back is [`ObjectRecord`], SQL text with
//! its context, which the caller keeps in a topic and gives to
//! [`crate::session::Session::restore`] at the next start, in the order of ids and versions.

mod object;
mod record;
mod store;

pub use object::{
    CatalogObject, Column, ColumnSource, FullName, FunctionObject, JobObject, ObjectId,
    TableObject, ViewObject, Watermark,
};
pub use record::ObjectRecord;
pub use store::{Catalog, CatalogSnapshot, DEFAULT_CATALOG, DEFAULT_DATABASE};
