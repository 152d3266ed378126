//! From DataFusion's logical plan to ours.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Projection, Union, Values};
use thalweg_core::time::Millis;

use super::provider::PlannedTable;
use super::rel::{Rel, RelColumn, RelNode, RelTime, WindowColumns};
use super::window_tvf::{WINDOW_COLUMNS, WindowTvf};
use crate::error::{ErrorCode, Result, Span, SqlError};
use crate::expr::bind::{BindContext, Binder, ColumnPlace, ScopeColumn};
use crate::expr::coerce::{cast_to, common_type_of};
use crate::expr::{Kind, TimeAttribute, TypedExpr};
use crate::types::SqlType;

/// A step and how DataFusion's columns are found in it.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) rel: Rel,
    /// For each column of DataFusion's schema.
    pub(crate) scope: Vec<ScopeColumn>,
}

impl Lowered {
    /// Columns one to one.
    pub(crate) fn plain(rel: Rel) -> Self {
        let scope = rel
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| ScopeColumn {
                sql_type: column.sql_type.clone(),
                time: column.time,
                place: ColumnPlace::Column(index),
            })
            .collect();
        Self { rel, scope }
    }

    fn places(&self) -> Vec<usize> {
        let places = self.scope.iter().filter_map(|column| match column.place {
            ColumnPlace::Column(place) => Some(place),
            ColumnPlace::Window { .. } => None,
        });
        places.collect()
    }

    /// The step, and how many of its columns DataFusion knows: those in front.
    pub(crate) fn with_hidden(self) -> (Rel, usize) {
        let places = self.places();
        if places.iter().copied().eq(0..places.len()) {
            return (self.rel, places.len());
        }
        let rel = self.visible();
        let width = rel.columns.len();
        (rel, width)
    }

    /// The step with only the columns that DataFusion knows: behind them a window's time
    /// may stand, for a later aggregation.
    pub(crate) fn visible(self) -> Rel {
        let places = self.places();
        if places.len() == self.rel.columns.len() && places.is_sorted() {
            return self.rel;
        }
        self.rel.project(&places)
    }
}

/// Lowers one query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lowering<'a> {
    pub(crate) context: BindContext<'a>,
    /// How long windows in event time take rows after they fired: their results change.
    pub(crate) lateness: Millis,
}

impl Lowering<'_> {
    pub(crate) fn binder<'s>(
        &'s self,
        schema: &'s DFSchema,
        scope: &'s [ScopeColumn],
    ) -> Binder<'s> {
        Binder { schema, columns: scope, context: self.context }
    }

    /// Lowers a plan.
    ///
    /// # Errors
    /// Types that do not fit, steps that are not supported.
    #[recursive::recursive]
    pub(crate) fn lower(&self, plan: &LogicalPlan) -> Result<Lowered> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let table = scan
                    .source
                    .downcast_ref::<PlannedTable>()
                    .ok_or_else(|| SqlError::internal("a table that we did not plan"))?;
                let mut lowered = Lowered::plain(table.rel.clone());
                lowered.scope.truncate(table.visible);
                Ok(lowered)
            }
            LogicalPlan::SubqueryAlias(alias) => self.lower(&alias.input),
            LogicalPlan::Subquery(subquery) => self.lower(&subquery.subquery),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => {
                let input = self.lower(&filter.input)?;
                let condition = self
                    .binder(filter.input.schema(), &input.scope)
                    .bind_condition(&filter.predicate)?;
                Ok(Lowered { rel: input.rel.filter(condition), scope: input.scope })
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let input = self.lower(input)?.visible();
                self.distinct(input).map(Lowered::plain)
            }
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::EmptyRelation(_) => one_row().map(Lowered::plain),
            LogicalPlan::Extension(extension) => {
                match extension.node.as_any().downcast_ref::<WindowTvf>() {
                    Some(tvf) => self.window_table(tvf),
                    None => Err(SqlError::internal("a step that we did not plan")),
                }
            }
            other => Err(SqlError::not_supported(format!(
                "{} is not supported in jobs yet",
                step_name(other)
            ))),
        }
    }

    fn projection(&self, projection: &Projection) -> Result<Lowered> {
        let input = self.lower(&projection.input)?;
        let binder = self.binder(projection.input.schema(), &input.scope);
        let mut exprs = projection
            .expr
            .iter()
            .zip(projection.schema.fields())
            .map(|(expr, field)| Ok((field.name().clone(), binder.bind(expr)?)))
            .collect::<Result<Vec<_>>>()?;
        if let RelNode::Values(rows) = &input.rel.node {
            return constant_rows(rows, &exprs).map(Lowered::plain);
        }
        let visible = exprs.len();
        exprs.extend(hidden_time(&input.rel, &exprs));
        let mut lowered = Lowered::plain(input.rel.calc(None, exprs));
        lowered.scope.truncate(visible);
        Ok(lowered)
    }

    /// `SELECT DISTINCT`, `UNION`: a grouping by all columns.
    fn distinct(&self, rel: Rel) -> Result<Rel> {
        if let Some(column) =
            rel.columns.iter().find(|column| matches!(column.sql_type, SqlType::Map(..)))
        {
            let message =
                format!("column `{}` of type {} has no equality", column.name, column.sql_type);
            return Err(SqlError::new(ErrorCode::TypeMismatch, message));
        }
        let keys: Vec<usize> = (0..rel.columns.len()).collect();
        let columns = without_time(&rel.columns);
        Ok(Rel {
            columns,
            updating: rel.updating,
            key: rel.updating.then(|| keys.clone()),
            window: None,
            node: RelNode::GroupAggregate { input: Box::new(rel), keys, calls: Vec::new() },
        })
    }

    fn union(&self, union: &Union) -> Result<Lowered> {
        let inputs = union
            .inputs
            .iter()
            .map(|input| self.lower(input).map(Lowered::visible))
            .collect::<Result<Vec<_>>>()?;
        self.union_of(inputs).map(Lowered::plain)
    }

    /// All rows of all; columns take the first one's names and their common types.
    fn union_of(&self, inputs: Vec<Rel>) -> Result<Rel> {
        let Some(first) = inputs.first() else {
            return Err(SqlError::internal("a union of nothing"));
        };
        let mut columns = Vec::new();
        for (index, column) in first.columns.iter().enumerate() {
            let types = inputs.iter().filter_map(|input| input.columns.get(index));
            let common = common_type_of(types.clone().map(|column| &column.sql_type));
            let sql_type = common.ok_or_else(|| {
                let names: Vec<_> =
                    types.clone().map(|column| column.sql_type.to_string()).collect();
                SqlError::new(
                    ErrorCode::TypeMismatch,
                    format!(
                        "column `{}` of UNION has no common type: {}",
                        column.name,
                        names.join(", ")
                    ),
                )
            })?;
            let mut times = types.map(|column| column.time);
            let time = match times.next() {
                Some(time) if times.all(|other| other == time) => time,
                _ => TimeAttribute::None,
            };
            columns.push(RelColumn { name: column.name.clone(), sql_type, time });
        }
        let inputs = inputs
            .into_iter()
            .map(|input| self.fit_to(input, &columns))
            .collect::<Result<Vec<_>>>()?;
        let updating = inputs.iter().any(|input| input.updating);
        let node = RelNode::Union { inputs };
        Ok(Rel { node, columns, updating, key: None, window: None })
    }

    /// The same rows with these types and names.
    fn fit_to(&self, input: Rel, columns: &[RelColumn]) -> Result<Rel> {
        if input.columns == columns {
            return Ok(input);
        }
        let exprs = columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let expr = input.column(index);
                let from = expr.sql_type.clone();
                let expr = cast_to(expr, &column.sql_type, self.context.zone).ok_or_else(|| {
                    SqlError::internal(format!("no cast from {from} to {}", column.sql_type))
                })?;
                Ok((column.name.clone(), TypedExpr { time: column.time, ..expr }))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(input.calc(None, exprs))
    }

    fn values(&self, values: &Values) -> Result<Lowered> {
        let schema = DFSchema::empty();
        let binder = self.binder(&schema, &[]);
        let mut rows = Vec::with_capacity(values.values.len());
        for row in &values.values {
            let row =
                row.iter().map(|expr| binder.bind(expr)).collect::<Result<Vec<TypedExpr>>>()?;
            rows.push(row);
        }
        let mut columns = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for (index, field) in values.schema.fields().iter().enumerate() {
            let cells: Vec<&TypedExpr> = rows.iter().filter_map(|row| row.get(index)).collect();
            let sql_type =
                common_type_of(cells.iter().map(|cell| &cell.sql_type)).ok_or_else(|| {
                    let message = format!("the values of column {} have no common type", index + 1);
                    SqlError::new(ErrorCode::TypeMismatch, message)
                })?;
            let name = field.name().replace("column", "EXPR$");
            arrays.push(self.column_of(&cells, &sql_type)?);
            columns.push(RelColumn { name, sql_type, time: TimeAttribute::None });
        }
        let rel = known_rows(columns, arrays, rows.len())?;
        Ok(Lowered::plain(rel))
    }

    fn column_of(&self, cells: &[&TypedExpr], sql_type: &SqlType) -> Result<ArrayRef> {
        let mut scalars = Vec::with_capacity(cells.len());
        for cell in cells {
            let cast = cast_to((*cell).clone(), sql_type, self.context.zone)
                .ok_or_else(|| SqlError::internal("a cast to the common type"))?;
            match cast.kind {
                Kind::Literal(value) => scalars.push(value),
                _ => {
                    return Err(SqlError::not_supported(
                        "VALUES with anything but constants is not supported",
                    ));
                }
            }
        }
        datafusion::scalar::ScalarValue::iter_to_array(scalars)
            .map_err(|error| SqlError::internal(error.to_string()))
    }

    fn window_table(&self, tvf: &WindowTvf) -> Result<Lowered> {
        let rel = self.lower(&tvf.input)?.visible();
        let time = time_of(&rel, tvf.time_column, tvf.time_place)?;
        let mut columns = rel.columns.clone();
        let start = columns.len();
        for name in WINDOW_COLUMNS {
            columns.push(RelColumn {
                name: name.to_owned(),
                sql_type: SqlType::Timestamp(3),
                time: TimeAttribute::None,
            });
        }
        columns[start + 2].time = match time {
            RelTime::Event(_) => TimeAttribute::Rowtime,
            RelTime::Processing => TimeAttribute::Proctime,
        };
        let window = Some(WindowColumns {
            start: Some(start),
            end: Some(start + 1),
            time: Some(start + 2),
            assigned: true,
        });
        let updating = rel.updating;
        let node = match tvf.window {
            thalweg_stream::window::Window::Session { gap } => {
                let partition_by = tvf.partition_by.clone();
                RelNode::Sessions { input: Box::new(rel), gap, time, partition_by }
            }
            window => RelNode::AssignWindow { input: Box::new(rel), window, time },
        };
        Ok(Lowered::plain(Rel { node, columns, updating, key: None, window }))
    }
}

/// The window's time, where a projection keeps the window's bounds without it: windows
/// are aggregated again by it.
fn hidden_time(input: &Rel, exprs: &[(String, TypedExpr)]) -> Option<(String, TypedExpr)> {
    let window = input.window.as_ref()?;
    let kept = |column: Option<usize>| {
        column.is_some() && exprs.iter().any(|(_, expr)| expr.as_column() == column)
    };
    let time = window.time?;
    let hidden = kept(window.start) && kept(window.end) && !kept(Some(time));
    hidden.then(|| ("$window_time".to_owned(), input.column(time)))
}

/// The clock that a column stands for.
pub(crate) fn time_of(rel: &Rel, column: usize, place: Option<Span>) -> Result<RelTime> {
    match rel.columns[column].time {
        TimeAttribute::Rowtime => Ok(RelTime::Event(column)),
        TimeAttribute::Proctime => Ok(RelTime::Processing),
        TimeAttribute::None => {
            let RelColumn { name, sql_type, .. } = &rel.columns[column];
            let message = format!("a window needs a time attribute, but `{name}` is a {sql_type}");
            Err(SqlError::new(ErrorCode::InvalidArgument, message).at(place).with_hint(format!(
                "declare WATERMARK FOR `{name}` in the table, or use a column AS PROCTIME()"
            )))
        }
    }
}

/// Columns that are no time attributes any more.
pub(crate) fn without_time(columns: &[RelColumn]) -> Vec<RelColumn> {
    columns.iter().map(|column| RelColumn { time: TimeAttribute::None, ..column.clone() }).collect()
}

fn step_name(plan: &LogicalPlan) -> &'static str {
    match plan {
        LogicalPlan::Join(_) => "a join",
        LogicalPlan::Sort(_) => "ORDER BY",
        LogicalPlan::Limit(_) => "LIMIT",
        LogicalPlan::Window(_) => "an OVER window",
        LogicalPlan::Unnest(_) => "UNNEST",
        LogicalPlan::RecursiveQuery(_) => "WITH RECURSIVE",
        _ => "this form of query",
    }
}

/// What `SELECT 1` reads.
fn one_row() -> Result<Rel> {
    known_rows(Vec::new(), Vec::new(), 1)
}

fn known_rows(columns: Vec<RelColumn>, arrays: Vec<ArrayRef>, rows: usize) -> Result<Rel> {
    let fields: Vec<_> =
        columns.iter().map(|column| column.sql_type.to_field(&column.name, true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|error| SqlError::internal(error.to_string()))?;
    Ok(Rel { node: RelNode::Values(batch), columns, updating: false, key: None, window: None })
}

/// A projection of known rows is known too.
fn constant_rows(rows: &RecordBatch, exprs: &[(String, TypedExpr)]) -> Result<Rel> {
    let columns: Vec<RelColumn> = exprs
        .iter()
        .map(|(name, expr)| RelColumn {
            name: name.clone(),
            sql_type: expr.sql_type.clone(),
            time: TimeAttribute::None,
        })
        .collect();
    let plain: Vec<TypedExpr> = exprs.iter().map(|(_, expr)| expr.clone()).collect();
    let fields: Vec<_> =
        columns.iter().map(|column| column.sql_type.to_field(&column.name, true)).collect();
    let batch = evaluate(rows, None, &plain, &Arc::new(Schema::new(fields)))?;
    Ok(Rel { node: RelNode::Values(batch), columns, updating: false, key: None, window: None })
}

/// Filters and projects rows that are known at planning.
pub(crate) fn evaluate(
    rows: &RecordBatch,
    filter: Option<&TypedExpr>,
    exprs: &[TypedExpr],
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    if exprs.iter().chain(filter).any(TypedExpr::uses_now) {
        return Err(SqlError::not_supported("the current time without a table is not supported"));
    }
    let failed = super::from_datafusion;
    let width = rows.num_columns();
    let array = |expr: &TypedExpr, rows: &RecordBatch| {
        let compiled = crate::expr::compile::compile(expr, width)?;
        compiled.evaluate(rows)?.into_array(rows.num_rows())
    };
    let kept;
    let rows = match filter {
        Some(filter) => {
            let mask = array(filter, rows).map_err(failed)?;
            let mask = datafusion::common::cast::as_boolean_array(&mask).map_err(failed)?;
            kept = datafusion::arrow::compute::filter_record_batch(rows, mask)
                .map_err(|error| SqlError::internal(error.to_string()))?;
            &kept
        }
        None => rows,
    };
    let arrays =
        exprs.iter().map(|expr| array(expr, rows).map_err(failed)).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
        .map_err(|error| SqlError::internal(error.to_string()))
}

/// The expression without its alias.
pub(crate) fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}
