//! Parameters of prepared statements: from the wire to values, and from values to
//! literals in the text of a statement.

use std::fmt::Write;

use bytes::BytesMut;
use pgwire::api::Type;

use super::encode::{Format, put_date, put_time, put_timestamp};
use super::error::{PgError, Result, sqlstate};
use super::lexer::{Lexer, TokenKind};

/// The type of a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParamType {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `numeric`
    Numeric,
    /// `text` and its kin
    Text,
    /// `bytea`
    Bytea,
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp`
    Timestamp,
    /// `timestamp with time zone`
    TimestampTz,
}

/// A parameter's value; a null of no known type is none.
#[derive(Clone, PartialEq, Debug)]
pub enum ParamValue {
    /// The null of a type.
    Null(ParamType),
    /// A truth value.
    Bool(bool),
    /// A whole number, with the type that the client gave it.
    Int(i64, ParamType),
    /// `real` and `double precision`.
    Float(f64, ParamType),
    /// A decimal, in plain digits with an optional sign and point.
    Numeric(String),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds of the day.
    Time(i64),
    /// Microseconds since 1970-01-01 00:00, of wall-clock time.
    Timestamp(i64),
    /// Microseconds since 1970-01-01 00:00 UTC.
    Instant(i64),
    /// Text whose type follows from where it stands.
    Unknown(String),
}

impl ParamType {
    /// The type of an OID; `None` for 0 and `unknown`, which leave it open.
    ///
    /// # Errors
    /// A type that parameters cannot have.
    pub(super) fn from_oid(oid: u32) -> Result<Option<Self>> {
        Ok(Some(match Type::from_oid(oid) {
            None if oid == 0 => return Ok(None),
            Some(Type::UNKNOWN) => return Ok(None),
            Some(Type::BOOL) => Self::Bool,
            Some(Type::INT2) => Self::Int2,
            Some(Type::INT4 | Type::OID) => Self::Int4,
            Some(Type::INT8) => Self::Int8,
            Some(Type::FLOAT4) => Self::Float4,
            Some(Type::FLOAT8) => Self::Float8,
            Some(Type::NUMERIC) => Self::Numeric,
            Some(Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR) => Self::Text,
            Some(Type::JSON | Type::UUID) => Self::Text,
            Some(Type::BYTEA) => Self::Bytea,
            Some(Type::DATE) => Self::Date,
            Some(Type::TIME) => Self::Time,
            Some(Type::TIMESTAMP) => Self::Timestamp,
            Some(Type::TIMESTAMPTZ) => Self::TimestampTz,
            other => {
                let name = other.map_or_else(|| oid.to_string(), |known| known.name().to_owned());
                return Err(PgError::not_supported(format!(
                    "parameters of type {name} are not supported"
                )));
            }
        }))
    }

    /// A type of Flink SQL that has all its values, as far as one has.
    fn flink_type(self) -> &'static str {
        match self {
            Self::Bool => "BOOLEAN",
            Self::Int2 => "SMALLINT",
            Self::Int4 => "INT",
            Self::Int8 => "BIGINT",
            Self::Float4 => "FLOAT",
            Self::Float8 => "DOUBLE",
            Self::Numeric => "DECIMAL(38, 18)",
            Self::Text => "STRING",
            Self::Bytea => "BYTES",
            Self::Date => "DATE",
            Self::Time => "TIME",
            Self::Timestamp => "TIMESTAMP(6)",
            Self::TimestampTz => "TIMESTAMP_LTZ(6)",
        }
    }

    /// PostgreSQL's type.
    pub(super) fn pg_type(self) -> Type {
        match self {
            Self::Bool => Type::BOOL,
            Self::Int2 => Type::INT2,
            Self::Int4 => Type::INT4,
            Self::Int8 => Type::INT8,
            Self::Float4 => Type::FLOAT4,
            Self::Float8 => Type::FLOAT8,
            Self::Numeric => Type::NUMERIC,
            Self::Text => Type::TEXT,
            Self::Bytea => Type::BYTEA,
            Self::Date => Type::DATE,
            Self::Time => Type::TIME,
            Self::Timestamp => Type::TIMESTAMP,
            Self::TimestampTz => Type::TIMESTAMPTZ,
        }
    }
}

impl ParamValue {
    /// The value as a literal of Flink SQL. No value can end the literal it stands in.
    pub fn to_literal(&self) -> String {
        let written = |write: &dyn Fn(&mut BytesMut) -> std::fmt::Result| {
            let mut out = BytesMut::new();
            // Writing into a buffer that grows cannot fail.
            let _ = write(&mut out);
            String::from_utf8_lossy(&out).into_owned()
        };
        match self {
            // Text becomes what stands beside it, and so does its null.
            Self::Null(ParamType::Text) => "NULL".to_owned(),
            Self::Null(param_type) => format!("CAST(NULL AS {})", param_type.flink_type()),
            Self::Bool(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
            Self::Int(value, ParamType::Int2) => format!("CAST({value} AS SMALLINT)"),
            Self::Int(value, ParamType::Int4) => format!("CAST({value} AS INT)"),
            // The smallest one's digits alone would be out of range.
            Self::Int(value, _) => format!("CAST('{value}' AS BIGINT)"),
            Self::Float(value, ParamType::Float4) => format!("CAST('{value:e}' AS FLOAT)"),
            Self::Float(value, _) => format!("CAST('{value:e}' AS DOUBLE)"),
            Self::Numeric(digits) => numeric_literal(digits),
            Self::Text(text) | Self::Unknown(text) => format!("'{}'", text.replace('\'', "''")),
            Self::Bytes(bytes) => {
                bytes.iter().fold("X'".to_owned(), |mut literal, byte| {
                    // Writing to a string cannot fail.
                    let _ = write!(literal, "{byte:02X}");
                    literal
                }) + "'"
            }
            Self::Date(days) => {
                format!("DATE '{}'", written(&|out| put_date(i64::from(*days), out)))
            }
            Self::Time(micros) => format!("TIME '{}'", written(&|out| put_time(*micros, out))),
            Self::Timestamp(micros) => {
                format!("TIMESTAMP '{}'", written(&|out| put_timestamp(*micros, out)))
            }
            Self::Instant(micros) => format!(
                "CAST('{}Z' AS TIMESTAMP_LTZ(6))",
                written(&|out| put_timestamp(*micros, out))
            ),
        }
    }

    /// Reads a value as the client sent it.
    pub(super) fn decode(
        bytes: &[u8],
        format: Format,
        param_type: Option<ParamType>,
    ) -> Result<Self> {
        match format {
            Format::Text => super::params_text::decode(bytes, param_type),
            Format::Binary => super::params_binary::decode(bytes, param_type),
        }
    }
}

/// Digits of the longest decimal.
const DECIMAL_DIGITS_MAX: usize = 38;

/// Digits with a point are a decimal by themselves; without one they would be an integer.
fn numeric_literal(digits: &str) -> String {
    let count = digits.trim_start_matches(['-', '+']).len();
    if !digits.contains('.') && (1..=DECIMAL_DIGITS_MAX).contains(&count) {
        return format!("CAST('{digits}' AS DECIMAL({count}, 0))");
    }
    if digits.starts_with('-') { format!("({digits})") } else { digits.to_owned() }
}

/// How many parameters a statement has: the highest number.
pub(super) fn count(sql: &str) -> usize {
    Lexer::new(sql)
        .filter_map(|token| match token.kind {
            TokenKind::Parameter(number) => Some(usize::from(number)),
            _ => None,
        })
        .max()
        .unwrap_or(0)
}

/// The statement with its parameters written in as literals. Placeholders in strings,
/// quoted names and comments are no placeholders.
///
/// # Errors
/// A placeholder beyond the parameters.
pub fn substitute(sql: &str, params: &[Option<ParamValue>]) -> Result<String> {
    let mut out = String::with_capacity(sql.len());
    for token in Lexer::new(sql) {
        let TokenKind::Parameter(number) = token.kind else {
            out.push_str(&sql[token.range]);
            continue;
        };
        let value = usize::from(number).checked_sub(1).and_then(|at| params.get(at));
        match value {
            Some(Some(value)) => out.push_str(&value.to_literal()),
            Some(None) => out.push_str("NULL"),
            None => {
                let position = sql[..token.range.start].chars().count() as u32 + 1;
                return Err(PgError::new(
                    sqlstate::UNDEFINED_PARAMETER,
                    format!("there is no parameter ${number}"),
                )
                .at(position));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_literal() {
        let evil = ParamValue::Text("x'; DROP TABLE t; --".into());
        let sql = substitute("SELECT * FROM t WHERE a = $1 -- $2", &[Some(evil)]).expect("one");
        assert_eq!(sql, "SELECT * FROM t WHERE a = 'x''; DROP TABLE t; --' -- $2");
        assert_eq!(super::super::lexer::split(&sql).len(), 1);
    }

    #[test]
    fn literals_say_their_type() {
        let literal = |value: ParamValue| value.to_literal();
        assert_eq!(
            literal(ParamValue::Int(i64::MIN, ParamType::Int8)),
            "CAST('-9223372036854775808' AS BIGINT)"
        );
        assert_eq!(literal(ParamValue::Int(-7, ParamType::Int4)), "CAST(-7 AS INT)");
        assert_eq!(literal(ParamValue::Float(1.5, ParamType::Float8)), "CAST('1.5e0' AS DOUBLE)");
        assert_eq!(literal(ParamValue::Numeric("-1.50".into())), "(-1.50)");
        assert_eq!(literal(ParamValue::Numeric("-15".into())), "CAST('-15' AS DECIMAL(2, 0))");
        assert_eq!(literal(ParamValue::Null(ParamType::Int8)), "CAST(NULL AS BIGINT)");
        assert_eq!(literal(ParamValue::Null(ParamType::Text)), "NULL");
        assert_eq!(literal(ParamValue::Bytes(vec![0, 255])), "X'00FF'");
        assert_eq!(literal(ParamValue::Date(0)), "DATE '1970-01-01'");
        assert_eq!(literal(ParamValue::Timestamp(1_500_000)), "TIMESTAMP '1970-01-01 00:00:01.5'");
        assert_eq!(
            literal(ParamValue::Instant(0)),
            "CAST('1970-01-01 00:00:00Z' AS TIMESTAMP_LTZ(6))"
        );
    }

    #[test]
    fn a_missing_parameter_is_named_with_its_place() {
        let error = substitute("SELECT 'ä', $2", &[None]).expect_err("only one given");
        assert_eq!(
            (error.position, error.message.as_str()),
            (Some(13), "there is no parameter $2")
        );
        assert_eq!(substitute("SELECT $1", &[None]).expect("null"), "SELECT NULL");
        assert_eq!(count("SELECT $2, $1, '$9'"), 2);
    }
}
