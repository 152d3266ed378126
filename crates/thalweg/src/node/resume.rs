//! The start of a node: what the catalog's log says is defined and run again.
//!
//! One definition that cannot be carried out again, or one job that cannot start, does not
//! keep the others from it, nor the doors from opening: it is said, the job stands in the
//! list as failed, and the next start tries again.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_engine::{JobError, JobId};
use thalweg_sql::error::{ErrorCode, SqlError};
use thalweg_sql::parser::{Name, Statement};
use thalweg_sql::{Outcome, PlannedInsert, PlannedJob};

use super::catalog_log::{CatalogEvent, EndReason};
use super::jobs::{NewJob, RefusedJob};
use super::session::{Session, new_job, views_of};
use super::{Node, side_tables};

/// So many jobs are opened at once: each waits for the disk several times, and the log
/// makes one sync of those that wait together.
const OPENED_AT_ONCE: usize = 8;

/// Brings back what the catalog's log says: definitions, then the jobs that did not end.
///
/// # Errors
/// What was deleted cannot be recorded as deleted, or no thread can be had.
pub(super) fn resume(node: &Arc<Node>, events: Vec<CatalogEvent>) -> anyhow::Result<()> {
    let mut resuming =
        Resuming { node, ended: ended(&events), jobs: Vec::new(), orphans: Vec::new() };
    let known: BTreeSet<JobId> = resuming.known(&events);
    for event in events {
        resuming.take(event);
    }
    let Resuming { jobs, orphans, .. } = resuming;
    for orphan in orphans {
        node.jobs.delete_state(node, orphan)?;
        node.keep(&CatalogEvent::JobEnded { job: orphan.0, reason: EndReason::Dropped })
            .map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    node.jobs.sweep(node, |id| known.contains(&id));
    start_all(node, jobs)
}

/// What the log says of a job's end.
fn ended(events: &[CatalogEvent]) -> Vec<(JobId, EndReason)> {
    let end = |event: &CatalogEvent| match event {
        CatalogEvent::JobEnded { job, reason } => Some((JobId(*job), *reason)),
        _ => None,
    };
    events.iter().filter_map(end).collect()
}

struct Resuming<'a> {
    node: &'a Arc<Node>,
    ended: Vec<(JobId, EndReason)>,
    /// Jobs to start.
    jobs: Vec<NewJob>,
    /// Jobs of dropped views whose end was not recorded before the process ended.
    orphans: Vec<JobId>,
}

impl Resuming<'_> {
    /// Jobs whose journal and state are to stay.
    fn known(&self, events: &[CatalogEvent]) -> BTreeSet<JobId> {
        let started = events.iter().filter_map(|event| match event {
            CatalogEvent::JobStarted { job, .. } => Some(JobId(*job)),
            _ => None,
        });
        let gone = |id: &JobId| {
            self.ended.iter().any(|(job, reason)| job == id && *reason != EndReason::Stopped)
        };
        started.filter(|id| !gone(id)).collect()
    }

    fn take(&mut self, event: CatalogEvent) {
        let (sql, outcome) = match event {
            CatalogEvent::Definition { sql, catalog, database } => {
                let outcome = self.define(&sql, catalog, database);
                (sql, outcome)
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
                let id = JobId(job);
                let planned = self.plan(id, &sql, catalog, database, settings.into_iter());
                match planned {
                    Ok(Some(mut new)) => {
                        new.name = name;
                        new.parallelism = parallelism;
                        self.node
                            .define_side_tables(&side_tables::definitions(&new.name, &new.graph));
                        self.jobs.push(new);
                        return;
                    }
                    Ok(None) => return,
                    Err(error) => {
                        let reason = JobError::Incompatible(format!(
                            "its statement cannot be planned again: {error}"
                        ));
                        if !self.ended.iter().any(|(ended, _)| *ended == id) {
                            let sql = sql.clone();
                            let refused = RefusedJob { id, name, sql, views: Vec::new() };
                            self.node.jobs.refuse(refused, reason);
                        }
                        (sql, Err(error))
                    }
                }
            }
            CatalogEvent::JobEnded { job, reason } => {
                let id = JobId(job);
                let keeps_view =
                    self.jobs.iter().any(|new| new.id == id && views_of(new).next().is_some());
                // A stopped view keeps its rows: its job is opened to show them.
                if reason != EndReason::Stopped || !keeps_view {
                    self.jobs.retain(|new| new.id != id);
                }
                self.orphans.retain(|orphan| *orphan != id);
                return;
            }
        };
        if let Err(error) = outcome {
            tracing::error!(
                "a statement of the catalog cannot be carried out again:\n{}",
                error.render(&sql)
            );
        }
    }

    fn define(&mut self, sql: &str, catalog: String, database: String) -> Result<(), SqlError> {
        let mut session = Session::in_context(self.node, catalog, database)?;
        let parsed = thalweg_sql::parser::parse_one(sql)?;
        if let Outcome::Done { dropped, .. } = session.sql.execute(&parsed.statement)? {
            let of_dropped = |new: &mut NewJob| views_of(new).any(|view| dropped.contains(view));
            self.orphans.extend(self.jobs.extract_if(.., of_dropped).map(|new| new.id));
        }
        Ok(())
    }

    /// Plans a job again; `None` where it has ended and defines nothing.
    fn plan(
        &self,
        id: JobId,
        sql: &str,
        catalog: String,
        database: String,
        settings: impl Iterator<Item = (String, String)>,
    ) -> Result<Option<NewJob>, SqlError> {
        let parsed = thalweg_sql::parser::parse_one(sql)?;
        let defines = matches!(parsed.statement, Statement::CreateMaterializedView(_));
        if !defines && self.ended.iter().any(|(ended, _)| *ended == id) {
            return Ok(None);
        }
        let mut session = Session::in_context(self.node, catalog, database)?;
        for (key, value) in settings {
            session.sql.settings_mut().set(&key, &value)?;
        }
        let planned = session.plan_again(&parsed.statement)?;
        Ok(Some(new_job(self.node, id, planned, sql, session.sql.state())))
    }
}

impl Session {
    fn in_context(node: &Arc<Node>, catalog: String, database: String) -> Result<Self, SqlError> {
        let mut session = Self::new(node);
        let name = Name { parts: vec![catalog, database], span: None };
        session.sql.execute(&Statement::Use { catalog: false, name })?;
        Ok(session)
    }

    /// Plans a stored job's statement as it was planned first; a materialized view is
    /// defined by it.
    fn plan_again(&mut self, statement: &Statement) -> Result<PlannedJob, SqlError> {
        let no_job = || SqlError::new(ErrorCode::Internal, "the statement starts no job");
        let planned = match statement {
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
            _ => return Err(no_job()),
        };
        match planned {
            PlannedInsert::Job(planned) => Ok(planned),
            PlannedInsert::Rows { .. } => Err(no_job()),
        }
    }
}

/// Starts jobs, several at once, and waits until each has been opened. One that cannot
/// start stands in the list as failed.
fn start_all(node: &Arc<Node>, jobs: Vec<NewJob>) -> anyhow::Result<()> {
    let threads = OPENED_AT_ONCE.min(jobs.len());
    let waiting = Arc::new(Mutex::new(jobs.into_iter()));
    let mut opening = Vec::with_capacity(threads);
    for number in 0..threads {
        let (node, waiting) = (Arc::clone(node), Arc::clone(&waiting));
        let name = format!("resume-{number}");
        opening.push(node.env.spawn.spawn(&name, {
            let node = Arc::clone(&node);
            Box::new(move || {
                loop {
                    // The lock is not held while a job starts.
                    let next = waiting.lock().next();
                    let Some(new) = next else { break };
                    start(&node, new);
                }
            })
        })?);
    }
    for thread in opening {
        anyhow::ensure!(thread.join(), "a job's start panicked; please report it");
    }
    Ok(())
}

fn start(node: &Arc<Node>, new: NewJob) {
    let views = views_of(&new).cloned().collect();
    let refused = RefusedJob { id: new.id, name: new.name.clone(), sql: new.sql.clone(), views };
    match node.jobs.start(node, new) {
        Ok(job) => node.watch_end(&job),
        Err(error) => {
            tracing::error!("job '{}' cannot go on: {error}", refused.name);
            node.jobs.refuse(refused, error);
        }
    }
}
