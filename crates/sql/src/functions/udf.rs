//! Our functions as DataFusion sees them: for its planner, where only names, and types
//! roughly, matter; and for ad-hoc queries, which run them.
//!
//! The planner of queries renames calls to `name@place`, so that an error can point at
//! the call; the place does not take part in equality, names of columns or lookup.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::scalar::ScalarValue;

use super::cast;
use super::signature::{Arguments, Body, Bound, FunctionDef, Special};
use crate::expr::zone::SessionZone;
use crate::types::SqlType;

/// Separates a function's name from the place of a call.
pub(crate) const PLACE: char = '@';

/// One function.
#[derive(Debug)]
pub(crate) struct FlinkFunction {
    name: String,
    pub(crate) def: &'static FunctionDef,
    zone: SessionZone,
    signature: Signature,
}

impl FlinkFunction {
    /// The function under the name that the call uses, perhaps with a place.
    pub(crate) fn udf(name: &str, def: &'static FunctionDef, zone: SessionZone) -> Arc<ScalarUDF> {
        let volatility = match def.body {
            Body::Kernel(_) => Volatility::Immutable,
            Body::Special(_) => Volatility::Stable,
        };
        let signature = Signature::variadic_any(volatility);
        // An empty list of arguments needs a signature of its own kind.
        let signature = Signature {
            type_signature: datafusion::logical_expr::TypeSignature::OneOf(vec![
                signature.type_signature,
                datafusion::logical_expr::TypeSignature::Nullary,
            ]),
            ..signature
        };
        Arc::new(ScalarUDF::new_from_impl(Self { name: name.to_owned(), def, zone, signature }))
    }

    /// Place of the call, a number in the planner's table of places.
    pub(crate) fn place(&self) -> Option<usize> {
        self.name.split_once(PLACE)?.1.parse().ok()
    }

    fn bind(
        &self,
        types: &[SqlType],
        literals: &[Option<ScalarValue>],
    ) -> Result<Option<Bound>, String> {
        let arguments = Arguments { types, literals, zone: self.zone };
        match self.def.body {
            Body::Kernel(bind) => bind(&arguments).map(Some).map_err(|error| error.message),
            Body::Special(_) => Ok(None),
        }
    }

    /// The type of a special form, as far as DataFusion has to know it.
    fn special_type(&self, types: &[SqlType]) -> SqlType {
        let Body::Special(special) = self.def.body else { return SqlType::STRING };
        match special {
            Special::If => types.get(1).cloned().unwrap_or(SqlType::Null),
            Special::Coalesce | Special::NullIf => types.first().cloned().unwrap_or(SqlType::Null),
            Special::Now | Special::Proctime => SqlType::TimestampLtz(3),
            Special::LocalNow | Special::Window | Special::WindowProperty(_) => {
                SqlType::Timestamp(3)
            }
            Special::CurrentDate => SqlType::Date,
            Special::CurrentTime => SqlType::Time(0),
            Special::UnixNow => SqlType::BigInt,
            Special::Row => SqlType::Row(
                types
                    .iter()
                    .enumerate()
                    .map(|(number, kind)| crate::types::RowField {
                        name: format!("EXPR${number}"),
                        sql_type: kind.clone(),
                    })
                    .collect(),
            ),
            Special::CurrentDatabase | Special::Version => SqlType::STRING,
        }
    }
}

impl PartialEq for FlinkFunction {
    fn eq(&self, other: &Self) -> bool {
        self.def.name == other.def.name
    }
}

impl Eq for FlinkFunction {}

impl Hash for FlinkFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.def.name.hash(state);
    }
}

impl ScalarUDFImpl for FlinkFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<_> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(format!("{}({})", self.def.name, names.join(",")))
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        self.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("the type of {} depends on its arguments", self.def.name)
    }

    /// A call that does not fit gets some type here; the binder, which knows its place,
    /// refuses it. An ad-hoc query finds out when it runs.
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<SqlType> = args
            .arg_fields
            .iter()
            .map(|field| SqlType::from_field(field).unwrap_or(SqlType::Null))
            .collect();
        let literals: Vec<Option<ScalarValue>> =
            args.scalar_arguments.iter().map(|value| value.cloned()).collect();
        let returns = match self.bind(&types, &literals) {
            Ok(Some(bound)) => bound.returns,
            Ok(None) => self.special_type(&types),
            Err(_) => SqlType::STRING,
        };
        Ok(Arc::new(returns.to_field(self.def.name, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<SqlType> = args
            .arg_fields
            .iter()
            .map(|field| SqlType::from_field(field).unwrap_or(SqlType::Null))
            .collect();
        let literals: Vec<Option<ScalarValue>> = args
            .args
            .iter()
            .map(|value| match value {
                ColumnarValue::Scalar(value) => Some(value.clone()),
                ColumnarValue::Array(_) => None,
            })
            .collect();
        let failed =
            |text: String| DataFusionError::Execution(format!("{}: {text}", self.def.syntax));
        let bound = self.bind(&types, &literals).map_err(failed)?.ok_or_else(|| {
            DataFusionError::NotImplemented(format!("{} in ad-hoc queries", self.def.syntax))
        })?;
        let mut values = args.args;
        for ((value, given), wanted) in values.iter_mut().zip(&types).zip(&bound.params) {
            *value = self.coerce(value, given, wanted, args.number_rows).map_err(failed)?;
        }
        let array = bound.kernel.run(&values, args.number_rows).map_err(failed)?;
        Ok(ColumnarValue::Array(array))
    }
}

impl FlinkFunction {
    fn coerce(
        &self,
        value: &ColumnarValue,
        given: &SqlType,
        wanted: &SqlType,
        rows: usize,
    ) -> Result<ColumnarValue, String> {
        let value = in_our_layout(value, given)?;
        if given == wanted {
            return Ok(value);
        }
        let cast = cast::bind(given, wanted, false, self.zone)
            .ok_or_else(|| format!("cannot cast {given} to {wanted}"))?;
        run_cast(&cast, value, rows)
    }
}

/// DataFusion has several layouts of text and other values; kernels know one.
pub(super) fn in_our_layout(
    value: &ColumnarValue,
    given: &SqlType,
) -> Result<ColumnarValue, String> {
    let layout = given.to_arrow();
    Ok(match value {
        ColumnarValue::Array(array) if *array.data_type() != layout => {
            let array = datafusion::arrow::compute::cast(array, &layout);
            ColumnarValue::Array(array.map_err(|error| error.to_string())?)
        }
        ColumnarValue::Scalar(scalar) if scalar.data_type() != layout => {
            ColumnarValue::Scalar(scalar.cast_to(&layout).map_err(|error| error.to_string())?)
        }
        other => other.clone(),
    })
}

/// Casts a value; a constant stays one.
pub(super) fn run_cast(
    cast: &cast::Cast,
    value: ColumnarValue,
    rows: usize,
) -> Result<ColumnarValue, String> {
    if let ColumnarValue::Scalar(_) = value {
        let array = cast.kernel.run(&[value], 1)?;
        let scalar = ScalarValue::try_from_array(&array, 0);
        return scalar.map(ColumnarValue::Scalar).map_err(|error| error.to_string());
    }
    Ok(ColumnarValue::Array(cast.kernel.run(&[value], rows)?))
}
