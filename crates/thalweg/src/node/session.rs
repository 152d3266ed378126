//! A session of a node: executes statements, whoever sent them.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use thalweg_engine::{JobError, JobId, JobState};
use thalweg_sql::catalog::{DEFAULT_CATALOG, DEFAULT_DATABASE};
use thalweg_sql::error::{ErrorCode, SqlError};
use thalweg_sql::parser::{Insert, Name, ParsedStatement, Show, Statement, Transaction};
use thalweg_sql::{Outcome, PlannedInsert, PlannedJob, SessionState};
use thalweg_stream::graph::Operator;

use super::catalog_log::{CatalogEvent, EndReason};
use super::insert_values::insert_values;
use super::jobs::NewJob;
use super::rows::text_rows;
use super::side_tables;
use super::{Job, Node};

/// What a statement answers.
#[derive(Debug)]
pub enum Answer {
    /// Done; PostgreSQL's command tag.
    Done(String),
    /// Rows.
    Rows {
        /// Their columns.
        schema: SchemaRef,
        /// The rows.
        batches: Vec<RecordBatch>,
    },
    /// A job runs from now on.
    Job(Arc<Job>),
    /// The view's changes are wanted, without end.
    Subscribe(Arc<thalweg_serve::view::StoredView>),
}

/// Executes statements on a node.
pub struct Session {
    pub(super) node: Arc<Node>,
    pub(super) sql: thalweg_sql::Session,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("state", self.sql.state()).finish()
    }
}

impl Session {
    /// A session in the default database.
    pub fn new(node: &Arc<Node>) -> Self {
        let connectors = Arc::clone(&node.connectors) as _;
        let sql = thalweg_sql::Session::new(node.catalog.clone(), connectors);
        Self { node: Arc::clone(node), sql }
    }

    /// Executes a statement. A query answers at once, from views as they are and from
    /// tables up to their current end.
    ///
    /// # Errors
    /// What is wrong with the statement, with its place in the text.
    pub async fn execute(&mut self, parsed: &ParsedStatement) -> Result<Answer, SqlError> {
        match self.sql.execute(&parsed.statement)? {
            Outcome::Rows { schema, rows } => {
                return Ok(Answer::Rows { schema, batches: vec![rows] });
            }
            Outcome::Done { tag, created, dropped } => {
                if !created.is_empty() || !dropped.is_empty() {
                    self.keep_definition(&parsed.text)?;
                    self.drop_jobs_of(&dropped)?;
                }
                return Ok(Answer::Done(tag.to_owned()));
            }
            Outcome::Engine => {}
        }
        match &parsed.statement {
            Statement::Insert(insert) => self.insert(insert, &parsed.text),
            Statement::StatementSet(inserts) => {
                let planned = self.sql.plan_statement_set(inserts)?;
                self.start_job(planned, &parsed.text).map(Answer::Job)
            }
            Statement::CreateMaterializedView(create) => {
                let Some((planned, _)) = self.sql.create_materialized_view(create)? else {
                    return Ok(Answer::Done("CREATE MATERIALIZED VIEW".to_owned()));
                };
                self.start_view_job(planned, &parsed.text)?;
                Ok(Answer::Done("CREATE MATERIALIZED VIEW".to_owned()))
            }
            Statement::Query(query) => {
                let (schema, batches) = self.node.query(&self.sql, query).await?;
                Ok(Answer::Rows { schema, batches })
            }
            Statement::Subscribe(name) => self.view(name).map(Answer::Subscribe),
            Statement::StopJob { job, .. } => self.stop_job(job),
            Statement::Show(Show::Jobs) => Ok(show_jobs(&self.node)),
            Statement::Show(Show::Job(name)) => show_job(&self.node, name),
            Statement::Transaction(transaction) => Ok(Answer::Done(
                match transaction {
                    Transaction::Begin => "BEGIN",
                    Transaction::Commit => "COMMIT",
                    Transaction::Rollback => "ROLLBACK",
                }
                .to_owned(),
            )),
            _ => Err(SqlError::not_supported("this statement")),
        }
    }

    fn insert(&mut self, insert: &Insert, text: &str) -> Result<Answer, SqlError> {
        match self.sql.plan_insert(insert)? {
            PlannedInsert::Job(planned) => self.start_job(planned, text).map(Answer::Job),
            PlannedInsert::Rows { table, rows } => {
                let connectors = self.node.connectors.as_ref();
                let count = insert_values(&self.node.env, connectors, &table, &[rows])?;
                Ok(Answer::Done(format!("INSERT 0 {count}")))
            }
        }
    }

    /// Starts a job and keeps it: it resumes when the node starts again.
    fn start_job(&self, planned: PlannedJob, text: &str) -> Result<Arc<Job>, SqlError> {
        let id = JobId(self.node.env.random.next_u64() >> 1);
        let state = self.sql.state();
        let new = new_job(&self.node, id, planned, text, state);
        let started = CatalogEvent::JobStarted {
            job: id.0,
            name: new.name.clone(),
            sql: text.to_owned(),
            catalog: state.catalog.clone(),
            database: state.database.clone(),
            settings: state.settings.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            parallelism: new.parallelism,
        };
        let side_tables = side_tables::definitions(&new.name, &new.graph);
        let job = self.node.jobs.start(&self.node, new).map_err(job_error)?;
        self.node.keep(&started)?;
        self.node.define_side_tables(&side_tables);
        self.node.watch_end(&job);
        Ok(job)
    }

    fn start_view_job(&mut self, planned: PlannedJob, text: &str) -> Result<(), SqlError> {
        let view = planned.view.clone();
        let started = self.start_job(planned, text);
        if let (Err(_), Some(view)) = (&started, &view) {
            // The definition was not kept either, so it is as if nothing had been said.
            let kind = thalweg_sql::parser::ObjectKind::MaterializedView;
            let _ = self.node.catalog.drop(view, kind);
        }
        started.map(|_| ())
    }

    fn keep_definition(&self, text: &str) -> Result<(), SqlError> {
        let state = self.sql.state();
        self.node.keep(&CatalogEvent::Definition {
            sql: text.to_owned(),
            catalog: state.catalog.clone(),
            database: state.database.clone(),
        })
    }

    /// Ends the jobs of dropped materialized views, with their state.
    fn drop_jobs_of(&self, dropped: &[String]) -> Result<(), SqlError> {
        for job in self.node.jobs.list() {
            if job.views().iter().any(|view| dropped.contains(view)) {
                job.request_stop();
                job.wait();
                self.node.end_job(&job, EndReason::Dropped)?;
                self.node.jobs.remove(&self.node, &job).map_err(job_error)?;
            }
        }
        Ok(())
    }

    fn stop_job(&self, id_or_name: &str) -> Result<Answer, SqlError> {
        let job = find_job(&self.node, id_or_name)?;
        job.request_stop();
        job.wait();
        self.node.end_job(&job, EndReason::Stopped)?;
        Ok(Answer::Done("STOP JOB".to_owned()))
    }

    fn view(&self, name: &Name) -> Result<Arc<thalweg_serve::view::StoredView>, SqlError> {
        let object = self.sql.object(name)?;
        let full = object.name().to_string();
        self.node.views.get(&full).ok_or_else(|| {
            let message = format!("`{name}` is not a materialized view; only those have changes");
            SqlError::new(ErrorCode::WrongObjectType, message).at(name.span)
        })
    }
}

/// Brings back what the catalog's log says: definitions, then the jobs that did not end.
pub(super) fn resume(node: &Arc<Node>, events: Vec<CatalogEvent>) -> anyhow::Result<()> {
    let mut pending = Vec::new();
    // Jobs of dropped views whose end was not noted before the process ended.
    let mut orphans = Vec::new();
    for event in events {
        match event {
            CatalogEvent::Definition { sql, catalog, database } => {
                let mut session = Session::in_context(node, catalog, database)?;
                let parsed = thalweg_sql::parser::parse_one(&sql).map_err(|e| stored(&sql, &e))?;
                let outcome = session.sql.execute(&parsed.statement);
                if let Outcome::Done { dropped, .. } = outcome.map_err(|e| stored(&sql, &e))? {
                    orphans.extend(pending.extract_if(.., |new| keeps_one_of(new, &dropped)));
                }
            }
            CatalogEvent::JobStarted {
                job,
                name,
                sql,
                catalog,
                database,
                settings,
                parallelism,
            } => {
                let mut session = Session::in_context(node, catalog, database)?;
                for (key, value) in &settings {
                    session.sql.settings_mut().set(key, value).map_err(|e| stored(&sql, &e))?;
                }
                let planned = session.plan_again(&sql).map_err(|e| stored(&sql, &e))?;
                let id = JobId(job);
                let mut new = new_job(node, id, planned, &sql, session.sql.state());
                new.parallelism = parallelism;
                new.name = name;
                pending.push(new);
            }
            CatalogEvent::JobEnded { job, reason } => {
                // A stopped view keeps its rows: its job is opened to show them, below.
                if reason != EndReason::Stopped || !keeps_view(&pending, job) {
                    pending.retain(|new: &NewJob| new.id.0 != job);
                }
                orphans.retain(|new: &NewJob| new.id.0 != job);
            }
        }
    }
    for orphan in orphans {
        node.jobs.delete_state(node, orphan.id)?;
        node.keep(&CatalogEvent::JobEnded { job: orphan.id.0, reason: EndReason::Dropped })
            .map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    for new in pending {
        let name = new.name.clone();
        let side_tables = side_tables::definitions(&name, &new.graph);
        node.define_side_tables(&side_tables);
        let job = node
            .jobs
            .start(node, new)
            .map_err(|error| anyhow::Error::new(error).context(format!("job '{name}'")))?;
        node.watch_end(&job);
    }
    Ok(())
}

fn keeps_view(pending: &[NewJob], job: u64) -> bool {
    pending.iter().any(|new| new.id.0 == job && views_of(new).next().is_some())
}

fn keeps_one_of(new: &NewJob, views: &[String]) -> bool {
    views_of(new).any(|view| views.contains(view))
}

/// Full names of the views that a job keeps.
fn views_of(new: &NewJob) -> impl Iterator<Item = &String> {
    new.graph.nodes.iter().filter_map(|node| match &node.operator {
        Operator::View { name, .. } => Some(name),
        _ => None,
    })
}

fn stored(sql: &str, error: &SqlError) -> anyhow::Error {
    anyhow::anyhow!(
        "a statement of the catalog cannot be carried out again:\n{}",
        error.render(sql)
    )
}

impl Session {
    fn in_context(node: &Arc<Node>, catalog: String, database: String) -> anyhow::Result<Self> {
        let mut session = Self::new(node);
        let context = Statement::Use {
            catalog: false,
            name: Name { parts: vec![catalog, database], span: None },
        };
        session.sql.execute(&context).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(session)
    }

    /// Plans a stored job's statement as it was planned first; a materialized view is
    /// defined by it.
    fn plan_again(&mut self, sql: &str) -> Result<PlannedJob, SqlError> {
        let parsed = thalweg_sql::parser::parse_one(sql)?;
        let planned = match &parsed.statement {
            Statement::Insert(insert) => self.sql.plan_insert(insert)?,
            Statement::StatementSet(inserts) => {
                PlannedInsert::Job(self.sql.plan_statement_set(inserts)?)
            }
            Statement::CreateMaterializedView(create) => {
                match self.sql.create_materialized_view(create)? {
                    Some((planned, _)) => PlannedInsert::Job(planned),
                    None => PlannedInsert::Job(self.sql.plan_materialized_view(create)?),
                }
            }
            _ => return Err(SqlError::new(ErrorCode::Internal, "the statement starts no job")),
        };
        match planned {
            PlannedInsert::Job(planned) => Ok(planned),
            PlannedInsert::Rows { .. } => {
                Err(SqlError::new(ErrorCode::Internal, "the statement starts no job"))
            }
        }
    }
}

/// A planned job with the session's settings.
pub(super) fn new_job(
    node: &Node,
    id: JobId,
    planned: PlannedJob,
    sql: &str,
    state: &SessionState,
) -> NewJob {
    let mut options = thalweg_engine::JobOptions::default();
    let settings = &state.settings;
    let groups = settings.get("pipeline.max-parallelism").and_then(|text| text.parse().ok());
    options.key_groups = groups.unwrap_or(options.key_groups);
    let interval = settings.duration("execution.checkpointing.interval");
    options.snapshot_interval_ms = interval.map(|millis| millis as u64);
    if let Some(millis) = settings.duration("pipeline.auto-watermark-interval") {
        options.auto_watermark_interval_ms = millis;
    }
    let name = match &planned.view {
        Some(view) if view.catalog == DEFAULT_CATALOG && view.database == DEFAULT_DATABASE => {
            view.name.clone()
        }
        _ => planned.name,
    };
    NewJob {
        id,
        name,
        sql: sql.to_owned(),
        graph: planned.graph,
        parallelism: settings.parallelism().unwrap_or(node.parallelism),
        options,
    }
}

impl Node {
    pub(super) fn keep(&self, event: &CatalogEvent) -> Result<(), SqlError> {
        self.catalog_log
            .append(event, self.env.clock.wall_ms())
            .map_err(|error| SqlError::new(ErrorCode::Execution, format!("{error:#}")))
    }

    fn define_side_tables(self: &Arc<Self>, definitions: &[String]) {
        let mut session = Session::new(self);
        for definition in definitions {
            let defined = thalweg_sql::parser::parse_one(definition)
                .and_then(|parsed| session.sql.execute(&parsed.statement));
            if let Err(error) = defined {
                tracing::warn!("a side table was not defined: {error}");
            }
        }
    }

    fn end_job(&self, job: &Job, reason: EndReason) -> Result<(), SqlError> {
        self.keep(&CatalogEvent::JobEnded { job: job.id().0, reason })
    }

    /// Notes when a job has read all its input, so that it is not started again, and says
    /// when one fails.
    fn watch_end(self: &Arc<Self>, job: &Arc<Job>) {
        let (node, job) = (Arc::downgrade(self), Arc::clone(job));
        let watched = self.env.spawn.spawn("job-end", {
            Box::new(move || {
                let outcome = job.wait();
                match (outcome.state, node.upgrade()) {
                    (JobState::Finished, Some(node)) if job.views().is_empty() => {
                        if let Err(error) = node.end_job(&job, EndReason::Finished) {
                            tracing::debug!(
                                "the end of job '{}' was not kept: {error}",
                                job.name()
                            );
                        }
                    }
                    (JobState::Failed, _) => {
                        let error = outcome.error.map(|error| error.to_string());
                        tracing::error!(
                            "job '{}' failed: {}",
                            job.name(),
                            error.unwrap_or_default()
                        );
                    }
                    _ => {}
                }
            })
        });
        if let Err(error) = watched {
            tracing::warn!("no thread to watch a job's end: {error}");
        }
    }
}

fn find_job(node: &Node, id_or_name: &str) -> Result<Arc<Job>, SqlError> {
    node.jobs.find(id_or_name).ok_or_else(|| {
        let message = format!("there is no job '{id_or_name}'");
        SqlError::new(ErrorCode::UnknownObject, message)
            .with_hint("SHOW JOBS lists them".to_owned())
    })
}

fn show_jobs(node: &Node) -> Answer {
    let rows: Vec<Vec<String>> = node
        .jobs
        .list()
        .iter()
        .map(|job| {
            let status = job.status();
            vec![
                job.id().to_string(),
                job.name().to_owned(),
                status.state.as_str().to_owned(),
                status.epoch.to_string(),
                status.totals.rows_in.to_string(),
                status.totals.rows_out.to_string(),
                status.totals.late.to_string(),
                status.totals.bad.to_string(),
                status.error.unwrap_or_default(),
            ]
        })
        .collect();
    let headings = ["id", "name", "state", "epoch", "rows_in", "rows_out", "late", "bad", "error"];
    let (schema, batch) = text_rows(&headings, &rows);
    Answer::Rows { schema, batches: vec![batch] }
}

fn show_job(node: &Node, id_or_name: &str) -> Result<Answer, SqlError> {
    let job = find_job(node, id_or_name)?;
    let status = job.status();
    let mut rows = vec![
        vec!["id".to_owned(), job.id().to_string()],
        vec!["name".to_owned(), job.name().to_owned()],
        vec!["state".to_owned(), status.state.as_str().to_owned()],
        vec!["parallelism".to_owned(), job.parallelism().to_string()],
        vec!["epoch".to_owned(), status.epoch.to_string()],
        vec!["rows_in".to_owned(), status.totals.rows_in.to_string()],
        vec!["rows_out".to_owned(), status.totals.rows_out.to_string()],
        vec!["late".to_owned(), status.totals.late.to_string()],
        vec!["bad".to_owned(), status.totals.bad.to_string()],
        vec!["watermark".to_owned(), watermark_text(status.watermark)],
        vec!["snapshot".to_owned(), status.snapshot.map(|e| e.to_string()).unwrap_or_default()],
    ];
    for split in &status.splits {
        let idle = if split.idle { ", idle" } else { "" };
        rows.push(vec![
            format!("split {} {}", split.source, split.split),
            format!(
                "position {} of {}, watermark {}{idle}",
                split.position,
                split.available,
                watermark_text(split.watermark)
            ),
        ]);
    }
    rows.extend(status.alarms.iter().map(|alarm| vec!["alarm".to_owned(), alarm.clone()]));
    rows.extend(status.error.iter().map(|error| vec!["error".to_owned(), error.clone()]));
    rows.push(vec!["sql".to_owned(), job.sql().to_owned()]);
    let (schema, batch) = text_rows(&["property", "value"], &rows);
    Ok(Answer::Rows { schema, batches: vec![batch] })
}

fn watermark_text(watermark: i64) -> String {
    match watermark {
        thalweg_core::time::MIN_WATERMARK => "none".to_owned(),
        thalweg_core::time::MAX_WATERMARK => "end of input".to_owned(),
        millis => crate::quickstart::sql_timestamp(millis),
    }
}

/// A job's error as a statement's.
pub(super) fn job_error(error: JobError) -> SqlError {
    let code =
        if error.is_incompatible() { ErrorCode::InvalidDefinition } else { ErrorCode::Execution };
    SqlError::new(code, error.to_string())
}
