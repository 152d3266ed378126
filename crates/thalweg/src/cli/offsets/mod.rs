//! Places in topics as users write them: `start`, `end`, `42`, `-10`, `@2026-01-31:1h`.

mod instant;
mod range;
mod resolve;

pub(crate) use instant::parse_instant;
pub(crate) use range::{Bound, OffsetRange};
pub(crate) use resolve::{Extent, at, extents};
