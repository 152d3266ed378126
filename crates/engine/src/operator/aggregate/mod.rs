//! Aggregate functions as columnar kernels over numbered slots.
//!
//! An [`Accumulator`] holds the state of one call for all groups (or panes, or sessions)
//! of an operator; a slot is one of them. All kernels can be merged, exported and
//! imported; all can take rows back: the linear ones ([`count`], [`integer_sum`],
//! [`decimal_sum`], [`float_sum`], [`variance`]) by subtraction, those that pick a value
//! ([`extreme`], [`first_last`]) and [`distinct`] by an ordered multiset, which they keep
//! only where the input is updating.
//!
//! Nothing here depends on where batches are cut. Sums of integers wrap around as Java's
//! do; sums of decimals are exact; sums of floats carry about 106 bits, so that neither
//! the order of rows nor a retraction changes the rounded result but by a tie of that
//! precision: the error is below 2^-100 of the largest absolute sum that the group ever
//! had, so below a double's own precision unless the result is 2^47 times smaller.

mod accumulator;
mod count;
mod decimal_sum;
mod distinct;
mod double_double;
mod extreme;
mod first_last;
mod float_sum;
mod input;
mod integer_sum;
mod list;
mod multiset;
mod set;
#[cfg(test)]
mod tests;
mod value;
mod variance;

use arrow_schema::DataType;
use thalweg_stream::StreamError;
use thalweg_stream::aggregate::{AggregateCall, AggregateFunction};
use thalweg_stream::error::Result;

use super::values::{Form, plain_type};
pub(crate) use accumulator::Accumulator;
pub(crate) use set::{AggregateSet, PreparedBatch};

/// The one list from calls to accumulators. `updating`: rows may be taken back.
fn build(call: &AggregateCall, updating: bool) -> Result<Box<dyn Accumulator>> {
    use AggregateFunction::{
        Avg, Count, FirstValue, LastValue, Max, Min, StddevPop, StddevSamp, Sum, VarPop, VarSamp,
    };
    let result = &call.result_type;
    let Some(argument) = call.argument_type.as_ref().map(plain_type) else {
        return match call.function {
            Count if !call.distinct => Ok(Box::new(count::Count::new(result)?)),
            other => Err(StreamError::Invalid(format!("{} needs an argument", name(other)))),
        };
    };
    let plain: Box<dyn Accumulator> = match call.function {
        Count => Box::new(count::Count::new(result)?),
        Sum | Avg => sum(call.function == Avg, argument, result)?,
        VarPop | VarSamp | StddevPop | StddevSamp => {
            Box::new(variance::Variance::new(call.function, argument, result)?)
        }
        Min | Max => return extreme::build(call.function == Max, argument, result, updating),
        FirstValue | LastValue => {
            let last = call.function == LastValue;
            if last && call.distinct {
                return Err(StreamError::Invalid("LAST_VALUE(DISTINCT) is not supported".into()));
            }
            return first_last::build(last, argument, result, updating);
        }
    };
    if call.distinct { distinct::build(plain, argument) } else { Ok(plain) }
}

/// The calls as stored state is marked with: what makes the state of one that of another.
pub(crate) fn describe(calls: &[AggregateCall], updating: bool) -> String {
    let call = |call: &AggregateCall| {
        let distinct = if call.distinct { " DISTINCT" } else { "" };
        let filter = if call.filter.is_some() { " FILTER" } else { "" };
        format!("{}{distinct}{filter}", name(call.function))
    };
    let calls: Vec<String> = calls.iter().map(call).collect();
    format!("{}{}", calls.join(", "), if updating { " of changes" } else { "" })
}

fn name(function: AggregateFunction) -> &'static str {
    match function {
        AggregateFunction::Count => "COUNT",
        AggregateFunction::Sum => "SUM",
        AggregateFunction::Avg => "AVG",
        AggregateFunction::Min => "MIN",
        AggregateFunction::Max => "MAX",
        AggregateFunction::FirstValue => "FIRST_VALUE",
        AggregateFunction::LastValue => "LAST_VALUE",
        AggregateFunction::VarPop => "VAR_POP",
        AggregateFunction::VarSamp => "VAR_SAMP",
        AggregateFunction::StddevPop => "STDDEV_POP",
        AggregateFunction::StddevSamp => "STDDEV_SAMP",
    }
}

fn sum(average: bool, argument: &DataType, result: &DataType) -> Result<Box<dyn Accumulator>> {
    Ok(match argument {
        DataType::Float32 | DataType::Float64 => {
            Box::new(float_sum::FloatSum::new(average, argument, result)?)
        }
        DataType::Decimal128(_, scale) => {
            Box::new(decimal_sum::DecimalSum::new(average, *scale, result)?)
        }
        other if other.is_integer() => {
            Box::new(integer_sum::IntegerSum::new(average, argument, result)?)
        }
        other => {
            let name = if average { "AVG" } else { "SUM" };
            return Err(StreamError::Invalid(format!("{name} of {other} is not supported")));
        }
    })
}

/// Refuses a type that has no form.
fn form_of(function: &str, argument: &DataType, result: &DataType) -> Result<Form> {
    if argument != result {
        return Err(StreamError::Internal(format!("{function} of {argument} gives no {result}")));
    }
    Form::of(argument)
        .ok_or_else(|| StreamError::Invalid(format!("{function} of {argument} is not supported")))
}
