//! Connectors: how names in `WITH ('connector' = ...)` become sources and sinks.

use std::sync::Arc;

use crate::error::Result;
use crate::sink::SinkRef;
use crate::source::SourceRef;
use crate::table::TableSpec;

/// All connectors and formats of the running program.
pub trait Connectors: Send + Sync {
    /// Checks a table's connector, format and options at `CREATE TABLE`.
    ///
    /// # Errors
    /// [`crate::StreamError::Invalid`]: unknown or missing options, with a suggestion.
    fn validate(&self, table: &TableSpec) -> Result<()>;

    /// A source that yields `columns` (numbers in the table's schema, in this order).
    ///
    /// # Errors
    /// [`crate::StreamError::Invalid`] where the connector cannot read.
    fn source(&self, table: &TableSpec, columns: &[usize]) -> Result<SourceRef>;

    /// A sink that takes all columns of the table, in order.
    ///
    /// # Errors
    /// [`crate::StreamError::Invalid`] where the connector cannot write.
    fn sink(&self, table: &TableSpec) -> Result<SinkRef>;

    /// Whether reading the table ends by itself.
    ///
    /// # Errors
    /// As [`Connectors::validate`].
    fn is_bounded(&self, table: &TableSpec) -> Result<bool>;

    /// Whether the table's sink takes updates and deletes, by its options alone.
    ///
    /// # Errors
    /// As [`Connectors::validate`].
    fn accepts_updates(&self, table: &TableSpec) -> Result<bool>;
}

/// Shared connectors.
pub type ConnectorsRef = Arc<dyn Connectors>;
