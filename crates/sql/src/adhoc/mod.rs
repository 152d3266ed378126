//! Ad-hoc queries: `SELECT` over views, at one epoch, run by DataFusion as a whole.
//!
//! Scalar functions and operators are those of jobs, so that a query gives the same
//! values here and there; beside them DataFusion's own functions can be called. Memory
//! is bounded, nothing is spilled.

mod average;
mod rewrite;
mod views;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::execution::context::ExecutionProps;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::AggregateUDF;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DataFusionStatement;
use sqlparser::ast::Query;
use thalweg_core::time::Millis;

use crate::catalog::{CatalogObject, FullName};
use crate::error::{ErrorCode, Result, SqlError};
use crate::functions::registry;
use crate::functions::signature::Body;
use crate::functions::udf::FlinkFunction;
use crate::plan::{FlinkExpressions, FlinkTypes, from_datafusion};
use crate::session::Session;

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
    /// Bytes that the query may hold at once, its inputs not counted.
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
        let tables = views::expand(&mut query, session)?;
        rewrite::query(&mut query, session)?;
        let state = self.state(session, &tables, resolver).await?;
        let statement = sqlparser::ast::Statement::Query(Box::new(query));
        let statement = DataFusionStatement::Statement(Box::new(statement));
        let plan = state.statement_to_plan(statement).await.map_err(from_datafusion)?;
        let frame = SessionContext::new_with_state(state)
            .execute_logical_plan(plan)
            .await
            .map_err(from_datafusion)?;
        let schema = Arc::new(Schema::new(
            frame.schema().fields().iter().map(|field| plain_field(field)).collect::<Vec<_>>(),
        ));
        let batches = frame.collect().await.map_err(execution)?;
        let batches = batches.iter().map(|batch| conform(batch, &schema));
        Ok((Arc::clone(&schema), batches.collect::<Result<_>>()?))
    }

    async fn state(
        &self,
        session: &Session,
        tables: &[FullName],
        resolver: &dyn ViewResolver,
    ) -> Result<SessionState> {
        let names = session.state();
        let mut config = SessionConfig::new()
            .with_target_partitions(1)
            .with_default_catalog_and_schema(&names.catalog, &names.database)
            .with_create_default_catalog_and_schema(false);
        let parser = &mut config.options_mut().sql_parser;
        parser.enable_ident_normalization = false;
        parser.parse_float_as_decimal = true;
        parser.collect_spans = true;
        parser.map_string_types_to_utf8view = false;
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(self.memory_bytes, 1.0)
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
            )
            .build_arc()
            .map_err(from_datafusion)?;
        let now = chrono::DateTime::from_timestamp_millis(self.now).unwrap_or_default();
        let props = ExecutionProps::new().with_query_execution_start_time(now);
        let zone = names.settings.zone();
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_execution_props(props)
            .with_default_features()
            .with_type_planner(Arc::new(FlinkTypes))
            .build();
        register_functions(&mut state, zone)?;
        for (catalog, databases) in self.resolve(session, tables, resolver).await? {
            let provider = MemoryCatalogProvider::new();
            for (database, schema) in databases {
                provider.register_schema(&database, schema).map_err(from_datafusion)?;
            }
            state.catalog_list().register_catalog(catalog, Arc::new(provider));
        }
        Ok(state)
    }

    /// The rows of all tables, by catalog and database.
    async fn resolve(
        &self,
        session: &Session,
        tables: &[FullName],
        resolver: &dyn ViewResolver,
    ) -> Result<BTreeMap<String, BTreeMap<String, Arc<MemorySchemaProvider>>>> {
        let mut catalogs: BTreeMap<String, BTreeMap<String, Arc<MemorySchemaProvider>>> =
            BTreeMap::new();
        let mut objects = Vec::with_capacity(tables.len());
        for name in tables {
            objects.push(session.catalog().get(name).ok_or_else(|| {
                let message = format!("there is no table or view `{name}`");
                SqlError::new(ErrorCode::UnknownTable, message)
            })?);
        }
        let all_rows = resolver.all_rows(&objects).await?;
        for ((name, object), rows) in tables.iter().zip(&objects).zip(all_rows) {
            let rows = rows.ok_or_else(|| {
                let kind = object.kind().name();
                SqlError::not_supported(format!("{kind} `{name}` cannot be queried directly"))
                    .with_hint("CREATE MATERIALIZED VIEW keeps a result that can".to_owned())
            })?;
            let fields: Vec<Field> =
                object.columns().iter().map(|column| column.to_field()).collect();
            let schema = Arc::new(Schema::new(fields));
            let rows =
                rows.iter().map(|batch| conform(batch, &schema)).collect::<Result<Vec<_>>>()?;
            let table = MemTable::try_new(schema, vec![rows]).map_err(from_datafusion)?;
            catalogs
                .entry(name.catalog.clone())
                .or_default()
                .entry(name.database.clone())
                .or_default()
                .register_table(name.name.clone(), Arc::new(table))
                .map_err(from_datafusion)?;
        }
        Ok(catalogs)
    }
}

/// Ours in place of DataFusion's of the same name.
fn register_functions(state: &mut SessionState, zone: crate::SessionZone) -> Result<()> {
    use datafusion::execution::FunctionRegistry;
    for def in registry::all().filter(|def| matches!(def.body, Body::Kernel(_))) {
        for name in std::iter::once(def.name).chain(def.aliases.iter().copied()) {
            state.register_udf(FlinkFunction::udf(name, def, zone)).map_err(from_datafusion)?;
        }
    }
    let average = AggregateUDF::new_from_impl(average::FlinkAverage::default());
    state.register_udaf(Arc::new(average)).map_err(from_datafusion)?;
    let planner = Arc::new(FlinkExpressions { zone });
    state.register_expr_planner(planner).map_err(from_datafusion)
}

fn execution(error: DataFusionError) -> SqlError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => {
            SqlError::new(ErrorCode::Execution, "the query needs more memory than it is allowed")
        }
        _ => {
            let error = from_datafusion(error);
            let code = match error.code {
                ErrorCode::InvalidArgument => ErrorCode::Execution,
                code => code,
            };
            SqlError { code, ..error }
        }
    }
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
    let options =
        datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| SqlError::internal(error.to_string()))
}
