//! Statements that show the catalog.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};

use super::{Outcome, Session};
use crate::catalog::{CatalogObject, ColumnSource};
use crate::error::{ErrorCode, Result, SqlError};
use crate::functions::{aggregate, registry};
use crate::parser::{Name, ObjectKind, Show, Statement};

impl Session {
    pub(super) fn show(&self, show: &Show) -> Result<Outcome> {
        match show {
            Show::Tables(like) => {
                let names = self.names(|object| object.kind() != ObjectKind::Function);
                let names = names
                    .into_iter()
                    .filter(|name| like.as_ref().is_none_or(|pattern| matches_like(name, pattern)));
                list("table name", names)
            }
            Show::Views => list("view name", self.names(|o| o.kind() == ObjectKind::View)),
            Show::MaterializedViews => {
                list("view name", self.names(|o| o.kind() == ObjectKind::MaterializedView))
            }
            Show::Jobs | Show::Job(_) => Ok(Outcome::Engine),
            Show::Databases => list("database name", self.catalog.databases(&self.state.catalog)),
            Show::Catalogs => list("catalog name", self.catalog.catalogs()),
            Show::Functions => self.show_functions(),
            Show::Columns(name) => self.describe(name),
            Show::Create(name) => {
                let object = self.object(name)?;
                list("definition", [object.definition().to_owned()])
            }
            Show::CurrentDatabase => list("current database name", [self.state.database.clone()]),
            Show::CurrentCatalog => list("current catalog name", [self.state.catalog.clone()]),
            Show::Setting(key) => self.show_setting(key),
        }
    }

    fn names(&self, wanted: impl Fn(&CatalogObject) -> bool) -> Vec<String> {
        let objects = self.catalog.objects_in(&self.state.catalog, &self.state.database);
        objects.iter().filter(|o| wanted(o)).map(|o| o.name().name.clone()).collect()
    }

    fn show_functions(&self) -> Result<Outcome> {
        let mut names: Vec<String> = registry::names()
            .chain(aggregate::names())
            .map(str::to_owned)
            .chain(self.names(|object| object.kind() == ObjectKind::Function))
            .collect();
        names.sort();
        names.dedup();
        list("function name", names)
    }

    /// Settings of ours, and those that PostgreSQL's clients ask for.
    fn show_setting(&self, key: &str) -> Result<Outcome> {
        let lower = key.to_lowercase();
        if lower == "all" {
            return self.show_settings();
        }
        let known = match self.state.settings.get(key).or(self.state.settings.get(&lower)) {
            Some(value) => value.to_owned(),
            None => match lower.as_str() {
                "server_version" => "16.0".to_owned(),
                "server_encoding" | "client_encoding" => "UTF8".to_owned(),
                "timezone" | "time zone" => self.state.settings.zone().to_string(),
                "standard_conforming_strings" | "integer_datetimes" => "on".to_owned(),
                "transaction isolation level" | "transaction_isolation" => {
                    "serializable".to_owned()
                }
                "datestyle" => "ISO, MDY".to_owned(),
                "search_path" => self.state.database.clone(),
                "default_transaction_read_only" | "transaction_read_only" => "off".to_owned(),
                "max_identifier_length" => "63".to_owned(),
                _ => {
                    let message = format!("there is no setting '{key}'");
                    return Err(SqlError::new(ErrorCode::UnknownObject, message));
                }
            },
        };
        list(&lower.replace(' ', "_"), [known])
    }

    pub(super) fn show_settings(&self) -> Result<Outcome> {
        let (keys, values): (Vec<_>, Vec<_>) = self
            .state
            .settings
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .unzip();
        table(&["key", "value"], vec![keys, values])
    }

    /// Flink's columns: name, type, null, key, extras, watermark.
    pub(super) fn describe(&self, name: &Name) -> Result<Outcome> {
        let object = self.object(name)?;
        let key: Vec<usize> = match &object {
            CatalogObject::Table(table) => table.primary_key.clone(),
            CatalogObject::View(view) => view.key.clone(),
            CatalogObject::Function(_) => {
                let message = format!("`{name}` is a function");
                return Err(SqlError::new(ErrorCode::WrongObjectType, message).at(name.span));
            }
        };
        let watermark = match &object {
            CatalogObject::Table(table) => table.watermark.as_ref(),
            _ => None,
        };
        let columns = object.columns();
        let key_names: Vec<&str> = key.iter().map(|&at| columns[at].name.as_str()).collect();
        let mut cells: Vec<Vec<String>> = vec![Vec::new(); 6];
        for (number, column) in columns.iter().enumerate() {
            let rowtime = watermark.filter(|mark| mark.column == number);
            let mut sql_type = column.sql_type.to_string();
            if rowtime.is_some() {
                sql_type.push_str(" *ROWTIME*");
            }
            let extras = match &column.source {
                ColumnSource::Physical => String::new(),
                ColumnSource::Computed(text) => format!("AS {text}"),
                ColumnSource::Metadata { key, is_virtual } => {
                    let tail = if *is_virtual { " VIRTUAL" } else { "" };
                    format!("METADATA FROM '{key}'{tail}")
                }
            };
            let in_key = if key.contains(&number) { key_names.join(", ") } else { String::new() };
            cells[0].push(column.name.clone());
            cells[1].push(sql_type);
            cells[2].push(if column.nullable { "TRUE" } else { "FALSE" }.to_owned());
            cells[3].push(if in_key.is_empty() { in_key } else { format!("PRI({in_key})") });
            cells[4].push(extras);
            cells[5].push(rowtime.map(|mark| mark.expression.clone()).unwrap_or_default());
        }
        table(&["name", "type", "null", "key", "extras", "watermark"], cells)
    }

    pub(super) fn explain_rows(&self, statement: &Statement) -> Result<Outcome> {
        list("result", self.explain(statement)?.lines().map(str::to_owned))
    }
}

fn list(name: &str, values: impl IntoIterator<Item = String>) -> Result<Outcome> {
    table(&[name], vec![values.into_iter().collect()])
}

fn table(names: &[&str], columns: Vec<Vec<String>>) -> Result<Outcome> {
    let fields: Vec<Field> =
        names.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|cells| Arc::new(StringArray::from(cells)) as ArrayRef);
    let rows = RecordBatch::try_new(Arc::clone(&schema), arrays.collect())
        .map_err(|error| SqlError::internal(error.to_string()))?;
    Ok(Outcome::Rows { schema, rows })
}

/// `%` and `_` as in SQL.
fn matches_like(name: &str, pattern: &str) -> bool {
    let mut regex = String::from("^");
    for c in pattern.chars() {
        match c {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            c => regex.push_str(&regex::escape(&c.to_string())),
        }
    }
    regex.push('$');
    regex::Regex::new(&regex).is_ok_and(|regex| regex.is_match(name))
}
