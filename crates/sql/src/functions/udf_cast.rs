//! Our casts as DataFusion sees them, for ad-hoc queries: a function for each type.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::cast;
use super::udf::{in_our_layout, run_cast};
use crate::expr::zone::SessionZone;
use crate::types::SqlType;

/// `CAST` or `TRY_CAST` to one type.
#[derive(Debug)]
pub(crate) struct FlinkCast {
    target: SqlType,
    lenient: bool,
    zone: SessionZone,
    signature: Signature,
}

impl FlinkCast {
    /// The cast as a function.
    pub(crate) fn udf(target: SqlType, lenient: bool, zone: SessionZone) -> Arc<ScalarUDF> {
        let signature = Signature::any(1, Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Self { target, lenient, zone, signature }))
    }
}

impl PartialEq for FlinkCast {
    fn eq(&self, other: &Self) -> bool {
        (&self.target, self.lenient) == (&other.target, other.lenient)
    }
}

impl Eq for FlinkCast {}

impl Hash for FlinkCast {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.target, self.lenient).hash(state);
    }
}

impl ScalarUDFImpl for FlinkCast {
    fn name(&self) -> &str {
        if self.lenient { "try_cast" } else { "cast" }
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<_> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        let name = self.name().to_uppercase();
        Ok(format!("{name}({} AS {})", names.join(", "), self.target))
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        self.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.target.to_arrow())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(self.target.to_field(self.name(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let failed = DataFusionError::Execution;
        let (Some(value), Some(field)) = (args.args.first(), args.arg_fields.first()) else {
            return Err(DataFusionError::Internal("a cast has a value".to_owned()));
        };
        let impossible = || failed(format!("cannot cast {field} to {}", self.target));
        let given = SqlType::from_field(field).ok_or_else(impossible)?;
        let cast = cast::bind(&given, &self.target, self.lenient, self.zone);
        let cast = cast.ok_or_else(impossible)?;
        let value = in_our_layout(value, &given).map_err(failed)?;
        run_cast(&cast, value, args.number_rows).map_err(failed)
    }
}
