//! The tree of an ad-hoc query before DataFusion plans it: as for jobs, but calls have
//! no places, and forms that only jobs know become DataFusion's.

use std::ops::ControlFlow;

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Function, FunctionArguments, Ident, ObjectName, Query, Select,
    Value, VisitMut, VisitorMut,
};

use crate::error::{Result, Span, SqlError};
use crate::functions::signature::{Body, Special};
use crate::functions::{registry, udf::PLACE};
use crate::parser::dialect::call;
use crate::plan::rewrite::{Rewriter, cast, positional};
use crate::session::Session;
use crate::types::SqlType;

/// Rewrites a query in place.
pub(super) fn query(query: &mut Query, session: &Session) -> Result<()> {
    let mut adhoc = AdHocRewriter { rewriter: Rewriter::default(), session };
    match query.visit(&mut adhoc) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct AdHocRewriter<'a> {
    rewriter: Rewriter,
    session: &'a Session,
}

impl VisitorMut for AdHocRewriter<'_> {
    type Break = SqlError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        self.rewriter.pre_visit_select(select)
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match self.expr(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl AdHocRewriter<'_> {
    fn expr(&mut self, expr: &mut Expr) -> Result<()> {
        match expr {
            Expr::Function(function) => {
                let Some(name) = simple_name(function) else { return Ok(()) };
                let special = registry::find(&name).map(|def| def.body);
                let Some(Body::Special(special)) = special else {
                    let known = registry::find(&name).is_some();
                    if known && function.over.is_none() {
                        self.rewriter.rewrite(expr)?;
                        without_place(expr);
                    }
                    return Ok(());
                };
                *expr = self.special(special, &name, function)?;
                Ok(())
            }
            // DataFusion knows these itself.
            Expr::ILike { .. } | Expr::AtTimeZone { .. } | Expr::Collate { .. } => Ok(()),
            Expr::Like { any: true, .. } => Ok(()),
            Expr::BinaryOp { op, .. } if !is_ours(op) => Ok(()),
            _ => {
                self.rewriter.rewrite(expr)?;
                without_place(expr);
                Ok(())
            }
        }
    }

    fn special(&self, special: Special, name: &str, function: &Function) -> Result<Expr> {
        let arguments = positional(function);
        let plain =
            |name: &str, arguments: Vec<Expr>| Expr::Function(call(Ident::new(name), arguments));
        let now = || plain("now", Vec::new());
        Ok(match special {
            Special::If => match <[Expr; 3]>::try_from(arguments) {
                Ok([condition, result, otherwise]) => choice(condition, result, otherwise),
                Err(_) => return Err(self.refuse("IF with other than 3 arguments", function)),
            },
            Special::Coalesce => plain("coalesce", arguments),
            Special::NullIf => match <[Expr; 2]>::try_from(arguments) {
                Ok([value, other]) => {
                    let (left, right) = (Box::new(value.clone()), Box::new(other));
                    let equal = Expr::BinaryOp { left, op: BinaryOperator::Eq, right };
                    choice(equal, Expr::Value(Value::Null.into()), value)
                }
                Err(_) => return Err(self.refuse("NULLIF with other than 2 arguments", function)),
            },
            Special::Now | Special::Proctime => cast(now(), &SqlType::TimestampLtz(3)),
            Special::LocalNow => cast(now(), &SqlType::Timestamp(3)),
            Special::CurrentDate => cast(now(), &SqlType::Date),
            Special::CurrentTime => cast(now(), &SqlType::Time(0)),
            Special::UnixNow if arguments.is_empty() => plain("to_unixtime", vec![now()]),
            Special::UnixNow => plain("$parse_unix", arguments),
            Special::Row => plain("struct", arguments),
            Special::CurrentDatabase => text(&self.session.state().database),
            Special::Version => text(concat!("Thalweg ", env!("CARGO_PKG_VERSION"))),
            Special::Window | Special::WindowProperty(_) => {
                let what = format!("{} outside of jobs", name.to_uppercase());
                return Err(self.refuse(&what, function));
            }
        })
    }

    fn refuse(&self, what: &str, function: &Function) -> SqlError {
        let span = sqlparser::ast::Spanned::span(function);
        SqlError::not_supported(format!("{what} is not supported")).at(Span::from_parser(span))
    }
}

/// `CASE WHEN condition THEN result ELSE otherwise END`.
fn choice(condition: Expr, result: Expr, otherwise: Expr) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result }],
        else_result: Some(Box::new(otherwise)),
    }
}

fn text(value: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.to_owned()).into())
}

fn simple_name(function: &mut Function) -> Option<String> {
    // `CURRENT_TIMESTAMP` has no parentheses, but DataFusion's function has.
    if matches!(function.args, FunctionArguments::None) {
        function.args = call(Ident::new(""), Vec::new()).args;
    }
    match function.name.0.as_slice() {
        [part] => Some(part.as_ident()?.value.to_ascii_lowercase()),
        // PostgreSQL's clients qualify its functions.
        [schema, part] if schema.to_string().eq_ignore_ascii_case("pg_catalog") => {
            let name = part.as_ident()?.clone();
            function.name = ObjectName::from(vec![name.clone()]);
            Some(name.value.to_ascii_lowercase())
        }
        _ => None,
    }
}

/// Operators that are functions of ours.
fn is_ours(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus, StringConcat};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo | StringConcat)
}

/// The call under its plain name.
fn without_place(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let [part] = function.name.0.as_slice() else { return };
    let Some(ident) = part.as_ident() else { return };
    if let Some((name, _)) = ident.value.split_once(PLACE) {
        let name = Ident::with_quote('`', name);
        function.name = ObjectName::from(vec![name]);
    }
}
