//! The dataflow graph: what a query is once it is planned.
//!
//! Nodes stand in topological order; an edge says how rows move to the consumer's
//! subtasks. The graph says nothing about threads, batches and epochs.

use arrow_schema::SchemaRef;
use thalweg_core::time::Millis;

use crate::aggregate::AggregateCall;
use crate::expression::ExpressionRef;
use crate::table::TableSpec;
use crate::window::{Window, WindowTime};

/// Number of a node: its place in [`Graph::nodes`].
pub type NodeId = usize;

/// A planned query.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// All nodes; inputs come before their consumers.
    pub nodes: Vec<Node>,
}

/// A logical step.
#[derive(Clone, Debug)]
pub struct Node {
    /// Identity that survives a restart and, where the step stays the same, a changed
    /// query: state belongs to it.
    pub uid: String,
    /// For people: `EXPLAIN`, the dashboard, errors.
    pub name: String,
    /// What it does.
    pub operator: Operator,
    /// Where its rows come from: edges of the first input, then of the second... Several
    /// edges of one input have the same schema and are a union.
    pub inputs: Vec<Edge>,
    /// Columns that it gives. For a sink, those that it takes.
    pub schema: SchemaRef,
    /// Whether it gives changes other than inserts.
    pub updating: bool,
    /// Column of the event time that rows carry on, if it still is one.
    pub rowtime: Option<usize>,
}

/// An edge between two steps.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The producer.
    pub from: NodeId,
    /// How rows find the subtask.
    pub exchange: Exchange,
    /// Which input of the consumer it feeds: 0, or 1 for the right side of a join.
    pub input: usize,
}

impl Edge {
    /// An edge into the first input.
    pub fn new(from: NodeId, exchange: Exchange) -> Self {
        Self { from, exchange, input: 0 }
    }

    /// The same edge into another input.
    #[must_use]
    pub fn into_input(self, input: usize) -> Self {
        Self { input, ..self }
    }
}

/// How rows move from the subtasks of a producer to those of a consumer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exchange {
    /// Stay in the same subtask; such steps are chained.
    Forward,
    /// By the key group of these columns.
    Hash(Vec<usize>),
    /// All to subtask 0.
    Single,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Operator {
    /// Reads a table.
    Source(SourceNode),
    /// Keeps the rows for which the filter is true, then computes the columns.
    Calc {
        /// Over the input's columns.
        filter: Option<ExpressionRef>,
        /// Over the input's columns.
        projection: Vec<ExpressionRef>,
    },
    /// Adds `window_start`, `window_end` and `window_time` to each row, once for each
    /// window that holds it. Not for sessions.
    AssignWindow {
        /// The windows.
        window: Window,
        /// Their clock.
        time: WindowTime,
    },
    /// Aggregates by key and window; emits once when a window is complete.
    WindowAggregate(WindowAggregate),
    /// Aggregates by key; emits changes.
    GroupAggregate(GroupAggregate),
    /// Writes a table.
    Sink {
        /// The table.
        table: TableSpec,
    },
    /// Keeps a view.
    View {
        /// Fully qualified name.
        name: String,
        /// Columns that identify a row in the changelog; empty where rows do.
        key: Vec<usize>,
    },
}

/// Reads a table, computes its computed columns and marks its watermark.
#[derive(Clone, Debug)]
pub struct SourceNode {
    /// The table.
    pub table: TableSpec,
    /// Physical columns that are needed, by number in the table's schema.
    pub columns: Vec<usize>,
    /// The columns that the source gives, over the physical ones; the node's schema.
    pub projection: Vec<ExpressionRef>,
    /// The watermark, if the table has one.
    pub watermark: Option<WatermarkSpec>,
}

/// `WATERMARK FOR column AS expression`.
#[derive(Clone, Debug)]
pub struct WatermarkSpec {
    /// The event-time column, of type timestamp(ms), by number in the node's schema. A
    /// null in it makes the row a bad record.
    pub rowtime: usize,
    /// The watermark of each row, of type timestamp(ms), over the node's schema. Null: no
    /// change.
    pub expression: ExpressionRef,
    /// A split that gives nothing for so long no longer holds the watermark back; `None`
    /// waits for ever. (`table.exec.source.idle-timeout`)
    pub idle_timeout: Option<Millis>,
}

/// Aggregation by key and window.
///
/// Output columns: keys, results, then `window_start`, `window_end` as timestamp(ms)
/// and, for event time, `window_time`.
#[derive(Clone, Debug)]
pub struct WindowAggregate {
    /// The windows.
    pub window: Window,
    /// Their clock.
    pub time: WindowTime,
    /// Key columns of the input.
    pub keys: Vec<usize>,
    /// The aggregates.
    pub aggregates: Vec<AggregateCall>,
    /// How long after its completion a window still takes rows, in milliseconds.
    pub allowed_lateness: Millis,
}

/// Aggregation by key alone. Output columns: keys, then results.
#[derive(Clone, Debug)]
pub struct GroupAggregate {
    /// Key columns of the input; none for a single group.
    pub keys: Vec<usize>,
    /// The aggregates.
    pub aggregates: Vec<AggregateCall>,
    /// State of a key that is not touched for so long is dropped
    /// (`table.exec.state.ttl`); `None` keeps it.
    pub ttl: Option<Millis>,
    /// Whether a change is sent as `-U` and `+U`; otherwise only `+U`.
    pub update_before: bool,
}

impl Operator {
    /// How many inputs it has; their edges are told apart by [`Edge::input`].
    pub fn inputs(&self) -> usize {
        match self {
            Self::Source(_) => 0,
            Self::Calc { .. }
            | Self::AssignWindow { .. }
            | Self::WindowAggregate(_)
            | Self::GroupAggregate(_)
            | Self::Sink { .. }
            | Self::View { .. } => 1,
        }
    }

    /// Whether it keeps state across rows.
    pub fn is_stateful(&self) -> bool {
        match self {
            Self::WindowAggregate(_) | Self::GroupAggregate(_) => true,
            Self::Source(_)
            | Self::Calc { .. }
            | Self::AssignWindow { .. }
            | Self::Sink { .. }
            | Self::View { .. } => false,
        }
    }
}

impl Graph {
    /// Adds a node and gives its number.
    pub fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The nodes that read tables.
    pub fn sources(&self) -> impl Iterator<Item = (NodeId, &SourceNode)> {
        self.nodes.iter().enumerate().filter_map(|(id, node)| match &node.operator {
            Operator::Source(source) => Some((id, source)),
            _ => None,
        })
    }
}
