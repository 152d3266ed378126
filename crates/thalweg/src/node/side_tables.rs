//! `<job>$late` and `<table>$bad`: tables over the topics in which rows stand that a job
//! could not use. They are defined when a job first needs them, and outlive it.

use thalweg_connect::{JOB_HEADER, OFFSET_HEADER, PARTITION_HEADER, REASON_HEADER};
use thalweg_engine::late_schema;
use thalweg_sql::types::SqlType;
use thalweg_stream::graph::{Graph, Operator};

use super::jobs::topic_name;

/// The definitions of the side tables of a job.
pub(super) fn definitions(job: &str, graph: &Graph) -> Vec<String> {
    let mut definitions = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        match &node.operator {
            Operator::Source(source) => {
                let topic = topic_name(source.table.short_name(), "bad");
                definitions.push(bad(&source.table.name, &topic));
            }
            Operator::WindowAggregate(_) => {
                let schema = late_schema(graph, id);
                let columns: Option<Vec<String>> = schema
                    .fields()
                    .iter()
                    .map(|field| {
                        let sql_type = SqlType::from_field(field)?;
                        Some(format!("{} {sql_type}", quoted(field.name())))
                    })
                    .collect();
                if let Some(columns) = columns {
                    definitions.push(late(job, &topic_name(job, "late"), &columns));
                }
            }
            _ => {}
        }
    }
    definitions
}

fn bad(table: &str, topic: &str) -> String {
    let parts: Vec<&str> = table.split('.').collect();
    let name = match parts.as_slice() {
        [catalog, database, name] => {
            format!("{}.{}.{}", quoted(catalog), quoted(database), quoted(&format!("{name}$bad")))
        }
        _ => quoted(&format!("{table}$bad")),
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {name} (raw BYTES, \
         `partition` STRING METADATA FROM 'header:{PARTITION_HEADER}' VIRTUAL, \
         `offset` BIGINT METADATA FROM 'header:{OFFSET_HEADER}' VIRTUAL, \
         reason STRING METADATA FROM 'header:{REASON_HEADER}' VIRTUAL, \
         job STRING METADATA FROM 'header:{JOB_HEADER}' VIRTUAL) \
         WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'raw', \
         'scan.startup.mode' = 'earliest-offset')"
    )
}

fn late(job: &str, topic: &str, columns: &[String]) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} ({}) \
         WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'json', \
         'scan.startup.mode' = 'earliest-offset')",
        quoted(&format!("{job}$late")),
        columns.join(", ")
    )
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
