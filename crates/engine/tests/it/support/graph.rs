//! Graphs for tests, node by node.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use thalweg_stream::aggregate::{AggregateCall, AggregateFunction};
use thalweg_stream::expression::{Column, Expression, ExpressionRef};
use thalweg_stream::graph::{
    Edge, Exchange, Graph, GroupAggregate, Node, NodeId, Operator, SourceNode, WatermarkSpec,
    WindowAggregate,
};
use thalweg_stream::table::TableSpec;
use thalweg_stream::window::{Window, WindowTime};

use super::source::line_schema;

/// Builds a graph.
#[derive(Default)]
pub(crate) struct Builder {
    pub(crate) graph: Graph,
}

pub(crate) fn column(schema: &SchemaRef, index: usize) -> ExpressionRef {
    let field = schema.field(index);
    Arc::new(Column { index, name: field.name().clone(), data_type: field.data_type().clone() })
}

fn table(name: &str, schema: SchemaRef) -> TableSpec {
    TableSpec { name: name.into(), schema, primary_key: Vec::new(), options: Default::default() }
}

impl Builder {
    fn node(
        &mut self,
        kind: &str,
        operator: Operator,
        inputs: &[(NodeId, Exchange)],
        schema: SchemaRef,
        updating: bool,
    ) -> NodeId {
        let uid = format!("{kind}-{}", self.graph.nodes.len());
        let inputs = inputs.iter().map(|(from, exchange)| Edge::new(*from, exchange.clone()));
        self.graph.add(Node {
            name: uid.clone(),
            uid,
            operator,
            inputs: inputs.collect(),
            schema,
            updating,
            rowtime: None,
        })
    }

    /// Lines with `ts` as event time and watermark.
    pub(crate) fn source(&mut self, idle_timeout: Option<i64>) -> NodeId {
        let schema = line_schema();
        let watermark = WatermarkSpec { rowtime: 2, expression: column(&schema, 2), idle_timeout };
        let source = SourceNode {
            table: table("lines", schema.clone()),
            columns: vec![0, 1, 2],
            projection: (0..3).map(|n| column(&schema, n)).collect(),
            watermark: Some(watermark),
        };
        self.node("source", Operator::Source(source), &[], schema, false)
    }

    /// All columns as they are.
    pub(crate) fn pass(&mut self, inputs: &[(NodeId, Exchange)]) -> NodeId {
        let from = &self.graph.nodes[inputs[0].0];
        let (schema, updating) = (from.schema.clone(), from.updating);
        let projection = (0..schema.fields().len()).map(|n| column(&schema, n)).collect();
        let calc = Operator::Calc { filter: None, projection };
        self.node("calc", calc, inputs, schema, updating)
    }

    /// Makes a calculation filter.
    pub(crate) fn filter(&mut self, calc: NodeId, by: impl Expression + 'static) {
        let Operator::Calc { filter, .. } = &mut self.graph.nodes[calc].operator else {
            panic!("node {calc} is no calculation");
        };
        *filter = Some(Arc::new(by));
    }

    /// Lets a source or a calculation compute a column.
    pub(crate) fn compute(&mut self, node: NodeId, column: usize, by: impl Expression + 'static) {
        match &mut self.graph.nodes[node].operator {
            Operator::Source(source) => source.projection[column] = Arc::new(by),
            Operator::Calc { projection, .. } => projection[column] = Arc::new(by),
            _ => panic!("node {node} computes nothing"),
        }
    }

    /// Each row once for each of the sliding windows of `ts` that hold it.
    pub(crate) fn hop(&mut self, input: NodeId, size: i64, slide: i64) -> NodeId {
        let mut fields: Vec<_> = self.graph.nodes[input].schema.fields().iter().cloned().collect();
        for name in ["window_start", "window_end", "window_time"] {
            let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
            fields.push(Arc::new(Field::new(name, millis, false)));
        }
        let operator = Operator::AssignWindow {
            window: Window::Hopping { size, slide, offset: 0 },
            time: WindowTime::Event { column: 2 },
        };
        let schema = Arc::new(Schema::new(fields));
        self.node("hop", operator, &[(input, Exchange::Forward)], schema, false)
    }

    /// `SELECT k, COUNT(*), SUM(v) GROUP BY k` over tumbling windows of `ts`.
    pub(crate) fn tumble(&mut self, input: NodeId, exchange: Exchange, size: i64) -> NodeId {
        let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
        let schema = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Utf8, true),
            Field::new("n", DataType::Int64, false),
            Field::new("s", DataType::Int64, true),
            Field::new("window_start", millis.clone(), false),
            Field::new("window_end", millis.clone(), false),
            Field::new("window_time", millis, false),
        ]));
        let aggregate = WindowAggregate {
            window: Window::Tumbling { size, offset: 0 },
            time: WindowTime::Event { column: 2 },
            keys: vec![0],
            aggregates: count_and_sum(),
            allowed_lateness: 0,
        };
        let operator = Operator::WindowAggregate(aggregate);
        self.node("window", operator, &[(input, exchange)], schema, false)
    }

    /// `SELECT k, COUNT(*), SUM(v) GROUP BY k` over tumbling windows of processing time.
    pub(crate) fn tumble_now(&mut self, input: NodeId, size: i64) -> NodeId {
        let node = self.tumble(input, Exchange::Hash(vec![0]), size);
        if let Operator::WindowAggregate(window) = &mut self.graph.nodes[node].operator {
            window.time = WindowTime::Processing;
        }
        let fields = self.graph.nodes[node].schema.fields().iter().take(5).cloned();
        self.graph.nodes[node].schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        node
    }

    /// `SELECT k, COUNT(*), SUM(v) GROUP BY k`, as changes.
    pub(crate) fn group(&mut self, input: NodeId, exchange: Exchange) -> NodeId {
        let schema = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Utf8, true),
            Field::new("n", DataType::Int64, false),
            Field::new("s", DataType::Int64, true),
        ]));
        let aggregate = GroupAggregate {
            keys: vec![0],
            aggregates: count_and_sum(),
            ttl: None,
            update_before: true,
        };
        let operator = Operator::GroupAggregate(aggregate);
        self.node("group", operator, &[(input, exchange)], schema, true)
    }

    pub(crate) fn sink(&mut self, input: NodeId) -> NodeId {
        let schema = self.graph.nodes[input].schema.clone();
        let sink = Operator::Sink { table: table("out", schema.clone()) };
        self.node("sink", sink, &[(input, Exchange::Forward)], schema, false)
    }

    pub(crate) fn view(&mut self, input: NodeId) -> NodeId {
        let schema = self.graph.nodes[input].schema.clone();
        let name = format!("view-{}", self.graph.nodes.len());
        let view = Operator::View { name, key: Vec::new() };
        self.node("view", view, &[(input, Exchange::Forward)], schema, false)
    }
}

fn count_and_sum() -> Vec<AggregateCall> {
    let call = |function, argument: Option<usize>, name: &str| AggregateCall {
        function,
        argument,
        argument_type: argument.map(|_| DataType::Int64),
        distinct: false,
        filter: None,
        name: name.into(),
        result_type: DataType::Int64,
    };
    vec![call(AggregateFunction::Count, None, "n"), call(AggregateFunction::Sum, Some(1), "s")]
}
