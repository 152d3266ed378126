//! The catalog as the door shows it to `\d` and its like.

use arrow_schema::SchemaRef;

/// What a relation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelationKind {
    /// A table: a topic or a connector's.
    Table,
    /// A view: a stored query.
    View,
    /// A materialized view.
    MaterializedView,
}

/// A table or view.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Schema in PostgreSQL's sense: the database's name.
    pub schema_name: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// Its columns, with [`thalweg_stream::table::SQL_TYPE_KEY`] in the metadata where
    /// the SQL type says more.
    pub columns: SchemaRef,
    /// Columns of the primary key, by number.
    pub primary_key: Vec<usize>,
    /// The query of a view.
    pub definition: Option<String>,
}

/// Answers what catalog queries ask. Called once a query, so it may copy.
pub trait CatalogInfo: Send + Sync {
    /// Name of the database in PostgreSQL's sense: the catalog's name.
    fn database(&self) -> String;

    /// The schema that unqualified names are looked up in.
    fn current_schema(&self) -> String;

    /// All schemas.
    fn schemas(&self) -> Vec<String>;

    /// All tables and views of all schemas.
    fn relations(&self) -> Vec<Relation>;
}
