//! The plan in words: what the header keeps, and what a changed query is told apart by.

use std::fmt::Write;

use thalweg_stream::graph::{Exchange, Graph, Operator};

use super::Output;
use crate::options::JobOptions;

/// One line a node, and those options on which results rest. Two plans with the same
/// text give the same results over the same journal.
pub(super) fn describe(graph: &Graph, options: &JobOptions, outputs: &[Output]) -> String {
    let mut text = String::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        let _ = write!(text, "{id} {} {}", node.uid, operator(&node.operator));
        for edge in &node.inputs {
            let how = match &edge.exchange {
                Exchange::Forward => "forward".to_owned(),
                Exchange::Hash(columns) => format!("hash{columns:?}"),
                Exchange::Single => "single".to_owned(),
            };
            let _ = write!(text, " <-{}:{how}", edge.from);
            if edge.input > 0 {
                let _ = write!(text, ":{}", edge.input);
            }
        }
        let _ = write!(text, " (");
        for field in node.schema.fields() {
            let null = if field.is_nullable() { "" } else { " not null" };
            let _ = write!(text, "{} {}{null}, ", field.name(), field.data_type());
        }
        let _ = writeln!(text, ") rowtime={:?} updating={}", node.rowtime, node.updating);
    }
    let keys: Vec<_> = outputs.iter().map(|output| output.key.as_str()).collect();
    let _ = writeln!(text, "outputs {}", keys.join(" "));
    let _ = writeln!(
        text,
        "options batch_rows={} writer_bytes={} auto_watermark_interval_ms={} max_future_ms={:?}",
        options.batch_rows,
        options.writer_bytes,
        options.auto_watermark_interval_ms,
        options.max_future_ms
    );
    text
}

fn operator(operator: &Operator) -> String {
    match operator {
        Operator::Source(source) => {
            let projection: Vec<_> = source.projection.iter().map(|e| e.to_sql()).collect();
            let watermark = source.watermark.as_ref().map(|spec| {
                format!(
                    "{} as {} idle {:?}",
                    spec.rowtime,
                    spec.expression.to_sql(),
                    spec.idle_timeout
                )
            });
            let connector = source.table.connector();
            format!(
                "source {} ({connector}) {:?} [{}] watermark={watermark:?}",
                source.table.name,
                source.columns,
                projection.join(", ")
            )
        }
        Operator::Calc { filter, projection } => {
            let filter = filter.as_ref().map(|filter| filter.to_sql());
            let projection: Vec<_> = projection.iter().map(|e| e.to_sql()).collect();
            format!("calc filter={filter:?} [{}]", projection.join(", "))
        }
        Operator::Sink { table } => format!("sink {} ({})", table.name, table.connector()),
        // These hold numbers, names and types only.
        Operator::AssignWindow { .. }
        | Operator::WindowAggregate(_)
        | Operator::GroupAggregate(_)
        | Operator::View { .. } => format!("{operator:?}"),
    }
}
