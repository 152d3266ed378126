//! A script's session: runs statements one after another, prints what they give, and
//! lets top-level queries run as jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use thalweg_engine::{JobId, JobState};
use thalweg_sql::error::SqlError;
use thalweg_sql::parser::{Statement, parse, substitute};
use thalweg_sql::{PlannedInsert, PlannedJob};
use thalweg_stream::graph::Operator;

use super::insert_values::insert_values;
use super::rows::to_text;
use super::session::{Answer, Session, job_error, new_job};
use super::{Job, Node, ResultMode};
use crate::cli::Failure;

/// Runs scripts.
#[derive(Debug)]
pub struct Script {
    session: Session,
    settings: Vec<(String, String)>,
    mode: ResultMode,
    /// Top-level queries without an end, whose results are printed when they are stopped.
    endless: Vec<Arc<Job>>,
}

impl Script {
    /// A script on a node. `settings` are options of the session and values for `${NAME}`.
    pub fn new(node: &Arc<Node>, settings: Vec<(String, String)>, mode: ResultMode) -> Self {
        Self { session: Session::new(node), settings, mode, endless: Vec::new() }
    }

    /// Runs every statement of a text. Jobs that it starts go on afterwards.
    ///
    /// # Errors
    /// The first statement that fails, rendered with its place in the text.
    pub async fn run(&mut self, text: &str) -> Result<(), Failure> {
        let mut variables: BTreeMap<String, String> = std::env::vars().collect();
        for (key, value) in &self.settings {
            if key.contains('.') {
                let set = self.session.sql.settings_mut().set(key, value);
                set.map_err(|error| Failure::Usage(format!("--set {key}: {}", error.message)))?;
            } else {
                variables.insert(key.clone(), value.clone());
            }
        }
        let text = substitute(text, &|name: &str| variables.get(name).cloned())
            .map_err(|error| Failure::Script(error.render(text)))?;
        let failed = |error: SqlError| Failure::Script(error.render(&text));
        for parsed in parse(&text).map_err(failed)? {
            let answer = match &parsed.statement {
                Statement::Query(query) => {
                    let planned = self.session.sql.plan_query(query, "print").map_err(failed)?;
                    self.query(planned, &parsed.text).await?;
                    continue;
                }
                _ => self.session.execute(&parsed).await.map_err(failed)?,
            };
            if let Answer::Rows { batches, .. } = answer {
                self.print(&batches)?;
            }
        }
        Ok(())
    }

    /// A top-level query: runs as a job that prints its changes, or, in the other modes,
    /// keeps its result and prints it at the end: a bounded one's now, any other's when the
    /// run is stopped.
    async fn query(&mut self, planned: PlannedInsert, text: &str) -> Result<(), Failure> {
        match planned {
            PlannedInsert::Rows { table, rows } if self.mode == ResultMode::Changelog => {
                let node = &self.session.node;
                insert_values(&node.env, node.connectors.as_ref(), &table, &[rows])
                    .map_err(Failure::running)?;
                Ok(())
            }
            PlannedInsert::Rows { rows, .. } => self.print(&[rows]),
            PlannedInsert::Job(planned) if self.mode == ResultMode::Changelog => {
                let job = self.start(planned, text)?;
                self.wait_if_bounded(&job).await
            }
            PlannedInsert::Job(planned) => {
                let job = self.start(into_view(planned), text)?;
                if !job.is_bounded() {
                    self.endless.push(job);
                    return Ok(());
                }
                wait(&job).await?;
                self.print_views(&job)
            }
        }
    }

    /// Prints what queries without an end have given up to now.
    ///
    /// # Errors
    /// A result cannot be read or printed.
    pub fn print_results(&self) -> Result<(), Failure> {
        self.endless.iter().try_for_each(|job| self.print_views(job))
    }

    fn print_views(&self, job: &Job) -> Result<(), Failure> {
        let names: Vec<&str> = job.views().iter().map(String::as_str).collect();
        for rows in self.session.node.view_rows(&names)? {
            self.print(&rows)?;
        }
        Ok(())
    }

    fn start(&self, planned: PlannedJob, text: &str) -> Result<Arc<Job>, Failure> {
        let node = &self.session.node;
        let id = JobId(node.env.random.next_u64() >> 1);
        let new = new_job(node, id, planned, text, self.session.sql.state());
        node.jobs.start(node, new).map_err(|error| Failure::from(job_error(error)))
    }

    async fn wait_if_bounded(&self, job: &Arc<Job>) -> Result<(), Failure> {
        if job.is_bounded() { wait(job).await } else { Ok(()) }
    }

    fn print(&self, batches: &[RecordBatch]) -> Result<(), Failure> {
        crate::cli::print_result(self.mode, batches)
    }
}

/// Waits for a job's end.
///
/// # Errors
/// The job failed.
pub(crate) async fn wait(job: &Arc<Job>) -> Result<(), Failure> {
    let waiting = Arc::clone(job);
    let outcome = tokio::task::spawn_blocking(move || waiting.wait()).await;
    let outcome = outcome.map_err(Failure::running)?;
    match (outcome.state, outcome.error) {
        (JobState::Failed, Some(error)) if error.is_incompatible() => {
            Err(Failure::Incompatible(format!("job '{}': {error}", job.name())))
        }
        (JobState::Failed, error) => {
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            Err(Failure::Running(format!("job '{}': {error}", job.name())))
        }
        _ => Ok(()),
    }
}

/// The same plan with a view at its end instead of `print`.
fn into_view(mut planned: PlannedJob) -> PlannedJob {
    for node in &mut planned.graph.nodes {
        if let Operator::Sink { table } = &node.operator {
            node.operator = Operator::View { name: format!("{}$result", table.name), key: vec![] };
        }
    }
    planned
}

impl Node {
    /// Waits until every job has ended.
    ///
    /// # Errors
    /// The first one that failed.
    pub async fn wait_for_jobs(&self) -> Result<(), Failure> {
        for job in self.jobs() {
            wait(&job).await?;
        }
        Ok(())
    }

    /// Answers a query as text, cell by cell.
    ///
    /// # Errors
    /// What is wrong with the query.
    pub async fn query_text(self: &Arc<Self>, text: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let parsed = thalweg_sql::parser::parse_one(text).map_err(|e| anyhow::anyhow!("{e}"))?;
        let mut session = Session::new(self);
        match session.execute(&parsed).await.map_err(|error| anyhow::anyhow!("{error}"))? {
            Answer::Rows { batches, .. } => Ok(to_text(&batches)?),
            _ => anyhow::bail!("not a query: {text}"),
        }
    }
}
