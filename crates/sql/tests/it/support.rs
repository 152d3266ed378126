//! Helpers: connectors that accept what the tests need, sessions with tables in them.

use std::sync::Arc;

use thalweg_sql::catalog::Catalog;
use thalweg_sql::error::SqlError;
use thalweg_sql::parser::{self, Statement};
use thalweg_sql::{Outcome, PlannedInsert, PlannedJob, Session};
use thalweg_stream::connector::Connectors;
use thalweg_stream::error::{Result, StreamError};
use thalweg_stream::sink::SinkRef;
use thalweg_stream::source::SourceRef;
use thalweg_stream::table::TableSpec;

/// Connectors by name only: nothing is ever read or written.
pub(crate) struct Names;

impl Connectors for Names {
    fn validate(&self, table: &TableSpec) -> Result<()> {
        match table.connector() {
            "kafka" | "upsert-kafka" | "print" | "blackhole" | "datagen" | "nexmark" => Ok(()),
            "" => Err(StreamError::Invalid("option 'connector' is missing".into())),
            other => Err(StreamError::Invalid(format!("there is no connector '{other}'"))),
        }
    }

    fn source(&self, _: &TableSpec, _: &[usize]) -> Result<SourceRef> {
        Err(StreamError::Invalid("nothing is read here".into()))
    }

    fn sink(&self, _: &TableSpec) -> Result<SinkRef> {
        Err(StreamError::Invalid("nothing is written here".into()))
    }

    fn is_bounded(&self, _: &TableSpec) -> Result<bool> {
        Ok(false)
    }

    fn accepts_updates(&self, table: &TableSpec) -> Result<bool> {
        Ok(matches!(table.connector(), "upsert-kafka" | "print" | "blackhole"))
    }
}

/// A session with an empty catalog.
pub(crate) fn empty() -> Session {
    Session::new(Catalog::default(), Arc::new(Names))
}

/// A session in which these statements were executed.
pub(crate) fn session(script: &str) -> Session {
    let mut session = empty();
    run(&mut session, script).unwrap_or_else(|error| panic!("{}", error.render(script)));
    session
}

/// Executes statements that need no engine.
pub(crate) fn run(
    session: &mut Session,
    script: &str,
) -> std::result::Result<Vec<Outcome>, SqlError> {
    parser::parse(script)?
        .iter()
        .map(|parsed| match &parsed.statement {
            Statement::CreateMaterializedView(create) => {
                session.create_materialized_view(create).map(|_| Outcome::Engine)
            }
            other => session.execute(other),
        })
        .collect()
}

/// The plan of a single statement as text.
pub(crate) fn explain(session: &Session, sql: &str) -> std::result::Result<String, SqlError> {
    session.explain(&parser::parse_one(sql)?.statement)
}

/// The job of an `INSERT`.
pub(crate) fn job(session: &Session, sql: &str) -> PlannedJob {
    let parsed = parser::parse_one(sql).unwrap_or_else(|error| panic!("{}", error.render(sql)));
    let Statement::Insert(insert) = parsed.statement else { panic!("{sql} is no INSERT") };
    match session.plan_insert(&insert).unwrap_or_else(|error| panic!("{}", error.render(sql))) {
        PlannedInsert::Job(job) => job,
        PlannedInsert::Rows { .. } => panic!("{sql} has constant rows"),
    }
}

/// Rows that `SHOW` and its kin give, each as text with `|` between columns.
pub(crate) fn rows(outcome: &Outcome) -> Vec<String> {
    use datafusion::arrow::array::{Array, StringArray};
    let Outcome::Rows { rows, .. } = outcome else { panic!("rows were expected: {outcome:?}") };
    (0..rows.num_rows())
        .map(|row| {
            rows.columns()
                .iter()
                .map(|column| {
                    let column = column.as_any().downcast_ref::<StringArray>().unwrap();
                    if column.is_null(row) { "NULL" } else { column.value(row) }
                })
                .collect::<Vec<_>>()
                .join("|")
        })
        .collect()
}
