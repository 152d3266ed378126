//! From a graph to what runs: stages, their edges, numbered sources, outputs and views.

mod describe;
mod stages;

use thalweg_stream::graph::{Graph, NodeId, Operator};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{JobError, Result};
use crate::options::JobOptions;

pub(crate) use stages::Stage;

/// What an output takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OutputKind {
    /// The rows of a sink's node.
    Sink,
    /// Late rows of a node.
    Late,
    /// Bad records of a source's node.
    Bad,
}

/// One output of the job. Its number is its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Output {
    /// Name in the header.
    pub key: String,
    /// The node.
    pub node: NodeId,
    /// What it takes of it.
    pub kind: OutputKind,
}

/// A graph, ready to run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The graph.
    pub graph: Graph,
    /// Stages; producers come before consumers.
    pub stages: Vec<Stage>,
    /// Nodes of the sources, by source number.
    pub sources: Vec<NodeId>,
    /// Outputs, by sink number.
    pub outputs: Vec<Output>,
    /// Nodes of the views, by view number.
    pub views: Vec<NodeId>,
    /// The plan in words.
    pub text: String,
    /// Hash of them.
    pub fingerprint: u64,
}

impl Plan {
    /// Plans a graph. `late` and `bad`: nodes whose late rows and bad records are kept.
    ///
    /// # Errors
    /// [`JobError::Invalid`] where the graph cannot run.
    pub(crate) fn new(
        graph: Graph,
        parallelism: usize,
        options: &JobOptions,
        late: &[NodeId],
        bad: &[NodeId],
    ) -> Result<Self> {
        if parallelism == 0 || parallelism > usize::from(options.key_groups) {
            return Err(JobError::Invalid(format!(
                "parallelism {parallelism} is not between 1 and the {} key groups",
                options.key_groups
            )));
        }
        check(&graph)?;
        let nodes = |wanted: fn(&Operator) -> bool| {
            let all = graph.nodes.iter().enumerate();
            all.filter(move |(_, node)| wanted(&node.operator)).map(|(id, _)| id)
        };
        let sources: Vec<_> = nodes(|op| matches!(op, Operator::Source(_))).collect();
        let views: Vec<_> = nodes(|op| matches!(op, Operator::View { .. })).collect();
        let sinks: Vec<_> = nodes(|op| matches!(op, Operator::Sink { .. })).collect();
        let output = |kind, prefix, node: NodeId| {
            let uid = &graph.nodes[node].uid;
            Output { key: format!("{prefix}:{uid}"), node, kind }
        };
        let sinks = sinks.into_iter().map(|node| output(OutputKind::Sink, "sink", node));
        let late = late.iter().map(|&node| output(OutputKind::Late, "late", node));
        let bad = bad.iter().map(|&node| output(OutputKind::Bad, "bad", node));
        let outputs: Vec<_> = sinks.chain(late).chain(bad).collect();
        let stages = stages::cut(&graph, parallelism, &sources)?;
        let text = describe::describe(&graph, options, &outputs);
        let fingerprint = xxh3_64(text.as_bytes());
        Ok(Self { graph, stages, sources, outputs, views, text, fingerprint })
    }

    /// Number of the output that takes something of a node.
    pub(crate) fn output_of(&self, node: NodeId, kind: OutputKind) -> Option<usize> {
        self.outputs.iter().position(|output| output.node == node && output.kind == kind)
    }

    /// Name of the view with a number.
    pub(crate) fn view_name(&self, view: usize) -> &str {
        match &self.graph.nodes[self.views[view]].operator {
            Operator::View { name, .. } => name,
            _ => &self.graph.nodes[self.views[view]].uid,
        }
    }
}

fn check(graph: &Graph) -> Result<()> {
    let mut uids: Vec<_> = graph.nodes.iter().map(|node| &node.uid).collect();
    uids.sort_unstable();
    if let Some(twice) = uids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(JobError::Invalid(format!("two steps have the uid '{}'", twice[0])));
    }
    for (id, node) in graph.nodes.iter().enumerate() {
        if node.inputs.iter().any(|edge| edge.from >= id) {
            return Err(JobError::Invalid(format!("'{}' comes before its input", node.name)));
        }
        let mut fed: Vec<_> = node.inputs.iter().map(|edge| edge.input).collect();
        if !fed.is_sorted() {
            return Err(JobError::Invalid(format!("the inputs of '{}' are mixed", node.name)));
        }
        fed.dedup();
        if !fed.iter().copied().eq(0..node.operator.inputs()) {
            let detail = format!("'{}' has the inputs {fed:?}", node.name);
            return Err(JobError::Invalid(detail));
        }
    }
    if graph.nodes.is_empty() {
        return Err(JobError::Invalid("the query does nothing".into()));
    }
    Ok(())
}
