//! `<job>$late` and `<table>$bad`: tables over the topics in which rows stand that a job
//! could not use. They are defined when a job first needs them, and outlive it. Where a job
//! of the name comes again with other columns, its table is defined anew.

use std::collections::BTreeSet;

use thalweg_connect::{JOB_HEADER, OFFSET_HEADER, PARTITION_HEADER, REASON_HEADER};
use thalweg_engine::late_schema;
use thalweg_sql::catalog::{CatalogObject, TableObject};
use thalweg_sql::error::{ErrorCode, SqlError};
use thalweg_sql::parser::Name;
use thalweg_sql::types::SqlType;
use thalweg_stream::graph::{Graph, NodeId, Operator};
use thalweg_stream::window::WindowTime;

use super::jobs::topic_name;

/// A table over a side topic.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct SideTable {
    name: Name,
    topic: String,
    /// `CREATE TABLE`.
    definition: String,
}

/// The steps of a job that may have late rows, each with the end of its topic's and table's
/// name: `late`, then `late_2` and so on in the order of the graph, since each has columns of
/// its own. Windows over processing time are never late: they need no topic of their own.
pub(super) fn late_suffixes(graph: &Graph) -> Vec<(NodeId, String)> {
    let windows = graph.nodes.iter().enumerate().filter_map(|(id, node)| match &node.operator {
        Operator::WindowAggregate(aggregate) => {
            Some((matches!(aggregate.time, WindowTime::Processing), id))
        }
        _ => None,
    });
    let windows: BTreeSet<(bool, NodeId)> = windows.collect();
    let named = windows.into_iter().enumerate().map(|(number, (never_late, id))| {
        let first = number == 0 || never_late;
        (id, if first { "late".to_owned() } else { format!("late_{}", number + 1) })
    });
    named.collect()
}

/// The side tables of a job.
pub(super) fn of_job(job: &str, graph: &Graph) -> Vec<SideTable> {
    let bad = graph.sources().map(|(_, source)| {
        let table = &source.table;
        bad(&table.name, topic_name(table.short_name(), "bad"))
    });
    let mut tables: Vec<SideTable> = bad.collect();
    let mut suffixes = BTreeSet::new();
    for (id, suffix) in late_suffixes(graph) {
        let schema = late_schema(graph, id);
        let columns = schema.fields().iter().map(|field| {
            let sql_type = SqlType::from_field(field)?;
            Some(format!("{} {sql_type}", quoted(field.name())))
        });
        if let Some(columns) = columns.collect::<Option<Vec<String>>>()
            && suffixes.insert(suffix.clone())
        {
            tables.push(late(job, &suffix, &columns));
        }
    }
    tables
}

/// Defines a side table where there is none, and anew where another definition stands over
/// its topic. Gives the statements that it took.
///
/// # Errors
/// Something else has the name; a definition that is refused. Then nothing has changed.
pub(super) fn define(
    session: &mut thalweg_sql::Session,
    table: &SideTable,
) -> Result<Vec<String>, SqlError> {
    let mut statements = Vec::new();
    match session.object(&table.name) {
        Ok(CatalogObject::Table(found)) if found.definition == table.definition => {
            return Ok(statements);
        }
        Ok(CatalogObject::Table(found)) if is_over(&found, &table.topic) => {
            statements.push(format!("DROP TABLE {}", quoted_name(&table.name)));
        }
        Ok(_) => {
            let name = table.name.parts.join(".");
            let message = format!("`{name}` is something else than the table of its topic");
            return Err(SqlError::new(ErrorCode::AlreadyExists, message));
        }
        Err(_) => {}
    }
    statements.push(table.definition.clone());
    let before = session.catalog().snapshot();
    for statement in &statements {
        let done = thalweg_sql::parser::parse_one(statement)
            .and_then(|parsed| session.execute(&parsed.statement));
        if let Err(error) = done {
            session.catalog().restore(before);
            return Err(error);
        }
    }
    Ok(statements)
}

fn is_over(table: &TableObject, topic: &str) -> bool {
    let option = |name: &str| table.options.get(name).map(String::as_str);
    option("connector") == Some("kafka") && option("topic") == Some(topic)
}

fn bad(table: &str, topic: String) -> SideTable {
    let parts: Vec<&str> = table.split('.').collect();
    let name = match parts.as_slice() {
        [catalog, database, name] => {
            Name::new([(*catalog).to_owned(), (*database).to_owned(), format!("{name}$bad")])
        }
        _ => Name::new([format!("{table}$bad")]),
    };
    let definition = format!(
        "CREATE TABLE IF NOT EXISTS {} (raw BYTES, \
         `partition` STRING METADATA FROM 'header:{PARTITION_HEADER}' VIRTUAL, \
         `offset` BIGINT METADATA FROM 'header:{OFFSET_HEADER}' VIRTUAL, \
         reason STRING METADATA FROM 'header:{REASON_HEADER}' VIRTUAL, \
         job STRING METADATA FROM 'header:{JOB_HEADER}' VIRTUAL) \
         WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'raw', \
         'scan.startup.mode' = 'earliest-offset')",
        quoted_name(&name)
    );
    SideTable { name, topic, definition }
}

fn late(job: &str, suffix: &str, columns: &[String]) -> SideTable {
    let name = Name::new([format!("{job}${suffix}")]);
    let topic = topic_name(job, suffix);
    let definition = format!(
        "CREATE TABLE IF NOT EXISTS {} ({}) \
         WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'json', \
         'scan.startup.mode' = 'earliest-offset')",
        quoted_name(&name),
        columns.join(", ")
    );
    SideTable { name, topic, definition }
}

fn quoted_name(name: &Name) -> String {
    let parts: Vec<String> = name.parts.iter().map(|part| quoted(part)).collect();
    parts.join(".")
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
