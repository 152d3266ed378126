//! A graph as text: what each step does, where rows are exchanged, what is kept as
//! state, which steps update their results.

use thalweg_core::time::Millis;
use thalweg_stream::aggregate::AggregateCall;
use thalweg_stream::graph::{Exchange, Graph, Node, NodeId, Operator, SourceNode};
use thalweg_stream::window::{Window, WindowTime};

/// The graph as an indented tree for each of its ends, first what comes last:
///
/// ```text
/// sink default_catalog.default_database.out [print]
///   changelog: insert
/// └─ window aggregate ...
/// ```
pub fn explain(graph: &Graph) -> String {
    let mut out = String::new();
    let mut seen = vec![false; graph.nodes.len()];
    let is_read =
        |id: NodeId| graph.nodes.iter().any(|node| node.inputs.iter().any(|edge| edge.from == id));
    for id in (0..graph.nodes.len()).filter(|&id| !is_read(id)) {
        write_node(graph, id, None, 0, &mut seen, &mut out);
    }
    out
}

fn write_node(
    graph: &Graph,
    id: NodeId,
    exchange: Option<&str>,
    depth: usize,
    seen: &mut [bool],
    out: &mut String,
) {
    let node = &graph.nodes[id];
    let pad = "  ".repeat(depth);
    let arrow = exchange.map(|exchange| format!("<-{exchange}- ")).unwrap_or_default();
    out.push_str(&format!("{pad}{arrow}[{id}] {}\n", describe(graph, node)));
    if std::mem::replace(&mut seen[id], true) {
        out.push_str(&format!("{pad}    (as above)\n"));
        return;
    }
    for line in details(graph, node) {
        out.push_str(&format!("{pad}    {line}\n"));
    }
    for edge in &node.inputs {
        let names = column_names(&graph.nodes[edge.from]);
        let exchange = match &edge.exchange {
            Exchange::Forward => String::new(),
            Exchange::Hash(keys) => format!(" hash({}) ", list(&names, keys)),
            Exchange::Single => " single ".to_owned(),
        };
        write_node(graph, edge.from, Some(&exchange), depth + 1, seen, out);
    }
}

fn describe(graph: &Graph, node: &Node) -> String {
    let input = node.inputs.first().map(|edge| column_names(&graph.nodes[edge.from]));
    let input = input.unwrap_or_default();
    match &node.operator {
        Operator::Source(source) => {
            format!("source {} ({})", source.table.name, source.table.connector())
        }
        Operator::Calc { .. } if node.inputs.len() > 1 => "union all".to_owned(),
        Operator::Calc { .. } => "calc".to_owned(),
        Operator::AssignWindow { window, time } => {
            format!("assign window {}", window_text(*window, *time, &input))
        }
        Operator::WindowAggregate(aggregate) => {
            format!("window aggregate {}", window_text(aggregate.window, aggregate.time, &input))
        }
        Operator::GroupAggregate(aggregate) if aggregate.aggregates.is_empty() => {
            "distinct".to_owned()
        }
        Operator::GroupAggregate(_) => "group aggregate".to_owned(),
        Operator::Sink { table } => format!("sink {} ({})", table.name, table.connector()),
        Operator::View { name, .. } => format!("view {name}"),
    }
}

fn details(graph: &Graph, node: &Node) -> Vec<String> {
    let input = node.inputs.first().map(|edge| column_names(&graph.nodes[edge.from]));
    let input = input.unwrap_or_default();
    let mut lines = Vec::new();
    match &node.operator {
        Operator::Source(source) => source_details(source, node, &mut lines),
        Operator::Calc { .. } if node.inputs.len() > 1 => {}
        Operator::Calc { filter, projection } => {
            if let Some(filter) = filter {
                lines.push(format!("where: {}", filter.to_sql()));
            }
            let exprs = projection.iter().zip(column_names(node)).map(|(expr, name)| {
                let sql = expr.to_sql();
                if sql == name { sql } else { format!("{sql} AS {name}") }
            });
            lines.push(format!("select: {}", exprs.collect::<Vec<_>>().join(", ")));
        }
        Operator::AssignWindow { .. } => {}
        Operator::WindowAggregate(aggregate) => {
            aggregate_details(&aggregate.keys, &aggregate.aggregates, &input, &mut lines);
            let mut state = "state: until the window is complete".to_owned();
            if aggregate.allowed_lateness > 0 {
                state.push_str(&format!(" and {} more", duration(aggregate.allowed_lateness)));
            }
            lines.push(state);
        }
        Operator::GroupAggregate(aggregate) => {
            aggregate_details(&aggregate.keys, &aggregate.aggregates, &input, &mut lines);
            lines.push(match aggregate.ttl {
                Some(ttl) => format!("state: each key for {} after its last change", duration(ttl)),
                None => "state: each key for ever".to_owned(),
            });
        }
        Operator::Sink { table } => {
            if !table.primary_key.is_empty() {
                let names: Vec<String> =
                    table.schema.fields().iter().map(|field| field.name().clone()).collect();
                lines.push(format!("primary key: {}", list(&names, &table.primary_key)));
            }
        }
        Operator::View { key, .. } => {
            let names = column_names(node);
            lines.push(match key.as_slice() {
                [] => "key: the whole row".to_owned(),
                key => format!("key: {}", list(&names, key)),
            });
        }
    }
    if !matches!(node.operator, Operator::Sink { .. } | Operator::View { .. }) {
        let mut line = format!("changelog: {}", changelog(node));
        if let Some(rowtime) = node.rowtime {
            line.push_str(&format!("; event time: {}", column_names(node)[rowtime]));
        }
        lines.push(line);
    }
    lines
}

fn source_details(source: &SourceNode, node: &Node, lines: &mut Vec<String>) {
    let schema = &source.table.schema;
    let columns: Vec<String> = source
        .columns
        .iter()
        .map(|&column| {
            let field = schema.field(column);
            match field.data_type() {
                datafusion::arrow::datatypes::DataType::Struct(fields) => {
                    let names: Vec<&str> =
                        fields.iter().map(|field| field.name().as_str()).collect();
                    format!("{}({})", field.name(), names.join(", "))
                }
                _ => field.name().clone(),
            }
        })
        .collect();
    lines.push(format!("reads: {}", columns.join(", ")));
    let computed: Vec<String> = source
        .projection
        .iter()
        .zip(column_names(node))
        .filter(|(expr, name)| expr.to_sql() != *name)
        .map(|(expr, name)| format!("{} AS {name}", expr.to_sql()))
        .collect();
    if !computed.is_empty() {
        lines.push(format!("computes: {}", computed.join(", ")));
    }
    if let Some(mark) = &source.watermark {
        let mut line = format!("watermark: {}", mark.expression.to_sql());
        if let Some(timeout) = mark.idle_timeout {
            line.push_str(&format!(", idle after {}", duration(timeout)));
        }
        lines.push(line);
    }
}

fn aggregate_details(
    keys: &[usize],
    calls: &[AggregateCall],
    input: &[String],
    lines: &mut Vec<String>,
) {
    if !keys.is_empty() {
        lines.push(format!("keys: {}", list(input, keys)));
    }
    if !calls.is_empty() {
        let calls: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        lines.push(format!("aggregates: {}", calls.join(", ")));
    }
}

fn changelog(node: &Node) -> &'static str {
    match &node.operator {
        Operator::GroupAggregate(aggregate) if node.updating && !aggregate.update_before => {
            "insert, update after, delete"
        }
        _ if node.updating => "insert, update, delete",
        _ => "insert",
    }
}

fn window_text(window: Window, time: WindowTime, input: &[String]) -> String {
    let window = match window {
        Window::Tumbling { size, offset } => format!("tumble({}{})", duration(size), shift(offset)),
        Window::Hopping { slide, size, offset } => {
            format!("hop({}, {}{})", duration(slide), duration(size), shift(offset))
        }
        Window::Cumulating { step, size, offset } => {
            format!("cumulate({}, {}{})", duration(step), duration(size), shift(offset))
        }
        Window::Session { gap } => format!("session({})", duration(gap)),
    };
    match time {
        WindowTime::Event { column } => {
            format!("{window} on {}", input.get(column).map_or("?", String::as_str))
        }
        WindowTime::Processing => format!("{window} on processing time"),
    }
}

fn shift(offset: Millis) -> String {
    if offset == 0 { String::new() } else { format!(", offset {}", duration(offset)) }
}

/// In the largest unit that divides it.
fn duration(millis: Millis) -> String {
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")] {
        if millis != 0 && millis % unit == 0 {
            return format!("{} {name}", millis / unit);
        }
    }
    format!("{millis} ms")
}

fn column_names(node: &Node) -> Vec<String> {
    node.schema.fields().iter().map(|field| field.name().clone()).collect()
}

fn list(names: &[String], columns: &[usize]) -> String {
    let names: Vec<&str> =
        columns.iter().filter_map(|&column| names.get(column)).map(String::as_str).collect();
    names.join(", ")
}
