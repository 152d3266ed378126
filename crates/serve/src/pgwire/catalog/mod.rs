//! PostgreSQL's catalog, as much of it as psql's `\d` family and simple tools ask for.
//!
//! A catalog query is a SELECT from one relation of `pg_catalog` or
//! `information_schema`, or of functions alone. Its text is cut up ([`parse`]), the
//! relation's rows are made ([`rows`]) and filtered ([`filter`]). What it asks beyond
//! that is refused by name, never answered with something made up. It is for psql; the
//! long tail of other tools belongs to a real catalog over SQL.

mod filter;
mod functions;
mod parse;
mod rows;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use self::functions::Facts;
use self::parse::Query;
use super::error::{PgError, Result};
use super::relations::CatalogInfo;
use super::settings::Settings;

/// A query that the door answers out of the catalog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CatalogQuery(Query);

/// What the session says about itself.
pub(super) struct Asker<'a> {
    pub(super) user: &'a str,
    pub(super) pid: i32,
    pub(super) settings: &'a Settings,
}

impl CatalogQuery {
    /// Recognises a query of the catalog; `None` is for SQL.
    pub(super) fn recognise(sql: &str) -> Option<Self> {
        let query = Query::parse(sql)?;
        let is_ours = match &query.from {
            Some(from) => rows::is_relation(from),
            None => query.items.iter().all(|item| functions::is_function(&item.expression)),
        };
        is_ours.then_some(Self(query))
    }

    /// The columns: all of them text.
    pub(super) fn schema(&self) -> SchemaRef {
        let field = |item: &parse::Item| Field::new(&item.name, DataType::Utf8, true);
        Arc::new(Schema::new(self.0.items.iter().map(field).collect::<Vec<_>>()))
    }

    /// The rows.
    pub(super) fn run(&self, info: &dyn CatalogInfo, asker: &Asker<'_>) -> Result<RecordBatch> {
        let query = &self.0;
        query.check(query.from.as_deref().is_some_and(rows::is_empty))?;
        let facts = Facts::new(info, asker);
        let mut answer: Vec<Vec<Option<String>>> = Vec::new();
        match &query.from {
            None => answer.push(
                query
                    .items
                    .iter()
                    .map(|item| facts.value(&item.expression))
                    .collect::<Result<_>>()?,
            ),
            Some(from) => {
                for row in rows::rows(from, info, &facts)? {
                    if !filter::matches(&row, &query.conditions)? {
                        continue;
                    }
                    let cells = query.items.iter().map(|item| {
                        row.value(&item.expression)
                            .or_else(|| facts.constant(&item.expression))
                            .ok_or_else(|| unsupported(&item.expression))
                    });
                    answer.push(cells.collect::<Result<_>>()?);
                }
            }
        }
        query.sort(&mut answer)?;
        let column = |at: usize| -> ArrayRef {
            Arc::new(StringArray::from_iter(answer.iter().map(|row| row[at].as_deref())))
        };
        let columns = (0..query.items.len()).map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(answer.len()));
        Ok(RecordBatch::try_new_with_options(self.schema(), columns, &options)?)
    }
}

/// The error for what the emulation does not know.
pub(super) fn unsupported(what: &str) -> PgError {
    PgError::not_supported("this query of the PostgreSQL catalog is not supported yet")
        .with_detail(format!("not understood: {what}"))
        .with_hint("SHOW TABLES, SHOW VIEWS and DESCRIBE list tables, views and columns")
}

#[cfg(test)]
mod tests;
