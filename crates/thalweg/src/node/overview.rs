//! What the HTTP door shows of a node.

use std::sync::{Arc, OnceLock};

use thalweg_engine::JobState;
use thalweg_serve::http::{
    DoorLine, HttpState, JobLine, MetricFamily, MetricKind, MetricsSource, Overview,
    OverviewSource, Sample, ViewLine,
};

use super::{Job, Node};

/// The node, as its pages and metrics show it.
pub(crate) struct NodeOverview {
    node: Arc<Node>,
    doors: OnceLock<Vec<DoorLine>>,
}

impl NodeOverview {
    pub(crate) fn new(node: &Arc<Node>) -> Arc<Self> {
        Arc::new(Self { node: Arc::clone(node), doors: OnceLock::new() })
    }

    pub(crate) fn state(self: &Arc<Self>) -> HttpState {
        HttpState {
            metrics: Arc::clone(self) as _,
            overview: Arc::clone(self) as _,
            authorizer: self.node.authorizer(),
        }
    }

    /// Says which doors are open; from now on the node is ready.
    pub(crate) fn opened(&self, doors: Vec<DoorLine>) {
        let _ = self.doors.set(doors);
    }
}

impl OverviewSource for NodeOverview {
    fn is_ready(&self) -> bool {
        let recovering = |job: &Arc<Job>| job.status().state == JobState::Recovering;
        self.doors.get().is_some() && !self.node.jobs().iter().any(recovering)
    }

    fn overview(&self) -> Overview {
        let jobs = self.node.jobs();
        let jobs = jobs.iter().map(|job| {
            let status = job.status();
            JobLine {
                name: job.name().to_owned(),
                state: status.state.as_str().to_owned(),
                epoch: status.epoch.0,
                rows_in: status.totals.rows_in,
                rows_out: status.totals.rows_out,
                problem: status.error.unwrap_or_default(),
            }
        });
        let views = self.node.views.list().into_iter().map(|view| {
            let info = view.info();
            ViewLine {
                name: info.name,
                epoch: info.epoch.0,
                rows: info.rows,
                memory_bytes: info.memory_bytes,
            }
        });
        Overview {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            doors: self.doors.get().cloned().unwrap_or_default(),
            jobs: jobs.collect(),
            views: views.collect(),
        }
    }
}

impl MetricsSource for NodeOverview {
    fn families(&self) -> Vec<MetricFamily> {
        let jobs = self.node.jobs();
        let statuses: Vec<_> =
            jobs.iter().map(|job| (job.name().to_owned(), job.status())).collect();
        let of_jobs =
            |name: &str, help: &str, kind, value: &dyn Fn(&thalweg_engine::JobStatus) -> f64| {
                let samples = statuses.iter().map(|(job, status)| Sample {
                    suffix: "",
                    labels: vec![("job".to_owned(), job.clone())],
                    value: value(status),
                });
                MetricFamily {
                    name: name.to_owned(),
                    help: help.to_owned(),
                    kind,
                    samples: samples.collect(),
                }
            };
        use MetricKind::{Counter, Gauge};
        let lag = |status: &thalweg_engine::JobStatus| {
            status.splits.iter().map(thalweg_engine::SplitStatus::lag).sum::<u64>() as f64
        };
        vec![
            of_jobs("thalweg_job_rows_in_total", "Records read.", Counter, &|s| {
                s.totals.rows_in as f64
            }),
            of_jobs("thalweg_job_rows_out_total", "Rows written.", Counter, &|s| {
                s.totals.rows_out as f64
            }),
            of_jobs("thalweg_job_late_rows_total", "Rows that came too late.", Counter, &|s| {
                s.totals.late as f64
            }),
            of_jobs("thalweg_job_bad_records_total", "Records that are no rows.", Counter, &|s| {
                s.totals.bad as f64
            }),
            of_jobs("thalweg_job_epoch", "Last published epoch.", Gauge, &|s| s.published.0 as f64),
            of_jobs(
                "thalweg_job_lag_positions",
                "Input that is there and not committed, in positions.",
                Gauge,
                &lag,
            ),
            of_jobs("thalweg_job_running", "Whether the job runs.", Gauge, &|s| {
                f64::from(u8::from(s.state == JobState::Running))
            }),
        ]
    }
}
