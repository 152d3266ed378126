//! Aggregate calls as the engine sees them.

use arrow_schema::DataType;

/// An aggregate function, with Flink's rules on types: `SUM` and `AVG` of an integer
/// keep its type, `AVG` divides towards zero, all but `COUNT` ignore nulls and give
/// null for no value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AggregateFunction {
    /// Rows (without an argument) or values that are not null.
    Count,
    /// Sum.
    Sum,
    /// Mean.
    Avg,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// First value in order of arrival.
    FirstValue,
    /// Last value in order of arrival.
    LastValue,
    /// Population variance.
    VarPop,
    /// Sample variance.
    VarSamp,
    /// Population standard deviation.
    StddevPop,
    /// Sample standard deviation.
    StddevSamp,
}

/// One call of an aggregate function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AggregateCall {
    /// The function.
    pub function: AggregateFunction,
    /// Column of the argument; `None` for `COUNT(*)`.
    pub argument: Option<usize>,
    /// Type of the argument.
    pub argument_type: Option<DataType>,
    /// Only different values count.
    pub distinct: bool,
    /// Boolean column that must be true for a row to count.
    pub filter: Option<usize>,
    /// Name of the result column.
    pub name: String,
    /// Type of the result.
    pub result_type: DataType,
}
