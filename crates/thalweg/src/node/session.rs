//! A session of a node: executes statements, whoever sent them.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use thalweg_core::authorizer::{AllowAll, Authorizer, Principal};
use thalweg_engine::{JobError, JobId};
use thalweg_sql::catalog::{CatalogObject, DEFAULT_CATALOG, DEFAULT_DATABASE};
use thalweg_sql::error::{ErrorCode, SqlError};
use thalweg_sql::parser::{Insert, Name, ParsedStatement, Show, Statement, Transaction};
use thalweg_sql::{Outcome, PlannedInsert, PlannedJob, SessionState};

use super::access::Access;
use super::catalog_log::{CatalogEvent, EndReason};
use super::insert_values::insert_values;
use super::jobs::{NewJob, side_topics};
use super::side_tables::SideTable;
use super::{Job, Node, show, side_tables};

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
    access: Access,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("state", self.sql.state()).finish()
    }
}

impl Session {
    /// A session of the program itself in the default database: it may do everything.
    pub fn new(node: &Arc<Node>) -> Self {
        Self::with_access(node, Principal::user("thalweg"), Arc::new(AllowAll))
    }

    /// A session of somebody at a door, in the default database.
    pub fn of(node: &Arc<Node>, principal: &Principal) -> Self {
        Self::with_access(node, principal.clone(), node.authorizer())
    }

    fn with_access(
        node: &Arc<Node>,
        principal: Principal,
        authorizer: Arc<dyn Authorizer>,
    ) -> Self {
        let connectors = Arc::clone(&node.connectors) as _;
        let sql = thalweg_sql::Session::new(node.catalog.clone(), connectors);
        Self { node: Arc::clone(node), sql, access: Access { principal, authorizer } }
    }

    /// Executes a statement. A query answers at once, from views as they are and from
    /// tables up to their current end.
    ///
    /// # Errors
    /// What is wrong with the statement, with its place in the text.
    pub async fn execute(&mut self, parsed: &ParsedStatement) -> Result<Answer, SqlError> {
        self.check_access(parsed)?;
        if let Statement::Query(query) = &parsed.statement {
            let (schema, batches) = self.node.query(&self.sql, query).await?;
            return Ok(Answer::Rows { schema, batches });
        }
        // Syncs and stopping jobs take as long as the disk likes: other sessions go on.
        blocking(|| match changes_catalog(&parsed.statement) {
            true => self.change(parsed),
            false => self.look(parsed),
        })
    }

    /// Asks whether a statement may be carried out, or described.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn check_access(&self, parsed: &ParsedStatement) -> Result<(), SqlError> {
        self.access.check(self.sql.state(), &parsed.statement)
    }

    /// A statement that changes nothing that is kept.
    fn look(&mut self, parsed: &ParsedStatement) -> Result<Answer, SqlError> {
        match self.sql.execute(&parsed.statement)? {
            Outcome::Rows { schema, rows } => {
                return Ok(Answer::Rows { schema, batches: vec![rows] });
            }
            Outcome::Done { tag, .. } => return Ok(Answer::Done(tag.to_owned())),
            Outcome::Engine => {}
        }
        match &parsed.statement {
            Statement::Subscribe(name) => self.view(name).map(Answer::Subscribe),
            Statement::StopJob { job, with_savepoint, with_drain } => {
                if *with_savepoint || *with_drain {
                    return Err(SqlError::not_supported("STOP JOB with SAVEPOINT or DRAIN"));
                }
                self.node.stop_job(job)
            }
            Statement::RestartJob(job) => self.node.restart_job(job),
            Statement::CancelJob(job) => self.node.cancel_job(job),
            Statement::Show(Show::Jobs) => Ok(show::jobs(&self.node)),
            Statement::Show(Show::Job(name)) => show::job(&self.node, name),
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

    /// A statement that is kept. One at a time: the catalog's log has them in the order in
    /// which they took effect, and what could not be kept did not happen.
    fn change(&mut self, parsed: &ParsedStatement) -> Result<Answer, SqlError> {
        let node = Arc::clone(&self.node);
        let _one_at_a_time = node.changing.lock();
        if matches!(parsed.statement, Statement::Drop(_)) {
            node.jobs.note_running(&node.catalog);
        }
        let before = node.catalog.snapshot();
        let changed = self.change_alone(parsed);
        if changed.is_err() {
            node.catalog.restore(before);
        }
        changed
    }

    fn change_alone(&mut self, parsed: &ParsedStatement) -> Result<Answer, SqlError> {
        match self.sql.execute(&parsed.statement)? {
            Outcome::Rows { schema, rows } => {
                return Ok(Answer::Rows { schema, batches: vec![rows] });
            }
            Outcome::Done { tag, created, dropped } => {
                if !created.is_empty() || !dropped.is_empty() || is_temporary(&parsed.statement) {
                    self.keep_definition(&parsed.text)?;
                    self.drop_jobs_of(&dropped);
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
                if let Some((planned, _)) = self.sql.create_materialized_view(create)? {
                    self.start_job(planned, &parsed.text)?;
                }
                Ok(Answer::Done("CREATE MATERIALIZED VIEW".to_owned()))
            }
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

    /// Records a job, then starts it: it resumes when the node starts again. A job that
    /// ran before it was recorded could publish and then be forgotten.
    fn start_job(&self, planned: PlannedJob, text: &str) -> Result<Arc<Job>, SqlError> {
        let id = JobId(self.node.env.random.next_u64() >> 1);
        let state = self.sql.state();
        let mut new = new_job(&self.node, id, planned, text, state);
        if new.views().next().is_none() {
            new.name = self.node.jobs.free_name(&new.name);
        }
        self.node.keep(&CatalogEvent::JobStarted {
            job: id.0,
            name: new.name.clone(),
            sql: text.to_owned(),
            catalog: state.catalog.clone(),
            database: state.database.clone(),
            settings: state.settings.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            parallelism: new.parallelism,
        })?;
        let side_tables = side_tables::of_job(&new.name, &new.graph);
        let log = self.node.log();
        let mut topics = side_topics(&new);
        topics.retain(|topic| log.topic(topic).is_none());
        let job = self.node.jobs.start(&self.node, new).map_err(|error| {
            // Nobody has seen anything of it. Where the end cannot be recorded either, the
            // next start tries the job again, and it can be stopped then.
            let _ = self.node.jobs.delete_state(&self.node, id);
            for made in topics.iter().filter(|topic| log.topic(topic).is_some()) {
                let _ = log.delete_topic(made);
            }
            let _ =
                self.node.keep(&CatalogEvent::JobEnded { job: id.0, reason: EndReason::Dropped });
            job_error(error)
        })?;
        self.keep_side_tables(&side_tables);
        self.node.watch_end(&job);
        Ok(job)
    }

    /// Defines the side tables of a job, and keeps what is new: they outlive the job, and
    /// others may read them.
    fn keep_side_tables(&self, tables: &[SideTable]) {
        let mut session = Self::new(&self.node);
        for table in tables {
            let kept = side_tables::define(&mut session.sql, table)
                .and_then(|statements| session.keep_definitions(statements));
            if let Err(error) = kept {
                tracing::warn!("a side table was not defined: {error}");
            }
        }
    }

    fn keep_definition(&self, text: &str) -> Result<(), SqlError> {
        self.keep_definitions(vec![text.to_owned()])
    }

    fn keep_definitions(&self, statements: Vec<String>) -> Result<(), SqlError> {
        let state = self.sql.state();
        let definition = |sql| CatalogEvent::Definition {
            sql,
            catalog: state.catalog.clone(),
            database: state.database.clone(),
        };
        self.node.keep_all(&statements.into_iter().map(definition).collect::<Vec<_>>())
    }

    /// Ends the jobs of dropped materialized views, with their state. What cannot be
    /// deleted now is at the next start, which finds the job without its view.
    fn drop_jobs_of(&self, dropped: &[String]) {
        for job in self.node.jobs.list() {
            if job.views().iter().any(|view| dropped.contains(view)) {
                job.request_stop();
                job.wait();
                let removed = self.node.jobs.remove(&self.node, &job).map_err(job_error);
                if let Err(error) =
                    removed.and_then(|()| self.node.end_job(&job, EndReason::Dropped))
                {
                    tracing::warn!("what job '{}' left was not deleted: {error}", job.name());
                }
            }
        }
    }

    fn view(&self, name: &Name) -> Result<Arc<thalweg_serve::view::StoredView>, SqlError> {
        match self.sql.object(name)? {
            CatalogObject::View(view) if view.materialized => {
                self.node.kept_view(&view.name.to_string())
            }
            _ => {
                let message =
                    format!("`{name}` is not a materialized view; only those have changes");
                Err(SqlError::new(ErrorCode::WrongObjectType, message).at(name.span))
            }
        }
    }
}

/// Whether a statement changes what is kept: definitions and jobs.
fn changes_catalog(statement: &Statement) -> bool {
    match statement {
        Statement::CreateTable(_)
        | Statement::CreateView(_)
        | Statement::CreateMaterializedView(_)
        | Statement::CreateFunction(_)
        | Statement::CreateDatabase { .. }
        | Statement::Insert(_)
        | Statement::StatementSet(_)
        | Statement::Drop(_) => true,
        Statement::Query(_)
        | Statement::Explain(_)
        | Statement::Show(_)
        | Statement::Describe(_)
        | Statement::Set(_)
        | Statement::Use { .. }
        | Statement::Subscribe(_)
        | Statement::StopJob { .. }
        | Statement::RestartJob(_)
        | Statement::CancelJob(_)
        | Statement::Transaction(_) => false,
    }
}

/// Whether a statement makes something temporary. That is kept too: jobs outlive the
/// session that started them, and are planned again from what they were planned from.
fn is_temporary(statement: &Statement) -> bool {
    match statement {
        Statement::CreateTable(create) => create.temporary,
        Statement::CreateView(create) => create.temporary,
        Statement::CreateFunction(create) => create.temporary,
        _ => false,
    }
}

/// Runs what may wait for the disk, without holding up the runtime's other tasks.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
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
    let mut options = thalweg_engine::JobOptions {
        time_zone_version: thalweg_sql::TIME_ZONE_VERSION.to_owned(),
        ..thalweg_engine::JobOptions::default()
    };
    let settings = &state.settings;
    let groups = settings.get("pipeline.max-parallelism").and_then(|text| text.parse().ok());
    options.key_groups = groups.unwrap_or(options.key_groups);
    let interval = settings.duration("execution.checkpointing.interval");
    options.snapshot_interval_ms = interval.map(|millis| millis as u64);
    if let Some(millis) = settings.duration("pipeline.auto-watermark-interval") {
        options.auto_watermark_interval_ms = millis;
    }
    let object = planned.to_object(id.0, &planned.name, sql);
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
        object,
    }
}

/// A job's error as a statement's.
pub(super) fn job_error(error: JobError) -> SqlError {
    let code =
        if error.is_incompatible() { ErrorCode::InvalidDefinition } else { ErrorCode::Execution };
    SqlError::new(code, error.to_string())
}
