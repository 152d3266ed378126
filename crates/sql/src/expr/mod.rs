//! Typed expressions: what the planner makes of DataFusion's untyped ones, with Flink's
//! types, before they become something that runs.

pub(crate) mod bind;
pub(crate) mod coerce;
pub(crate) mod compile;
pub(crate) mod compiled;
pub(crate) mod fold;
pub(crate) mod render;
pub(crate) mod zone;

use std::sync::Arc;

use datafusion::logical_expr::Operator;
use datafusion::scalar::ScalarValue;

use crate::functions::values::Kernel;
use crate::types::SqlType;

/// An expression over the columns of one input, with its type.
#[derive(Clone, Debug)]
pub(crate) struct TypedExpr {
    pub(crate) kind: Kind,
    pub(crate) sql_type: SqlType,
    pub(crate) time: TimeAttribute,
}

/// What a column is to time. Only an unchanged column keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum TimeAttribute {
    /// A value like any other.
    #[default]
    None,
    /// Event time, under the watermark.
    Rowtime,
    /// Processing time.
    Proctime,
}

/// The forms of an expression.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A column of the input.
    Column(usize),
    /// A constant.
    Literal(ScalarValue),
    /// The epoch's time, as `TIMESTAMP_LTZ(3)`.
    Now,
    /// A field of a row.
    Field { base: Box<TypedExpr>, index: usize, name: String },
    /// A function or operator.
    Call { call: Arc<Call>, arguments: Vec<TypedExpr> },
    /// A comparison of two values of one type.
    Compare { op: Operator, left: Box<TypedExpr>, right: Box<TypedExpr> },
    /// All of them.
    And(Vec<TypedExpr>),
    /// One of them.
    Or(Vec<TypedExpr>),
    /// Not.
    Not(Box<TypedExpr>),
    /// `IS NULL`.
    IsNull(Box<TypedExpr>),
    /// `IS NOT NULL`.
    IsNotNull(Box<TypedExpr>),
    /// The first branch whose condition is true.
    Case { branches: Vec<(TypedExpr, TypedExpr)>, otherwise: Option<Box<TypedExpr>> },
    /// `IN (...)`, all of one type.
    InList { value: Box<TypedExpr>, list: Vec<TypedExpr>, negated: bool },
}

/// A function bound to its argument types.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) style: Style,
    pub(crate) kernel: Kernel,
    pub(crate) fallible: bool,
}

/// How a call is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// `NAME(a, b)`.
    Function,
    /// `a op b`.
    Infix(&'static str),
    /// `op a`.
    Prefix(&'static str),
    /// `a[b]`.
    Index,
    /// `CAST(a AS type)`.
    Cast(SqlType),
    /// `TRY_CAST(a AS type)`.
    TryCast(SqlType),
}

impl TypedExpr {
    pub(crate) fn new(kind: Kind, sql_type: SqlType) -> Self {
        Self { kind, sql_type, time: TimeAttribute::None }
    }

    pub(crate) fn column(index: usize, sql_type: SqlType, time: TimeAttribute) -> Self {
        Self { kind: Kind::Column(index), sql_type, time }
    }

    pub(crate) fn literal(value: ScalarValue, sql_type: SqlType) -> Self {
        Self::new(Kind::Literal(value), sql_type)
    }

    pub(crate) fn boolean(value: bool) -> Self {
        Self::literal(ScalarValue::Boolean(Some(value)), SqlType::Boolean)
    }

    /// A null of a type.
    pub(crate) fn null(sql_type: SqlType) -> Self {
        let value = ScalarValue::try_from(&sql_type.to_arrow()).unwrap_or(ScalarValue::Null);
        Self::literal(value, sql_type)
    }

    pub(crate) fn null_test(self) -> Self {
        Self::new(Kind::IsNull(Box::new(self)), SqlType::Boolean)
    }

    pub(crate) fn not_null_test(self) -> Self {
        Self::new(Kind::IsNotNull(Box::new(self)), SqlType::Boolean)
    }

    /// The column that it merely is.
    pub(crate) fn as_column(&self) -> Option<usize> {
        match self.kind {
            Kind::Column(index) => Some(index),
            _ => None,
        }
    }

    /// The constant that it is.
    pub(crate) fn as_literal(&self) -> Option<&ScalarValue> {
        match &self.kind {
            Kind::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// The parts of it.
    pub(crate) fn children(&self) -> Vec<&TypedExpr> {
        match &self.kind {
            Kind::Column(_) | Kind::Literal(_) | Kind::Now => Vec::new(),
            Kind::Field { base: child, .. }
            | Kind::Not(child)
            | Kind::IsNull(child)
            | Kind::IsNotNull(child) => vec![child],
            Kind::Call { arguments, .. } | Kind::And(arguments) | Kind::Or(arguments) => {
                arguments.iter().collect()
            }
            Kind::Compare { left, right, .. } => vec![left, right],
            Kind::Case { branches, otherwise } => branches
                .iter()
                .flat_map(|(condition, value)| [condition, value])
                .chain(otherwise.as_deref())
                .collect(),
            Kind::InList { value, list, .. } => std::iter::once(&**value).chain(list).collect(),
        }
    }

    /// The parts of it, to be changed.
    pub(crate) fn children_mut(&mut self) -> Vec<&mut TypedExpr> {
        match &mut self.kind {
            Kind::Column(_) | Kind::Literal(_) | Kind::Now => Vec::new(),
            Kind::Field { base: child, .. }
            | Kind::Not(child)
            | Kind::IsNull(child)
            | Kind::IsNotNull(child) => vec![child],
            Kind::Call { arguments, .. } | Kind::And(arguments) | Kind::Or(arguments) => {
                arguments.iter_mut().collect()
            }
            Kind::Compare { left, right, .. } => vec![left, right],
            Kind::Case { branches, otherwise } => branches
                .iter_mut()
                .flat_map(|(condition, value)| [condition, value])
                .chain(otherwise.as_deref_mut())
                .collect(),
            Kind::InList { value, list, .. } => std::iter::once(&mut **value).chain(list).collect(),
        }
    }

    /// Calls `visit` with it and all that is in it.
    #[recursive::recursive]
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(&TypedExpr)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    /// Replaces columns by what `replace` gives for them.
    #[recursive::recursive]
    pub(crate) fn replace_columns(
        &mut self,
        replace: &dyn Fn(usize, &TypedExpr) -> Option<TypedExpr>,
    ) {
        if let Kind::Column(index) = self.kind {
            if let Some(replacement) = replace(index, self) {
                *self = replacement;
            }
            return;
        }
        for child in self.children_mut() {
            child.replace_columns(replace);
        }
    }

    /// Whether evaluating it may fail on a value.
    pub(crate) fn is_fallible(&self) -> bool {
        let mut fallible = false;
        self.walk(&mut |expr| {
            fallible |= matches!(&expr.kind, Kind::Call { call, .. } if call.fallible);
        });
        fallible
    }

    /// Whether it needs the epoch's time.
    pub(crate) fn uses_now(&self) -> bool {
        let mut uses = false;
        self.walk(&mut |expr| uses |= matches!(expr.kind, Kind::Now));
        uses
    }

    /// Number of its parts, as a measure of its cost.
    pub(crate) fn size(&self) -> usize {
        let mut size = 0;
        self.walk(&mut |_| size += 1);
        size
    }
}
