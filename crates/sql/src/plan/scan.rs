//! Tables and views as the start of a plan.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use sqlparser::ast::{Ident, Query};

use super::provider::{PlannedTable, Provider};
use super::rel::{Rel, RelColumn, RelNode, Scan};
use super::rewrite::Rewriter;
use super::{Planner, TableNames, from_datafusion, is_cte, parser_options};
use crate::catalog::{CatalogObject, ColumnSource, FullName, TableObject, ViewObject};
use crate::error::{ErrorCode, Result, SqlError};
use crate::expr::bind::{BindContext, Binder, ColumnPlace, ScopeColumn};
use crate::expr::{TimeAttribute, TypedExpr};
use crate::parser::{Name, Statement};
use crate::session::SessionState;
use crate::types::SqlType;

/// Views within views that are followed.
const MAX_VIEW_DEPTH: usize = 32;

impl Planner<'_> {
    /// The plan of a table or view by name.
    pub(crate) fn relation(&self, name: &Name) -> Result<PlannedTable> {
        let full = self.session.resolve(name)?;
        match self.catalog.get(&full) {
            Some(CatalogObject::Table(table)) => {
                let rel = self.scan(&table)?;
                Ok(PlannedTable { visible: rel.columns.len(), rel })
            }
            Some(CatalogObject::View(view)) => self.expand(&view),
            Some(CatalogObject::Function(_)) | None => {
                Err(self.catalog.unknown_table(name, &full.catalog, &full.database))
            }
        }
    }

    /// A view's query. A materialized view is computed anew from its query.
    fn expand(&self, view: &ViewObject) -> Result<PlannedTable> {
        if self.depth >= MAX_VIEW_DEPTH {
            return Err(SqlError::not_supported("views within views this deep"));
        }
        let what = format!("view `{}`", view.name);
        let (query, columns) = query_of(view)?;
        let session = self.session_of(view);
        let inner = Planner { session: &session, depth: self.depth + 1, ..*self };
        let lowered = inner.lowered(&query).map_err(|error| error.inside(&what))?;
        let (rel, visible) = lowered.with_hidden();
        if columns.is_empty() {
            return Ok(PlannedTable { rel, visible });
        }
        let names: Vec<String> = columns.into_iter().map(|ident| ident.value).collect();
        if names.len() != visible {
            return Err(SqlError::internal(format!("{what} has another number of columns")));
        }
        let hidden = rel.names().split_off(visible);
        let names: Vec<String> = names.into_iter().chain(hidden).collect();
        Ok(PlannedTable { rel: rename(rel, &names)?, visible })
    }

    /// Adds the views that a query names, and those that they name.
    ///
    /// # Errors
    /// A view whose definition cannot be read.
    pub(crate) fn views_in(&self, query: &Query, views: &mut Vec<FullName>) -> Result<()> {
        crate::on_large_stack(|| self.views_in_here(query, views))
    }

    fn views_in_here(&self, query: &Query, views: &mut Vec<FullName>) -> Result<()> {
        let mut names = TableNames::default();
        let _ = sqlparser::ast::Visit::visit(query, &mut names);
        for name in names.tables.iter().filter(|name| !is_cte(&names.ctes, name)) {
            let full = self.session.resolve(name)?;
            if let Some(CatalogObject::View(view)) = self.catalog.get(&full)
                && !views.contains(&full)
            {
                views.push(full);
                let (query, _) = query_of(&view)?;
                let session = self.session_of(&view);
                Planner { session: &session, ..*self }.views_in_here(&query, views)?;
            }
        }
        Ok(())
    }

    /// Where a view's names are looked up.
    fn session_of(&self, view: &ViewObject) -> SessionState {
        SessionState {
            catalog: view.context_catalog.clone(),
            database: view.context_database.clone(),
            ..self.session.clone()
        }
    }

    /// The scan of a table with its computed columns and watermark.
    ///
    /// # Errors
    /// Expressions of the definition that do not fit.
    pub(crate) fn scan(&self, table: &Arc<TableObject>) -> Result<Rel> {
        let physical: Vec<RelColumn> = table
            .readable()
            .into_iter()
            .map(|number| {
                let column = &table.columns[number];
                RelColumn {
                    name: column.name.clone(),
                    sql_type: column.sql_type.clone(),
                    time: TimeAttribute::None,
                }
            })
            .collect();
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        for column in &table.columns {
            let expr = match &column.source {
                ColumnSource::Computed(text) => self.stored_expression(text, &physical)?,
                _ => {
                    let place = physical.iter().position(|known| known.name == column.name);
                    let place = place.ok_or_else(|| SqlError::internal("a column vanished"))?;
                    TypedExpr::column(place, column.sql_type.clone(), TimeAttribute::None)
                }
            };
            columns.push(RelColumn {
                name: column.name.clone(),
                sql_type: expr.sql_type.clone(),
                time: expr.time,
            });
            exprs.push(expr);
        }
        let watermark = match &table.watermark {
            Some(watermark) => {
                let column = &mut columns[watermark.column];
                check_rowtime(column)?;
                column.time = TimeAttribute::Rowtime;
                let expr = self.stored_expression(&watermark.expression, &columns)?;
                Some((watermark.column, check_watermark(expr, &columns[watermark.column])?))
            }
            None => None,
        };
        let scan = Scan { table: Arc::clone(table), exprs, watermark, physical };
        Ok(Rel { node: RelNode::Scan(scan), columns, updating: false, key: None, window: None })
    }

    /// Binds an expression of a table's definition over some of its columns.
    fn stored_expression(&self, text: &str, columns: &[RelColumn]) -> Result<TypedExpr> {
        let expr = crate::parser::parse_expression(text)?;
        self.expression(expr, columns)
    }

    /// Binds a single expression over columns.
    pub(crate) fn expression(
        &self,
        mut expr: sqlparser::ast::Expr,
        columns: &[RelColumn],
    ) -> Result<TypedExpr> {
        let mut rewriter = Rewriter { functions: self.user_functions(), ..Rewriter::default() };
        rewriter.expression(&mut expr)?;
        let fields: Vec<_> = columns
            .iter()
            .map(|column| (None, Arc::new(column.sql_type.to_field(&column.name, true))))
            .collect();
        let schema =
            DFSchema::new_with_metadata(fields, Default::default()).map_err(from_datafusion)?;
        let provider = Provider::new(self);
        let planner = SqlToRel::new_with_options(&provider, parser_options());
        let expr = planner
            .sql_to_expr(expr, &schema, &mut PlannerContext::new())
            .map_err(|error| rewriter.locate(from_datafusion(error)))?;
        let scope: Vec<ScopeColumn> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| ScopeColumn {
                sql_type: column.sql_type.clone(),
                time: column.time,
                place: ColumnPlace::Column(index),
            })
            .collect();
        let context = BindContext {
            zone: self.settings().zone(),
            places: &rewriter.places,
            database: &self.session.database,
        };
        let bound = Binder { schema: &schema, columns: &scope, context }.bind(&expr);
        bound.map_err(|error| rewriter.locate(error))
    }
}

/// A view's query, and the names that it gives to the columns.
fn query_of(view: &ViewObject) -> Result<(Box<Query>, Vec<Ident>)> {
    let what = format!("view `{}`", view.name);
    let parsed = crate::parser::parse_one(&view.definition).map_err(|error| error.inside(&what))?;
    match parsed.statement {
        Statement::CreateView(create) => Ok((create.query, create.columns)),
        Statement::CreateMaterializedView(create) => Ok((create.query, create.columns)),
        _ => Err(SqlError::internal(format!("{what} is no view"))),
    }
}

/// The columns under other names.
pub(crate) fn rename(rel: Rel, names: &[String]) -> Result<Rel> {
    if names.is_empty() {
        return Ok(rel);
    }
    if names.len() != rel.columns.len() {
        let message = format!(
            "the view names {} columns, but its query has {}",
            names.len(),
            rel.columns.len()
        );
        return Err(SqlError::new(ErrorCode::InvalidDefinition, message));
    }
    let exprs = names.iter().cloned().zip(rel.all_columns()).collect();
    Ok(rel.calc(None, exprs))
}

fn check_rowtime(column: &RelColumn) -> Result<()> {
    match column.sql_type {
        SqlType::Timestamp(0..=3) | SqlType::TimestampLtz(0..=3) => Ok(()),
        ref other => {
            let message = format!(
                "the event-time column `{}` must be TIMESTAMP(3) or TIMESTAMP_LTZ(3), but is {other}",
                column.name
            );
            Err(SqlError::new(ErrorCode::InvalidDefinition, message))
        }
    }
}

fn check_watermark(expr: TypedExpr, column: &RelColumn) -> Result<TypedExpr> {
    if expr.sql_type.is_timestamp() {
        let cast = crate::expr::coerce::cast_to(expr, &column.sql_type, Default::default());
        return cast.ok_or_else(|| SqlError::internal("a cast between timestamps"));
    }
    let message = format!("the watermark must be a timestamp, but is {}", expr.sql_type);
    Err(SqlError::new(ErrorCode::InvalidDefinition, message))
}
