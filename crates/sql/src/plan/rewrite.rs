//! The query's tree before DataFusion plans it: Flink's names for columns, every
//! operator and special form as a call of one of our functions, each call with its
//! place.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DataType, DateTimeField, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Select, SelectItem, Spanned,
    TrimWhereField, UnaryOperator, Value, VisitMut, VisitorMut,
};
use sqlparser::tokenizer::Span as ParserSpan;

use super::interval;
use crate::error::{ErrorCode, Result, Span, SqlError};
use crate::functions::signature::{Body, Special};
use crate::functions::udf::PLACE;
use crate::functions::{aggregate, registry};
use crate::parser::dialect::{PARTITIONED, call};
use crate::suggest;
use crate::types::SqlType;

/// Functions that only mean something to the planner of table functions.
const MARKERS: &[&str] = &["descriptor", PARTITIONED];

/// Rewrites a query or expression, and collects the places of its calls.
#[derive(Debug, Default)]
pub(crate) struct Rewriter {
    /// Place of each call, by the number in its name.
    pub(crate) places: Vec<Span>,
    /// Where names of columns and fields stand first, for errors without a place.
    pub(crate) names: BTreeMap<String, Span>,
    /// Where the first WHERE condition stands.
    pub(crate) condition: Option<Span>,
    /// Functions that users named, by lower-case name.
    pub(crate) functions: BTreeMap<String, String>,
}

impl Rewriter {
    /// Rewrites a query in place.
    ///
    /// # Errors
    /// Unknown functions, forms that Flink does not have.
    pub(crate) fn query(&mut self, query: &mut Query) -> Result<()> {
        match query.visit(self) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// Rewrites an expression in place.
    ///
    /// # Errors
    /// As [`Rewriter::query`].
    pub(crate) fn expression(&mut self, expr: &mut Expr) -> Result<()> {
        match expr.visit(self) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// Gives an error a place that DataFusion lost: that of the name it is about.
    pub(crate) fn locate(&self, error: SqlError) -> SqlError {
        match error.code {
            ErrorCode::UnknownColumn | ErrorCode::AmbiguousColumn => {
                let name = error.message.split('`').nth(1);
                let span = name.and_then(|name| self.names.get(name)).copied();
                error.at(span)
            }
            ErrorCode::TypeMismatch if error.message.starts_with("a condition") => {
                error.at(self.condition)
            }
            _ => error,
        }
    }

    /// The name of a call with its place.
    fn placed(&mut self, name: &str, span: ParserSpan) -> Ident {
        let number = self.places.len();
        self.places.push(Span::from_parser(span).unwrap_or_default());
        let mut ident = Ident::with_quote('`', format!("{name}{PLACE}{number}"));
        ident.span = span;
        ident
    }

    fn call(&mut self, name: &str, span: ParserSpan, arguments: Vec<Expr>) -> Expr {
        let name = self.placed(name, span);
        Expr::Function(call(name, arguments))
    }

    /// Rewrites one expression, whose parts are rewritten already.
    pub(crate) fn rewrite(&mut self, expr: &mut Expr) -> Result<()> {
        let span = expr.span();
        let taken = std::mem::replace(expr, Expr::Value(Value::Null.into()));
        *expr = match taken {
            Expr::BinaryOp { left, op, right } => self.binary(*left, op, *right, span)?,
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
                self.call("$negate", span, vec![*expr])
            }
            Expr::UnaryOp { op: UnaryOperator::Plus, expr } => *expr,
            Expr::Function(function) => self.function(function)?,
            Expr::Extract { field, expr, .. } => {
                self.call("extract", span, vec![word(&field.to_string()), *expr])
            }
            Expr::Ceil { expr, field } => self.rounding("ceil", *expr, field, span)?,
            Expr::Floor { expr, field } => self.rounding("floor", *expr, field, span)?,
            Expr::Position { expr, r#in } => self.call("position", span, vec![*expr, *r#in]),
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let from = substring_from.map_or_else(|| number("1"), |from| *from);
                let arguments = [*expr, from].into_iter().chain(substring_for.map(|for_| *for_));
                self.call("substring", span, arguments.collect())
            }
            Expr::Trim { expr, trim_where, trim_what, trim_characters } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "btrim",
                };
                let what = trim_what.map(|what| *what);
                let what = what.or_else(|| trim_characters.and_then(|mut list| list.pop()));
                self.call(name, span, std::iter::once(*expr).chain(what).collect())
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let arguments = [*expr, *overlay_what, *overlay_from].into_iter();
                let arguments = arguments.chain(overlay_for.map(|for_| *for_)).collect();
                self.call("overlay", span, arguments)
            }
            Expr::Like { negated, expr, pattern, escape_char, any: false } => {
                let name = if negated { "$not_like" } else { "$like" };
                let escape = escape_char.map(Expr::Value);
                let arguments = [*expr, *pattern].into_iter().chain(escape).collect();
                self.call(name, span, arguments)
            }
            Expr::SimilarTo { negated, expr, pattern, escape_char: None } => {
                let name = if negated { "$not_similar_to" } else { "$similar_to" };
                self.call(name, span, vec![*expr, *pattern])
            }
            Expr::TypedString(typed) => typed_string(typed, span)?,
            Expr::Interval(mut parts) => {
                interval::normalise(&mut parts).map_err(|error| error.at_parsed(span))?;
                Expr::Interval(parts)
            }
            Expr::Value(value) => scientific(value),
            Expr::ILike { .. } => return Err(unsupported("ILIKE", span)),
            Expr::AtTimeZone { .. } => return Err(unsupported("AT TIME ZONE", span)),
            Expr::Collate { .. } => return Err(unsupported("COLLATE", span)),
            Expr::Convert { .. } => return Err(unsupported("CONVERT", span)),
            other => other,
        };
        Ok(())
    }

    fn binary(
        &mut self,
        left: Expr,
        op: BinaryOperator,
        right: Expr,
        span: ParserSpan,
    ) -> Result<Expr> {
        let name = match op {
            BinaryOperator::Plus => "$plus",
            BinaryOperator::Minus => "$minus",
            BinaryOperator::Multiply => "$times",
            BinaryOperator::Divide => "$divide",
            BinaryOperator::Modulo => "$modulo",
            BinaryOperator::StringConcat => "$concat",
            BinaryOperator::And
            | BinaryOperator::Or
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq => {
                let (left, right) = (Box::new(left), Box::new(right));
                return Ok(Expr::BinaryOp { left, op, right });
            }
            other => return Err(unsupported(&format!("the operator {other}"), span)),
        };
        Ok(self.call(name, span, vec![left, right]))
    }

    fn rounding(
        &mut self,
        name: &str,
        expr: Expr,
        field: CeilFloorKind,
        span: ParserSpan,
    ) -> Result<Expr> {
        match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => {
                Ok(self.call(name, span, vec![expr]))
            }
            CeilFloorKind::DateTimeField(unit) => {
                let name = format!("${name}_to");
                Ok(self.call(&name, span, vec![expr, word(&unit.to_string())]))
            }
            CeilFloorKind::Scale(_) => Err(unsupported("a scale in CEIL and FLOOR", span)),
        }
    }

    fn function(&mut self, mut function: Function) -> Result<Expr> {
        let span = function.span();
        let parts: Vec<_> = function.name.0.iter().filter_map(|part| part.as_ident()).collect();
        let [name] = parts.as_slice() else {
            return Err(unsupported("functions of another database", span));
        };
        let name_span = name.span;
        let written = name.value.clone();
        let lower = written.to_ascii_lowercase();
        if MARKERS.contains(&lower.as_str()) {
            return Ok(Expr::Function(function));
        }
        let resolved = self.functions.get(&lower).cloned().unwrap_or(lower);
        if function.over.is_some() {
            return Err(unsupported("OVER windows", span));
        }
        if let Some(def) = aggregate::find(&resolved) {
            function.name = ObjectName::from(vec![self.placed(def.name, span)]);
            return Ok(Expr::Function(function));
        }
        let Some(def) = registry::find(&resolved).filter(|_| !resolved.starts_with('$')) else {
            let names = registry::names().chain(aggregate::names());
            let message = format!("there is no function `{written}`");
            return Err(SqlError::new(ErrorCode::UnknownFunction, message)
                .at_parsed(name_span)
                .with_hint(suggest::did_you_mean(&written, names)));
        };
        units_to_words(def.name, &mut function);
        if let Body::Special(Special::WindowProperty(_)) = def.body {
            let (window, _) = def.name.split_once('_').unwrap_or((def.name, ""));
            let arguments = positional(&function);
            let window = self.call(window, span, arguments);
            return Ok(self.call(def.name, span, vec![window]));
        }
        function.name = ObjectName::from(vec![self.placed(def.name, span)]);
        Ok(Expr::Function(function))
    }
}

impl VisitorMut for Rewriter {
    type Break = SqlError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        name_columns(&mut select.projection);
        if let (None, Some(condition)) = (self.condition, &select.selection) {
            self.condition = Span::from_parser(condition.span());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let idents = match expr {
            Expr::Identifier(ident) => std::slice::from_ref(ident),
            Expr::CompoundIdentifier(idents) => idents.as_slice(),
            _ => &[],
        };
        for ident in idents {
            if let Some(span) = Span::from_parser(ident.span) {
                self.names.entry(ident.value.clone()).or_insert(span);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match self.rewrite(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn unsupported(what: &str, span: ParserSpan) -> SqlError {
    SqlError::not_supported(format!("{what} is not supported")).at_parsed(span)
}

/// Flink's names: `EXPR$3` for what has none, and a number after a name that is there
/// already.
fn name_columns(items: &mut [SelectItem]) {
    let mut seen: Vec<String> = Vec::new();
    for (number, item) in items.iter_mut().enumerate() {
        let (expr, wanted) = match item {
            SelectItem::UnnamedExpr(expr) => {
                let name = match &*expr {
                    Expr::Identifier(ident) => ident.value.clone(),
                    Expr::CompoundIdentifier(parts) => {
                        parts.last().map(|ident| ident.value.clone()).unwrap_or_default()
                    }
                    _ => format!("EXPR${number}"),
                };
                (expr.clone(), name)
            }
            SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), alias.value.clone()),
            _ => continue,
        };
        let name = unused(&wanted, &seen);
        seen.push(name.clone());
        let keeps = matches!(&expr, Expr::Identifier(ident) if ident.value == name)
            && matches!(item, SelectItem::UnnamedExpr(_));
        if !keeps {
            *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('`', name) };
        }
    }
}

fn unused(wanted: &str, seen: &[String]) -> String {
    if !seen.iter().any(|name| name == wanted) {
        return wanted.to_owned();
    }
    (0..)
        .map(|number| format!("{wanted}{number}"))
        .find(|name| !seen.contains(name))
        .unwrap_or_default()
}

fn word(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).into())
}

fn number(digits: &str) -> Expr {
    Expr::Value(Value::Number(digits.to_owned(), false).into())
}

/// The arguments that are plain expressions.
pub(crate) fn positional(function: &Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    list.args
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        })
        .collect()
}

/// `TIMESTAMPDIFF(SECOND, a, b)`: the unit is a word, not a column.
fn units_to_words(name: &str, function: &mut Function) {
    if !matches!(name, "timestampdiff" | "timestampadd") {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else { return };
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(unit))) = list.args.first_mut()
        && let Expr::Identifier(ident) = unit
    {
        *unit = word(&ident.value);
    }
}

/// `DATE '2024-01-01'` as a cast.
fn typed_string(typed: sqlparser::ast::TypedString, span: ParserSpan) -> Result<Expr> {
    let text = typed.value.value.clone().into_string().unwrap_or_default();
    let sql_type = match typed.data_type {
        DataType::Date => SqlType::Date,
        DataType::Time(..) => SqlType::Time(0),
        DataType::Timestamp(..) => {
            let digits = text.rsplit_once('.').map_or(0, |(_, digits)| digits.len());
            SqlType::Timestamp(if digits <= 3 { 3 } else { digits.min(9) as u8 })
        }
        other => return Err(unsupported(&format!("a constant of type {other}"), span)),
    };
    Ok(cast(Expr::Value(typed.value), &sql_type))
}

/// `CAST(expr AS sql_type)`.
pub(crate) fn cast(expr: Expr, sql_type: &SqlType) -> Expr {
    let name = ObjectName::from(vec![Ident::new(sql_type.to_string())]);
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type: DataType::Custom(name, Vec::new()),
        array: false,
        format: None,
    }
}

/// `1E3` is a `DOUBLE`, `1000.0` is not.
fn scientific(value: sqlparser::ast::ValueWithSpan) -> Expr {
    match &value.value {
        Value::Number(digits, _) if digits.contains(['e', 'E']) => {
            let text = Value::SingleQuotedString(digits.clone());
            cast(Expr::Value(text.with_span(value.span)), &SqlType::Double)
        }
        _ => Expr::Value(value),
    }
}
