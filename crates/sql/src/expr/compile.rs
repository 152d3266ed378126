//! From typed expressions to DataFusion's physical ones.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch, StructArray};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use datafusion::scalar::ScalarValue;

use super::{Call, Kind, TypedExpr};

type Physical = Arc<dyn PhysicalExpr>;

/// Compiles for an input of `width` columns, after which the epoch's time stands, if it
/// is needed.
#[recursive::recursive]
pub(crate) fn compile(expr: &TypedExpr, width: usize) -> Result<Physical> {
    let child = |expr: &TypedExpr| compile(expr, width);
    Ok(match &expr.kind {
        Kind::Column(index) => Arc::new(Column::new("", *index)),
        Kind::Now => Arc::new(Column::new("", width)),
        Kind::Literal(value) => Arc::new(Literal::new(value.clone())),
        Kind::Field { base, index, .. } => Arc::new(FieldExpr {
            base: child(base)?,
            index: *index,
            data_type: expr.sql_type.to_arrow(),
        }),
        Kind::Call { call, arguments } => Arc::new(CallExpr {
            call: Arc::clone(call),
            arguments: arguments.iter().map(child).collect::<Result<_>>()?,
            data_type: expr.sql_type.to_arrow(),
        }),
        Kind::Compare { op, left, right } => {
            Arc::new(BinaryExpr::new(child(left)?, *op, child(right)?))
        }
        Kind::And(parts) => chain(parts, Operator::And, width)?,
        Kind::Or(parts) => chain(parts, Operator::Or, width)?,
        Kind::Not(inner) => Arc::new(NotExpr::new(child(inner)?)),
        Kind::IsNull(inner) => Arc::new(IsNullExpr::new(child(inner)?)),
        Kind::IsNotNull(inner) => Arc::new(IsNotNullExpr::new(child(inner)?)),
        Kind::Case { branches, otherwise } => {
            let branches = branches
                .iter()
                .map(|(condition, value)| Ok((child(condition)?, child(value)?)))
                .collect::<Result<Vec<_>>>()?;
            let otherwise = otherwise.as_deref().map(child).transpose()?;
            Arc::new(CaseExpr::try_new(None, branches, otherwise)?)
        }
        Kind::InList { value, list, negated } => {
            let list = list.iter().map(child).collect::<Result<Vec<_>>>()?;
            // Only the types of the list are looked up, and they are the value's own.
            let schema = schema_of(expr, width);
            Arc::new(InListExpr::try_new(child(value)?, list, *negated, &schema)?)
        }
    })
}

/// A schema that has the columns an expression names, at their places.
pub(crate) fn schema_of(expr: &TypedExpr, width: usize) -> Schema {
    let mut fields = vec![Field::new("", DataType::Null, true); width + 1];
    expr.walk(&mut |part| {
        let index = match part.kind {
            Kind::Column(index) => index,
            Kind::Now => width,
            _ => return,
        };
        if let Some(field) = fields.get_mut(index) {
            *field = Field::new("", part.sql_type.to_arrow(), true);
        }
    });
    Schema::new(fields)
}

/// `AND` and `OR` of several, halved so that a long list is no deep tree. A part that may
/// fail is only asked for rows that the parts before it leave open, as Flink does row by
/// row.
#[recursive::recursive]
fn chain(parts: &[TypedExpr], op: Operator, width: usize) -> Result<Physical> {
    let (first, rest) = match parts {
        [] => return Ok(Arc::new(Literal::new(ScalarValue::Boolean(Some(op == Operator::And))))),
        [single] => return compile(single, width),
        _ => parts.split_at(parts.len() / 2),
    };
    let left = chain(first, op, width)?;
    let both: Physical = Arc::new(BinaryExpr::new(Arc::clone(&left), op, chain(rest, op, width)?));
    let fallible = rest.iter().any(TypedExpr::is_fallible);
    if fallible { guarded(left, both, op) } else { Ok(both) }
}

/// `CASE WHEN left decides THEN what it decides ELSE both END`.
fn guarded(left: Physical, both: Physical, op: Operator) -> Result<Physical> {
    let decided = op == Operator::Or;
    let value: Physical = Arc::new(Literal::new(ScalarValue::Boolean(Some(decided))));
    let decides: Physical =
        Arc::new(BinaryExpr::new(left, Operator::IsNotDistinctFrom, Arc::clone(&value)));
    Ok(Arc::new(CaseExpr::try_new(None, vec![(decides, value)], Some(both))?))
}

/// A call of a kernel.
#[derive(Debug)]
struct CallExpr {
    call: Arc<Call>,
    arguments: Vec<Physical>,
    data_type: DataType,
}

impl PhysicalExpr for CallExpr {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let arguments = self
            .arguments
            .iter()
            .map(|argument| argument.evaluate(batch))
            .collect::<Result<Vec<_>>>()?;
        let array = self
            .call
            .kernel
            .run(&arguments, batch.num_rows())
            .map_err(DataFusionError::Execution)?;
        Ok(ColumnarValue::Array(array))
    }

    fn children(&self) -> Vec<&Physical> {
        self.arguments.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Physical>) -> Result<Physical> {
        Ok(Arc::new(Self {
            call: Arc::clone(&self.call),
            arguments: children,
            data_type: self.data_type.clone(),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CallExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(...)", self.call.name)
    }
}

impl PartialEq for CallExpr {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.call, &other.call) && self.arguments == other.arguments
    }
}

impl Eq for CallExpr {}

impl Hash for CallExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.call.name.hash(state);
        self.arguments.hash(state);
    }
}

/// A field of a row; null where the row is.
#[derive(Debug)]
struct FieldExpr {
    base: Physical,
    index: usize,
    data_type: DataType,
}

impl PartialEq for FieldExpr {
    fn eq(&self, other: &Self) -> bool {
        self.base.eq(&other.base) && self.index == other.index
    }
}

impl Eq for FieldExpr {}

impl Hash for FieldExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.base.hash(state);
        self.index.hash(state);
    }
}

impl PhysicalExpr for FieldExpr {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let base = self.base.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(rows) = base.as_any().downcast_ref::<StructArray>() else {
            return Err(DataFusionError::Internal(format!("{} is no row", base.data_type())));
        };
        let field = rows.column(self.index);
        if rows.null_count() == 0 {
            return Ok(ColumnarValue::Array(Arc::clone(field)));
        }
        Ok(ColumnarValue::Array(compute::nullif(field, &compute::is_null(rows)?)?))
    }

    fn children(&self) -> Vec<&Physical> {
        vec![&self.base]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Physical>) -> Result<Physical> {
        let Some(base) = children.pop() else {
            return Err(DataFusionError::Internal("a field has a row".to_owned()));
        };
        Ok(Arc::new(Self { base, index: self.index, data_type: self.data_type.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for FieldExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.base, self.index)
    }
}
