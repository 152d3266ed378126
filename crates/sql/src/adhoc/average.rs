//! `AVG` with Flink's type: the mean of whole numbers is a whole number, cut towards
//! zero. Other numbers are averaged by DataFusion.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FlinkAverage {
    signature: Signature,
}

impl Default for FlinkAverage {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

fn is_whole(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64)
}

impl AggregateUDFImpl for FlinkAverage {
    fn name(&self) -> &str {
        "avg"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [whole] if is_whole(whole) => Ok(vec![whole.clone()]),
            [DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Null] => {
                Ok(vec![DataType::Float64])
            }
            [decimal] if decimal.is_decimal() => Ok(vec![decimal.clone()]),
            _ => plan_err!("AVG takes one number, not {types:?}"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [whole] if is_whole(whole) => Ok(whole.clone()),
            _ => avg_udaf().return_type(types),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let data_type = args.return_field.data_type().clone();
        if is_whole(&data_type) {
            return Ok(Box::new(WholeMean { data_type, sum: 0, count: 0 }));
        }
        avg_udaf().accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if !is_whole(args.return_field.data_type()) {
            return avg_udaf().state_fields(args);
        }
        let field = |name: &str, data_type| {
            Arc::new(Field::new(format!("{}[{name}]", args.name), data_type, true))
        };
        Ok(vec![field("sum", DataType::Decimal128(38, 0)), field("count", DataType::Int64)])
    }
}

/// The mean of whole numbers.
#[derive(Debug)]
struct WholeMean {
    data_type: DataType,
    sum: i128,
    count: i64,
}

impl Accumulator for WholeMean {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = compute::cast(&values[0], &DataType::Int64)?;
        let values = values.as_primitive::<Int64Type>();
        self.sum += values.iter().flatten().map(i128::from).sum::<i128>();
        self.count += (values.len() - values.null_count()) as i64;
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.count == 0 {
            return ScalarValue::try_from(&self.data_type);
        }
        let mean = i64::try_from(self.sum / i128::from(self.count))
            .map_err(|error| DataFusionError::Execution(error.to_string()))?;
        ScalarValue::Int64(Some(mean)).cast_to(&self.data_type)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Decimal128(Some(self.sum), 38, 0),
            ScalarValue::Int64(Some(self.count)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.sum += states[0].as_primitive::<Decimal128Type>().iter().flatten().sum::<i128>();
        self.count += states[1].as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        Ok(())
    }
}
