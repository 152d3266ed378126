//! Building the tasks of a job, fresh or out of a snapshot.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use thalweg_core::key_group::{KeyGroup, owner};
use thalweg_state::Snapshot;
use thalweg_stream::StreamError;
use thalweg_stream::graph::{Graph, Node, NodeId, Operator as NodeOperator};
use thalweg_stream::sink::SinkRef;
use thalweg_stream::source::SourceRef;

use super::chain::{Body, Chain, ChainSlot, operator_body};
use super::inputs::Inputs;
use super::output::UnitOutput;
use super::source::SourceTask;
use super::writer::{OutputLimits, Writer};
use super::{Head, Task};
use crate::error::{JobError, Result};
use crate::exchange::{EdgeBudget, EdgeWriter};
use crate::ledger::Ledger;
use crate::operator::{self, InputSpec, OperatorContext};
use crate::options::JobOptions;
use crate::plan::{OutputKind, Plan, Stage};
use crate::staging::Staging;
use crate::watermark::ChannelEnd;

/// Where tasks start.
pub(crate) struct Restored<'a> {
    /// Splits and watermarks.
    pub ledger: &'a Ledger,
    /// State of the steps.
    pub snapshot: Option<&'a Snapshot>,
}

/// What tasks are made of.
pub(crate) struct TaskBuilder<'a> {
    pub plan: &'a Plan,
    pub options: &'a JobOptions,
    /// By source number.
    pub sources: &'a [SourceRef],
    /// By sink number.
    pub sinks: &'a [SinkRef],
    pub budget: Arc<EdgeBudget>,
    pub staging: Arc<Staging>,
    pub restored: Restored<'a>,
}

impl TaskBuilder<'_> {
    /// All tasks, by stage and subtask.
    ///
    /// # Errors
    /// What operators, sinks and snapshots say.
    pub(crate) fn build(&self) -> Result<Vec<Vec<Task>>> {
        let mut tasks = Vec::with_capacity(self.plan.stages.len());
        for (number, stage) in self.plan.stages.iter().enumerate() {
            let subtasks: Result<Vec<_>> =
                (0..stage.parallelism).map(|subtask| self.task(number, stage, subtask)).collect();
            tasks.push(subtasks?);
        }
        self.restore_state(&mut tasks)?;
        Ok(tasks)
    }

    fn task(&self, number: usize, stage: &Stage, subtask: usize) -> Result<Task> {
        let mut slots = Vec::with_capacity(stage.slots.len());
        for (place, slot) in stage.slots.iter().enumerate() {
            let starting = stage.outputs.iter().enumerate();
            slots.push(ChainSlot {
                uid: self.plan.graph.nodes[slot.node].uid.clone(),
                body: self.body(slot.node, stage, subtask)?,
                side: self.side(slot.node, stage, subtask)?,
                children: slot.children.clone(),
                edges: starting.filter(|(_, edge)| edge.slot == place).map(|(n, _)| n).collect(),
            });
        }
        let key_groups = self.options.key_groups;
        let edges = stage.outputs.iter().map(|edge| {
            let downstream = self.plan.stages[edge.to].parallelism;
            let budget = Arc::clone(&self.budget);
            EdgeWriter::new(edge.exchange.clone(), subtask, downstream, key_groups, budget)
        });
        let mut chain = Chain {
            subtask,
            slots,
            edges: edges.collect(),
            context: OperatorContext {
                epoch: self.restored.ledger.epoch,
                now: self.restored.ledger.now,
                key_groups: owned(subtask, stage.parallelism, key_groups),
                key_groups_total: key_groups,
            },
            limits: OutputLimits {
                staging: Arc::clone(&self.staging),
                writer_bytes: self.options.writer_bytes,
                inline_bytes: self.options.inline_bytes,
            },
            reading: None,
            output: UnitOutput::default(),
        };
        let head = match stage.source {
            Some(source) => {
                Head::Source(Box::new(self.source(source, subtask, stage.parallelism)?))
            }
            None => {
                let end = self.subtask_end(number, subtask);
                chain.set_watermark(end.watermark);
                Head::Inputs(self.inputs(stage, end))
            }
        };
        Ok(Task { chain, head })
    }

    fn body(&self, node: NodeId, stage: &Stage, subtask: usize) -> Result<Body> {
        let graph = &self.plan.graph;
        Ok(match &graph.nodes[node].operator {
            NodeOperator::Source(_) => Body::Source,
            NodeOperator::Sink { .. } => {
                let writer = self.writer(node, OutputKind::Sink, stage, subtask)?;
                Body::Sink(writer.ok_or_else(|| no_output(node))?)
            }
            NodeOperator::View { .. } => {
                let view = self.plan.views.iter().position(|&view| view == node);
                Body::View { view: view.ok_or_else(|| no_output(node))? }
            }
            _ => {
                let node = &graph.nodes[node];
                operator_body(operator::build(node, &input_specs(graph, node))?)
            }
        })
    }

    /// The writer of a node's late rows or bad records.
    fn side(&self, node: NodeId, stage: &Stage, subtask: usize) -> Result<Option<Writer>> {
        let is_source = matches!(self.plan.graph.nodes[node].operator, NodeOperator::Source(_));
        let kind = if is_source { OutputKind::Bad } else { OutputKind::Late };
        self.writer(node, kind, stage, subtask)
    }

    fn writer(
        &self,
        node: NodeId,
        kind: OutputKind,
        stage: &Stage,
        subtask: usize,
    ) -> Result<Option<Writer>> {
        let Some(sink) = self.plan.output_of(node, kind) else { return Ok(None) };
        let writer = self.sinks[sink].writer(subtask, stage.parallelism)?;
        Ok(Some(Writer { sink, subtask, writer }))
    }

    fn source(&self, number: usize, subtask: usize, parallelism: usize) -> Result<SourceTask> {
        let node = &self.plan.graph.nodes[self.plan.sources[number]];
        let NodeOperator::Source(source) = &node.operator else {
            return Err(JobError::Internal(format!("'{}' is no source", node.name)));
        };
        let splits = self.restored.ledger.splits.iter();
        Ok(SourceTask {
            source: Arc::clone(&self.sources[number]),
            number,
            node: source.clone(),
            schema: SchemaRef::clone(&node.schema),
            subtask,
            parallelism,
            batch_rows: self.options.batch_rows,
            interval: self.options.auto_watermark_interval_ms,
            max_future: self.options.max_future_ms,
            splits: splits
                .map(|split| (split.source == number).then(|| split.info.clone()))
                .collect(),
            readers: Default::default(),
        })
    }

    fn inputs(&self, stage: &Stage, end: ChannelEnd) -> Inputs {
        let mut inputs = Inputs::new(end.watermark);
        for edge in &stage.inputs {
            match self.plan.stages[edge.from].source {
                Some(source) => inputs.add_source(source, edge.input),
                None => {
                    let subtasks = 0..self.plan.stages[edge.from].parallelism;
                    let ends: Vec<_> = subtasks.map(|k| self.subtask_end(edge.from, k)).collect();
                    inputs.add_stage(&ends, edge.input);
                }
            }
        }
        for split in &self.restored.ledger.splits {
            inputs.add_split(split.source, split.watermark, split.idle);
        }
        inputs
    }

    /// Where a subtask stands.
    fn subtask_end(&self, stage: usize, subtask: usize) -> ChannelEnd {
        self.restored.ledger.subtasks[stage][subtask]
    }

    /// Hands each batch of a snapshot to all subtasks of its step; each takes its own key
    /// groups.
    fn restore_state(&self, tasks: &mut [Vec<Task>]) -> Result<()> {
        let Some(snapshot) = self.restored.snapshot else { return Ok(()) };
        for (stage, subtasks) in self.plan.stages.iter().zip(tasks) {
            for slot in &stage.slots {
                let uid = &self.plan.graph.nodes[slot.node].uid;
                for batch in snapshot.read(uid) {
                    let batch = batch?;
                    for task in subtasks.iter_mut() {
                        if let Some((operator, context)) = task.chain.operator(uid) {
                            operator.restore(&batch.name, &batch.rows, context)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// What comes in at each input of a node.
fn input_specs(graph: &Graph, node: &Node) -> Vec<InputSpec> {
    let inputs = 0..node.operator.inputs();
    let edges = |input| node.inputs.iter().filter(move |edge| edge.input == input);
    let spec = |input| {
        let first = edges(input).next()?;
        let updating = edges(input).any(|edge| graph.nodes[edge.from].updating);
        Some(InputSpec { schema: graph.nodes[first.from].schema.clone(), updating })
    };
    inputs.filter_map(spec).collect()
}

/// The key groups of a subtask.
fn owned(subtask: usize, parallelism: usize, total: u16) -> std::ops::Range<KeyGroup> {
    let first = |subtask: usize| {
        (0..total).find(|&group| owner(group, total, parallelism) >= subtask).unwrap_or(total)
    };
    first(subtask)..first(subtask + 1)
}

fn no_output(node: NodeId) -> JobError {
    JobError::Stream(StreamError::Internal(format!("nothing takes the rows of node {node}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtasks_own_what_the_exchange_sends_them() {
        for parallelism in [1, 2, 3, 7, 128] {
            let ranges: Vec<_> =
                (0..parallelism).map(|subtask| owned(subtask, parallelism, 128)).collect();
            assert_eq!(ranges[0].start, 0);
            assert_eq!(ranges[parallelism - 1].end, 128);
            for (subtask, range) in ranges.iter().enumerate() {
                assert!(range.clone().all(|group| owner(group, 128, parallelism) == subtask));
            }
        }
    }
}
