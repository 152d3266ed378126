//! How a call meets a function: argument types in, a kernel and a result type out.

use datafusion::scalar::ScalarValue;

use super::values::Kernel;
use crate::expr::zone::SessionZone;
use crate::types::SqlType;

/// A function in the registry.
#[derive(Debug)]
pub(crate) struct FunctionDef {
    /// Its name, in lower case.
    pub(crate) name: &'static str,
    /// Other names.
    pub(crate) aliases: &'static [&'static str],
    /// How it is written, for errors and the docs.
    pub(crate) syntax: &'static str,
    /// What it does.
    pub(crate) body: Body,
}

/// What a function does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// A kernel, found by the argument types.
    Kernel(fn(&Arguments<'_>) -> BindResult),
    /// A form that the binder knows.
    Special(Special),
}

/// Forms that are no kernels: they evaluate lazily, depend on the epoch's time or on
/// windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Special {
    /// `IF(c, a, b)`.
    If,
    /// `COALESCE(...)`, `IFNULL(a, b)`.
    Coalesce,
    /// `NULLIF(a, b)`.
    NullIf,
    /// The epoch's time as an instant.
    Now,
    /// The epoch's time as wall-clock time.
    LocalNow,
    /// The epoch's time as a date.
    CurrentDate,
    /// The epoch's time as a time of day.
    CurrentTime,
    /// `UNIX_TIMESTAMP()`.
    UnixNow,
    /// `PROCTIME()`.
    Proctime,
    /// `TUMBLE`, `HOP`, `SESSION`, `CUMULATE`: only in GROUP BY or FROM.
    Window,
    /// `TUMBLE_START` and its kin, over the window.
    WindowProperty(WindowProperty),
    /// `ROW(a, b)`.
    Row,
    /// `CURRENT_DATABASE()`.
    CurrentDatabase,
    /// `VERSION()`.
    Version,
}

/// What is asked of a group window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WindowProperty {
    Start,
    End,
    Rowtime,
    Proctime,
}

/// The arguments of a call as the binder sees them.
pub(crate) struct Arguments<'a> {
    /// Their types.
    pub(crate) types: &'a [SqlType],
    /// Their values where they are constants.
    pub(crate) literals: &'a [Option<ScalarValue>],
    /// The session's time zone.
    pub(crate) zone: SessionZone,
}

/// A function that fits its arguments.
#[derive(Debug)]
pub(crate) struct Bound {
    /// Types that the kernel wants; arguments of other types are cast.
    pub(crate) params: Vec<SqlType>,
    /// Type of the result.
    pub(crate) returns: SqlType,
    /// The kernel.
    pub(crate) kernel: Kernel,
    /// Whether it can fail on a value. Such a call is never evaluated for a row that
    /// does not need it.
    pub(crate) fallible: bool,
}

/// Why a call does not fit.
#[derive(Debug)]
pub(crate) struct BindError {
    /// In words; without the name of the function.
    pub(crate) message: String,
}

pub(crate) type BindResult = Result<Bound, BindError>;

impl Bound {
    pub(crate) fn new(params: Vec<SqlType>, returns: SqlType, kernel: Kernel) -> Self {
        Self { params, returns, kernel, fallible: false }
    }

    pub(crate) fn fallible(mut self) -> Self {
        self.fallible = true;
        self
    }
}

impl BindError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// What an argument may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    /// Text; numbers and times are not turned into text by themselves.
    Text,
    /// Anything that can be written as text.
    AnyAsText,
    /// Text or bytes, as bytes.
    Bytes,
    /// A whole number, as `INT`.
    Int,
    /// A whole number, as `BIGINT`.
    BigInt,
    /// A number, as `DOUBLE`.
    Double,
    /// An instant, as `TIMESTAMP_LTZ(3)`.
    Instant,
}

impl Want {
    /// The type that the kernel gets, if an argument of type `given` will do.
    fn accepts(self, given: &SqlType) -> Option<SqlType> {
        let null = *given == SqlType::Null;
        let (fits, target) = match self {
            Self::Text => (given.is_string(), SqlType::STRING),
            Self::AnyAsText => (!given.is_binary(), SqlType::STRING),
            Self::Bytes => (given.is_string() || given.is_binary(), SqlType::BYTES),
            Self::Int => (given.is_integer(), SqlType::Int),
            Self::BigInt => (given.is_integer(), SqlType::BigInt),
            Self::Double => (given.is_numeric(), SqlType::Double),
            Self::Instant => (is_time_like(given), SqlType::TimestampLtz(3)),
        };
        (fits || null).then_some(target)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::AnyAsText => "a value that has a text form",
            Self::Bytes => "a string or bytes",
            Self::Int | Self::BigInt => "a whole number",
            Self::Double => "a number",
            Self::Instant => "a timestamp",
        }
    }
}

/// Times, and text that says one: Flink casts such text by itself.
fn is_time_like(given: &SqlType) -> bool {
    given.is_timestamp() || *given == SqlType::Date || given.is_string()
}

impl Arguments<'_> {
    pub(crate) fn len(&self) -> usize {
        self.types.len()
    }

    /// The constant text of an argument.
    pub(crate) fn text_literal(&self, number: usize) -> Option<&str> {
        match self.literals.get(number)?.as_ref()? {
            ScalarValue::Utf8(Some(text)) => Some(text),
            _ => None,
        }
    }

    /// The constant whole number of an argument.
    pub(crate) fn int_literal(&self, number: usize) -> Option<i64> {
        match self.literals.get(number)?.as_ref()? {
            ScalarValue::Int8(Some(value)) => Some(i64::from(*value)),
            ScalarValue::Int16(Some(value)) => Some(i64::from(*value)),
            ScalarValue::Int32(Some(value)) => Some(i64::from(*value)),
            ScalarValue::Int64(Some(value)) => Some(*value),
            _ => None,
        }
    }

    /// Checks the arguments against `wants`, the last `optional` of which may be left out.
    pub(crate) fn expect(
        &self,
        wants: &[Want],
        optional: usize,
    ) -> Result<Vec<SqlType>, BindError> {
        self.expect_count(wants.len() - optional, wants.len())?;
        let pairs = self.types.iter().zip(wants).enumerate();
        pairs.map(|(number, (given, want))| self.expect_one(number, given, *want)).collect()
    }

    /// Checks that all arguments, at least `min`, are `want`.
    pub(crate) fn expect_all(&self, want: Want, min: usize) -> Result<Vec<SqlType>, BindError> {
        self.expect_count(min, usize::MAX)?;
        let types = self.types.iter().enumerate();
        types.map(|(number, given)| self.expect_one(number, given, want)).collect()
    }

    fn expect_one(&self, number: usize, given: &SqlType, want: Want) -> Result<SqlType, BindError> {
        want.accepts(given).ok_or_else(|| {
            BindError::new(format!(
                "argument {} must be {}, but is {given}",
                number + 1,
                want.name()
            ))
        })
    }

    /// Checks the number of arguments.
    pub(crate) fn expect_count(&self, min: usize, max: usize) -> Result<(), BindError> {
        if (min..=max).contains(&self.len()) {
            return Ok(());
        }
        let wanted = match (min, max) {
            (min, max) if min == max => format!("{min}"),
            (min, usize::MAX) => format!("at least {min}"),
            (min, max) => format!("{min} to {max}"),
        };
        Err(BindError::new(format!("takes {wanted} arguments, but is given {}", self.len())))
    }
}
