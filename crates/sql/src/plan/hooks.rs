//! Where DataFusion's planner asks us: types in casts, fields of rows, elements of
//! collections, `COUNT(*)`.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Column, DFSchema, DataFusionError, Result, TableReference};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawAggregateExpr, RawFieldAccessExpr, TypePlanner,
};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, lit};
use datafusion::scalar::ScalarValue;

use crate::expr::zone::SessionZone;
use crate::functions::registry;
use crate::functions::udf::FlinkFunction;

/// Flink's types, by their text.
#[derive(Debug)]
pub(crate) struct FlinkTypes;

impl TypePlanner for FlinkTypes {
    fn plan_type_field(&self, sql_type: &sqlparser::ast::DataType) -> Result<Option<FieldRef>> {
        let text = match sql_type {
            sqlparser::ast::DataType::Custom(name, modifiers) if modifiers.is_empty() => {
                let parts = name.0.iter().filter_map(|part| part.as_ident());
                parts.map(|ident| ident.value.clone()).collect::<Vec<_>>().join(".")
            }
            other => other.to_string(),
        };
        let parsed = crate::parser::parse_type(&text)
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(Some(Arc::new(parsed.to_field("cast", true))))
    }
}

/// Our forms of expressions.
#[derive(Debug)]
pub(crate) struct FlinkExpressions {
    pub(crate) zone: SessionZone,
}

impl FlinkExpressions {
    fn call(&self, name: &str, arguments: Vec<Expr>) -> Result<Expr> {
        let def = registry::find(name)
            .ok_or_else(|| DataFusionError::Internal(format!("no function {name}")))?;
        let udf = FlinkFunction::udf(name, def, self.zone);
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(udf, arguments)))
    }
}

impl ExprPlanner for FlinkExpressions {
    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested_names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let mut expr = Expr::Column(Column::from((qualifier, field)));
        for name in nested_names {
            expr = self.call("$field", vec![expr, lit(name.clone())])?;
        }
        Ok(PlannerResult::Planned(expr))
    }

    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let RawFieldAccessExpr { field_access, expr } = access;
        match field_access {
            GetFieldAccess::NamedStructField { name: ScalarValue::Utf8(Some(name)) } => {
                // `a['k']` reads a map, `a.k` a row; only the type tells them apart.
                let is_map = matches!(expr.get_type(schema), Ok(DataType::Map(..)));
                let function = if is_map { "$item" } else { "$field" };
                self.call(function, vec![expr, lit(name)]).map(PlannerResult::Planned)
            }
            GetFieldAccess::ListIndex { key } => {
                self.call("$item", vec![expr, *key]).map(PlannerResult::Planned)
            }
            field_access => Ok(PlannerResult::Original(RawFieldAccessExpr { field_access, expr })),
        }
    }

    /// `COUNT(*)` counts a constant.
    fn plan_aggregate(&self, mut raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        #[expect(deprecated)]
        if let [Expr::Wildcard { .. }] = raw.args.as_slice() {
            raw.args = vec![lit(1_i64)];
        }
        Ok(PlannerResult::Original(raw))
    }
}
