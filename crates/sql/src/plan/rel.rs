//! The plan between DataFusion's and the graph: few kinds of steps, typed expressions,
//! time attributes and changelog properties.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use thalweg_stream::aggregate::AggregateFunction;
use thalweg_stream::window::Window;

use crate::catalog::TableObject;
use crate::expr::{TimeAttribute, TypedExpr};
use crate::types::SqlType;

/// A step with what is known about its rows.
#[derive(Clone, Debug)]
pub(crate) struct Rel {
    pub(crate) node: RelNode,
    pub(crate) columns: Vec<RelColumn>,
    /// Whether there are changes other than inserts.
    pub(crate) updating: bool,
    /// Columns that identify a row, where the rows are updated by key.
    pub(crate) key: Option<Vec<usize>>,
    /// The window that the rows carry, if they do.
    pub(crate) window: Option<WindowColumns>,
}

/// A column.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct RelColumn {
    pub(crate) name: String,
    pub(crate) sql_type: SqlType,
    pub(crate) time: TimeAttribute,
}

/// Where the columns of a row's window are, as far as they were kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WindowColumns {
    pub(crate) start: Option<usize>,
    pub(crate) end: Option<usize>,
    pub(crate) time: Option<usize>,
    /// Whether they come straight from [`RelNode::AssignWindow`] or [`RelNode::Sessions`];
    /// otherwise from an aggregation.
    pub(crate) assigned: bool,
}

/// The clock of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RelTime {
    /// Event time in a column of the input.
    Event(usize),
    /// Processing time.
    Processing,
}

/// Kinds of steps.
#[derive(Clone, Debug)]
pub(crate) enum RelNode {
    /// Reads a table.
    Scan(Scan),
    /// Rows that are known now.
    Values(RecordBatch),
    /// Filters, then projects.
    Calc { input: Box<Rel>, filter: Option<TypedExpr>, exprs: Vec<TypedExpr> },
    /// Adds the columns of a window.
    AssignWindow { input: Box<Rel>, window: Window, time: RelTime },
    /// Sessions of a table function: they exist only once they are aggregated.
    Sessions { input: Box<Rel>, gap: i64, time: RelTime, partition_by: Vec<usize> },
    /// Aggregates by window and keys.
    WindowAggregate {
        input: Box<Rel>,
        window: Window,
        time: RelTime,
        keys: Vec<usize>,
        calls: Vec<RelCall>,
    },
    /// Aggregates by keys.
    GroupAggregate { input: Box<Rel>, keys: Vec<usize>, calls: Vec<RelCall> },
    /// All rows of all inputs.
    Union { inputs: Vec<Rel> },
}

/// A scan of a table.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    pub(crate) table: Arc<TableObject>,
    /// Over the table's readable columns, by their number among those.
    pub(crate) exprs: Vec<TypedExpr>,
    /// Numbers of the columns in `exprs` that the watermark is about, and its expression
    /// over `exprs`' columns.
    pub(crate) watermark: Option<(usize, TypedExpr)>,
    /// Types of the readable columns; fewer fields in rows once pruned.
    pub(crate) physical: Vec<RelColumn>,
}

/// A call of an aggregate function over columns of the input.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct RelCall {
    pub(crate) function: AggregateFunction,
    pub(crate) name: &'static str,
    pub(crate) argument: Option<usize>,
    pub(crate) distinct: bool,
    pub(crate) filter: Option<usize>,
    pub(crate) returns: SqlType,
}

impl Rel {
    /// Names of the columns.
    pub(crate) fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// The columns as Arrow's schema.
    pub(crate) fn schema(&self) -> SchemaRef {
        let fields: Vec<_> = self
            .columns
            .iter()
            .map(|column| column.sql_type.to_field(&column.name, true))
            .collect();
        Arc::new(Schema::new(fields))
    }

    /// A column as an expression.
    pub(crate) fn column(&self, index: usize) -> TypedExpr {
        let column = &self.columns[index];
        TypedExpr::column(index, column.sql_type.clone(), column.time)
    }

    /// All columns as expressions.
    pub(crate) fn all_columns(&self) -> Vec<TypedExpr> {
        (0..self.columns.len()).map(|index| self.column(index)).collect()
    }

    /// A step over this one that filters and projects.
    pub(crate) fn calc(self, filter: Option<TypedExpr>, exprs: Vec<(String, TypedExpr)>) -> Self {
        let columns = exprs
            .iter()
            .map(|(name, expr)| RelColumn {
                name: name.clone(),
                sql_type: expr.sql_type.clone(),
                time: expr.time,
            })
            .collect();
        let exprs: Vec<TypedExpr> = exprs.into_iter().map(|(_, expr)| expr).collect();
        let place = |column: usize| exprs.iter().position(|expr| expr.as_column() == Some(column));
        let key = self
            .key
            .as_ref()
            .and_then(|key| key.iter().map(|&column| place(column)).collect::<Option<Vec<_>>>());
        let window = self.window.as_ref().map(|window| WindowColumns {
            start: window.start.and_then(place),
            end: window.end.and_then(place),
            time: window.time.and_then(place),
            assigned: window.assigned,
        });
        let updating = self.updating;
        let node = RelNode::Calc { input: Box::new(self), filter, exprs };
        Self { node, columns, updating, key, window }
    }

    /// The same rows under a filter.
    pub(crate) fn filter(self, condition: TypedExpr) -> Self {
        let exprs = self.names().into_iter().zip(self.all_columns()).collect();
        self.calc(Some(condition), exprs)
    }

    /// The same rows with these columns of it.
    pub(crate) fn project(self, columns: &[usize]) -> Self {
        let exprs = columns
            .iter()
            .map(|&index| (self.columns[index].name.clone(), self.column(index)))
            .collect();
        self.calc(None, exprs)
    }

    /// The steps that it reads.
    pub(crate) fn inputs(&self) -> Vec<&Rel> {
        match &self.node {
            RelNode::Scan(_) | RelNode::Values(_) => Vec::new(),
            RelNode::Calc { input, .. }
            | RelNode::AssignWindow { input, .. }
            | RelNode::Sessions { input, .. }
            | RelNode::WindowAggregate { input, .. }
            | RelNode::GroupAggregate { input, .. } => vec![input],
            RelNode::Union { inputs } => inputs.iter().collect(),
        }
    }

    /// The tables that it reads, each once.
    pub(crate) fn tables(&self, out: &mut Vec<Arc<TableObject>>) {
        if let RelNode::Scan(scan) = &self.node
            && !out.iter().any(|table| table.name == scan.table.name)
        {
            out.push(Arc::clone(&scan.table));
        }
        for input in self.inputs() {
            input.tables(out);
        }
    }
}
