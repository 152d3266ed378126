//! Casts and comparisons of an ad-hoc query as jobs have them: DataFusion's planner leaves
//! them to Arrow, whose text forms, lengths and common types are others.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result as PlanResult};
use datafusion::logical_expr::expr::{Between, Case, Cast, InList, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, Projection, Union,
};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

use crate::error::{ErrorCode, Result, SqlError};
use crate::expr::bind::literal;
use crate::expr::coerce::{common_type_of, comparison_type};
use crate::expr::zone::SessionZone;
use crate::functions::cast;
use crate::functions::udf::FlinkFunction;
use crate::functions::udf_cast::FlinkCast;
use crate::plan::from_datafusion;
use crate::types::{SqlType, UNBOUNDED};

/// The plan with our casts, before DataFusion adds its own.
///
/// # Errors
/// Types that do not meet, casts that Flink does not have.
pub(super) fn plan(plan: LogicalPlan, zone: SessionZone) -> Result<LogicalPlan> {
    let coerced = plan.transform_up_with_subqueries(|plan| node(plan, zone));
    coerced.map(|coerced| coerced.data).map_err(from_datafusion)
}

fn node(plan: LogicalPlan, zone: SessionZone) -> PlanResult<Transformed<LogicalPlan>> {
    // The numbers of LIMIT are DataFusion's.
    if let LogicalPlan::Limit(_) = plan {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    let coercion = Coercion { schema: &schema, zone };
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let coerced = expr.transform_up(|part| coercion.expr(part))?;
        Ok(coerced.update_data(|expr| name.restore(expr)))
    })?
    .map_data(|plan| match plan {
        LogicalPlan::Union(union) => coercion.union(union),
        plan => Ok(plan),
    })?
    .map_data(|plan| plan.recompute_schema())
}

/// Rewrites expressions over one schema.
struct Coercion<'a> {
    schema: &'a DFSchema,
    zone: SessionZone,
}

/// An expression with its type, where Flink has one for it.
type Typed = (Expr, Option<SqlType>);

impl Coercion<'_> {
    fn expr(&self, expr: Expr) -> PlanResult<Transformed<Expr>> {
        Ok(Transformed::yes(match expr {
            Expr::Cast(Cast { expr, field }) => match SqlType::from_field(&field) {
                Some(target) => self.cast(*expr, &target, false)?,
                None => Expr::Cast(Cast { expr, field }),
            },
            Expr::TryCast(TryCast { expr, field }) => match SqlType::from_field(&field) {
                Some(target) => self.cast(*expr, &target, true)?,
                None => Expr::TryCast(TryCast { expr, field }),
            },
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
                self.compare(*left, op, *right)?
            }
            Expr::Between(between) => self.between(between)?,
            Expr::InList(list) => self.in_list(list)?,
            Expr::Case(case) => self.case(case)?,
            Expr::ScalarFunction(call) => self.call(call)?,
            other => return Ok(Transformed::no(other)),
        }))
    }

    /// An expression with its type; a constant with the smallest that Flink gives it.
    fn typed(&self, expr: Expr) -> PlanResult<Typed> {
        if let Expr::Literal(value, _) = &expr {
            return Ok(match literal(value) {
                Ok(typed) => match typed.as_literal() {
                    Some(value) => (Expr::Literal(value.clone(), None), Some(typed.sql_type)),
                    None => (expr, None),
                },
                Err(_) => (expr, None),
            });
        }
        let (_, field) = expr.to_field(self.schema)?;
        let sql_type = SqlType::from_field(&field);
        Ok((expr, sql_type))
    }

    fn cast(&self, expr: Expr, target: &SqlType, lenient: bool) -> PlanResult<Expr> {
        let (expr, from) = self.typed(expr)?;
        self.cast_typed((expr, from), target, lenient)
    }

    fn cast_typed(&self, (expr, from): Typed, target: &SqlType, lenient: bool) -> PlanResult<Expr> {
        let Some(from) = from else {
            // Of DataFusion's own making.
            let field = Arc::new(target.to_field("cast", true));
            return Ok(Expr::Cast(Cast { expr: Box::new(expr), field }));
        };
        let to_text = matches!(target, SqlType::Varchar(UNBOUNDED));
        if from == *target || (from.is_string() && to_text) {
            return Ok(expr);
        }
        if from == SqlType::Null {
            return Ok(Expr::Literal(ScalarValue::try_from(&target.to_arrow())?, None));
        }
        if cast::bind(&from, target, lenient, self.zone).is_none() {
            return Err(mismatch(format!("cannot cast {from} to {target}")));
        }
        let udf = FlinkCast::udf(target.clone(), lenient, self.zone);
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(udf, vec![expr])))
    }

    /// All of one type, if the types are Flink's.
    fn unified(
        &self,
        exprs: Vec<Expr>,
        common: impl FnOnce(&[SqlType]) -> PlanResult<SqlType>,
    ) -> PlanResult<Vec<Expr>> {
        let typed = exprs.into_iter().map(|expr| self.typed(expr));
        let typed = typed.collect::<PlanResult<Vec<Typed>>>()?;
        let types: Option<Vec<SqlType>> = typed.iter().map(|(_, kind)| kind.clone()).collect();
        let Some(types) = types else {
            return Ok(typed.into_iter().map(|(expr, _)| expr).collect());
        };
        // Text compares as text, whatever lengths it has.
        if types.iter().all(SqlType::is_string) || types.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(typed.into_iter().map(|(expr, _)| expr).collect());
        }
        let common = common(&types)?;
        typed.into_iter().map(|typed| self.cast_typed(typed, &common, false)).collect()
    }

    fn compare(&self, left: Expr, op: Operator, right: Expr) -> PlanResult<Expr> {
        let sides = self.unified(vec![left, right], |types| {
            comparison_type(&types[0], &types[1])
                .ok_or_else(|| mismatch(format!("cannot compare {} with {}", types[0], types[1])))
        })?;
        let [left, right] = <[Expr; 2]>::try_from(sides)
            .map_err(|_| DataFusionError::Internal("a comparison has two sides".to_owned()))?;
        Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
    }

    /// Two comparisons, each in its own type.
    fn between(&self, between: Between) -> PlanResult<Expr> {
        let Between { expr, negated, low, high } = between;
        let (above, below, both) = if negated {
            (Operator::Lt, Operator::Gt, Operator::Or)
        } else {
            (Operator::GtEq, Operator::LtEq, Operator::And)
        };
        let low = self.compare((*expr).clone(), above, *low)?;
        let high = self.compare(*expr, below, *high)?;
        Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(low), both, Box::new(high))))
    }

    fn in_list(&self, list: InList) -> PlanResult<Expr> {
        let InList { expr, list, negated } = list;
        let all = std::iter::once(*expr).chain(list).collect();
        let mut all = self
            .unified(all, |types| {
                let (first, rest) = types.split_first().unwrap_or((&SqlType::Null, &[]));
                rest.iter().try_fold(first.clone(), |common, item| {
                    comparison_type(&common, item).ok_or_else(|| {
                        mismatch(format!("cannot compare {first} with {item} in IN (...)"))
                    })
                })
            })?
            .into_iter();
        let expr = Box::new(all.next().unwrap_or_default());
        Ok(Expr::InList(InList { expr, list: all.collect(), negated }))
    }

    fn case(&self, case: Case) -> PlanResult<Expr> {
        let Case { expr: operand, when_then_expr, else_expr } = case;
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        for (when, then) in when_then_expr {
            conditions.push(match &operand {
                Some(operand) => self.compare((**operand).clone(), Operator::Eq, *when)?,
                None => *when,
            });
            values.push(*then);
        }
        values.extend(else_expr.map(|value| *value));
        let mut values = self.unified(values, |types| common("CASE", types))?.into_iter();
        let branches = conditions.into_iter().zip(values.by_ref());
        let when_then_expr =
            branches.map(|(when, then)| (Box::new(when), Box::new(then))).collect();
        let else_expr = values.next().map(Box::new);
        Ok(Expr::Case(Case { expr: None, when_then_expr, else_expr }))
    }

    /// Constants among the arguments of our functions have Flink's types; COALESCE is
    /// DataFusion's, but its values meet as ours do.
    fn call(&self, mut call: ScalarFunction) -> PlanResult<Expr> {
        if call.func.inner().downcast_ref::<FlinkFunction>().is_some() {
            let small = call.args.into_iter().map(|arg| self.typed(arg).map(|(arg, _)| arg));
            call.args = small.collect::<PlanResult<_>>()?;
        } else if call.func.name() == "coalesce" {
            call.args = self.unified(call.args, |types| common("COALESCE", types))?;
        }
        Ok(Expr::ScalarFunction(call))
    }

    /// Inputs whose columns have the common types of all inputs.
    fn union(&self, union: Union) -> PlanResult<LogicalPlan> {
        let Union { inputs, schema } = union;
        let types_of = |plan: &Arc<LogicalPlan>| -> Option<Vec<SqlType>> {
            plan.schema().fields().iter().map(|field| SqlType::from_field(field)).collect()
        };
        let Some(types) = inputs.iter().map(types_of).collect::<Option<Vec<_>>>() else {
            return Ok(LogicalPlan::Union(Union { inputs, schema }));
        };
        if types.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(LogicalPlan::Union(Union { inputs, schema }));
        }
        let width = types.iter().map(Vec::len).min().unwrap_or(0);
        let common = (0..width)
            .map(|at| {
                let column: Vec<SqlType> = types.iter().map(|types| types[at].clone()).collect();
                common("a UNION", &column)
            })
            .collect::<PlanResult<Vec<_>>>()?;
        let inputs = inputs.into_iter().zip(types).map(|(input, types)| {
            let columns = input.schema().columns().into_iter().zip(types).zip(&common);
            let columns = columns.map(|((column, from), common)| {
                let name = column.name.clone();
                let cast = self.cast_typed((Expr::Column(column), Some(from)), common, false)?;
                Ok(cast.alias(name))
            });
            let columns = columns.collect::<PlanResult<Vec<_>>>()?;
            Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, input)?)))
        });
        Union::try_new(inputs.collect::<PlanResult<_>>()?).map(LogicalPlan::Union)
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn common(what: &str, types: &[SqlType]) -> PlanResult<SqlType> {
    common_type_of(types).ok_or_else(|| {
        let mut names: Vec<String> = types.iter().map(ToString::to_string).collect();
        names.dedup();
        mismatch(format!("the values of {what} have no common type: {}", names.join(", ")))
    })
}

fn mismatch(message: String) -> DataFusionError {
    DataFusionError::External(Box::new(SqlError::new(ErrorCode::TypeMismatch, message)))
}
