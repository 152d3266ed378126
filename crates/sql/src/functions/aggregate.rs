//! Aggregate functions: their names, and Flink's types of their results.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::expr::AggregateFunctionParams;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use thalweg_stream::aggregate::AggregateFunction;

use super::udf::PLACE;
use crate::types::SqlType;

/// An aggregate function in the registry.
#[derive(Debug)]
pub(crate) struct AggregateDef {
    /// Its name, in lower case.
    pub(crate) name: &'static str,
    /// Other names.
    pub(crate) aliases: &'static [&'static str],
    /// How it is written.
    pub(crate) syntax: &'static str,
    /// What it is to the engine.
    pub(crate) function: AggregateFunction,
}

/// All aggregate functions.
pub(crate) const AGGREGATES: &[AggregateDef] = &[
    def("count", "COUNT([DISTINCT] a), COUNT(*)", AggregateFunction::Count),
    def("sum", "SUM([DISTINCT] a)", AggregateFunction::Sum),
    def("avg", "AVG([DISTINCT] a)", AggregateFunction::Avg),
    def("min", "MIN(a)", AggregateFunction::Min),
    def("max", "MAX(a)", AggregateFunction::Max),
    def("first_value", "FIRST_VALUE(a)", AggregateFunction::FirstValue),
    def("last_value", "LAST_VALUE(a)", AggregateFunction::LastValue),
    def("var_pop", "VAR_POP([DISTINCT] a)", AggregateFunction::VarPop),
    AggregateDef {
        name: "var_samp",
        aliases: &["variance"],
        syntax: "VAR_SAMP([DISTINCT] a)",
        function: AggregateFunction::VarSamp,
    },
    def("stddev_pop", "STDDEV_POP([DISTINCT] a)", AggregateFunction::StddevPop),
    AggregateDef {
        name: "stddev_samp",
        aliases: &["stddev"],
        syntax: "STDDEV_SAMP([DISTINCT] a)",
        function: AggregateFunction::StddevSamp,
    },
];

const fn def(
    name: &'static str,
    syntax: &'static str,
    function: AggregateFunction,
) -> AggregateDef {
    AggregateDef { name, aliases: &[], syntax, function }
}

/// An aggregate function by one of its names, in any case.
pub(crate) fn find(name: &str) -> Option<&'static AggregateDef> {
    let name = name.to_ascii_lowercase();
    AGGREGATES.iter().find(|def| def.name == name || def.aliases.contains(&name.as_str()))
}

/// All names, for suggestions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    AGGREGATES.iter().flat_map(|def| std::iter::once(def.name).chain(def.aliases.iter().copied()))
}

/// Type of the result, after Flink's `LogicalTypeMerging`: sums of decimals get all
/// digits, their means at least six fractional ones, everything else keeps its type.
pub(crate) fn result_type(
    function: AggregateFunction,
    argument: &SqlType,
) -> Result<SqlType, String> {
    use AggregateFunction::{
        Avg, Count, FirstValue, LastValue, Max, Min, StddevPop, StddevSamp, Sum, VarPop, VarSamp,
    };
    match function {
        Count => Ok(SqlType::BigInt),
        Sum | Avg | VarPop | VarSamp | StddevPop | StddevSamp => match argument {
            SqlType::Decimal(_, scale) if function == Sum => Ok(SqlType::Decimal(38, *scale)),
            SqlType::Decimal(_, scale) => Ok(SqlType::Decimal(38, (*scale).max(6))),
            SqlType::Null => Ok(SqlType::Int),
            number if number.is_numeric() => Ok(number.clone()),
            other => Err(format!("the argument must be a number, but is {other}")),
        },
        Min | Max => match argument {
            SqlType::Row(_) | SqlType::Array(_) | SqlType::Map(..) => {
                Err(format!("{argument} has no order"))
            }
            other => Ok(other.clone()),
        },
        FirstValue | LastValue => Ok(argument.clone()),
    }
}

/// Whether the engine computes it on `DOUBLE`s, whatever its argument.
pub(crate) fn is_moment(function: AggregateFunction) -> bool {
    use AggregateFunction::{StddevPop, StddevSamp, VarPop, VarSamp};
    matches!(function, VarPop | VarSamp | StddevPop | StddevSamp)
}

/// As DataFusion's planner sees one. It never runs: ad-hoc queries use DataFusion's own.
#[derive(Debug)]
pub(crate) struct FlinkAggregate {
    name: String,
    pub(crate) def: &'static AggregateDef,
    signature: Signature,
}

impl FlinkAggregate {
    /// The function under the name that the call uses, perhaps with a place.
    pub(crate) fn udaf(name: &str, def: &'static AggregateDef) -> Arc<AggregateUDF> {
        let signature = Signature::variadic_any(Volatility::Immutable);
        Arc::new(AggregateUDF::new_from_impl(Self { name: name.to_owned(), def, signature }))
    }

    /// Place of the call, a number in the planner's table of places.
    pub(crate) fn place(&self) -> Option<usize> {
        self.name.split_once(PLACE)?.1.parse().ok()
    }
}

impl PartialEq for FlinkAggregate {
    fn eq(&self, other: &Self) -> bool {
        self.def.name == other.def.name
    }
}

impl Eq for FlinkAggregate {}

impl Hash for FlinkAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.def.name.hash(state);
    }
}

impl AggregateUDFImpl for FlinkAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        let args: Vec<_> = params.args.iter().map(|arg| arg.schema_name().to_string()).collect();
        let distinct = if params.distinct { "DISTINCT " } else { "" };
        let mut name = format!("{}({distinct}{})", self.def.name, args.join(","));
        if let Some(filter) = &params.filter {
            name.push_str(&format!(" FILTER (WHERE {})", filter.schema_name()));
        }
        Ok(name)
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.schema_name(params)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("the type of {} depends on its argument", self.def.name)
    }

    fn return_field(&self, args: &[FieldRef]) -> Result<FieldRef> {
        let argument =
            args.first().and_then(|field| SqlType::from_field(field)).unwrap_or(SqlType::BigInt);
        let kind = result_type(self.def.function, &argument).unwrap_or(SqlType::Double);
        Ok(Arc::new(Field::new(self.def.name, kind.to_arrow(), true)))
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Err(DataFusionError::NotImplemented(format!("{} outside of jobs", self.def.syntax)))
    }
}
