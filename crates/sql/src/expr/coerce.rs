//! Types that meet: the common type of several values, and implicit casts.

use std::sync::Arc;

use super::fold::fold;
use super::{Call, Kind, Style, TypedExpr};
use crate::expr::zone::SessionZone;
use crate::functions::arithmetic::decimal;
use crate::functions::cast;
use crate::types::{RowField, SqlType};

/// The type that holds values of both, as for branches of a CASE and columns of a UNION.
pub(crate) fn common_type(left: &SqlType, right: &SqlType) -> Option<SqlType> {
    use SqlType::{
        Array, Binary, Char, Date, Double, Float, Map, Null, Row, Time, Timestamp, TimestampLtz,
        Varbinary, Varchar,
    };
    Some(match (left, right) {
        (left, right) if left == right => left.clone(),
        (Null, other) | (other, Null) => other.clone(),
        (Char(a) | Varchar(a), Char(b) | Varchar(b)) => Varchar(*a.max(b)),
        (Binary(a) | Varbinary(a), Binary(b) | Varbinary(b)) => Varbinary(*a.max(b)),
        (Float | Double, other) | (other, Float | Double) if other.is_numeric() => {
            if *left == Float && *right == Float { Float } else { Double }
        }
        (a, b) if a.is_integer() && b.is_integer() => {
            if a.as_decimal() >= b.as_decimal() {
                a.clone()
            } else {
                b.clone()
            }
        }
        (a, b) if a.is_numeric() && b.is_numeric() => {
            decimal::common_type(a.as_decimal()?, b.as_decimal()?)
        }
        (TimestampLtz(a), TimestampLtz(b) | Timestamp(b)) => TimestampLtz(*a.max(b)),
        (Timestamp(a), TimestampLtz(b)) => TimestampLtz(*a.max(b)),
        (Timestamp(a), Timestamp(b)) => Timestamp(*a.max(b)),
        (Timestamp(p), Date) | (Date, Timestamp(p)) => Timestamp(*p),
        (TimestampLtz(p), Date) | (Date, TimestampLtz(p)) => TimestampLtz(*p),
        (Time(a), Time(b)) => Time(*a.max(b)),
        (Array(a), Array(b)) => Array(Box::new(common_type(a, b)?)),
        (Map(ak, av), Map(bk, bv)) => {
            Map(Box::new(common_type(ak, bk)?), Box::new(common_type(av, bv)?))
        }
        (Row(a), Row(b)) if a.len() == b.len() => Row(a
            .iter()
            .zip(b)
            .map(|(a, b)| {
                let sql_type = common_type(&a.sql_type, &b.sql_type)?;
                Some(RowField { name: a.name.clone(), sql_type })
            })
            .collect::<Option<_>>()?),
        _ => return None,
    })
}

/// The type in which two values are compared: as [`common_type`], and text is read as
/// what it is compared with.
pub(crate) fn comparison_type(left: &SqlType, right: &SqlType) -> Option<SqlType> {
    if let Some(common) = common_type(left, right) {
        return Some(common);
    }
    let (text, other) = if left.is_string() { (left, right) } else { (right, left) };
    let readable = other.is_numeric()
        || other.is_timestamp()
        || matches!(other, SqlType::Date | SqlType::Time(_) | SqlType::Boolean);
    (text.is_string() && readable).then(|| match other {
        // A fraction in the text must not be lost.
        other if other.is_integer() => SqlType::Double,
        other => other.clone(),
    })
}

/// The common type of all.
pub(crate) fn common_type_of<'a>(types: impl IntoIterator<Item = &'a SqlType>) -> Option<SqlType> {
    let mut types = types.into_iter();
    let first = types.next()?.clone();
    types.try_fold(first, |common, next| common_type(&common, next))
}

/// Whether values of a type can be told equal, grouped and used as keys.
pub(crate) fn is_comparable(sql_type: &SqlType) -> bool {
    !matches!(sql_type, SqlType::Map(..))
}

/// The expression as this type; `None` where there is no cast. A type that is the same
/// in memory is only relabelled.
pub(crate) fn cast_to(expr: TypedExpr, target: &SqlType, zone: SessionZone) -> Option<TypedExpr> {
    cast_with(expr, target, Style::Cast(target.clone()), zone)
}

/// As [`cast_to`], written as `style` says.
pub(crate) fn cast_with(
    expr: TypedExpr,
    target: &SqlType,
    style: Style,
    zone: SessionZone,
) -> Option<TypedExpr> {
    if expr.sql_type == *target {
        return Some(expr);
    }
    if let Kind::Literal(value) = &expr.kind
        && value.is_null()
    {
        return Some(TypedExpr::null(target.clone()));
    }
    let unbounded = |kind: &SqlType| matches!(kind, SqlType::Varchar(crate::types::UNBOUNDED));
    if expr.sql_type.is_string() && unbounded(target) {
        return Some(TypedExpr { sql_type: target.clone(), ..expr });
    }
    let lenient = matches!(style, Style::TryCast(_));
    let cast = cast::bind(&expr.sql_type, target, lenient, zone)?;
    let call =
        Call { name: "cast".to_owned(), style, kernel: cast.kernel, fallible: cast.fallible };
    let kind = Kind::Call { call: Arc::new(call), arguments: vec![expr] };
    Some(fold(TypedExpr::new(kind, target.clone())))
}
