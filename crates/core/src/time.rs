//! Time as data: milliseconds since the Unix epoch.
//!
//! Event time, processing time and watermarks all use [`Millis`]; which of them a
//! value is must be said by the name of the field that holds it.

/// Milliseconds since 1970-01-01 00:00:00 UTC; negative before it.
pub type Millis = i64;

/// The watermark before any row was seen.
pub const MIN_WATERMARK: Millis = i64::MIN;

/// The watermark at the end of a bounded input: every timer is due.
pub const MAX_WATERMARK: Millis = i64::MAX;
