//! GROUP BY: over windows, where a window is among the keys, otherwise over all time.

use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::{AggregateFunction as AggregateExpr, ScalarFunction};
use datafusion::logical_expr::{Aggregate, Expr};
use thalweg_stream::aggregate::AggregateFunction;
use thalweg_stream::window::Window;

use super::lower::{Lowered, Lowering, time_of, unaliased, without_time};
use super::rel::{Rel, RelCall, RelColumn, RelNode, RelTime, WindowColumns};
use super::window_tvf::{WINDOW_COLUMNS, literal_millis, multiple};
use crate::error::{ErrorCode, Result, SqlError};
use crate::expr::bind::{Binder, ColumnPlace, ScopeColumn, span_of};
use crate::expr::coerce::{cast_to, is_comparable};
use crate::expr::{TimeAttribute, TypedExpr};
use crate::functions::aggregate::{FlinkAggregate, is_moment, result_type};
use crate::functions::signature::{Body, Special};
use crate::functions::udf::FlinkFunction;
use crate::types::SqlType;

/// A column of the aggregation's result, as DataFusion counts them.
enum Output {
    Key(usize),
    /// A call, and the type that its result is cast to.
    Call(usize, SqlType),
    WindowStart,
    WindowEnd,
    WindowTime,
    /// A group window as a whole.
    Window,
}

/// How an aggregation is bounded in time.
enum Bounds {
    Unbounded,
    /// By these windows of the input's rows.
    Windows(Window, RelTime),
    /// By the windows that rows carry from an aggregation before: start and end are
    /// keys, and a window is complete when its own time is.
    Carried {
        time: usize,
    },
}

/// Columns that the aggregation reads, collected without repetition.
struct Columns<'a> {
    input: &'a Rel,
    exprs: Vec<TypedExpr>,
    texts: Vec<String>,
}

impl Columns<'_> {
    fn place(&mut self, expr: TypedExpr) -> usize {
        let text = format!("{}::{}", expr.to_sql(&self.input.names()), expr.sql_type);
        if let Some(place) = self.texts.iter().position(|known| *known == text) {
            return place;
        }
        self.texts.push(text);
        self.exprs.push(expr);
        self.exprs.len() - 1
    }
}

impl Lowering<'_> {
    pub(super) fn aggregate(&self, aggregate: &Aggregate) -> Result<Lowered> {
        let input = self.lower(&aggregate.input)?;
        let schema = aggregate.input.schema();
        if matches!(input.rel.node, RelNode::Values(_)) {
            return Err(SqlError::not_supported(
                "aggregates over constant rows are not supported in jobs",
            ));
        }
        let binder = self.binder(schema, &input.scope);
        let mut columns = Columns { input: &input.rel, exprs: Vec::new(), texts: Vec::new() };
        let mut outputs = Vec::new();
        let mut keys = Vec::new();
        let mut bounds = self.bounds(&aggregate.group_expr, &binder, &input.rel, schema)?;
        for expr in &aggregate.group_expr {
            let output = self.key(expr, &binder, &input.rel, &bounds, &mut columns, &mut keys)?;
            outputs.push(output);
        }
        let mut calls: Vec<RelCall> = Vec::new();
        for expr in &aggregate.aggr_expr {
            let (call, returns) = self.call(expr, &binder, &mut columns)?;
            let place = calls.iter().position(|known| *known == call).unwrap_or_else(|| {
                calls.push(call);
                calls.len() - 1
            });
            outputs.push(Output::Call(place, returns));
        }
        let mut time_column = None;
        if let Bounds::Windows(_, RelTime::Event(column)) | Bounds::Carried { time: column } =
            &mut bounds
        {
            time_column = Some(columns.place(input.rel.column(*column)));
        }
        let Columns { exprs, .. } = columns;
        let named = exprs
            .into_iter()
            .map(|expr| (expr.to_sql(&input.rel.names()), expr))
            .collect::<Vec<_>>();
        let input = strip_window(input.rel, &bounds).calc(None, unique(named));
        let late_updates = self.lateness > 0;
        let rel = match bounds {
            Bounds::Unbounded => group_aggregate(input, keys, calls),
            Bounds::Windows(window, time) => {
                let time = match time {
                    RelTime::Event(_) => RelTime::Event(time_column.unwrap_or(0)),
                    RelTime::Processing => RelTime::Processing,
                };
                window_aggregate(input, window, time, keys, calls, late_updates)
            }
            Bounds::Carried { .. } => {
                let time = RelTime::Event(time_column.unwrap_or(0));
                let window = Window::Tumbling { size: 1, offset: 0 };
                window_aggregate(input, window, time, keys, calls, late_updates)
            }
        };
        self.arrange(rel, &outputs)
    }

    /// Which windows the keys name.
    fn bounds(
        &self,
        keys: &[Expr],
        binder: &Binder<'_>,
        input: &Rel,
        schema: &DFSchema,
    ) -> Result<Bounds> {
        let mut windows = keys.iter().map(unaliased).filter_map(group_window);
        if let Some(call) = windows.next() {
            if windows.next().is_some() {
                return Err(SqlError::new(
                    ErrorCode::Grouping,
                    "only one group window is possible",
                ));
            }
            let (window, time) = self.group_window(call, binder, input, schema)?;
            return Ok(Bounds::Windows(window, time));
        }
        let Some(carried) = &input.window else { return Ok(Bounds::Unbounded) };
        let named = |column: Option<usize>| {
            column.is_some_and(|column| {
                keys.iter().any(|key| {
                    binder.bind(key).is_ok_and(|bound| bound.as_column() == Some(column))
                })
            })
        };
        if !named(carried.start) || !named(carried.end) {
            return match find_sessions(input) {
                Some(_) => Err(sessions_need_grouping()),
                None => Ok(Bounds::Unbounded),
            };
        }
        if carried.assigned
            && let Some(bounds) = self.assigned(keys, binder, input)?
        {
            return Ok(bounds);
        }
        match carried.time {
            Some(time) if input.columns[time].time == TimeAttribute::Rowtime => {
                Ok(Bounds::Carried { time })
            }
            Some(_) => Err(SqlError::not_supported(
                "aggregating processing-time windows again is not supported yet",
            )),
            None => Err(SqlError::new(
                ErrorCode::Grouping,
                "to aggregate windows again the rows must carry window_time",
            )
            .with_hint(
                "select window_time in the inner query, beside window_start and window_end"
                    .to_owned(),
            )),
        }
    }

    /// Windows that can be computed in the aggregation itself, because nothing between
    /// reads their columns; the time column is one of the input then.
    fn assigned(&self, keys: &[Expr], binder: &Binder<'_>, input: &Rel) -> Result<Option<Bounds>> {
        let Some((node, path)) = assigned_below(input) else { return Ok(None) };
        let (window, time) = match &node.node {
            RelNode::AssignWindow { window, time, .. } => (*window, *time),
            RelNode::Sessions { gap, time, partition_by, .. } => {
                let wanted: Vec<usize> =
                    partition_by.iter().filter_map(|&column| path(column)).collect();
                let window = input.window.as_ref();
                let is_window = |column: usize| {
                    window.is_some_and(|window| {
                        [window.start, window.end, window.time].contains(&Some(column))
                    })
                };
                let mut grouped = Vec::new();
                for key in keys {
                    match binder.bind(key)?.as_column() {
                        Some(column) if is_window(column) => {}
                        Some(column) => grouped.push(column),
                        None => return Err(sessions_need_grouping()),
                    }
                }
                let same = grouped.len() == wanted.len()
                    && wanted.iter().all(|column| grouped.contains(column));
                if !same {
                    return Err(sessions_need_grouping());
                }
                (Window::Session { gap: *gap }, *time)
            }
            _ => return Ok(None),
        };
        Ok(match time {
            RelTime::Processing => Some(Bounds::Windows(window, RelTime::Processing)),
            RelTime::Event(column) => {
                path(column).map(|column| Bounds::Windows(window, RelTime::Event(column)))
            }
        })
    }

    /// `TUMBLE(time, size)` among the keys.
    fn group_window(
        &self,
        call: &ScalarFunction,
        binder: &Binder<'_>,
        input: &Rel,
        _: &DFSchema,
    ) -> Result<(Window, RelTime)> {
        let expr = Expr::ScalarFunction(call.clone());
        let place = span_of(&expr, self.context.places);
        let name = function_name(call);
        let invalid =
            |message: String| SqlError::new(ErrorCode::InvalidArgument, message).at(place);
        let Some((time, lengths)) = call.args.split_first() else {
            return Err(invalid(format!("{} needs a time column", name.to_uppercase())));
        };
        let time = binder.bind(time)?;
        let Some(column) = time.as_column() else {
            if time.time == TimeAttribute::Proctime {
                return Ok((
                    self.lengths(name, lengths).map_err(|error| error.at(place))?,
                    RelTime::Processing,
                ));
            }
            return Err(invalid("a group window is over a time column, not an expression".into()));
        };
        let time = time_of(input, column, place)?;
        Ok((self.lengths(name, lengths).map_err(|error| error.at(place))?, time))
    }

    fn lengths(&self, name: &str, lengths: &[Expr]) -> Result<Window> {
        let wrong = || {
            SqlError::new(
                ErrorCode::InvalidArgument,
                format!("{} takes constant intervals of days or less", name.to_uppercase()),
            )
        };
        let lengths: Vec<i64> = lengths
            .iter()
            .map(|length| literal_millis(length).filter(|length| *length >= 0))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        let fits = |error: datafusion::common::DataFusionError| super::from_datafusion(error);
        Ok(match (name, lengths.as_slice()) {
            ("tumble", [size @ (1..)]) => Window::Tumbling { size: *size, offset: 0 },
            ("tumble", [size @ (1..), offset]) => Window::Tumbling { size: *size, offset: *offset },
            ("hop", [slide @ (1..), size @ (1..)]) => {
                multiple(*size, *slide, "SLIDE").map_err(fits)?;
                Window::Hopping { slide: *slide, size: *size, offset: 0 }
            }
            ("hop", [slide @ (1..), size @ (1..), offset]) => {
                multiple(*size, *slide, "SLIDE").map_err(fits)?;
                Window::Hopping { slide: *slide, size: *size, offset: *offset }
            }
            ("session", [gap @ (1..)]) => Window::Session { gap: *gap },
            _ => return Err(wrong()),
        })
    }

    fn key(
        &self,
        expr: &Expr,
        binder: &Binder<'_>,
        input: &Rel,
        bounds: &Bounds,
        columns: &mut Columns<'_>,
        keys: &mut Vec<usize>,
    ) -> Result<Output> {
        if group_window(unaliased(expr)).is_some() {
            return Ok(Output::Window);
        }
        let bound = binder.bind(expr)?;
        if !is_comparable(&bound.sql_type) {
            let message = format!("{} has no equality, so it cannot be grouped", bound.sql_type);
            return Err(SqlError::new(ErrorCode::TypeMismatch, message)
                .at(span_of(expr, self.context.places)));
        }
        if let (Bounds::Windows(..), Some(window), Some(column)) =
            (bounds, &input.window, bound.as_column())
        {
            let column = Some(column);
            if column == window.start {
                return Ok(Output::WindowStart);
            } else if column == window.end {
                return Ok(Output::WindowEnd);
            } else if column == window.time {
                return Ok(Output::WindowTime);
            }
        }
        let place = columns.place(bound);
        let number = keys.iter().position(|&key| key == place).unwrap_or_else(|| {
            keys.push(place);
            keys.len() - 1
        });
        Ok(Output::Key(number))
    }

    /// A call with the type that its result is to have.
    fn call(
        &self,
        expr: &Expr,
        binder: &Binder<'_>,
        columns: &mut Columns<'_>,
    ) -> Result<(RelCall, SqlType)> {
        let Expr::AggregateFunction(AggregateExpr { func, params }) = unaliased(expr) else {
            return Err(SqlError::internal(format!("{expr} is no aggregate function")));
        };
        let Some(function) = func.inner().downcast_ref::<FlinkAggregate>() else {
            let message = format!("the aggregate function {}", func.name());
            return Err(SqlError::not_supported(message));
        };
        let place = function.place().and_then(|place| self.context.places.get(place)).copied();
        let def = function.def;
        let refuse = |message: String| {
            SqlError::new(ErrorCode::TypeMismatch, format!("{}: {message}", def.syntax)).at(place)
        };
        if let Some(sort) = params.order_by.first() {
            let _ = sort;
            return Err(SqlError::not_supported("ORDER BY in an aggregate function").at(place));
        }
        let [argument] = params.args.as_slice() else {
            return Err(refuse(format!("takes one argument, but is given {}", params.args.len())));
        };
        let filter = params
            .filter
            .as_deref()
            .map(|filter| binder.bind_condition(filter).map(|filter| columns.place(filter)))
            .transpose()?;
        let argument = binder.bind(argument)?;
        let counts_rows = def.function == AggregateFunction::Count
            && !params.distinct
            && argument.as_literal().is_some_and(|value| !value.is_null());
        if counts_rows {
            let call = RelCall {
                function: def.function,
                name: def.name,
                argument: None,
                distinct: false,
                filter,
                returns: SqlType::BigInt,
            };
            return Ok((call, SqlType::BigInt));
        }
        let returns = result_type(def.function, &argument.sql_type).map_err(refuse)?;
        if params.distinct && !is_comparable(&argument.sql_type) {
            return Err(refuse(format!("{} has no equality for DISTINCT", argument.sql_type)));
        }
        let (argument, computed) = if is_moment(def.function) {
            let argument = cast_to(argument, &SqlType::Double, self.context.zone)
                .ok_or_else(|| refuse("the argument must be a number".to_owned()))?;
            (argument, SqlType::Double)
        } else {
            (argument, returns.clone())
        };
        // Distinctness does not change the least and the greatest.
        let distinct = params.distinct
            && !matches!(def.function, AggregateFunction::Min | AggregateFunction::Max);
        let argument = columns.place(TypedExpr { time: TimeAttribute::None, ..argument });
        let call = RelCall {
            function: def.function,
            name: def.name,
            argument: Some(argument),
            distinct,
            filter,
            returns: computed,
        };
        Ok((call, returns))
    }

    /// The results in DataFusion's order, cast where the engine's type differs.
    fn arrange(&self, rel: Rel, outputs: &[Output]) -> Result<Lowered> {
        let (keys, calls) = match &rel.node {
            RelNode::WindowAggregate { keys, calls, .. }
            | RelNode::GroupAggregate { keys, calls, .. } => (keys.len(), calls.len()),
            _ => return Err(SqlError::internal("an aggregation was expected")),
        };
        let windows = keys + calls;
        let rowtime = (rel.columns.len() > windows + 2).then_some(windows + 2);
        let mut exprs: Vec<(String, TypedExpr)> = Vec::new();
        let mut scope = Vec::new();
        let mut add = |rel: &Rel, expr: TypedExpr| {
            let name = match expr.as_column() {
                Some(column) => rel.columns[column].name.clone(),
                None => expr.to_sql(&rel.names()),
            };
            exprs.push((name, expr));
            exprs.len() - 1
        };
        for output in outputs {
            let expr = match output {
                Output::Key(number) => rel.column(*number),
                Output::Call(number, returns) => {
                    let expr = rel.column(keys + number);
                    cast_to(expr, returns, self.context.zone)
                        .ok_or_else(|| SqlError::internal("a cast of a result"))?
                }
                Output::WindowStart => rel.column(windows),
                Output::WindowEnd => rel.column(windows + 1),
                Output::WindowTime => match rowtime {
                    Some(rowtime) => rel.column(rowtime),
                    None => {
                        return Err(SqlError::not_supported(
                            "grouping by window_time of a processing-time window",
                        ));
                    }
                },
                Output::Window => {
                    let start = add(&rel, rel.column(windows));
                    let end = add(&rel, rel.column(windows + 1));
                    let rowtime = rowtime.map(|rowtime| add(&rel, rel.column(rowtime)));
                    scope.push(ScopeColumn {
                        sql_type: SqlType::Timestamp(3),
                        time: TimeAttribute::None,
                        place: ColumnPlace::Window { start, end, rowtime },
                    });
                    continue;
                }
            };
            let (sql_type, time) = (expr.sql_type.clone(), expr.time);
            let place = ColumnPlace::Column(add(&rel, expr));
            scope.push(ScopeColumn { sql_type, time, place });
        }
        // Beyond what DataFusion knows: the window's time, for the next aggregation.
        if let Some(rowtime) = rowtime
            && rel.window.is_some()
        {
            add(&rel, rel.column(rowtime));
        }
        Ok(Lowered { rel: rel.calc(None, unique(exprs)), scope })
    }
}

/// Repeated names get a number; they are only seen in EXPLAIN.
fn unique(mut exprs: Vec<(String, TypedExpr)>) -> Vec<(String, TypedExpr)> {
    for index in 1..exprs.len() {
        let (before, rest) = exprs.split_at_mut(index);
        let name = &mut rest[0].0;
        let taken = |name: &String| before.iter().any(|(known, _)| known == name);
        if taken(name) {
            let fresh = (0..).map(|number| format!("{name}{number}")).find(|name| !taken(name));
            *name = fresh.unwrap_or_default();
        }
    }
    exprs
}

fn group_window(expr: &Expr) -> Option<&ScalarFunction> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let function = call.func.inner().downcast_ref::<FlinkFunction>()?;
    matches!(function.def.body, Body::Special(Special::Window)).then_some(call)
}

fn function_name(call: &ScalarFunction) -> &'static str {
    call.func.inner().downcast_ref::<FlinkFunction>().map_or("window", |function| function.def.name)
}

fn sessions_need_grouping() -> SqlError {
    SqlError::not_supported(
        "SESSION windows of a table function without GROUP BY window_start, window_end and \
         exactly its PARTITION BY columns are not supported",
    )
}

fn find_sessions(rel: &Rel) -> Option<&Rel> {
    let (node, _) = assigned_below(rel)?;
    matches!(node.node, RelNode::Sessions { .. }).then_some(node)
}

/// Where a column of a step's input is in what comes of it.
type ColumnMap<'a> = Box<dyn Fn(usize) -> Option<usize> + 'a>;

/// The window assignment under projections and filters that do not read its columns,
/// and where columns of its input are in `rel`.
fn assigned_below(rel: &Rel) -> Option<(&Rel, ColumnMap<'_>)> {
    match &rel.node {
        RelNode::AssignWindow { .. } | RelNode::Sessions { .. } => Some((rel, Box::new(Some))),
        RelNode::Calc { input, filter, exprs } => {
            let window = input.window.as_ref()?;
            let is_window =
                |column: usize| [window.start, window.end, window.time].contains(&Some(column));
            let reads_window = |expr: &TypedExpr| {
                let mut reads = false;
                expr.walk(&mut |part| reads |= part.as_column().is_some_and(is_window));
                reads
            };
            let computes =
                exprs.iter().any(|expr| expr.as_column().is_none() && reads_window(expr));
            if computes || filter.as_ref().is_some_and(reads_window) {
                return None;
            }
            let (node, path) = assigned_below(input)?;
            let place = move |column: usize| {
                let column = path(column)?;
                exprs.iter().position(|expr| expr.as_column() == Some(column))
            };
            Some((node, Box::new(place)))
        }
        _ => None,
    }
}

/// Takes out the assignment of windows that the aggregation computes itself. The
/// window's columns stay as nulls that nobody reads.
fn strip_window(rel: Rel, bounds: &Bounds) -> Rel {
    if !matches!(bounds, Bounds::Windows(..)) || assigned_below(&rel).is_none() {
        return rel;
    }
    strip(rel)
}

fn strip(rel: Rel) -> Rel {
    let Rel { node, columns, updating, key, window } = rel;
    match node {
        RelNode::AssignWindow { input, .. } | RelNode::Sessions { input, .. } => {
            let mut exprs: Vec<(String, TypedExpr)> =
                input.names().into_iter().zip(input.all_columns()).collect();
            for column in &columns[input.columns.len()..] {
                exprs.push((column.name.clone(), TypedExpr::null(column.sql_type.clone())));
            }
            input.calc(None, exprs)
        }
        RelNode::Calc { input, filter, exprs } => {
            let node = RelNode::Calc { input: Box::new(strip(*input)), filter, exprs };
            Rel { node, columns, updating, key, window: None }
        }
        node => Rel { node, columns, updating, key, window },
    }
}

fn result_columns(input: &Rel, keys: &[usize], calls: &[RelCall]) -> Vec<RelColumn> {
    let keys: Vec<RelColumn> = keys.iter().map(|&key| input.columns[key].clone()).collect();
    let mut columns = without_time(&keys);
    for call in calls {
        let argument = call.argument.map_or("*", |argument| &input.columns[argument].name);
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        let mut name = format!("{}({distinct}{argument})", call.name.to_uppercase());
        if let Some(filter) = call.filter {
            name.push_str(&format!(" FILTER ({})", input.columns[filter].name));
        }
        columns.push(RelColumn { name, sql_type: call.returns.clone(), time: TimeAttribute::None });
    }
    columns
}

fn group_aggregate(input: Rel, keys: Vec<usize>, calls: Vec<RelCall>) -> Rel {
    let columns = result_columns(&input, &keys, &calls);
    let updating = input.updating || !calls.is_empty();
    let key = updating.then(|| (0..keys.len()).collect());
    let node = RelNode::GroupAggregate { input: Box::new(input), keys, calls };
    Rel { node, columns, updating, key, window: None }
}

/// With `late_updates`, windows take rows after they fired, which change their results.
fn window_aggregate(
    input: Rel,
    window: Window,
    time: RelTime,
    keys: Vec<usize>,
    calls: Vec<RelCall>,
    late_updates: bool,
) -> Rel {
    let mut columns = result_columns(&input, &keys, &calls);
    let start = columns.len();
    let event = matches!(time, RelTime::Event(_));
    for name in &WINDOW_COLUMNS[..if event { 3 } else { 2 }] {
        columns.push(RelColumn {
            name: (*name).to_owned(),
            sql_type: SqlType::Timestamp(3),
            time: TimeAttribute::None,
        });
    }
    if event {
        columns[start + 2].time = TimeAttribute::Rowtime;
    }
    let carried = WindowColumns {
        start: Some(start),
        end: Some(start + 1),
        time: event.then_some(start + 2),
        assigned: false,
    };
    let changes = !calls.is_empty() || input.updating || matches!(window, Window::Session { .. });
    let updating = late_updates && event && changes;
    let key = updating.then(|| (0..keys.len()).chain([start, start + 1]).collect());
    let node = RelNode::WindowAggregate { input: Box::new(input), window, time, keys, calls };
    Rel { node, columns, updating, key, window: Some(carried) }
}
