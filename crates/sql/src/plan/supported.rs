//! What a job's query may hold so far. Everything else is refused before planning, with
//! its place.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Query, Select, SetExpr, SetOperator, SetQuantifier, Spanned,
    TableFactor, TableWithJoins, Visit, Visitor,
};
use sqlparser::tokenizer::Span;

use crate::error::{ErrorCode, Result, SqlError};
use crate::functions::aggregate;

/// Checks a query.
///
/// # Errors
/// The first form that is not supported.
pub(crate) fn check(query: &Query) -> Result<()> {
    match query.visit(&mut Checker) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Checker;

fn refuse(what: &str, span: Span) -> ControlFlow<SqlError> {
    ControlFlow::Break(not_yet(what).at_parsed(span))
}

fn not_yet(what: &str) -> SqlError {
    SqlError::not_supported(format!("{what} not supported in jobs yet"))
}

impl Visitor for Checker {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<SqlError> {
        if let Some(order_by) = &query.order_by {
            let error = not_yet("ORDER BY is").at_parsed(order_by.span());
            let hint = "sort when you read: SELECT ... FROM a materialized view ORDER BY ...";
            return ControlFlow::Break(error.with_hint(hint.to_owned()));
        }
        if let Some(limit) = &query.limit_clause {
            return refuse("LIMIT and OFFSET are", limit.span());
        }
        if query.fetch.is_some() {
            return refuse("FETCH is", query.span());
        }
        if let Some(with) = &query.with
            && with.recursive
        {
            return refuse("WITH RECURSIVE is", with.span());
        }
        check_body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<SqlError> {
        if let Some(Distinct::On(exprs)) = &select.distinct {
            let span = exprs.first().map_or_else(Span::empty, Spanned::span);
            return refuse("DISTINCT ON is", span);
        }
        if let Some(qualify) = &select.qualify {
            return refuse("QUALIFY is", qualify.span());
        }
        if let [_, second, ..] = select.from.as_slice() {
            return refuse("joins are", second.span());
        }
        for TableWithJoins { joins, .. } in &select.from {
            if let Some(join) = joins.first() {
                return refuse("joins are", join.relation.span());
            }
        }
        if let Some(condition) = &select.selection {
            condition.visit(&mut NoAggregates)?;
        }
        if let GroupByExpr::All(_) = &select.group_by {
            return refuse("GROUP BY ALL is", select.span());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<SqlError> {
        match factor {
            TableFactor::Table { version: Some(_), .. } => {
                refuse("FOR SYSTEM_TIME AS OF is", factor.span())
            }
            TableFactor::Table { .. }
            | TableFactor::Derived { lateral: false, .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            TableFactor::MatchRecognize { .. } => refuse("MATCH_RECOGNIZE is", factor.span()),
            TableFactor::Derived { .. } | TableFactor::Function { .. } => {
                refuse("LATERAL is", factor.span())
            }
            TableFactor::UNNEST { .. } => refuse("UNNEST is", factor.span()),
            other => refuse("this form of FROM is", other.span()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<SqlError> {
        match expr {
            Expr::Function(function) if function.over.is_some() => {
                refuse("OVER windows are", expr.span())
            }
            Expr::InSubquery { .. } => refuse("IN (SELECT ...) is", expr.span()),
            Expr::Exists { .. } => refuse("EXISTS is", expr.span()),
            Expr::Rollup(_) => refuse("ROLLUP is", expr.span()),
            Expr::Cube(_) => refuse("CUBE is", expr.span()),
            Expr::GroupingSets(_) => refuse("GROUPING SETS is", expr.span()),
            Expr::Lambda(_) => refuse("lambda functions are", expr.span()),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn check_body(body: &SetExpr) -> ControlFlow<SqlError> {
    let SetExpr::SetOperation { op, set_quantifier, left, right } = body else {
        return ControlFlow::Continue(());
    };
    if *op != SetOperator::Union {
        return refuse(&format!("{op} is"), right.span());
    }
    if matches!(
        set_quantifier,
        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName
    ) {
        return refuse("UNION BY NAME is", right.span());
    }
    check_body(left)?;
    check_body(right)
}

/// Finds aggregate functions where there are no groups yet.
struct NoAggregates;

impl Visitor for NoAggregates {
    type Break = SqlError;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<SqlError> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let name = function.name.to_string();
        if aggregate::find(&name).is_none() {
            return ControlFlow::Continue(());
        }
        let message =
            format!("the aggregate function {} cannot stand in WHERE", name.to_uppercase());
        ControlFlow::Break(
            SqlError::new(ErrorCode::Grouping, message)
                .at_parsed(expr.span())
                .with_hint("put the condition into HAVING".to_owned()),
        )
    }
}
