//! The life of a job that the catalog keeps: stopped, started again, cancelled. What is
//! answered is in the catalog's log before.

use std::sync::Arc;

use thalweg_engine::JobState;
use thalweg_serve::view::StoredView;
use thalweg_sql::error::{ErrorCode, SqlError};

use super::catalog_log::{CatalogEvent, EndReason};
use super::jobs::JobChange;
use super::session::{Answer, Session, job_error};
use super::show::find_job;
use super::side_tables::{self, SideTable};
use super::{Job, Node};

impl Node {
    /// `STOP JOB`: a clean end, after which the job can be started again.
    pub(super) fn stop_job(&self, id_or_name: &str) -> Result<Answer, SqlError> {
        let job = find_job(self, id_or_name)?;
        let _change = self.change_of(&job)?;
        job.request_stop();
        if job.wait().state != JobState::Finished {
            self.end_job(&job, EndReason::Stopped)?;
        }
        Ok(Answer::Done("STOP JOB".to_owned()))
    }

    /// `RESTART JOB`: goes on where the job stopped, failed or is just now. Its views show
    /// at least what they did when this returns.
    pub(super) fn restart_job(self: &Arc<Self>, id_or_name: &str) -> Result<Answer, SqlError> {
        let job = find_job(self, id_or_name)?;
        let _change = self.change_of(&job)?;
        let Some(new) = job.as_new() else {
            let message = format!("job '{}' cannot be planned any more", job.name());
            let hint = format!("SHOW JOB '{}' says why", job.id());
            return Err(SqlError::new(ErrorCode::InvalidDefinition, message).with_hint(hint));
        };
        job.request_stop();
        if job.wait().state == JobState::Finished {
            let message = format!("job '{}' has read all its input", job.name());
            return Err(SqlError::new(ErrorCode::InvalidArgument, message));
        }
        let restarted = {
            let _one_at_a_time = self.changing.lock();
            if self.jobs.find(&job.id().to_string()).is_none() {
                let message = format!("job '{}' was dropped", job.name());
                return Err(SqlError::new(ErrorCode::UnknownObject, message));
            }
            self.keep(&CatalogEvent::JobRestarted { job: job.id().0 })?;
            self.jobs.start(self, new.clone()).map_err(job_error)?
        };
        self.watch_end(&restarted);
        self.jobs.wait_until_resumed(self.env.clock.as_ref());
        Ok(Answer::Done("RESTART JOB".to_owned()))
    }

    /// `CANCEL JOB`: ends the job for good, with its state.
    pub(super) fn cancel_job(&self, id_or_name: &str) -> Result<Answer, SqlError> {
        let job = find_job(self, id_or_name)?;
        let _change = self.change_of(&job)?;
        if let Some(view) = job.views().first() {
            let message = format!("job '{}' keeps materialized view {view}", job.name());
            let hint = format!("DROP MATERIALIZED VIEW {view}, or STOP JOB '{}'", job.name());
            return Err(SqlError::new(ErrorCode::DependentObjects, message).with_hint(hint));
        }
        job.request_stop();
        job.wait();
        self.end_job(&job, EndReason::Dropped)?;
        self.jobs.remove(self, &job).map_err(job_error)?;
        Ok(Answer::Done("CANCEL JOB".to_owned()))
    }

    fn change_of(&self, job: &Job) -> Result<JobChange<'_>, SqlError> {
        self.jobs.change(job.id()).ok_or_else(|| {
            let message = format!("job '{}' is being stopped or started just now", job.name());
            let hint = "try again in a moment".to_owned();
            SqlError::new(ErrorCode::Execution, message).with_hint(hint)
        })
    }

    pub(super) fn keep(&self, event: &CatalogEvent) -> Result<(), SqlError> {
        self.keep_all(std::slice::from_ref(event))
    }

    /// Keeps all of these events, or none.
    pub(super) fn keep_all(&self, events: &[CatalogEvent]) -> Result<(), SqlError> {
        self.catalog_log
            .append(events, self.env.clock.wall_ms())
            .map_err(|error| SqlError::new(ErrorCode::Execution, format!("{error:#}")))
    }

    pub(super) fn end_job(&self, job: &Job, reason: EndReason) -> Result<(), SqlError> {
        self.keep(&CatalogEvent::JobEnded { job: job.id().0, reason })
    }

    /// A materialized view with its rows. Those of a job that was stopped stay; a job that
    /// could not be taken up has none to show.
    pub(super) fn kept_view(&self, full_name: &str) -> Result<Arc<StoredView>, SqlError> {
        self.views.get(full_name).ok_or_else(|| {
            let Some(job) = self.jobs.find(full_name) else {
                let message = format!("no job keeps view {full_name}");
                return SqlError::new(ErrorCode::UnknownObject, message);
            };
            let status = job.status();
            let why = status.error.map(|error| format!(": {error}")).unwrap_or_default();
            let (job, state) = (job.name(), status.state.as_str());
            let message =
                format!("view {full_name} has no rows to show: job '{job}' is {state}{why}");
            SqlError::new(ErrorCode::Execution, message)
                .with_hint(format!("RESTART JOB '{job}' computes them again from its journal"))
        })
    }

    /// Defines side tables of a job of an earlier process.
    pub(super) fn define_side_tables(self: &Arc<Self>, tables: &[SideTable]) {
        let mut session = Session::new(self);
        for table in tables {
            if let Err(error) = side_tables::define(&mut session.sql, table) {
                tracing::warn!("a side table was not defined: {error}");
            }
        }
    }

    /// Notes when a job has read all its input, so that it is not started again, and says
    /// when one fails.
    pub(super) fn watch_end(self: &Arc<Self>, job: &Arc<Job>) {
        let (node, job) = (Arc::downgrade(self), Arc::clone(job));
        let watched = self.env.spawn.spawn("job-end", {
            Box::new(move || {
                let outcome = job.wait();
                match (outcome.state, node.upgrade()) {
                    (JobState::Finished, Some(node)) if job.views().is_empty() => {
                        match node.end_job(&job, EndReason::Finished) {
                            Ok(()) => job.unpin(),
                            Err(error) => tracing::debug!(
                                "the end of job '{}' was not kept: {error}",
                                job.name()
                            ),
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
