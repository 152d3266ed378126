//! Counts what a query holds and DataFusion does not count: its inputs, its result, and
//! what flows into a step that keeps rows.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayData, RecordBatch};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

/// Batches that are held together, each buffer counted once.
#[derive(Debug)]
pub(super) struct Held {
    memory: MemoryReservation,
    /// Addresses of the buffers. They stay theirs, since the batches are held.
    buffers: HashSet<usize>,
}

impl Held {
    pub(super) fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        let memory = MemoryConsumer::new("inputs and result").register(pool);
        Self { memory, buffers: HashSet::new() }
    }

    /// Counts a batch that is held from now on.
    ///
    /// # Errors
    /// There is not so much left.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut bytes = 0;
        let mut rest: Vec<ArrayData> = batch.columns().iter().map(Array::to_data).collect();
        while let Some(data) = rest.pop() {
            let nulls = data.nulls().map(|nulls| nulls.buffer());
            for buffer in data.buffers().iter().chain(nulls) {
                if self.buffers.insert(buffer.data_ptr().as_ptr() as usize) {
                    bytes += buffer.capacity();
                }
            }
            rest.extend_from_slice(data.child_data());
        }
        self.memory.try_grow(bytes)
    }
}

/// Window functions hold their partitions, or all rows: what comes to them is counted.
pub(super) fn charge_windows(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let charged = plan.transform_up(|plan| {
        if !plan.is::<WindowAggExec>() && !plan.is::<BoundedWindowAggExec>() {
            return Ok(Transformed::no(plan));
        }
        let inputs = plan.children().into_iter().map(|input| {
            Arc::new(ChargeExec { input: Arc::clone(input) }) as Arc<dyn ExecutionPlan>
        });
        let inputs = inputs.collect();
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        plan.replace_children(inputs, options).map(Transformed::yes)
    })?;
    Ok(charged.data)
}

/// Passes rows on and counts them until its stream is dropped.
#[derive(Debug)]
struct ChargeExec {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for ChargeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for ChargeExec {
    fn name(&self) -> &str {
        "ChargeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(Self { input }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let memory = MemoryConsumer::new("window functions").register(context.memory_pool());
        let rows = self.input.execute(partition, context)?.map(move |batch| {
            let batch = batch?;
            let mut bytes = 0;
            for column in batch.columns() {
                bytes += column.to_data().get_slice_memory_size()?;
            }
            memory.try_grow(bytes)?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
