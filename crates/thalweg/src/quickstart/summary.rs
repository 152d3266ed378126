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

    /// Whether the jobs' counts are those of the sensors: each job read every record and
    /// found the unreadable ones, none counts more late rows than were made late, and what
    /// the two jobs without windows wrote is what they had to write.
    pub fn accounts_for_every_row(&self) -> bool {
        let Produced { records, late, unreadable, hot } = self.produced;
        self.jobs.iter().all(|job| {
            job.rows_in == records
                && job.bad == unreadable
                && job.late <= late
                && match expected_output(&job.name) {
                    Some(Expected::EachReading) => job.rows_out == records - unreadable,
                    Some(Expected::HotOnes) => job.rows_out == hot,
                    None => true,
                }
        })
    }
}

/// What a job of the example has to write.
enum Expected {
    EachReading,
    HotOnes,
}

fn expected_output(job: &str) -> Option<Expected> {
    match job {
        _ if job.ends_with("temperature_adjusted") => Some(Expected::EachReading),
        _ if job.ends_with("temperature_alerts") => Some(Expected::HotOnes),
        _ => None,
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{} records on topic '{INPUT_TOPIC}' ({} unreadable)",
            self.produced.records, self.produced.unreadable
        )?;
        let width = self.jobs.iter().map(|job| job.name.len()).max().unwrap_or_default();
        for job in &self.jobs {
            let used = job.rows_in.saturating_sub(job.late + job.bad);
            writeln!(
                f,
                "{:<width$}  in {} = used {used} + late {} + bad {}; out {}",
                job.name, job.rows_in, job.late, job.bad, job.rows_out
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let job = |name: &str, late, rows_out| JobAccount {
            name: name.to_owned(),
            rows_in: 100,
            late,
            bad: 5,
            rows_out,
        };
        Summary {
            produced: Produced { records: 100, late: 4, unreadable: 5, hot: 7 },
            jobs: vec![
                job("temperature_average", 4, 60),
                job("insert-into_temperature_adjusted", 0, 95),
                job("insert-into_temperature_alerts", 0, 7),
            ],
        }
    }

    #[test]
    fn an_account_that_adds_up() {
        assert!(summary().accounts_for_every_row());
        assert!(summary().to_string().contains("in 100 = used 91 + late 4 + bad 5; out 60"));
    }

    #[test]
    fn each_way_not_to_add_up_is_seen() {
        let wrong: [fn(&mut Summary); 6] = [
            |s| s.jobs[0].rows_in = 99,
            |s| s.jobs[0].bad = 4,
            |s| s.jobs[0].late = 5,
            |s| s.jobs[1].rows_out = 94,
            |s| s.jobs[2].rows_out = 8,
            |s| s.produced.unreadable = 6,
        ];
        for (number, change) in wrong.into_iter().enumerate() {
            let mut summary = summary();
            change(&mut summary);
            assert!(!summary.accounts_for_every_row(), "change {number}");
        }
    }
}
