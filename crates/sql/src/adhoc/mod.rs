//! Ad-hoc queries: `SELECT` over views, at one epoch, run by DataFusion as a whole.
//!
//! Scalar functions, operators, casts and comparisons are those of jobs, so that a query
//! gives the same values here and there; beside them DataFusion's own functions can be
//! called. Memory is bounded, with inputs and result; nothing is spilled.

mod average;
mod charge;
mod coerce;
mod execute;
mod rewrite;
mod state;
mod views;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::parser::Statement as DataFusionStatement;
use sqlparser::ast::Query;
use thalweg_core::time::Millis;

use crate::catalog::{CatalogObject, FullName};
use crate::error::{ErrorCode, Result, SqlError};
use crate::plan::from_datafusion;
use crate::session::Session;
use state::Table;

/// Gives the rows of views and tables, all of one epoch.
#[async_trait]
pub trait ViewResolver: Send + Sync {
    /// The rows of a materialized view or table, with its columns in order. `None` where
    /// it cannot be read this way.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    async fn rows(&self, object: &CatalogObject) -> Result<Option<Vec<RecordBatch>>>;

    /// The rows of all objects of a query. A store that can show several views of one
    /// epoch does so here.
    ///
    /// # Errors
    /// As [`ViewResolver::rows`].
    async fn all_rows(&self, objects: &[CatalogObject]) -> Result<Vec<Option<Vec<RecordBatch>>>> {
        let mut all = Vec::with_capacity(objects.len());
        for object in objects {
            all.push(self.rows(object).await?);
        }
        Ok(all)
    }
}

/// Resolves nothing: for queries without tables.
pub struct NoViews;

#[async_trait]
impl ViewResolver for NoViews {
    async fn rows(&self, _: &CatalogObject) -> Result<Option<Vec<RecordBatch>>> {
        Ok(None)
    }
}

/// Bounds and clock of an ad-hoc query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdHoc {
    /// Bytes that the query may hold at once, with its inputs and its result.
    pub memory_bytes: usize,
    /// "Now", in milliseconds since the Unix epoch.
    pub now: Millis,
}

impl AdHoc {
    /// Runs a query. Call it within a Tokio runtime.
    ///
    /// # Errors
    /// Anything wrong with the query or its evaluation; more memory than allowed.
    pub async fn query(
        &self,
        session: &Session,
        query: &Query,
        resolver: &dyn ViewResolver,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let mut query = query.clone();
        let names = views::expand(&mut query, session)?;
        rewrite::query(&mut query, session)?;
        let tables = resolve(session, &names, resolver).await?;
        let inputs: Vec<RecordBatch> =
            tables.iter().flat_map(|table| table.rows.iter().cloned()).collect();
        let state = state::build(self, session, tables)?;
        let statement = sqlparser::ast::Statement::Query(Box::new(query));
        let statement = DataFusionStatement::Statement(Box::new(statement));
        let plan = state.statement_to_plan(statement).await.map_err(from_datafusion)?;
        let plan = coerce::plan(plan, session.state().settings.zone())?;
        let fields = plan.schema().fields().iter().map(|field| plain_field(field));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let rows = execute::execute(&state, &plan, &schema, &inputs, self.memory_bytes).await?;
        Ok((schema, rows))
    }
}

/// The rows of all tables, under the schemas that the catalog gives them.
async fn resolve(
    session: &Session,
    names: &[FullName],
    resolver: &dyn ViewResolver,
) -> Result<Vec<Table>> {
    let mut objects = Vec::with_capacity(names.len());
    for name in names {
        objects.push(session.catalog().get(name).ok_or_else(|| {
            let message = format!("there is no table or view `{name}`");
            SqlError::new(ErrorCode::UnknownTable, message)
        })?);
    }
    let mut tables = Vec::with_capacity(names.len());
    let all_rows = resolver.all_rows(&objects).await?;
    for ((name, object), rows) in names.iter().zip(&objects).zip(all_rows) {
        let rows = rows.ok_or_else(|| {
            let kind = object.kind().name();
            SqlError::not_supported(format!("{kind} `{name}` cannot be queried directly"))
                .with_hint("CREATE MATERIALIZED VIEW keeps a result that can".to_owned())
        })?;
        let fields: Vec<Field> = object.columns().iter().map(|column| column.to_field()).collect();
        let schema = Arc::new(Schema::new(fields));
        let rows = rows.iter().map(|batch| conform(batch, &schema)).collect::<Result<_>>()?;
        tables.push(Table { name: name.clone(), schema, rows });
    }
    Ok(tables)
}

/// DataFusion has several layouts of text and bytes; callers get one.
fn plain_field(field: &Field) -> Field {
    let data_type = match field.data_type() {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        other => other.clone(),
    };
    Field::new(field.name(), data_type, true).with_metadata(field.metadata().clone())
}

/// The same rows under this schema.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        return Err(SqlError::internal("rows have other columns than their table"));
    }
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => compute::cast(column, field.data_type())
                .map_err(|error| SqlError::internal(error.to_string())),
        })
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| SqlError::internal(error.to_string()))
}
