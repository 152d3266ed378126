//! The quickstart's account: every row that went in was used, came late or was bad.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{INPUT_TOPIC, Produced};
use crate::node::Node;

/// How often it is looked whether the jobs have caught up.
const LOOK: Duration = Duration::from_millis(20);

/// How long the jobs may take to catch up before the account is made anyway.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a job made of its input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct JobAccount {
    /// Name of the job.
    pub name: String,
    /// Records it read.
    pub rows_in: u64,
    /// Those that no window took any more.
    pub late: u64,
    /// Those that are no rows.
    pub bad: u64,
    /// Rows it wrote, or changes of its view.
    pub rows_out: u64,
}

/// The account of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    produced: Produced,
    jobs: Vec<JobAccount>,
}

impl Summary {
    /// Waits until every job has read all that was produced, then adds up.
    ///
    /// # Errors
    /// A job failed.
    pub async fn when_caught_up(node: &Arc<Node>, produced: Produced) -> anyhow::Result<Self> {
        let mut waited = Duration::ZERO;
        loop {
            let jobs = Self::accounts(node)?;
            let behind = jobs.iter().any(|job| job.rows_in < produced.records);
            if !behind || waited >= PATIENCE {
                return Ok(Self { produced, jobs });
            }
            tokio::time::sleep(LOOK).await;
            waited += LOOK;
        }
    }

    fn accounts(node: &Node) -> anyhow::Result<Vec<JobAccount>> {
        let mut accounts = Vec::new();
        for job in node.jobs() {
            let status = job.status();
            if let Some(error) = &status.error {
                anyhow::bail!("job '{}' failed: {error}", job.name());
            }
            accounts.push(JobAccount {
                name: job.name().to_owned(),
                rows_in: status.totals.rows_in,
                late: status.totals.late,
                bad: status.totals.bad,
                rows_out: status.totals.rows_out,
            });
        }
        Ok(accounts)
    }

    /// Whether each job accounts for each record that was produced.
    pub fn accounts_for_every_row(&self) -> bool {
        self.jobs.iter().all(|job| job.rows_in == self.produced.records)
            && self.jobs.iter().all(|job| job.late + job.bad <= job.rows_in)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{} records on topic '{INPUT_TOPIC}' ({} unreadable)",
            self.produced.records, self.produced.unreadable
        )?;
        for job in &self.jobs {
            let used = job.rows_in.saturating_sub(job.late + job.bad);
            writeln!(
                f,
                "{:<60} in {} = used {used} + late {} + bad {}; out {}",
                job.name, job.rows_in, job.late, job.bad, job.rows_out
            )?;
        }
        Ok(())
    }
}
