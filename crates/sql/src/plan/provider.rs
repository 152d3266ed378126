//! What DataFusion's planner asks about names: tables, views, functions.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::TableReference;
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::planner::{
    ContextProvider, ExprPlanner, RelationPlanner, TypePlanner,
};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};

use super::Planner;
use super::hooks::{FlinkExpressions, FlinkTypes};
use super::rel::Rel;
use super::window_tvf::{WindowTables, external};
use crate::expr::zone::SessionZone;
use crate::functions::aggregate::FlinkAggregate;
use crate::functions::udf::{FlinkFunction, PLACE};
use crate::functions::{aggregate, registry};
use crate::parser::Name;

/// A table or view whose plan is made already.
#[derive(Debug)]
pub(crate) struct PlannedTable {
    pub(crate) rel: Rel,
    /// Columns that can be named; behind them a window's time may stand.
    pub(crate) visible: usize,
}

impl TableSource for PlannedTable {
    fn schema(&self) -> SchemaRef {
        let schema = self.rel.schema();
        Arc::new(Schema::new(schema.fields()[..self.visible].to_vec()))
    }
}

/// Answers DataFusion's questions for one query.
pub(crate) struct Provider<'a> {
    planner: &'a Planner<'a>,
    zone: SessionZone,
    options: ConfigOptions,
    tables: RefCell<HashMap<String, Arc<PlannedTable>>>,
    expressions: Vec<Arc<dyn ExprPlanner>>,
    relations: Vec<Arc<dyn RelationPlanner>>,
}

impl<'a> Provider<'a> {
    pub(crate) fn new(planner: &'a Planner<'a>) -> Self {
        let mut options = ConfigOptions::default();
        options.sql_parser.enable_ident_normalization = false;
        options.sql_parser.parse_float_as_decimal = true;
        let zone = planner.settings().zone();
        Self {
            planner,
            zone,
            options,
            tables: RefCell::default(),
            expressions: vec![Arc::new(FlinkExpressions { zone })],
            relations: vec![Arc::new(WindowTables)],
        }
    }
}

/// The name without its place.
fn plain(name: &str) -> &str {
    name.split(PLACE).next().unwrap_or(name)
}

impl ContextProvider for Provider<'_> {
    fn get_table_source(
        &self,
        name: TableReference,
    ) -> datafusion::common::Result<Arc<dyn TableSource>> {
        let key = name.to_string();
        if let Some(table) = self.tables.borrow().get(&key) {
            return Ok(Arc::clone(table) as _);
        }
        let parts = [name.catalog(), name.schema(), Some(name.table())];
        let name = Name::new(parts.into_iter().flatten());
        let table = Arc::new(self.planner.relation(&name).map_err(external)?);
        self.tables.borrow_mut().insert(key, Arc::clone(&table));
        Ok(table)
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expressions
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relations
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(FlinkTypes))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let def = registry::find(plain(name))?;
        Some(FlinkFunction::udf(name, def, self.zone))
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        let def = aggregate::find(plain(name))?;
        Some(FlinkAggregate::udaf(name, def))
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        registry::names().map(str::to_owned).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        aggregate::names().map(str::to_owned).collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
