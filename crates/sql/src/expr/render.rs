//! Expressions as a user would write them.

use datafusion::scalar::ScalarValue;

use super::{Kind, Style, TypedExpr};
use crate::functions::cast;
use crate::types::SqlType;

impl TypedExpr {
    /// SQL text; columns get the names of the input.
    pub(crate) fn to_sql(&self, names: &[String]) -> String {
        let mut out = String::new();
        self.write(&mut out, names, 0);
        out
    }

    /// Binding strength: an operand that binds weaker than its place gets parentheses.
    fn strength(&self) -> u8 {
        match &self.kind {
            Kind::Or(_) => 1,
            Kind::And(_) => 2,
            Kind::Not(_) => 3,
            Kind::Compare { .. } | Kind::IsNull(_) | Kind::IsNotNull(_) | Kind::InList { .. } => 4,
            Kind::Call { call, .. } => match call.style {
                Style::Infix("LIKE" | "NOT LIKE" | "SIMILAR TO" | "NOT SIMILAR TO") => 4,
                Style::Infix("+" | "-" | "||") => 5,
                Style::Infix(_) => 6,
                Style::Prefix(_) => 7,
                _ => 9,
            },
            _ => 9,
        }
    }

    #[recursive::recursive]
    fn write(&self, out: &mut String, names: &[String], least: u8) {
        let own = self.strength();
        if own < least {
            out.push('(');
            self.write_bare(out, names, own);
            out.push(')');
        } else {
            self.write_bare(out, names, own);
        }
    }

    fn write_bare(&self, out: &mut String, names: &[String], own: u8) {
        match &self.kind {
            Kind::Column(index) => match names.get(*index) {
                Some(name) => out.push_str(name),
                None => out.push_str(&format!("${index}")),
            },
            Kind::Literal(value) => write_literal(out, value, &self.sql_type),
            Kind::Now => out.push_str("CURRENT_TIMESTAMP"),
            Kind::Field { base, name, .. } => {
                base.write(out, names, own);
                out.push('.');
                out.push_str(name);
            }
            Kind::Call { call, arguments } => write_call(out, names, own, call, arguments),
            Kind::Compare { op, left, right } => {
                left.write(out, names, own + 1);
                out.push_str(&format!(" {} ", symbol(*op)));
                right.write(out, names, own + 1);
            }
            Kind::And(parts) => write_list(out, names, parts, " AND ", own),
            Kind::Or(parts) => write_list(out, names, parts, " OR ", own),
            Kind::Not(inner) => {
                out.push_str("NOT ");
                inner.write(out, names, own);
            }
            Kind::IsNull(inner) => {
                inner.write(out, names, own + 1);
                out.push_str(" IS NULL");
            }
            Kind::IsNotNull(inner) => {
                inner.write(out, names, own + 1);
                out.push_str(" IS NOT NULL");
            }
            Kind::Case { branches, otherwise } => {
                write_case(out, names, branches, otherwise.as_deref());
            }
            Kind::InList { value, list, negated } => {
                value.write(out, names, own + 1);
                out.push_str(if *negated { " NOT IN (" } else { " IN (" });
                write_list(out, names, list, ", ", 0);
                out.push(')');
            }
        }
    }
}

fn symbol(op: datafusion::logical_expr::Operator) -> String {
    use datafusion::logical_expr::Operator;
    match op {
        Operator::NotEq => "<>".to_owned(),
        other => other.to_string(),
    }
}

fn write_list(out: &mut String, names: &[String], parts: &[TypedExpr], between: &str, least: u8) {
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            out.push_str(between);
        }
        part.write(out, names, least);
    }
}

fn write_case(
    out: &mut String,
    names: &[String],
    branches: &[(TypedExpr, TypedExpr)],
    otherwise: Option<&TypedExpr>,
) {
    out.push_str("CASE");
    for (condition, value) in branches {
        out.push_str(" WHEN ");
        condition.write(out, names, 0);
        out.push_str(" THEN ");
        value.write(out, names, 0);
    }
    if let Some(otherwise) = otherwise {
        out.push_str(" ELSE ");
        otherwise.write(out, names, 0);
    }
    out.push_str(" END");
}

fn write_call(
    out: &mut String,
    names: &[String],
    own: u8,
    call: &super::Call,
    arguments: &[TypedExpr],
) {
    match (&call.style, arguments) {
        (Style::Infix(symbol), [left, right]) => {
            left.write(out, names, own);
            out.push_str(&format!(" {symbol} "));
            right.write(out, names, own + 1);
        }
        (Style::Index, [collection, key]) => {
            collection.write(out, names, own);
            out.push('[');
            key.write(out, names, 0);
            out.push(']');
        }
        (Style::Prefix(symbol), [inner]) => {
            out.push_str(symbol);
            inner.write(out, names, own);
        }
        (Style::Cast(target) | Style::TryCast(target), [inner]) => {
            let name = if matches!(call.style, Style::Cast(_)) { "CAST" } else { "TRY_CAST" };
            out.push_str(&format!("{name}("));
            inner.write(out, names, 0);
            out.push_str(&format!(" AS {target})"));
        }
        _ => {
            out.push_str(&call.name.to_uppercase());
            out.push('(');
            write_list(out, names, arguments, ", ", 0);
            out.push(')');
        }
    }
}

fn write_literal(out: &mut String, value: &ScalarValue, sql_type: &SqlType) {
    if value.is_null() {
        out.push_str("NULL");
        return;
    }
    let Ok(array) = value.to_array() else { return };
    let Ok(write) = cast::writer(array.as_ref(), sql_type, Default::default()) else {
        out.push_str(&value.to_string());
        return;
    };
    let mut text = String::new();
    write(0, &mut text);
    match sql_type {
        SqlType::Char(_) | SqlType::Varchar(_) => {
            out.push_str(&format!("'{}'", text.replace('\'', "''")));
        }
        SqlType::Date => out.push_str(&format!("DATE '{text}'")),
        SqlType::Time(_) => out.push_str(&format!("TIME '{text}'")),
        SqlType::Timestamp(_) | SqlType::TimestampLtz(_) => {
            out.push_str(&format!("TIMESTAMP '{text}'"));
        }
        SqlType::IntervalMonths => out.push_str(&format!("INTERVAL '{text}' YEAR TO MONTH")),
        SqlType::IntervalTime => out.push_str(&interval_literal(value, &text)),
        SqlType::Binary(_) | SqlType::Varbinary(_) => {
            let ScalarValue::Binary(Some(bytes)) = value else { return };
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            out.push_str(&format!("x'{hex}'"));
        }
        _ => out.push_str(&text),
    }
}

/// In a single unit where it fits.
fn interval_literal(value: &ScalarValue, text: &str) -> String {
    const UNITS: [(i64, &str); 4] =
        [(86_400_000, "DAY"), (3_600_000, "HOUR"), (60_000, "MINUTE"), (1000, "SECOND")];
    if let ScalarValue::IntervalMonthDayNano(Some(interval)) = value {
        let millis = cast::temporal::interval_millis(*interval);
        let unit = UNITS.iter().find(|(length, _)| millis % length == 0 && millis != 0);
        if let Some((length, unit)) = unit {
            return format!("INTERVAL '{}' {unit}", millis / length);
        }
    }
    format!("INTERVAL '{}' DAY TO SECOND", text.trim_start_matches('+'))
}
