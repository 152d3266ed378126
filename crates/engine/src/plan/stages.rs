//! Cutting a graph into stages: maximal chains between exchanges.

use thalweg_stream::graph::{Exchange, Graph, NodeId};

use crate::error::{JobError, Result};

/// A node in its stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    /// The node.
    pub node: NodeId,
    /// Slots that take its rows; they come later.
    pub children: Vec<usize>,
}

/// An edge that leaves a stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OutEdge {
    /// The slot whose rows go out.
    pub slot: usize,
    /// The stage that takes them.
    pub to: usize,
    /// How they find the subtask.
    pub exchange: Exchange,
}

/// An edge that enters a stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InEdge {
    /// The stage it comes from.
    pub from: usize,
    /// Its place among that stage's out edges.
    pub edge: usize,
    /// Which input of the head it feeds.
    pub input: usize,
}

/// A chain of nodes that run in one unit. The first slot is its head; every other one
/// has exactly one input, in the same stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stage {
    /// Subtasks.
    pub parallelism: usize,
    /// Number of the source, where its head is one.
    pub source: Option<usize>,
    /// The nodes, head first, inputs before consumers.
    pub slots: Vec<Slot>,
    /// Edges into the head, in order.
    pub inputs: Vec<InEdge>,
    /// Edges out.
    pub outputs: Vec<OutEdge>,
}

/// Cuts a graph whose nodes stand in topological order.
pub(super) fn cut(graph: &Graph, parallelism: usize, sources: &[NodeId]) -> Result<Vec<Stage>> {
    let mut stages: Vec<Stage> = Vec::new();
    // Stage and slot of each node.
    let mut places: Vec<(usize, usize)> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let slot = Slot { node: id, children: Vec::new() };
        let chained = match &node.inputs[..] {
            [edge] if edge.exchange == Exchange::Forward => {
                let (stage, parent) = places[edge.from];
                // Which subtask reads a range changes from epoch to epoch.
                let stateful_at_source =
                    stages[stage].source.is_some() && node.operator.is_stateful();
                (!stateful_at_source).then_some((stage, parent))
            }
            _ => None,
        };
        if let Some((stage, parent)) = chained {
            let number = stages[stage].slots.len();
            stages[stage].slots[parent].children.push(number);
            stages[stage].slots.push(slot);
            places.push((stage, number));
            continue;
        }
        let number = stages.len();
        let parallelism = stage_parallelism(graph, id, parallelism, &stages, &places)?;
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for edge in &node.inputs {
            let (from, slot) = places[edge.from];
            inputs.push(InEdge { from, edge: stages[from].outputs.len(), input: edge.input });
            let exchange = edge.exchange.clone();
            stages[from].outputs.push(OutEdge { slot, to: number, exchange });
        }
        let source = sources.iter().position(|&source| source == id);
        stages.push(Stage { parallelism, source, slots: vec![slot], inputs, outputs: Vec::new() });
        places.push((number, 0));
    }
    Ok(stages)
}

/// One subtask where all rows come together, otherwise as many as the job has; forward
/// edges bring in the number of the stage they come from.
fn stage_parallelism(
    graph: &Graph,
    id: NodeId,
    job: usize,
    stages: &[Stage],
    places: &[(usize, usize)],
) -> Result<usize> {
    let node = &graph.nodes[id];
    if node.inputs.iter().any(|edge| edge.exchange == Exchange::Single) {
        return Ok(1);
    }
    let forward: Vec<_> = node
        .inputs
        .iter()
        .filter(|edge| edge.exchange == Exchange::Forward)
        .map(|edge| stages[places[edge.from].0].parallelism)
        .collect();
    match forward.iter().max() {
        // A union of a single stage and a wide one: the single one's rows stay in
        // subtask 0.
        Some(&most) => Ok(most),
        None if node.inputs.iter().all(|edge| matches!(edge.exchange, Exchange::Hash(_))) => {
            Ok(job)
        }
        None => Err(JobError::Internal(format!("'{}' has inputs of no kind", node.name))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};
    use thalweg_stream::graph::{Edge, GroupAggregate, Node, Operator, SourceNode};
    use thalweg_stream::table::TableSpec;

    use super::*;

    fn node(graph: &mut Graph, operator: Operator, inputs: &[(NodeId, Exchange)]) -> NodeId {
        let number = graph.nodes.len();
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        graph.add(Node {
            uid: format!("n{number}"),
            name: format!("n{number}"),
            operator,
            inputs: inputs
                .iter()
                .map(|(from, exchange)| Edge::new(*from, exchange.clone()))
                .collect(),
            schema,
            updating: false,
            rowtime: None,
        })
    }

    fn source(graph: &mut Graph) -> NodeId {
        let schema = Arc::new(Schema::empty());
        let table = TableSpec {
            name: "t".into(),
            schema,
            primary_key: Vec::new(),
            options: Default::default(),
        };
        let source =
            SourceNode { table, columns: Vec::new(), projection: Vec::new(), watermark: None };
        node(graph, Operator::Source(source), &[])
    }

    fn calc() -> Operator {
        Operator::Calc { filter: None, projection: Vec::new() }
    }

    fn group() -> Operator {
        Operator::GroupAggregate(GroupAggregate {
            keys: vec![0],
            aggregates: Vec::new(),
            ttl: None,
            update_before: true,
        })
    }

    #[test]
    fn stateless_steps_are_chained_and_exchanges_cut() {
        let mut graph = Graph::default();
        let read = source(&mut graph);
        let map = node(&mut graph, calc(), &[(read, Exchange::Forward)]);
        let count = node(&mut graph, group(), &[(map, Exchange::Hash(vec![0]))]);
        let after = node(&mut graph, calc(), &[(count, Exchange::Forward)]);
        let other = node(&mut graph, calc(), &[(map, Exchange::Forward)]);
        let stages = cut(&graph, 3, &[read]).unwrap();
        let nodes: Vec<Vec<_>> =
            stages.iter().map(|stage| stage.slots.iter().map(|slot| slot.node).collect()).collect();
        assert_eq!(nodes, [vec![read, map, other], vec![count, after]]);
        assert_eq!(stages[0].slots[1].children, [2]);
        assert_eq!(stages[0].outputs.len(), 1);
        assert_eq!(stages[1].inputs, [InEdge { from: 0, edge: 0, input: 0 }]);
        assert_eq!((stages[0].parallelism, stages[1].parallelism), (3, 3));
    }

    #[test]
    fn diamonds_unions_and_state_behind_a_source_start_stages() {
        let mut graph = Graph::default();
        let read = source(&mut graph);
        let left = node(&mut graph, calc(), &[(read, Exchange::Forward)]);
        let right = node(&mut graph, calc(), &[(read, Exchange::Forward)]);
        let both =
            node(&mut graph, calc(), &[(left, Exchange::Forward), (right, Exchange::Forward)]);
        let state = node(&mut graph, group(), &[(read, Exchange::Forward)]);
        let single = node(&mut graph, group(), &[(both, Exchange::Single)]);
        let stages = cut(&graph, 2, &[read]).unwrap();
        let heads: Vec<_> = stages.iter().map(|stage| stage.slots[0].node).collect();
        assert_eq!(heads, [read, both, state, single]);
        assert_eq!(stages[1].inputs.len(), 2);
        assert_eq!(stages[3].parallelism, 1);
    }
}
