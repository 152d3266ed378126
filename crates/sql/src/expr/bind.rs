//! From DataFusion's untyped expressions to ours: Flink's types, implicit casts, and
//! errors with their place.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::{Case, InList, ScalarFunction};
use datafusion::logical_expr::{Expr, Operator};
use datafusion::scalar::ScalarValue;

use super::coerce::{cast_to, cast_with, common_type_of, comparison_type};
use super::fold::fold;
use super::zone::SessionZone;
use super::{Call, Kind, Style, TimeAttribute, TypedExpr};
use crate::error::{ErrorCode, Result, Span, SqlError};
use crate::functions::signature::{Arguments, Body, FunctionDef, Special, WindowProperty};
use crate::functions::udf::FlinkFunction;
use crate::types::{RowField, SqlType};

/// A column that expressions can name.
#[derive(Clone, Debug)]
pub(crate) struct ScopeColumn {
    pub(crate) sql_type: SqlType,
    pub(crate) time: TimeAttribute,
    pub(crate) place: ColumnPlace,
}

/// Where a nameable column is.
#[derive(Clone, Debug)]
pub(crate) enum ColumnPlace {
    /// A column of the input.
    Column(usize),
    /// A group window, of which only bounds can be taken.
    Window {
        start: usize,
        end: usize,
        /// None in processing time.
        rowtime: Option<usize>,
    },
}

/// What binding needs besides the columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BindContext<'a> {
    pub(crate) zone: SessionZone,
    /// Places of calls, by number.
    pub(crate) places: &'a [Span],
    /// Current database, for `CURRENT_DATABASE()`.
    pub(crate) database: &'a str,
}

/// Binds expressions over one input.
pub(crate) struct Binder<'a> {
    pub(crate) schema: &'a DFSchema,
    pub(crate) columns: &'a [ScopeColumn],
    pub(crate) context: BindContext<'a>,
}

/// The first place in an expression.
pub(crate) fn span_of(expr: &Expr, places: &[Span]) -> Option<Span> {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    let mut found = None;
    let _ = expr.apply(|part| {
        found = match part {
            Expr::Column(column) => column.spans.first().and_then(Span::from_datafusion),
            Expr::ScalarFunction(call) => place_of(call, places),
            _ => None,
        };
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

fn place_of(call: &ScalarFunction, places: &[Span]) -> Option<Span> {
    let function = call.func.inner().downcast_ref::<FlinkFunction>()?;
    places.get(function.place()?).copied()
}

impl Binder<'_> {
    /// Binds an expression.
    ///
    /// # Errors
    /// Types that do not fit, forms that are not supported.
    #[recursive::recursive]
    pub(crate) fn bind(&self, expr: &Expr) -> Result<TypedExpr> {
        let bound = self.bind_one(expr);
        bound.map_err(|error| error.at(span_of(expr, self.context.places)))
    }

    /// Binds a condition.
    ///
    /// # Errors
    /// As [`Binder::bind`]; another type than `BOOLEAN`.
    pub(crate) fn bind_condition(&self, expr: &Expr) -> Result<TypedExpr> {
        let bound = self.bind(expr)?;
        self.condition(bound).map_err(|error| error.at(span_of(expr, self.context.places)))
    }

    fn condition(&self, bound: TypedExpr) -> Result<TypedExpr> {
        match bound.sql_type {
            SqlType::Boolean => Ok(bound),
            SqlType::Null => Ok(TypedExpr::null(SqlType::Boolean)),
            ref other => Err(SqlError::new(
                ErrorCode::TypeMismatch,
                format!("a condition must be BOOLEAN, but this is {other}"),
            )),
        }
    }

    fn bind_one(&self, expr: &Expr) -> Result<TypedExpr> {
        match expr {
            Expr::Alias(alias) => self.bind(&alias.expr),
            Expr::Column(column) => {
                let index = self.schema.index_of_column(column).map_err(|_| {
                    SqlError::new(
                        ErrorCode::UnknownColumn,
                        format!("there is no column `{}`", column.name),
                    )
                })?;
                self.column(index)
            }
            Expr::Literal(value, _) => literal(value),
            Expr::ScalarFunction(call) => self.function(call),
            Expr::BinaryExpr(binary) => match binary.op {
                Operator::And | Operator::Or => self.connective(expr, binary.op),
                op => self.compare(&binary.left, op, &binary.right),
            },
            Expr::Between(between) => {
                let (low, high) = if between.negated {
                    (Operator::Lt, Operator::Gt)
                } else {
                    (Operator::GtEq, Operator::LtEq)
                };
                let low = self.compare(&between.expr, low, &between.low)?;
                let high = self.compare(&between.expr, high, &between.high)?;
                let kind = if between.negated {
                    Kind::Or(vec![low, high])
                } else {
                    Kind::And(vec![low, high])
                };
                Ok(fold(TypedExpr::new(kind, SqlType::Boolean)))
            }
            Expr::Case(case) => self.case(case),
            Expr::InList(list) => self.in_list(list),
            Expr::Cast(cast) => {
                let target = SqlType::from_field(&cast.field);
                self.cast(&cast.expr, target, Style::Cast)
            }
            Expr::TryCast(cast) => {
                let target = SqlType::from_field(&cast.field);
                self.cast(&cast.expr, target, Style::TryCast)
            }
            Expr::Not(inner) => {
                let inner = self.bind_condition(inner)?;
                Ok(fold(TypedExpr::new(Kind::Not(Box::new(inner)), SqlType::Boolean)))
            }
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => Ok(fold(self.bind(inner)?.null_test())),
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => {
                Ok(fold(self.bind(inner)?.not_null_test()))
            }
            Expr::IsTrue(inner) => self.is_value(inner, true, Operator::IsNotDistinctFrom),
            Expr::IsFalse(inner) => self.is_value(inner, false, Operator::IsNotDistinctFrom),
            Expr::IsNotTrue(inner) => self.is_value(inner, true, Operator::IsDistinctFrom),
            Expr::IsNotFalse(inner) => self.is_value(inner, false, Operator::IsDistinctFrom),
            other => Err(refuse(other)),
        }
    }

    fn column(&self, index: usize) -> Result<TypedExpr> {
        let column = self
            .columns
            .get(index)
            .ok_or_else(|| SqlError::internal(format!("column {index} is out of range")))?;
        match column.place {
            ColumnPlace::Column(place) => {
                Ok(TypedExpr::column(place, column.sql_type.clone(), column.time))
            }
            ColumnPlace::Window { .. } => {
                Err(SqlError::new(ErrorCode::Grouping, "a group window has no value of its own")
                    .with_hint(
                        "take TUMBLE_START(...), TUMBLE_END(...) or TUMBLE_ROWTIME(...)".to_owned(),
                    ))
            }
        }
    }

    /// `a AND b AND c` as one list.
    fn connective(&self, expr: &Expr, op: Operator) -> Result<TypedExpr> {
        let mut parts = Vec::new();
        let mut stack = vec![expr];
        while let Some(next) = stack.pop() {
            match next {
                Expr::BinaryExpr(binary) if binary.op == op => {
                    stack.push(&binary.right);
                    stack.push(&binary.left);
                }
                other => parts.push(self.bind_condition(other)?),
            }
        }
        let kind = if op == Operator::And { Kind::And(parts) } else { Kind::Or(parts) };
        Ok(fold(TypedExpr::new(kind, SqlType::Boolean)))
    }

    fn compare(&self, left: &Expr, op: Operator, right: &Expr) -> Result<TypedExpr> {
        if !matches!(
            op,
            Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom
        ) {
            return Err(SqlError::not_supported(format!("the operator `{op}`")));
        }
        let (left, right) = (self.bind(left)?, self.bind(right)?);
        self.compare_bound(left, op, right)
    }

    fn compare_bound(&self, left: TypedExpr, op: Operator, right: TypedExpr) -> Result<TypedExpr> {
        let mismatch = || {
            let (left, right) = (&left.sql_type, &right.sql_type);
            SqlError::new(ErrorCode::TypeMismatch, format!("cannot compare {left} with {right}"))
                .with_hint("CAST one of them".to_owned())
        };
        let common = comparison_type(&left.sql_type, &right.sql_type).ok_or_else(mismatch)?;
        let ordered = matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
        let nested = matches!(common, SqlType::Row(_) | SqlType::Array(_) | SqlType::Map(..));
        if (ordered && nested) || matches!(common, SqlType::Map(..)) {
            return Err(mismatch());
        }
        let error = mismatch();
        let left = cast_to(left, &common, self.context.zone).ok_or_else(|| error.clone())?;
        let right = cast_to(right, &common, self.context.zone).ok_or(error)?;
        let kind = Kind::Compare { op, left: Box::new(left), right: Box::new(right) };
        Ok(fold(TypedExpr::new(kind, SqlType::Boolean)))
    }

    fn is_value(&self, inner: &Expr, value: bool, op: Operator) -> Result<TypedExpr> {
        let inner = self.bind_condition(inner)?;
        self.compare_bound(inner, op, TypedExpr::boolean(value))
    }

    fn case(&self, case: &Case) -> Result<TypedExpr> {
        let operand = case.expr.as_deref().map(|operand| self.bind(operand)).transpose()?;
        let mut branches = Vec::with_capacity(case.when_then_expr.len());
        for (when, then) in &case.when_then_expr {
            let condition = match &operand {
                Some(operand) => {
                    self.compare_bound(operand.clone(), Operator::Eq, self.bind(when)?)?
                }
                None => self.bind_condition(when)?,
            };
            branches.push((condition, self.bind(then)?));
        }
        let otherwise = case.else_expr.as_deref().map(|value| self.bind(value)).transpose()?;
        self.case_of(branches, otherwise, "CASE")
    }

    /// A CASE whose values are brought to their common type.
    fn case_of(
        &self,
        branches: Vec<(TypedExpr, TypedExpr)>,
        otherwise: Option<TypedExpr>,
        what: &str,
    ) -> Result<TypedExpr> {
        let types: Vec<SqlType> = branches
            .iter()
            .map(|(_, value)| value.sql_type.clone())
            .chain(otherwise.iter().map(|value| value.sql_type.clone()))
            .collect();
        let common = common_type_of(&types).ok_or_else(|| no_common_type(what, &types))?;
        let zone = self.context.zone;
        let fit = |value| cast_to(value, &common, zone).ok_or_else(|| no_common_type(what, &types));
        let branches = branches
            .into_iter()
            .map(|(condition, value)| Ok((condition, fit(value)?)))
            .collect::<Result<Vec<_>>>()?;
        let otherwise = otherwise.map(fit).transpose()?.map(Box::new);
        Ok(fold(TypedExpr::new(Kind::Case { branches, otherwise }, common)))
    }

    fn in_list(&self, list: &InList) -> Result<TypedExpr> {
        let value = self.bind(&list.expr)?;
        let items = list.list.iter().map(|item| self.bind(item)).collect::<Result<Vec<_>>>()?;
        let mut common = value.sql_type.clone();
        for item in &items {
            common = comparison_type(&common, &item.sql_type).ok_or_else(|| {
                let (value, item) = (&value.sql_type, &item.sql_type);
                SqlError::new(
                    ErrorCode::TypeMismatch,
                    format!("cannot compare {value} with {item} in IN (...)"),
                )
            })?;
        }
        let fit = |expr: TypedExpr| {
            let from = expr.sql_type.clone();
            cast_to(expr, &common, self.context.zone).ok_or_else(|| {
                SqlError::new(
                    ErrorCode::TypeMismatch,
                    format!("cannot compare {from} with {common}"),
                )
            })
        };
        let value = Box::new(fit(value)?);
        let list_items = items.into_iter().map(fit).collect::<Result<Vec<_>>>()?;
        let kind = Kind::InList { value, list: list_items, negated: list.negated };
        Ok(fold(TypedExpr::new(kind, SqlType::Boolean)))
    }

    fn cast(
        &self,
        expr: &Expr,
        target: Option<SqlType>,
        style: fn(SqlType) -> Style,
    ) -> Result<TypedExpr> {
        let bound = self.bind(expr)?;
        let target =
            target.ok_or_else(|| SqlError::internal("a cast to a type that Flink lacks"))?;
        let from = bound.sql_type.clone();
        let cast = cast_with(bound, &target, style(target.clone()), self.context.zone);
        // A cast ends a time attribute even where the type stays.
        let cast = cast.map(|cast| TypedExpr { time: TimeAttribute::None, ..cast });
        cast.ok_or_else(|| {
            SqlError::new(ErrorCode::TypeMismatch, format!("cannot cast {from} to {target}"))
        })
    }

    fn function(&self, call: &ScalarFunction) -> Result<TypedExpr> {
        let Some(function) = call.func.inner().downcast_ref::<FlinkFunction>() else {
            let message = format!("the function {}", call.func.name());
            return Err(SqlError::not_supported(message));
        };
        let place = function.place().and_then(|place| self.context.places.get(place)).copied();
        let bound = match function.def.body {
            Body::Special(special) => self.special(special, function.def, &call.args),
            Body::Kernel(_) if function.def.name == "$field" => self.field(&call.args),
            Body::Kernel(_) => {
                let arguments =
                    call.args.iter().map(|arg| self.bind(arg)).collect::<Result<Vec<_>>>()?;
                self.call(function.def, arguments)
            }
        };
        bound.map_err(|error| error.at(place))
    }

    /// A call of a kernel with arguments that are bound already.
    pub(crate) fn call(
        &self,
        def: &'static FunctionDef,
        arguments: Vec<TypedExpr>,
    ) -> Result<TypedExpr> {
        let Body::Kernel(bind) = def.body else {
            return Err(SqlError::internal(format!("{} is no kernel", def.name)));
        };
        let types: Vec<SqlType> = arguments.iter().map(|arg| arg.sql_type.clone()).collect();
        let literals: Vec<Option<ScalarValue>> =
            arguments.iter().map(|arg| arg.as_literal().cloned()).collect();
        let context = Arguments { types: &types, literals: &literals, zone: self.context.zone };
        let bound = bind(&context).map_err(|error| mismatch(def, &error.message))?;
        let arguments = arguments
            .into_iter()
            .zip(&bound.params)
            .map(|(argument, wanted)| {
                let given = argument.sql_type.clone();
                cast_to(argument, wanted, self.context.zone)
                    .ok_or_else(|| mismatch(def, &format!("cannot cast {given} to {wanted}")))
            })
            .collect::<Result<Vec<_>>>()?;
        let call = Call {
            name: def.name.to_owned(),
            style: style_of(def.name),
            kernel: bound.kernel,
            fallible: bound.fallible,
        };
        let kind = Kind::Call { call: Arc::new(call), arguments };
        Ok(fold(TypedExpr::new(kind, bound.returns)))
    }

    /// `row.field`.
    fn field(&self, arguments: &[Expr]) -> Result<TypedExpr> {
        let [base, name] = arguments else {
            return Err(SqlError::internal("a field has a row and a name"));
        };
        let Expr::Literal(ScalarValue::Utf8(Some(name)), _) = name else {
            return Err(SqlError::internal("a field has a constant name"));
        };
        let base = self.bind(base)?;
        let SqlType::Row(fields) = &base.sql_type else {
            let message = format!("`{name}` is asked of {}, which has no fields", base.sql_type);
            return Err(SqlError::new(ErrorCode::TypeMismatch, message));
        };
        let Some(index) = fields.iter().position(|field| field.name == *name) else {
            let names = fields.iter().map(|field| field.name.as_str());
            let message = format!("there is no field `{name}`");
            return Err(SqlError::new(ErrorCode::UnknownColumn, message)
                .with_hint(crate::suggest::did_you_mean(name, names)));
        };
        let sql_type = fields[index].sql_type.clone();
        let kind = Kind::Field { base: Box::new(base), index, name: name.clone() };
        Ok(TypedExpr::new(kind, sql_type))
    }

    fn special(
        &self,
        special: Special,
        def: &'static FunctionDef,
        arguments: &[Expr],
    ) -> Result<TypedExpr> {
        let count = |wanted: usize| match arguments.len() == wanted {
            true => Ok(()),
            false => Err(mismatch(def, &format!("takes {wanted} arguments"))),
        };
        let now = || TypedExpr::new(Kind::Now, SqlType::TimestampLtz(3));
        let zone = self.context.zone;
        let now_as = |target: SqlType| {
            cast_to(now(), &target, zone).ok_or_else(|| SqlError::internal("a cast of now"))
        };
        match special {
            Special::If => {
                count(3)?;
                let condition = self.bind_condition(&arguments[0])?;
                let branches = vec![(condition, self.bind(&arguments[1])?)];
                self.case_of(branches, Some(self.bind(&arguments[2])?), "IF")
            }
            Special::Coalesce => self.coalesce(def, arguments),
            Special::NullIf => {
                count(2)?;
                let (value, other) = (self.bind(&arguments[0])?, self.bind(&arguments[1])?);
                let equal = self.compare_bound(value.clone(), Operator::Eq, other)?;
                let null = TypedExpr::null(value.sql_type.clone());
                self.case_of(vec![(equal, null)], Some(value), "NULLIF")
            }
            Special::Now => Ok(now()),
            Special::LocalNow => now_as(SqlType::Timestamp(3)),
            Special::CurrentDate => now_as(SqlType::Date),
            Special::CurrentTime => now_as(SqlType::Time(0)),
            Special::UnixNow if arguments.is_empty() => {
                let def = crate::functions::registry::find("$epoch_seconds")
                    .ok_or_else(|| SqlError::internal("no epoch seconds"))?;
                self.call(def, vec![now()])
            }
            Special::UnixNow => {
                let def = crate::functions::registry::find("$parse_unix")
                    .ok_or_else(|| SqlError::internal("no unix time"))?;
                let arguments =
                    arguments.iter().map(|arg| self.bind(arg)).collect::<Result<Vec<_>>>()?;
                self.call(def, arguments)
            }
            Special::Proctime => {
                count(0)?;
                Ok(TypedExpr { time: TimeAttribute::Proctime, ..now() })
            }
            Special::Window => Err(SqlError::new(
                ErrorCode::Grouping,
                format!("{} stands only in GROUP BY or FROM", def.syntax),
            )),
            Special::WindowProperty(property) => self.window_property(property, def, arguments),
            Special::Row => self.row(arguments),
            Special::CurrentDatabase => Ok(text(self.context.database)),
            Special::Version => Ok(text(env!("CARGO_PKG_VERSION"))),
        }
    }

    fn coalesce(&self, def: &'static FunctionDef, arguments: &[Expr]) -> Result<TypedExpr> {
        let mut values = arguments.iter().map(|arg| self.bind(arg)).collect::<Result<Vec<_>>>()?;
        let Some(last) = values.pop() else {
            return Err(mismatch(def, "takes at least 1 argument"));
        };
        if values.is_empty() {
            return Ok(last);
        }
        let branches =
            values.into_iter().map(|value| (value.clone().not_null_test(), value)).collect();
        self.case_of(branches, Some(last), "COALESCE")
    }

    fn row(&self, arguments: &[Expr]) -> Result<TypedExpr> {
        let values = arguments.iter().map(|arg| self.bind(arg)).collect::<Result<Vec<_>>>()?;
        let fields: Vec<RowField> = values
            .iter()
            .enumerate()
            .map(|(number, value)| RowField {
                name: format!("EXPR${number}"),
                sql_type: value.sql_type.clone(),
            })
            .collect();
        let sql_type = SqlType::Row(fields);
        let call = Call {
            name: "row".to_owned(),
            style: Style::Function,
            kernel: crate::functions::scalar::collection::row_kernel(&sql_type),
            fallible: false,
        };
        let kind = Kind::Call { call: Arc::new(call), arguments: values };
        Ok(TypedExpr::new(kind, sql_type))
    }

    /// `TUMBLE_START(...)`: its argument is the window among the grouping columns.
    fn window_property(
        &self,
        property: WindowProperty,
        def: &'static FunctionDef,
        arguments: &[Expr],
    ) -> Result<TypedExpr> {
        let not_grouped = || {
            SqlError::new(
                ErrorCode::Grouping,
                format!("{} needs the same window in GROUP BY", def.syntax),
            )
        };
        let [Expr::Column(window)] = arguments else { return Err(not_grouped()) };
        let index = self.schema.index_of_column(window).map_err(|_| not_grouped())?;
        let Some(ScopeColumn { place: ColumnPlace::Window { start, end, rowtime }, .. }) =
            self.columns.get(index)
        else {
            return Err(not_grouped());
        };
        let timestamp = SqlType::Timestamp(3);
        match (property, rowtime) {
            (WindowProperty::Start, _) => {
                Ok(TypedExpr::column(*start, timestamp, TimeAttribute::None))
            }
            (WindowProperty::End, _) => Ok(TypedExpr::column(*end, timestamp, TimeAttribute::None)),
            (WindowProperty::Rowtime, Some(rowtime)) => {
                Ok(TypedExpr::column(*rowtime, timestamp, TimeAttribute::Rowtime))
            }
            (WindowProperty::Rowtime, None) => Err(SqlError::new(
                ErrorCode::InvalidArgument,
                "a window in processing time has no rowtime",
            )),
            (WindowProperty::Proctime, _) => {
                let now = TypedExpr::new(Kind::Now, SqlType::TimestampLtz(3));
                Ok(TypedExpr { time: TimeAttribute::Proctime, ..now })
            }
        }
    }
}

fn text(value: &str) -> TypedExpr {
    TypedExpr::literal(ScalarValue::Utf8(Some(value.to_owned())), SqlType::STRING)
}

fn style_of(name: &str) -> Style {
    match name {
        "$plus" => Style::Infix("+"),
        "$minus" => Style::Infix("-"),
        "$times" => Style::Infix("*"),
        "$divide" => Style::Infix("/"),
        "$modulo" => Style::Infix("%"),
        "$concat" => Style::Infix("||"),
        "$like" => Style::Infix("LIKE"),
        "$not_like" => Style::Infix("NOT LIKE"),
        "$similar_to" => Style::Infix("SIMILAR TO"),
        "$not_similar_to" => Style::Infix("NOT SIMILAR TO"),
        "$negate" => Style::Prefix("-"),
        "$item" => Style::Index,
        _ => Style::Function,
    }
}

fn mismatch(def: &FunctionDef, message: &str) -> SqlError {
    let operator = def.name.starts_with('$') && !def.name.starts_with("$parse");
    let message = if operator { message.to_owned() } else { format!("{}: {message}", def.syntax) };
    SqlError::new(ErrorCode::TypeMismatch, message)
}

fn no_common_type(what: &str, types: &[SqlType]) -> SqlError {
    let mut names: Vec<String> = types.iter().map(ToString::to_string).collect();
    names.dedup();
    SqlError::new(
        ErrorCode::TypeMismatch,
        format!("the values of {what} have no common type: {}", names.join(", ")),
    )
    .with_hint("CAST them to one".to_owned())
}

fn refuse(expr: &Expr) -> SqlError {
    match expr {
        Expr::AggregateFunction(_) => {
            SqlError::new(ErrorCode::Grouping, "an aggregate function cannot stand here")
        }
        Expr::WindowFunction(_) => SqlError::not_supported("OVER windows"),
        Expr::InSubquery(_) | Expr::Exists(_) | Expr::ScalarSubquery(_) => {
            SqlError::not_supported("subqueries in expressions")
        }
        Expr::Placeholder(_) => SqlError::not_supported("parameters in the query of a job"),
        Expr::ScalarVariable(..) => SqlError::not_supported("variables"),
        other => SqlError::not_supported(format!("the expression {other}")),
    }
}

/// A constant with Flink's type: the smallest that Flink gives it.
///
/// # Errors
/// Constants that Flink has no type for.
pub(crate) fn literal(value: &ScalarValue) -> Result<TypedExpr> {
    Ok(match value {
        ScalarValue::Null => TypedExpr::null(SqlType::Null),
        ScalarValue::Int64(Some(number)) => match i32::try_from(*number) {
            Ok(number) => TypedExpr::literal(ScalarValue::Int32(Some(number)), SqlType::Int),
            Err(_) => TypedExpr::literal(value.clone(), SqlType::BigInt),
        },
        ScalarValue::UInt64(Some(number)) => TypedExpr::literal(
            ScalarValue::Decimal128(Some(i128::from(*number)), 20, 0),
            SqlType::Decimal(20, 0),
        ),
        ScalarValue::Decimal128(Some(number), _, scale) => decimal_literal(*number, *scale)?,
        ScalarValue::Utf8(Some(_)) => TypedExpr::literal(value.clone(), SqlType::STRING),
        ScalarValue::Boolean(Some(_)) => TypedExpr::literal(value.clone(), SqlType::Boolean),
        ScalarValue::Float64(Some(_)) => TypedExpr::literal(value.clone(), SqlType::Double),
        ScalarValue::Binary(Some(bytes)) => {
            let length = u32::try_from(bytes.len().max(1)).unwrap_or(crate::types::UNBOUNDED);
            TypedExpr::literal(value.clone(), SqlType::Binary(length))
        }
        ScalarValue::IntervalMonthDayNano(Some(interval)) => {
            let time = interval.days != 0 || interval.nanoseconds != 0;
            if interval.months == 0 {
                TypedExpr::literal(value.clone(), SqlType::IntervalTime)
            } else if time {
                return Err(SqlError::not_supported("intervals of both months and days"));
            } else {
                TypedExpr::literal(
                    ScalarValue::IntervalYearMonth(Some(interval.months)),
                    SqlType::IntervalMonths,
                )
            }
        }
        other => {
            let kind = SqlType::from_arrow(&other.data_type())
                .ok_or_else(|| SqlError::not_supported(format!("the constant {other}")))?;
            TypedExpr::literal(other.clone(), kind)
        }
    })
}

/// A decimal constant has as many digits as are written.
fn decimal_literal(number: i128, scale: i8) -> Result<TypedExpr> {
    let scale = u8::try_from(scale)
        .map_err(|_| SqlError::not_supported("numbers with so many zeros before the point"))?;
    let digits = number.unsigned_abs().checked_ilog10().map_or(1, |log| log as u8 + 1);
    let precision = digits.max(scale).max(1);
    if precision > crate::types::MAX_DECIMAL_PRECISION {
        return Err(SqlError::not_supported("numbers of more than 38 digits"));
    }
    let value = ScalarValue::Decimal128(Some(number), precision, scale as i8);
    Ok(TypedExpr::literal(value, SqlType::Decimal(precision, scale)))
}
