//! `+ - * / %` and sign, over numbers, times and intervals.

pub(crate) mod decimal;
mod numbers;
mod times;

use datafusion::scalar::ScalarValue;

use super::signature::{Arguments, BindError, BindResult, Body, FunctionDef};
use crate::types::SqlType;

/// An operator with two operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op {
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
}

impl Op {
    /// As it is written.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }
}

/// The operators, under names that no user can write.
pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    operator("$plus", "a + b", |arguments| bind(Op::Plus, arguments)),
    operator("$minus", "a - b", |arguments| bind(Op::Minus, arguments)),
    operator("$times", "a * b", |arguments| bind(Op::Times, arguments)),
    operator("$divide", "a / b", |arguments| bind(Op::Divide, arguments)),
    operator("$modulo", "a % b", |arguments| bind(Op::Modulo, arguments)),
    operator("$negate", "-a", negate),
    FunctionDef {
        name: "mod",
        aliases: &[],
        syntax: "MOD(a, b)",
        body: Body::Kernel(|arguments| {
            arguments.expect_count(2, 2)?;
            bind(Op::Modulo, arguments)
        }),
    },
];

const fn operator(
    name: &'static str,
    syntax: &'static str,
    bind: fn(&Arguments<'_>) -> BindResult,
) -> FunctionDef {
    FunctionDef { name, aliases: &[], syntax, body: Body::Kernel(bind) }
}

fn bind(op: Op, arguments: &Arguments<'_>) -> BindResult {
    let [left, right] = arguments.types else {
        return Err(BindError::new("takes two operands"));
    };
    // NULL takes the type of the other side.
    let (left, right) = match (left, right) {
        (SqlType::Null, SqlType::Null) => (&SqlType::Int, &SqlType::Int),
        (SqlType::Null, other) => (null_type(other), other),
        (other, SqlType::Null) => (other, null_type(other)),
        both => both,
    };
    if left.is_numeric() && right.is_numeric() {
        let mut bound = numbers::bind(op, left, right);
        bound.fallible &= !arguments.literals.get(1).is_some_and(is_not_zero);
        return Ok(bound);
    }
    times::bind(op, left, right).ok_or_else(|| {
        let symbol = op.symbol();
        BindError::new(format!("cannot apply `{symbol}` to {left} and {right}"))
    })
}

/// A constant divisor that cannot fail.
fn is_not_zero(literal: &Option<ScalarValue>) -> bool {
    match literal {
        Some(ScalarValue::Int8(Some(value))) => *value != 0,
        Some(ScalarValue::Int16(Some(value))) => *value != 0,
        Some(ScalarValue::Int32(Some(value))) => *value != 0,
        Some(ScalarValue::Int64(Some(value))) => *value != 0,
        Some(ScalarValue::Decimal128(Some(value), ..)) => *value != 0,
        _ => false,
    }
}

fn null_type(other: &SqlType) -> &SqlType {
    if other.is_timestamp() || *other == SqlType::Date { &SqlType::IntervalTime } else { other }
}

fn negate(arguments: &Arguments<'_>) -> BindResult {
    match arguments.types {
        [kind] if kind.is_numeric() || *kind == SqlType::Null => Ok(numbers::negate(kind)),
        [kind] if kind.is_interval() => Ok(times::negate(kind)),
        [kind] => Err(BindError::new(format!("cannot apply `-` to {kind}"))),
        _ => Err(BindError::new("takes one operand")),
    }
}
