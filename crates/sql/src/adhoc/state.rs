//! What DataFusion has to know for one query: its tables, functions, clock and memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::datasource::MemTable;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::context::ExecutionProps;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::AggregateUDF;
use datafusion::prelude::SessionConfig;

use super::{AdHoc, average};
use crate::catalog::FullName;
use crate::error::Result;
use crate::expr::zone::SessionZone;
use crate::functions::registry;
use crate::functions::signature::Body;
use crate::functions::udf::FlinkFunction;
use crate::plan::{FlinkExpressions, FlinkTypes, from_datafusion};
use crate::session::Session;
use crate::types::INSTANT_ZONE;

/// Functions of DataFusion that make large values of small ones, without a bound.
const WITHOUT_BOUND: &[&str] =
    &["array_concat", "array_repeat", "array_resize", "generate_series", "range"];

/// A table with its rows.
pub(super) struct Table {
    pub(super) name: FullName,
    pub(super) schema: SchemaRef,
    pub(super) rows: Vec<RecordBatch>,
}

/// The state in which a query is planned and run.
///
/// # Errors
/// DataFusion's, which here mean defects.
pub(super) fn build(adhoc: &AdHoc, session: &Session, tables: Vec<Table>) -> Result<SessionState> {
    let names = session.state();
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_default_catalog_and_schema(&names.catalog, &names.database)
        .with_create_default_catalog_and_schema(false);
    // With a zone, NOW() is an instant.
    config.options_mut().execution.time_zone = Some(INSTANT_ZONE.to_owned());
    // Flink has no recursive queries, and one that does not end cannot be bounded.
    config.options_mut().execution.enable_recursive_ctes = false;
    let parser = &mut config.options_mut().sql_parser;
    parser.enable_ident_normalization = false;
    parser.parse_float_as_decimal = true;
    parser.collect_spans = true;
    parser.map_string_types_to_utf8view = false;
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_limit(adhoc.memory_bytes, 1.0)
        .with_disk_manager_builder(
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
        )
        .build_arc()
        .map_err(from_datafusion)?;
    let now = chrono::DateTime::from_timestamp_millis(adhoc.now).unwrap_or_default();
    let props = ExecutionProps::new().with_query_execution_start_time(now);
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_execution_props(props)
        .with_default_features()
        .with_type_planner(Arc::new(FlinkTypes))
        .build();
    register_functions(&mut state, names.settings.zone())?;
    register_tables(&state, tables)?;
    Ok(state)
}

/// The tables, by catalog and database.
fn register_tables(state: &SessionState, tables: Vec<Table>) -> Result<()> {
    let mut catalogs: BTreeMap<String, BTreeMap<String, Arc<MemorySchemaProvider>>> =
        BTreeMap::new();
    for Table { name, schema, rows } in tables {
        let table = MemTable::try_new(schema, vec![rows]).map_err(from_datafusion)?;
        catalogs
            .entry(name.catalog)
            .or_default()
            .entry(name.database)
            .or_default()
            .register_table(name.name, Arc::new(table))
            .map_err(from_datafusion)?;
    }
    for (catalog, databases) in catalogs {
        let provider = MemoryCatalogProvider::new();
        for (database, schema) in databases {
            provider.register_schema(&database, schema).map_err(from_datafusion)?;
        }
        state.catalog_list().register_catalog(catalog, Arc::new(provider));
    }
    Ok(())
}

/// Ours in place of DataFusion's of the same name.
fn register_functions(state: &mut SessionState, zone: SessionZone) -> Result<()> {
    for name in WITHOUT_BOUND {
        state.deregister_udf(name).map_err(from_datafusion)?;
    }
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
