//! The shape of stored state must not change unnoticed, and that of another query is
//! refused.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use thalweg_core::ids::Epoch;
use thalweg_core::time::MIN_WATERMARK;
use thalweg_stream::StreamError;
use thalweg_stream::aggregate::AggregateCall;
use thalweg_stream::graph::{GroupAggregate, Node, Operator as GraphOperator, WindowAggregate};
use thalweg_stream::window::{Window, WindowTime};

use super::harness::{aggregates, input_schema, input_spec};
use crate::operator::{Collector, Operator, OperatorContext, build};

fn windowed(window: Window, aggregates: &[AggregateCall]) -> Node {
    let instant = DataType::Timestamp(TimeUnit::Millisecond, None);
    let mut fields = result_fields(aggregates);
    let names = ["window_start", "window_end", "window_time"];
    fields.extend(names.map(|name| Field::new(name, instant.clone(), false)));
    let operator = GraphOperator::WindowAggregate(WindowAggregate {
        window,
        time: WindowTime::Event { column: 1 },
        keys: vec![0],
        aggregates: aggregates.to_vec(),
        allowed_lateness: 0,
    });
    node(operator, fields)
}

fn grouped(aggregates: &[AggregateCall]) -> Node {
    let operator = GraphOperator::GroupAggregate(GroupAggregate {
        keys: vec![0],
        aggregates: aggregates.to_vec(),
        ttl: None,
        update_before: true,
    });
    node(operator, result_fields(aggregates))
}

fn result_fields(aggregates: &[AggregateCall]) -> Vec<Field> {
    let mut fields = vec![input_schema(true).field(0).clone()];
    let named = aggregates.iter().enumerate();
    fields.extend(named.map(|(n, c)| Field::new(format!("a{n}"), c.result_type.clone(), true)));
    fields
}

fn node(operator: GraphOperator, fields: Vec<Field>) -> Node {
    Node {
        uid: "n".into(),
        name: "n".into(),
        operator,
        inputs: Vec::new(),
        schema: Arc::new(Schema::new(fields)),
        updating: false,
        rowtime: None,
    }
}

fn context() -> OperatorContext {
    OperatorContext { epoch: Epoch(1), now: 0, key_groups: 0..128, key_groups_total: 128 }
}

fn started(node: &Node, updating: bool) -> Box<dyn Operator> {
    let mut operator = build(node, &[input_spec(true, updating)]).unwrap();
    operator.finish_epoch(MIN_WATERMARK, &context(), &mut Collector::default()).unwrap();
    operator
}

fn shape(rows: &RecordBatch) -> String {
    let fields = rows.schema_ref().fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::List(item) => format!("[{}]", item.data_type()),
            other => other.to_string(),
        };
        format!("{}: {data_type}", field.name())
    });
    let of = rows.schema_ref().metadata().get("thalweg.state");
    format!("{} = {}", of.map_or("", String::as_str), fields.collect::<Vec<_>>().join(", "))
}

fn shapes(node: &Node, updating: bool) -> Vec<String> {
    let batches = started(node, updating).snapshot().unwrap();
    batches.iter().map(|(name, rows)| format!("{name}: {}", shape(rows))).collect()
}

/// A change of these is a change of the snapshot format: see the state crate's version.
#[test]
fn golden_shapes() {
    let few = &[aggregates()[0].clone(), aggregates()[3].clone()];
    let hopping = Window::Hopping { slide: 5, size: 10, offset: 0 };
    let progress = "progress:  = key_group: UInt16, complete: Int64, arrival: Int64";
    assert_eq!(
        shapes(&windowed(hopping, few), false),
        [
            progress,
            "slices: hop(slide=5, size=10, offset=0) in event time, lateness 0; COUNT, AVG = \
             key_group: UInt16, slice_start: Int64, k0: Utf8, s0: Int64, s1: Int64, s2: Int64"
        ]
    );
    assert_eq!(
        shapes(&windowed(Window::Session { gap: 9 }, few), true),
        [
            progress,
            "sessions: session(gap=9) in event time, lateness 0; COUNT, AVG of changes = \
             key_group: UInt16, window_start: Int64, window_end: Int64, fired: Boolean, k0: Utf8, \
             s0: Int64, s1: Int64, s2: Int64, s3: Int64"
        ]
    );
    assert_eq!(shapes(&grouped(&aggregates()), true), [progress, GOLDEN_GROUPS]);
}

const GOLDEN_GROUPS: &str = "groups: group; COUNT, COUNT, SUM, AVG, MIN, MAX, FIRST_VALUE, LAST_VALUE, \
    COUNT DISTINCT, SUM DISTINCT, SUM FILTER, VAR_POP of changes = \
    key_group: UInt16, touched_at: Int64, k0: Utf8, s0: Int64, s1: Int64, s2: Int64, s3: Int64, \
    s4: Int64, s5: Int64, s6: Int64, \
    s7: [Struct(\"value\": non-null Int64, \"count\": non-null Int64)], \
    s8: [Struct(\"value\": non-null Int64, \"count\": non-null Int64)], \
    s9: [Struct(\"arrival\": non-null UInt64, \"value\": non-null Int64)], \
    s10: [Struct(\"arrival\": non-null UInt64, \"value\": non-null Int64)], \
    s11: [Struct(\"value\": non-null Int64, \"count\": non-null Int64)], \
    s12: [Struct(\"value\": non-null Int64, \"count\": non-null Int64)], \
    s13: Int64, s14: Int64, s15: Int64, s16: Float64, s17: Float64, s18: Float64, s19: Float64, \
    s20: Int64, s21: Int64, s22: Int64";

#[test]
fn the_state_of_another_query_is_refused() {
    let [count, sum, average] = [0, 2, 3].map(|n: usize| vec![aggregates()[n].clone()]);
    let tumbling = |size| Window::Tumbling { size, offset: 0 };
    let cases = [
        (windowed(tumbling(10), &sum), windowed(tumbling(10), &average), "; SUM] where"),
        (windowed(tumbling(10), &sum), windowed(tumbling(20), &sum), "size=10"),
        (grouped(&count), grouped(&sum), "Int64"),
    ];
    for (old, new, reason) in cases {
        let state = started(&old, false).snapshot().unwrap();
        let (name, rows) = &state[1];
        let mut operator = build(&new, &[input_spec(true, false)]).unwrap();
        let error = operator.restore(name, rows, &context()).unwrap_err();
        assert!(matches!(error, StreamError::Incompatible(_)));
        assert!(error.to_string().contains(reason), "{error}");
    }
    let state = started(&grouped(&count), false).snapshot().unwrap();
    let mut window = build(&windowed(tumbling(10), &count), &[input_spec(true, false)]).unwrap();
    let error = window.restore(&state[1].0, &state[1].1, &context()).unwrap_err();
    assert!(error.to_string().contains("windows have no state groups"), "{error}");
}
