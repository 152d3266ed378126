//! From a parsed query to the graph of a job.
//!
//! The way: [`supported`] refuses what cannot run yet, [`rewrite`] gives names and
//! places, DataFusion plans ([`provider`], [`hooks`], [`window_tvf`] answer it),
//! [`lower`] and [`aggregate`] give Flink's types and time attributes, [`prune`] makes
//! the plan small, [`sink`] fits it to its table, [`emit`] writes the graph.

mod aggregate;
mod emit;
mod error;
mod hooks;
mod interval;
mod lower;
mod provider;
mod prune;
pub(crate) mod rel;
pub(crate) mod rewrite;
mod scan;
mod scans;
mod sink;
mod supported;
mod window_tvf;

use std::collections::BTreeMap;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use sqlparser::ast::Query;
use thalweg_stream::connector::Connectors;
use thalweg_stream::graph::{Graph, Operator};
use thalweg_stream::table::TableSpec;
use xxhash_rust::xxh3::xxh3_128;

use crate::catalog::{
    Catalog, CatalogObject, Column, ColumnSource, FullName, JobObject, TableObject,
};
use crate::error::{ErrorCode, Result, SqlError};
use crate::expr::bind::BindContext;
use crate::parser::{CreateMaterializedView, Insert};
use crate::session::SessionState;
use crate::settings::Settings;
use emit::{Emitter, Target};
pub(crate) use error::from_datafusion;
pub(crate) use hooks::{FlinkExpressions, FlinkTypes};
use rel::{Rel, RelNode};

/// Plans queries for a session.
#[derive(Clone, Copy)]
pub(crate) struct Planner<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) session: &'a SessionState,
    pub(crate) connectors: &'a dyn Connectors,
    /// Views that are being followed.
    pub(crate) depth: usize,
}

/// A job, planned and ready to run.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    /// Name of the job.
    pub name: String,
    /// What it does.
    pub graph: Graph,
    /// Tables that it reads, views by way of which it does, and what it writes.
    pub uses: Vec<FullName>,
    /// The view that it keeps, if it does.
    pub view: Option<FullName>,
    /// Hash of the plan: equal for equal plans, on any machine.
    pub fingerprint: String,
}

impl PlannedJob {
    /// What [`crate::catalog::Catalog::add_job`] keeps of it: under its id, and the name that
    /// it runs under.
    pub fn to_object(&self, id: u64, name: &str, sql: &str) -> JobObject {
        JobObject {
            id,
            name: name.to_owned(),
            sql: sql.to_owned(),
            uses: self.uses.clone(),
            view: self.view.clone(),
        }
    }
}

/// What an `INSERT` is.
#[derive(Clone, Debug)]
pub enum PlannedInsert {
    /// A job.
    Job(PlannedJob),
    /// Rows that are known already, in the table's columns.
    Rows {
        /// The table that takes them.
        table: TableSpec,
        /// The rows.
        rows: RecordBatch,
    },
}

/// What a query gives, without its plan.
#[derive(Clone, Debug)]
pub struct QueryShape {
    /// Columns.
    pub columns: Vec<Column>,
    /// Columns that identify a row, where rows are updated by key.
    pub key: Vec<usize>,
    /// Whether there are changes other than inserts.
    pub updating: bool,
    /// Tables that it reads.
    pub tables: Vec<FullName>,
}

pub(crate) fn parser_options() -> ParserOptions {
    ParserOptions::new()
        .with_enable_ident_normalization(false)
        .with_parse_float_as_decimal(true)
        .with_collect_spans(true)
        .with_map_string_types_to_utf8view(false)
}

impl Planner<'_> {
    pub(crate) fn settings(&self) -> &Settings {
        &self.session.settings
    }

    /// Names that users gave to built-in functions, by lower-case name.
    pub(crate) fn user_functions(&self) -> BTreeMap<String, String> {
        self.catalog
            .objects_in(&self.session.catalog, &self.session.database)
            .into_iter()
            .filter_map(|object| match object {
                CatalogObject::Function(function) => {
                    Some((function.name.name.to_ascii_lowercase(), function.builtin.clone()))
                }
                _ => None,
            })
            .collect()
    }

    /// Plans a query up to our own plan.
    ///
    /// # Errors
    /// Anything wrong with it.
    pub(crate) fn query(&self, query: &Query) -> Result<Rel> {
        self.lowered(query).map(lower::Lowered::visible)
    }

    /// As [`Planner::query`], with what stands behind the columns.
    pub(crate) fn lowered(&self, query: &Query) -> Result<lower::Lowered> {
        crate::on_large_stack(|| self.lowered_here(query))
    }

    fn lowered_here(&self, query: &Query) -> Result<lower::Lowered> {
        supported::check(query)?;
        self.check_tables(query)?;
        let mut query = query.clone();
        let mut rewriter =
            rewrite::Rewriter { functions: self.user_functions(), ..Default::default() };
        rewriter.query(&mut query)?;
        let provider = provider::Provider::new(self);
        let planner = SqlToRel::new_with_options(&provider, parser_options());
        let statement = sqlparser::ast::Statement::Query(Box::new(query));
        let plan = planner
            .sql_statement_to_plan(statement)
            .map_err(|error| rewriter.locate(from_datafusion(error)))?;
        let context = BindContext {
            zone: self.settings().zone(),
            places: &rewriter.places,
            database: &self.session.database,
        };
        let lateness = self.settings().allowed_lateness();
        let lowered = lower::Lowering { context, lateness }.lower(&plan);
        lowered.map_err(|error| rewriter.locate(error))
    }

    /// The shape of a query, for a view's columns.
    ///
    /// # Errors
    /// Anything wrong with it.
    pub(crate) fn shape(&self, rel: &Rel) -> QueryShape {
        let columns = rel
            .columns
            .iter()
            .map(|column| Column {
                name: column.name.clone(),
                sql_type: column.sql_type.clone(),
                nullable: true,
                source: ColumnSource::Physical,
                comment: None,
            })
            .collect();
        let mut tables = Vec::new();
        rel.tables(&mut tables);
        QueryShape {
            columns,
            key: rel.key.clone().unwrap_or_default(),
            updating: rel.updating,
            tables: tables.iter().map(|table| table.name.clone()).collect(),
        }
    }

    /// Plans an `INSERT`.
    ///
    /// # Errors
    /// Anything wrong with it.
    pub(crate) fn insert(&self, insert: &Insert) -> Result<PlannedInsert> {
        let table = self.sink_table(insert)?;
        let rel = self.query(&insert.query)?;
        let rel = self.fit(rel, &table, insert)?;
        if let Some(rows) = constant(&rel)? {
            return Ok(PlannedInsert::Rows { table: table.sink_spec(), rows });
        }
        let mut emitter = Emitter::new(self.settings());
        let mut uses = vec![table.name.clone()];
        let rel = optimise_one(rel)?;
        self.write_insert(&mut emitter, &rel, &table, insert, &mut uses)?;
        let name = format!("insert-into_{}", table.name);
        self.job(emitter, name, uses, None).map(PlannedInsert::Job)
    }

    /// Plans a statement set as one job; equal parts of its plans are shared.
    ///
    /// # Errors
    /// Anything wrong with one of them.
    pub(crate) fn statement_set(&self, inserts: &[Insert]) -> Result<PlannedJob> {
        let (mut uses, mut names) = (Vec::new(), Vec::new());
        let (mut rels, mut tables) = (Vec::new(), Vec::new());
        for insert in inserts {
            let table = self.sink_table(insert)?;
            let rel = self.query(&insert.query)?;
            let rel = self.fit(rel, &table, insert)?;
            if constant(&rel)?.is_some() {
                return Err(SqlError::not_supported("constant rows in a statement set")
                    .at(insert.table.span));
            }
            names.push(table.name.to_string());
            uses.push(table.name.clone());
            rels.push(rel);
            tables.push(table);
        }
        let mut emitter = Emitter::new(self.settings());
        for ((rel, table), insert) in prune::optimise(rels).iter().zip(&tables).zip(inserts) {
            self.write_insert(&mut emitter, rel, table, insert, &mut uses)?;
        }
        self.job(emitter, format!("insert-into_{}", names.join(",")), uses, None)
    }

    /// Plans a materialized view.
    ///
    /// # Errors
    /// Anything wrong with it.
    pub(crate) fn materialized_view(
        &self,
        create: &CreateMaterializedView,
        name: &FullName,
    ) -> Result<(PlannedJob, QueryShape)> {
        let names: Vec<String> = create.columns.iter().map(|ident| ident.value.clone()).collect();
        let rel = scan::rename(self.query(&create.query)?, &names)?;
        if matches!(rel.node, RelNode::Values(_)) {
            return Err(
                SqlError::not_supported("a materialized view over no table").at(create.name.span)
            );
        }
        let rel = optimise_one(rel)?;
        let shape = self.shape(&rel);
        let mut uses = vec![name.clone()];
        uses.extend(shape.tables.iter().cloned());
        self.views_in(&create.query, &mut uses)?;
        let mut emitter = Emitter::new(self.settings());
        emitter.write(&rel, Target::View(name.to_string()), true)?;
        let job = self.job(emitter, name.to_string(), uses, Some(name.clone()))?;
        Ok((job, shape))
    }

    /// Plans a query whose changes go to a table that `spec` makes for its columns.
    ///
    /// # Errors
    /// Anything wrong with it.
    pub(crate) fn select_into(
        &self,
        query: &Query,
        spec: impl FnOnce(SchemaRef) -> TableSpec,
    ) -> Result<PlannedInsert> {
        let rel = self.query(query)?;
        let table = spec(rel.schema());
        if let Some(rows) = constant(&rel)? {
            return Ok(PlannedInsert::Rows { table, rows });
        }
        let rel = optimise_one(rel)?;
        let uses = self.shape(&rel).tables;
        let mut emitter = Emitter::new(self.settings());
        emitter.write(&rel, Target::Table(table), true)?;
        self.job(emitter, "query".to_owned(), uses, None).map(PlannedInsert::Job)
    }

    fn sink_table(&self, insert: &Insert) -> Result<std::sync::Arc<TableObject>> {
        let full = self.session.resolve(&insert.table)?;
        match self.catalog.get(&full) {
            Some(CatalogObject::Table(table)) => Ok(table),
            Some(object) => {
                let kind = object.kind().name();
                let message = format!("`{}` is a {kind}; only tables can be written", insert.table);
                Err(SqlError::new(ErrorCode::WrongObjectType, message).at(insert.table.span))
            }
            None => Err(self.catalog.unknown_table(&insert.table, &full.catalog, &full.database)),
        }
    }

    fn fit(&self, rel: Rel, table: &TableObject, insert: &Insert) -> Result<Rel> {
        let zone = self.settings().zone();
        sink::fit(rel, table, &insert.columns, zone, insert.table.span)
    }

    fn write_insert(
        &self,
        emitter: &mut Emitter<'_>,
        rel: &Rel,
        table: &TableObject,
        insert: &Insert,
        uses: &mut Vec<FullName>,
    ) -> Result<()> {
        let update_before = sink::changelog(rel, table, self.connectors, insert.table.span)?;
        uses.extend(self.shape(rel).tables);
        self.views_in(&insert.query, uses)?;
        emitter.write(rel, Target::Table(table.sink_spec()), update_before)
    }

    fn job(
        &self,
        emitter: Emitter<'_>,
        name: String,
        mut uses: Vec<FullName>,
        view: Option<FullName>,
    ) -> Result<PlannedJob> {
        let graph = emitter.finish();
        let name = match (&view, self.settings().job_name()) {
            (None, Some(name)) => name.to_owned(),
            _ => name,
        };
        uses.sort();
        uses.dedup();
        let fingerprint = fingerprint(&graph);
        Ok(PlannedJob { name, graph, uses, view, fingerprint })
    }

    /// Names of tables that are not there, found before DataFusion does, with their
    /// place.
    fn check_tables(&self, query: &Query) -> Result<()> {
        let mut names = TableNames::default();
        let _ = sqlparser::ast::Visit::visit(query, &mut names);
        for name in names.tables {
            if is_cte(&names.ctes, &name) {
                continue;
            }
            let full = self.session.resolve(&name)?;
            match self.catalog.get(&full) {
                Some(CatalogObject::Table(_) | CatalogObject::View(_)) => {}
                _ => return Err(self.catalog.unknown_table(&name, &full.catalog, &full.database)),
            }
        }
        Ok(())
    }
}

fn is_cte(ctes: &[String], name: &crate::parser::Name) -> bool {
    matches!(name.parts.as_slice(), [name] if ctes.contains(name))
}

fn optimise_one(rel: Rel) -> Result<Rel> {
    let mut rels = prune::optimise(vec![rel]);
    rels.pop().ok_or_else(|| SqlError::internal("a plan was lost"))
}

/// The rows, where they are known already.
fn constant(rel: &Rel) -> Result<Option<RecordBatch>> {
    match &rel.node {
        RelNode::Values(rows) => Ok(Some(rows.clone())),
        RelNode::Calc { input, filter, exprs } => {
            let Some(rows) = constant(input)? else { return Ok(None) };
            lower::evaluate(&rows, filter.as_ref(), exprs, &rel.schema()).map(Some)
        }
        _ => Ok(None),
    }
}

/// Tables and CTEs that a query names.
#[derive(Default)]
struct TableNames {
    tables: Vec<crate::parser::Name>,
    ctes: Vec<String>,
}

impl sqlparser::ast::Visitor for TableNames {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> std::ops::ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.ctes.extend(ctes.map(|cte| cte.alias.name.value.clone()));
        std::ops::ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(
        &mut self,
        factor: &sqlparser::ast::TableFactor,
    ) -> std::ops::ControlFlow<()> {
        if let sqlparser::ast::TableFactor::Table { name, args: None, .. } = factor {
            self.tables.push(crate::parser::Name::from_object(name));
        }
        std::ops::ControlFlow::Continue(())
    }
}

/// Hash of a graph: its steps with all that changes what they compute.
pub fn fingerprint(graph: &Graph) -> String {
    let mut text = String::new();
    for node in &graph.nodes {
        text.push_str(&format!("{}|{:?}|{:?}|", node.uid, node.inputs, node.schema));
        match &node.operator {
            Operator::Source(source) => {
                let projection: Vec<_> =
                    source.projection.iter().map(|expr| expr.to_sql()).collect();
                let watermark = source
                    .watermark
                    .as_ref()
                    .map(|mark| (mark.rowtime, mark.expression.to_sql(), mark.idle_timeout));
                let table = (&source.table.name, &source.table.schema, &source.table.options);
                text.push_str(&format!("{table:?} {projection:?} {watermark:?}"));
            }
            Operator::Calc { filter, projection } => {
                let filter = filter.as_ref().map(|filter| filter.to_sql());
                let projection: Vec<_> = projection.iter().map(|expr| expr.to_sql()).collect();
                text.push_str(&format!("{filter:?} {projection:?}"));
            }
            other => text.push_str(&format!("{other:?}")),
        }
        text.push('\n');
    }
    format!("{:032x}", xxh3_128(text.as_bytes()))
}
