//! Runs a planned query within its memory.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;

use super::charge::{Held, charge_windows};
use super::conform;
use crate::error::{ErrorCode, Result, SqlError};
use crate::functions::values::is_too_large;
use crate::plan::from_datafusion;

/// Bytes of a constant that is repeated for each row of a batch.
const MAX_CONSTANT_BYTES: usize = 32 << 10;

/// All rows of the result, with the columns of `schema`. `inputs` are the query's tables,
/// which count as long as it runs.
///
/// # Errors
/// An expression that fails; more memory than `bytes`, of which the state's pool has as
/// many.
pub(super) async fn execute(
    state: &SessionState,
    plan: &LogicalPlan,
    schema: &SchemaRef,
    inputs: &[RecordBatch],
    bytes: usize,
) -> Result<Vec<RecordBatch>> {
    let failed = |error: DataFusionError| execution(error, bytes);
    let pool = &state.runtime_env().memory_pool;
    let mut held = Held::new(pool);
    for batch in inputs {
        held.add(batch).map_err(failed)?;
    }
    let plan = state.optimize(plan).map_err(failed)?;
    check_constants(&plan)?;
    let physical = state.query_planner().create_physical_plan(&plan, state).await;
    let physical = physical.and_then(charge_windows).map_err(failed)?;
    let mut rows = execute_stream(physical, state.task_ctx()).map_err(failed)?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = conform(&batch.map_err(failed)?, schema)?;
        held.add(&batch).map_err(failed)?;
        batches.push(batch);
    }
    Ok(batches)
}

/// Refuses long constants where they would be repeated for each row: where they are not
/// only compared with something. Without tables there is one row.
fn check_constants(plan: &LogicalPlan) -> Result<()> {
    let one_row = |plan: &LogicalPlan| {
        Ok(matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::EmptyRelation(_)))
    };
    let all_one_row = !plan.exists(|node| one_row(node).map(|one| !one)).unwrap_or(true);
    if all_one_row {
        return Ok(());
    }
    let mut longest = 0;
    let checked: PlanResult<_> = plan.apply_with_subqueries(|node| {
        if matches!(node, LogicalPlan::Filter(_) | LogicalPlan::TableScan(_)) {
            return Ok(TreeNodeRecursion::Continue);
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::Literal(value, _) = part {
                    longest = longest.max(value.size());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    checked.map_err(from_datafusion)?;
    if longest <= MAX_CONSTANT_BYTES {
        return Ok(());
    }
    let limit = MAX_CONSTANT_BYTES >> 10;
    let message = format!("a constant of {longest} bytes is too long for each row of a result");
    Err(SqlError::new(ErrorCode::TooLarge, message)
        .with_hint(format!("at most {limit} KiB are possible, other than in WHERE")))
}

/// DataFusion's error of a query that runs.
fn execution(error: DataFusionError, bytes: usize) -> SqlError {
    if let DataFusionError::ResourcesExhausted(_) = error.find_root() {
        let limit = bytes >> 20;
        let message = format!("the query needs more than the {limit} MiB that it is allowed");
        return SqlError::new(ErrorCode::OutOfMemory, message).with_hint(
            "narrow it by WHERE or LIMIT, or keep what it gives as a MATERIALIZED VIEW".to_owned(),
        );
    }
    let error = from_datafusion(error);
    let code = match error.code {
        _ if is_too_large(&error.message) => ErrorCode::TooLarge,
        ErrorCode::InvalidArgument => ErrorCode::Execution,
        code => code,
    };
    SqlError { code, ..error }
}
