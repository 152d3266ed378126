//! What is kept of an object: the statement that made it and where it was said.

use super::object::{CatalogObject, ObjectId};
use super::store::{DEFAULT_CATALOG, DEFAULT_DATABASE};

/// An object as text. Enough to make it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectRecord {
    /// Identity.
    pub id: ObjectId,
    /// Version of the definition.
    pub version: u64,
    /// Full name of the object, its key in a compacted topic.
    pub name: String,
    /// The statement.
    pub sql: String,
    /// Current catalog when it was said.
    pub catalog: String,
    /// Current database when it was said.
    pub database: String,
}

impl ObjectRecord {
    /// The record of an object; none for temporary ones.
    pub fn of(object: &CatalogObject) -> Option<Self> {
        let (id, version, temporary) = match object {
            CatalogObject::Table(table) => (table.id, table.version, table.temporary),
            CatalogObject::View(view) => (view.id, view.version, view.temporary),
            CatalogObject::Function(function) => (function.id, 1, false),
        };
        if temporary {
            return None;
        }
        let name = object.name();
        let (catalog, database) = match object {
            CatalogObject::View(view) => {
                (view.context_catalog.clone(), view.context_database.clone())
            }
            _ => (name.catalog.clone(), name.database.clone()),
        };
        let sql = object.definition().to_owned();
        Some(Self { id, version, name: name.to_string(), sql, catalog, database })
    }

    /// The record of a database.
    pub fn of_database(id: ObjectId, catalog: &str, database: &str) -> Self {
        Self {
            id,
            version: 1,
            name: format!("{catalog}.{database}"),
            sql: format!("CREATE DATABASE IF NOT EXISTS `{catalog}`.`{database}`"),
            catalog: DEFAULT_CATALOG.to_owned(),
            database: DEFAULT_DATABASE.to_owned(),
        }
    }
}
