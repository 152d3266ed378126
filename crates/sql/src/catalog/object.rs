//! Objects of the catalog.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use thalweg_stream::table::{METADATA_KEY, TableSpec};

use crate::parser::ObjectKind;
use crate::types::SqlType;

/// Identity of an object for its whole life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectId(pub u64);

/// Catalog, database and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FullName {
    /// The catalog.
    pub catalog: String,
    /// The database.
    pub database: String,
    /// The object.
    pub name: String,
}

impl fmt::Display for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.catalog, self.database, self.name)
    }
}

/// Any object.
#[derive(Clone, Debug)]
pub enum CatalogObject {
    /// A table of a connector.
    Table(Arc<TableObject>),
    /// A view, materialized or not.
    View(Arc<ViewObject>),
    /// A function.
    Function(Arc<FunctionObject>),
}

impl CatalogObject {
    /// What kind it is.
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Table(_) => ObjectKind::Table,
            Self::View(view) if view.materialized => ObjectKind::MaterializedView,
            Self::View(_) => ObjectKind::View,
            Self::Function(_) => ObjectKind::Function,
        }
    }

    /// Its name.
    pub fn name(&self) -> &FullName {
        match self {
            Self::Table(table) => &table.name,
            Self::View(view) => &view.name,
            Self::Function(function) => &function.name,
        }
    }

    /// Its columns; none for a function.
    pub fn columns(&self) -> &[Column] {
        match self {
            Self::Table(table) => &table.columns,
            Self::View(view) => &view.columns,
            Self::Function(_) => &[],
        }
    }

    /// The statement that made it.
    pub fn definition(&self) -> &str {
        match self {
            Self::Table(table) => &table.definition,
            Self::View(view) => &view.definition,
            Self::Function(function) => &function.definition,
        }
    }
}

/// A column of a table or view.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub sql_type: SqlType,
    /// Whether it may be null.
    pub nullable: bool,
    /// Where its values come from.
    pub source: ColumnSource,
    /// `COMMENT`.
    pub comment: Option<String>,
}

/// Where a column's values come from.
#[derive(Clone, PartialEq, Debug)]
pub enum ColumnSource {
    /// The stored row, or a view's query.
    Physical,
    /// The connector: the metadata's key, and whether the column is never written.
    Metadata {
        /// Name of the metadata.
        key: String,
        /// `VIRTUAL`.
        is_virtual: bool,
    },
    /// An expression over the table's other columns, as written.
    Computed(String),
}

impl Column {
    /// As a field of a schema.
    pub fn to_field(&self) -> Field {
        let field = self.sql_type.to_field(&self.name, self.nullable);
        let ColumnSource::Metadata { key, .. } = &self.source else { return field };
        let mut metadata = field.metadata().clone();
        metadata.insert(METADATA_KEY.to_owned(), key.clone());
        field.with_metadata(metadata)
    }
}

/// `WATERMARK FOR column AS expression`.
#[derive(Clone, PartialEq, Debug)]
pub struct Watermark {
    /// Number of the event-time column in the table.
    pub column: usize,
    /// The expression, as written.
    pub expression: String,
}

/// A table.
#[derive(Clone, PartialEq, Debug)]
pub struct TableObject {
    /// Identity.
    pub id: ObjectId,
    /// Counts changes of the definition, from 1.
    pub version: u64,
    /// Name.
    pub name: FullName,
    /// All columns, in order.
    pub columns: Vec<Column>,
    /// The watermark.
    pub watermark: Option<Watermark>,
    /// Columns of the primary key, by number in `columns`.
    pub primary_key: Vec<usize>,
    /// `PARTITIONED BY`, by number in `columns`.
    pub partitioned_by: Vec<usize>,
    /// `WITH (...)`.
    pub options: BTreeMap<String, String>,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// `TEMPORARY`.
    pub temporary: bool,
    /// The statement that made it.
    pub definition: String,
}

impl TableObject {
    /// Numbers of the columns that a source reads: all but computed ones.
    pub fn readable(&self) -> Vec<usize> {
        self.numbers(|source| !matches!(source, ColumnSource::Computed(_)))
    }

    /// Numbers of the columns that a sink writes: all but computed and virtual ones.
    pub fn writable(&self) -> Vec<usize> {
        self.numbers(|source| match source {
            ColumnSource::Physical => true,
            ColumnSource::Metadata { is_virtual, .. } => !is_virtual,
            ColumnSource::Computed(_) => false,
        })
    }

    fn numbers(&self, wanted: impl Fn(&ColumnSource) -> bool) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        columns.filter(|(_, column)| wanted(&column.source)).map(|(number, _)| number).collect()
    }

    /// The table as a source sees it.
    pub fn source_spec(&self) -> TableSpec {
        self.spec(&self.readable())
    }

    /// The table as a sink sees it.
    pub fn sink_spec(&self) -> TableSpec {
        self.spec(&self.writable())
    }

    fn spec(&self, numbers: &[usize]) -> TableSpec {
        let fields: Vec<_> =
            numbers.iter().map(|&number| self.columns[number].to_field()).collect();
        let key = self.primary_key.iter();
        TableSpec {
            name: self.name.to_string(),
            schema: Arc::new(Schema::new(fields)),
            primary_key: key
                .filter_map(|column| numbers.iter().position(|number| number == column))
                .collect(),
            options: self.options.clone(),
        }
    }
}

/// A view: a query with a name. A materialized one is kept by a job of the same name.
#[derive(Clone, PartialEq, Debug)]
pub struct ViewObject {
    /// Identity.
    pub id: ObjectId,
    /// Counts changes of the definition, from 1.
    pub version: u64,
    /// Name.
    pub name: FullName,
    /// Whether its result is kept.
    pub materialized: bool,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Columns that identify a row of it, where known.
    pub key: Vec<usize>,
    /// The statement that made it.
    pub definition: String,
    /// Catalog in which names of the query are looked up.
    pub context_catalog: String,
    /// Database in which names of the query are looked up.
    pub context_database: String,
    /// `TEMPORARY`.
    pub temporary: bool,
}

impl ViewObject {
    /// The columns as Arrow's schema.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(Column::to_field).collect::<Vec<_>>()))
    }
}

/// A name for a built-in function, or for one that cannot be run here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionObject {
    /// Identity.
    pub id: ObjectId,
    /// Name.
    pub name: FullName,
    /// The Java class that was named.
    pub class: String,
    /// The built-in function that does the same.
    pub builtin: String,
    /// The statement that made it.
    pub definition: String,
}

/// A job that runs, as far as SQL sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobObject {
    /// Its id; several jobs may have one name.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The statement.
    pub sql: String,
    /// Objects that it reads and writes; they cannot be dropped meanwhile.
    pub uses: Vec<FullName>,
    /// The view that it keeps, if it does. It can be dropped, and its job ends then.
    pub view: Option<FullName>,
}
