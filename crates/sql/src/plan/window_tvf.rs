//! `TABLE(TUMBLE(TABLE t, DESCRIPTOR(c), size))` and its kin, in FROM.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError, Result};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Spanned,
    TableAlias, TableFactor,
};
use thalweg_stream::window::Window;

use crate::error::{ErrorCode, SqlError};
use crate::functions::udf::PLACE;
use crate::parser::dialect::PARTITIONED;
use crate::suggest;
use crate::types::SqlType;

/// Names of the columns that a window adds.
pub(crate) const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// Rows with the windows that hold them.
#[derive(Clone, Debug)]
pub(crate) struct WindowTvf {
    pub(crate) input: LogicalPlan,
    pub(crate) window: Window,
    /// Number of the time column in the input.
    pub(crate) time_column: usize,
    /// Session keys, by number in the input.
    pub(crate) partition_by: Vec<usize>,
    /// Where the time column was named.
    pub(crate) time_place: Option<crate::error::Span>,
    schema: DFSchemaRef,
}

impl PartialEq for WindowTvf {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key() && self.input == other.input
    }
}

impl Eq for WindowTvf {}

impl PartialOrd for WindowTvf {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for WindowTvf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
        self.input.hash(state);
    }
}

impl WindowTvf {
    fn key(&self) -> (Window, usize, &[usize]) {
        (self.window, self.time_column, &self.partition_by)
    }
}

impl UserDefinedLogicalNodeCore for WindowTvf {
    fn name(&self) -> &str {
        "WindowTvf"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowTvf: {:?}", self.window)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.pop() {
            Some(input) => Ok(Self { input, ..self.clone() }),
            None => Err(DataFusionError::Internal("a window has an input".to_owned())),
        }
    }
}

/// Plans window table functions.
#[derive(Debug)]
pub(crate) struct WindowTables;

impl RelationPlanner for WindowTables {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let Some((call, alias)) = Call::of(&relation) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let place = relation.span();
        let plan = call.plan(context).map_err(|error| match error {
            DataFusionError::External(inner) => match inner.downcast::<SqlError>() {
                Ok(error) => external(error.at_parsed(place)),
                Err(inner) => DataFusionError::External(inner),
            },
            other => other,
        })?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

pub(crate) fn external(error: SqlError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn invalid(message: impl Into<String>) -> DataFusionError {
    external(SqlError::new(ErrorCode::InvalidArgument, message))
}

/// A kind of window with the names of its arguments after table and time column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WindowKind {
    Tumble,
    Hop,
    Cumulate,
    Session,
}

impl WindowKind {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "tumble" => Self::Tumble,
            "hop" => Self::Hop,
            "cumulate" => Self::Cumulate,
            "session" => Self::Session,
            _ => return None,
        })
    }

    fn intervals(self) -> &'static [&'static str] {
        match self {
            Self::Tumble => &["SIZE", "OFFSET"],
            Self::Hop => &["SLIDE", "SIZE", "OFFSET"],
            Self::Cumulate => &["STEP", "SIZE", "OFFSET"],
            Self::Session => &["GAP"],
        }
    }
}

/// A call of a window function, its arguments in order.
struct Call {
    kind: WindowKind,
    data: SqlExpr,
    time: SqlExpr,
    intervals: Vec<(&'static str, Option<SqlExpr>)>,
    error: Option<DataFusionError>,
}

impl Call {
    /// The window function that a FROM item calls, if it does.
    fn of(relation: &TableFactor) -> Option<(Self, Option<TableAlias>)> {
        let (name, arguments, alias) = match relation {
            TableFactor::TableFunction { expr: SqlExpr::Function(function), alias } => {
                let FunctionArguments::List(list) = &function.args else { return None };
                (&function.name, &list.args, alias)
            }
            TableFactor::Table { name, args: Some(args), alias, .. } => (name, &args.args, alias),
            TableFactor::Function { name, args, alias, .. } => (name, args, alias),
            _ => return None,
        };
        let [part] = name.0.as_slice() else { return None };
        let name = part.as_ident()?.value.clone();
        let name = name.split(PLACE).next().unwrap_or_default();
        let kind = WindowKind::parse(name)?;
        Some((Self::with_arguments(kind, arguments), alias.clone()))
    }

    fn with_arguments(kind: WindowKind, arguments: &[FunctionArg]) -> Self {
        let names: Vec<&'static str> =
            ["DATA", "TIMECOL"].into_iter().chain(kind.intervals().iter().copied()).collect();
        let mut values: Vec<Option<SqlExpr>> = vec![None; names.len()];
        let mut error = None;
        for (number, argument) in arguments.iter().enumerate() {
            let (place, value) = match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (Some(number), value),
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                    let wanted = name.value.to_ascii_uppercase();
                    let place = names.iter().position(|known| *known == wanted);
                    if place.is_none() {
                        error.get_or_insert_with(|| unknown_argument(name, &names));
                    }
                    (place, value)
                }
                _ => (None, &SqlExpr::Value(sqlparser::ast::Value::Null.into())),
            };
            match place.and_then(|place| values.get_mut(place)) {
                Some(slot) => *slot = Some(value.clone()),
                None => {
                    let most = names.join(", ");
                    error.get_or_insert_with(|| invalid(format!("the arguments are {most}")));
                }
            }
        }
        let mut values = values.into_iter();
        let null = || SqlExpr::Value(sqlparser::ast::Value::Null.into());
        let data = values.next().flatten().unwrap_or_else(null);
        let time = values.next().flatten().unwrap_or_else(null);
        let intervals = kind.intervals().iter().copied().zip(values).collect();
        Self { kind, data, time, intervals, error }
    }

    fn plan(mut self, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let (table, keys) = split_partition(self.data.clone());
        let input = context.plan(table_factor(table)?)?;
        let (time_column, time_place) = self.time_column(input.schema())?;
        let partition_by = keys
            .iter()
            .map(|key| column_number(input.schema(), key).map(|(number, _)| number))
            .collect::<Result<Vec<_>>>()?;
        if !partition_by.is_empty() && self.kind != WindowKind::Session {
            return Err(invalid("only SESSION takes PARTITION BY"));
        }
        let mut lengths = Vec::new();
        for (name, value) in self.intervals.drain(..) {
            lengths.push(interval(name, value, input.schema(), context)?);
        }
        let window = window(self.kind, &lengths)?;
        let schema = Arc::new(window_schema(input.schema())?);
        let node = WindowTvf { input, window, time_column, partition_by, time_place, schema };
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }

    /// The column that `DESCRIPTOR(c)` names.
    fn time_column(&self, schema: &DFSchema) -> Result<(usize, Option<crate::error::Span>)> {
        let wanted = || invalid("the second argument must be DESCRIPTOR(time column)");
        let SqlExpr::Function(function) = &self.time else { return Err(wanted()) };
        let FunctionArguments::List(list) = &function.args else { return Err(wanted()) };
        let is_descriptor = function.name.to_string().eq_ignore_ascii_case("descriptor");
        match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(SqlExpr::Identifier(column)))]
                if is_descriptor =>
            {
                column_number(schema, column)
            }
            _ => Err(wanted()),
        }
    }
}

fn unknown_argument(name: &Ident, known: &[&str]) -> DataFusionError {
    let hint = suggest::did_you_mean(&name.value, known.iter().copied());
    external(
        SqlError::new(ErrorCode::InvalidArgument, format!("there is no argument `{}`", name.value))
            .at_parsed(name.span)
            .with_hint(hint.or_else(|| Some(format!("the arguments are {}", known.join(", "))))),
    )
}

fn column_number(schema: &DFSchema, column: &Ident) -> Result<(usize, Option<crate::error::Span>)> {
    let number = schema.fields().iter().position(|field| *field.name() == column.value);
    let place = crate::error::Span::from_parser(column.span);
    number.map(|number| (number, place)).ok_or_else(|| {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        external(
            SqlError::new(
                ErrorCode::UnknownColumn,
                format!("there is no column `{}`", column.value),
            )
            .at(place)
            .with_hint(suggest::did_you_mean(&column.value, names)),
        )
    })
}

fn split_partition(data: SqlExpr) -> (SqlExpr, Vec<Ident>) {
    let SqlExpr::Function(function) = &data else { return (data, Vec::new()) };
    if function.name.to_string() != PARTITIONED {
        return (data, Vec::new());
    }
    let FunctionArguments::List(list) = &function.args else { return (data, Vec::new()) };
    let mut arguments = list.args.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    let Some(table) = arguments.next() else { return (data, Vec::new()) };
    let keys = arguments.filter_map(|key| match key {
        SqlExpr::Identifier(ident) => Some(ident),
        _ => None,
    });
    (table, keys.collect())
}

/// The table as an item of FROM, for DataFusion to plan.
fn table_factor(table: SqlExpr) -> Result<TableFactor> {
    let parts = match table {
        SqlExpr::Identifier(ident) => vec![ident],
        SqlExpr::CompoundIdentifier(parts) => parts,
        SqlExpr::Subquery(subquery) => {
            return Ok(TableFactor::Derived {
                lateral: false,
                subquery,
                alias: None,
                sample: None,
            });
        }
        _ => return Err(invalid("the first argument must be TABLE name or TABLE (query)")),
    };
    Ok(TableFactor::Table {
        name: ObjectName::from(parts),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    })
}

/// Milliseconds of an interval argument.
fn interval(
    name: &str,
    value: Option<SqlExpr>,
    schema: &DFSchema,
    context: &mut dyn RelationPlannerContext,
) -> Result<Option<i64>> {
    let Some(value) = value else { return Ok(None) };
    let place = value.span();
    let expr = context.sql_to_expr(value, schema)?;
    let millis = literal_millis(&expr).ok_or_else(|| {
        let message = format!("{name} must be an INTERVAL of days or less, and constant");
        external(SqlError::new(ErrorCode::InvalidArgument, message).at_parsed(place))
    })?;
    Ok(Some(millis))
}

/// Milliseconds of a constant interval without months.
pub(crate) fn literal_millis(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _)
            if interval.months == 0 =>
        {
            Some(crate::functions::cast::temporal::interval_millis(*interval))
        }
        _ => None,
    }
}

fn window(kind: WindowKind, lengths: &[Option<i64>]) -> Result<Window> {
    let length = |number: usize, name: &str| {
        let length = lengths.get(number).copied().flatten();
        match length {
            Some(length) if length > 0 => Ok(length),
            Some(_) => Err(invalid(format!("{name} must be longer than nothing"))),
            None => Err(invalid(format!("{name} is missing"))),
        }
    };
    let offset = |number: usize| lengths.get(number).copied().flatten().unwrap_or(0);
    Ok(match kind {
        WindowKind::Tumble => Window::Tumbling { size: length(0, "SIZE")?, offset: offset(1) },
        WindowKind::Hop => {
            let (slide, size) = (length(0, "SLIDE")?, length(1, "SIZE")?);
            multiple(size, slide, "SLIDE")?;
            Window::Hopping { slide, size, offset: offset(2) }
        }
        WindowKind::Cumulate => {
            let (step, size) = (length(0, "STEP")?, length(1, "SIZE")?);
            multiple(size, step, "STEP")?;
            Window::Cumulating { step, size, offset: offset(2) }
        }
        WindowKind::Session => Window::Session { gap: length(0, "GAP")? },
    })
}

/// Windows that are cut into panes need it.
pub(crate) fn multiple(size: i64, part: i64, name: &str) -> Result<()> {
    if size % part == 0 {
        return Ok(());
    }
    Err(invalid(format!("SIZE ({size} ms) must be a multiple of {name} ({part} ms)")))
}

/// The input's columns and three of the window.
fn window_schema(input: &DFSchema) -> Result<DFSchema> {
    let mut fields: Vec<_> =
        input.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
    for name in WINDOW_COLUMNS {
        let field = Field::new(name, SqlType::Timestamp(3).to_arrow(), false);
        fields.push((None, Arc::new(field)));
    }
    DFSchema::new_with_metadata(fields, input.metadata().clone())
}
