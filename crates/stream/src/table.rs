//! Tables as connectors see them: a schema and the options of `WITH (...)`.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;

/// A table that a connector reads or writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableSpec {
    /// Fully qualified name, `catalog.database.name`.
    pub name: String,
    /// Columns that are physically there (no computed ones), in order, with their
    /// declared types. A metadata column is marked in its field's metadata under
    /// [`METADATA_KEY`].
    pub schema: SchemaRef,
    /// Columns of the primary key, by number in `schema`; empty where there is none.
    pub primary_key: Vec<usize>,
    /// Options of the `WITH` clause, Flink's names.
    pub options: BTreeMap<String, String>,
}

impl TableSpec {
    /// The last part of the name.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// An option, by name.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// The value of `'connector'`.
    pub fn connector(&self) -> &str {
        self.option("connector").unwrap_or_default()
    }
}

/// Key of a field's metadata: the name of the connector metadata (`METADATA FROM`) that
/// fills the column, such as `timestamp`, `partition` or `offset`.
pub const METADATA_KEY: &str = "thalweg.metadata";

/// Key of a field's metadata: Flink's type of the column where Arrow's says less, such
/// as `CHAR(3)` or `TIMESTAMP_LTZ(3)`.
pub const SQL_TYPE_KEY: &str = "thalweg.sql_type";
