//! The start of a node: what the catalog's log says is defined and run again.
//!
//! One definition that cannot be carried out again, or one job that cannot start, does not
//! keep the others from it, nor the doors from opening: it is said, the job stands in the
//! list as failed, and the next start tries again.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_engine::{JobError, JobId};
use thalweg_sql::catalog::CatalogSnapshot;
use thalweg_sql::error::{ErrorCode, SqlError};
use thalweg_sql::parser::{Name, Statement};
use thalweg_sql::{Outcome, PlannedInsert, PlannedJob};

use super::catalog_log::{CatalogEvent, EndReason};
use super::jobs::{NewJob, UnplannedJob};
use super::session::{Session, new_job};
use super::{Node, side_tables};

/// So many jobs are opened at once: each waits for the disk several times, and the log
/// makes one sync of those that wait together.
const OPENED_AT_ONCE: usize = 8;

/// Brings back what the catalog's log says: definitions, then the jobs that did not end.
/// Those that were stopped are taken up without running.
///
/// # Errors
/// What was deleted cannot be recorded as deleted, or no thread can be had.
pub(super) fn resume(node: &Arc<Node>, events: Vec<CatalogEvent>) -> anyhow::Result<()> {
    let fates = fates(&events);
    let mut resuming = Resuming { node, fates, jobs: Vec::new(), began: None, orphans: Vec::new() };
    for event in events {
        resuming.take(event);
    }
    let Resuming { fates, jobs, orphans, .. } = resuming;
    for orphan in orphans {
        node.jobs.delete_state(node, orphan)?;
        node.keep(&CatalogEvent::JobEnded { job: orphan.0, reason: EndReason::Dropped })
            .map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    node.jobs.sweep(node, |id| fates.get(&id).is_some_and(|fate| *fate != Fate::Gone));
    let jobs = jobs.into_iter().map(|new| (fates[&new.id] == Fate::Stopped, new));
    start_all(node, jobs.collect())
}

/// What became of a job, as the log says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It was running.
    Runs,
    /// It was stopped, and can be started again.
    Stopped,
    /// It is over for good; its journal and state are not needed.
    Gone,
}

fn fates(events: &[CatalogEvent]) -> BTreeMap<JobId, Fate> {
    let fates = events.iter().filter_map(|event| match event {
        CatalogEvent::Definition { .. } => None,
        CatalogEvent::JobStarted { job, .. } | CatalogEvent::JobRestarted { job } => {
            Some((JobId(*job), Fate::Runs))
        }
        CatalogEvent::JobEnded { job, reason } => Some(match reason {
            EndReason::Stopped => (JobId(*job), Fate::Stopped),
            EndReason::Finished | EndReason::Dropped => (JobId(*job), Fate::Gone),
        }),
    });
    fates.collect()
}

struct Resuming<'a> {
    node: &'a Arc<Node>,
    /// What became of each job in the end.
    fates: BTreeMap<JobId, Fate>,
    /// Jobs to take up.
    jobs: Vec<NewJob>,
    /// The last job that began, if it is gone, and the catalog before it. Where it ended
    /// with no definition between, not even the drop of its view, it did not start.
    began: Option<(JobId, CatalogSnapshot)>,
    /// Jobs of dropped views whose end was not recorded before the process ended.
    orphans: Vec<JobId>,
}

impl Resuming<'_> {
    fn take(&mut self, event: CatalogEvent) {
        let (sql, outcome) = match event {
            CatalogEvent::Definition { sql, catalog, database } => {
                self.began = None;
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
                let before = self.is_gone(id).then(|| self.node.catalog.snapshot());
                self.began = before.map(|before| (id, before));
                let planned = self.plan(id, &sql, catalog, database, settings.into_iter());
                match planned {
                    Ok(Some(mut new)) => {
                        new.name = name;
                        new.parallelism = parallelism;
                        let tables = side_tables::of_job(&new.name, &new.graph);
                        self.node.define_side_tables(&tables);
                        self.jobs.push(new);
                        return;
                    }
                    Ok(None) => return,
                    Err(error) => {
                        let reason = JobError::Incompatible(format!(
                            "its statement cannot be planned again: {error}"
                        ));
                        if !self.is_gone(id) {
                            let job = UnplannedJob { id, name, sql: sql.clone() };
                            self.node.jobs.refuse_unplanned(job, reason);
                        }
                        (sql, Err(error))
                    }
                }
            }
            CatalogEvent::JobRestarted { .. } => return,
            CatalogEvent::JobEnded { job, .. } => {
                let id = JobId(job);
                self.orphans.retain(|orphan| *orphan != id);
                if self.is_gone(id) {
                    self.jobs.retain(|new| new.id != id);
                }
                if let Some((_, before)) = self.began.take_if(|(began, _)| *began == id) {
                    self.node.catalog.restore(before);
                }
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

    fn is_gone(&self, id: JobId) -> bool {
        self.fates.get(&id) == Some(&Fate::Gone)
    }

    fn define(&mut self, sql: &str, catalog: String, database: String) -> Result<(), SqlError> {
        let mut session = Session::in_context(self.node, catalog, database)?;
        let parsed = thalweg_sql::parser::parse_one(sql)?;
        if let Outcome::Done { dropped, .. } = session.sql.execute(&parsed.statement)? {
            let of_dropped = |new: &mut NewJob| new.views().any(|view| dropped.contains(view));
            self.orphans.extend(self.jobs.extract_if(.., of_dropped).map(|new| new.id));
        }
        Ok(())
    }

    /// Plans a job again; `None` where it is gone and defines nothing.
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
        if !defines && self.is_gone(id) {
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

/// Takes up jobs, several at once, and waits until each has been opened; those that are
/// marked as stopped do not run. One that cannot be taken up stands in the list as failed.
fn start_all(node: &Arc<Node>, jobs: Vec<(bool, NewJob)>) -> anyhow::Result<()> {
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
                    let Some((stopped, new)) = next else { break };
                    take_up(&node, stopped, new);
                }
            })
        })?);
    }
    for thread in opening {
        anyhow::ensure!(thread.join(), "a job's start panicked; please report it");
    }
    Ok(())
}

fn take_up(node: &Arc<Node>, stopped: bool, new: NewJob) {
    let outcome = match stopped {
        true => node.jobs.rest(node, new.clone()),
        false => node.jobs.start(node, new.clone()),
    };
    match outcome {
        Ok(job) => node.watch_end(&job),
        Err(error) => {
            tracing::error!("job '{}' cannot go on: {error}", new.name);
            node.jobs.refuse(new, error);
        }
    }
}
