//! What the HTTP door shows of a node.

use std::sync::{Arc, OnceLock};

use thalweg_engine::JobState;
use thalweg_log::Log;
use thalweg_serve::http::{
    AlarmLine, DoorLine, HttpState, JobLine, MetricFamily, MetricKind, MetricsSource, Overview,
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
        let alarms = self.node.log.alarms().into_iter().map(|alarm| AlarmLine {
            subject: format!("partition {}", alarm.partition),
            reason: alarm.reason,
        });
        let disk = self.node.log.disk_space().alarm;
        let alarms =
            alarms.chain(disk.map(|reason| AlarmLine { subject: "disk".to_owned(), reason }));
        Overview {
            alarms: alarms.collect(),
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
        let mut families = log_families(&self.node.log);
        families.extend([
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
        ]);
        families
    }
}

/// What there is to say of the log: whether it is whole, and how the disk keeps up.
fn log_families(log: &Log) -> Vec<MetricFamily> {
    use MetricKind::{Counter, Gauge};
    let alarms = log.alarms();
    let syncs = log.sync_stats();
    let space = log.disk_space();
    let family = |name: &str, help: &str, kind, samples| MetricFamily {
        name: name.to_owned(),
        help: help.to_owned(),
        kind,
        samples,
    };
    let one = |value| vec![Sample { value, ..Sample::default() }];
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    let damaged = alarms.iter().map(|alarm| Sample {
        suffix: "",
        labels: vec![
            ("topic".to_owned(), alarm.partition.topic.clone()),
            ("partition".to_owned(), alarm.partition.partition.to_string()),
        ],
        value: 1.0,
    });
    vec![
        family(
            "thalweg_log_alarms",
            "Partitions that are damaged and read-only.",
            Gauge,
            one(alarms.len() as f64),
        ),
        family(
            "thalweg_log_partition_read_only",
            "A partition that is damaged and read-only.",
            Gauge,
            damaged.collect(),
        ),
        family(
            "thalweg_log_disk_free_bytes",
            "Bytes that are free on the disk.",
            Gauge,
            space.free_bytes.map_or(Vec::new(), |free| one(free as f64)),
        ),
        family(
            "thalweg_log_disk_reserve_bytes",
            "Free bytes below which records of ordinary topics are refused.",
            Gauge,
            one(space.reserve_bytes as f64),
        ),
        family(
            "thalweg_log_disk_nearly_full",
            "Whether records are refused, or nearly, for want of space.",
            Gauge,
            one(f64::from(u8::from(space.alarm.is_some()))),
        ),
        family(
            "thalweg_log_incarnation",
            "How often the log was opened.",
            Gauge,
            one(log.incarnation() as f64),
        ),
        family("thalweg_log_syncs_total", "Syncs of segments.", Counter, one(syncs.count as f64)),
        family(
            "thalweg_log_sync_seconds_total",
            "Time in syncs of segments.",
            Counter,
            one(seconds(syncs.total_ns)),
        ),
        family(
            "thalweg_log_sync_seconds_max",
            "Longest sync of a segment since the start.",
            Gauge,
            one(seconds(syncs.longest_ns)),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use thalweg_core::env::{Env, OpenMode};
    use thalweg_core::partition_log::append_durably;
    use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};

    use super::super::NodeOptions;
    use super::*;

    fn value(families: &[MetricFamily], name: &str) -> f64 {
        let family = families.iter().find(|family| family.name == name).expect("the family");
        family.samples[0].value
    }

    /// The segment files below a directory.
    fn segments(env: &Env, dir: &Path) -> Vec<PathBuf> {
        let entries = env.disk.list(dir).expect("a directory");
        let below = entries.into_iter().flat_map(|entry| {
            let path = dir.join(&entry.name);
            if entry.is_dir { segments(env, &path) } else { vec![path] }
        });
        below.filter(|path| path.extension().is_some_and(|suffix| suffix == "log")).collect()
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_told_at_the_http_door() {
        let (env, dir) = (Env::real(), tempfile::tempdir().expect("a directory"));
        let free = env.disk.free_bytes(dir.path()).expect("known");
        let open = |reserve_bytes| {
            let data_dir = Some(dir.path().to_owned());
            Node::open(NodeOptions { data_dir, reserve_bytes, ..NodeOptions::default() })
                .expect("a node")
        };
        // Too little for records, enough for what the server itself writes.
        let node = open(free / 2 * 3);
        let overview = NodeOverview::new(&node);
        let families = overview.families();
        assert!((value(&families, "thalweg_log_disk_nearly_full") - 1.0).abs() < f64::EPSILON);
        assert!(value(&families, "thalweg_log_disk_free_bytes") > 1.0);
        let alarm = overview.overview().alarms.remove(0);
        assert_eq!(alarm.subject, "disk");
        assert!(alarm.reason.contains("delete topics"), "{}", alarm.reason);
        drop(overview);
        node.stop();
        let node = open(0);
        assert!(NodeOverview::new(&node).overview().alarms.is_empty());
        node.stop();
    }

    #[test]
    fn a_damaged_partition_is_told_at_the_http_door() {
        let (env, dir) = (Env::real(), tempfile::tempdir().expect("a directory"));
        let options =
            || NodeOptions { data_dir: Some(dir.path().to_owned()), ..NodeOptions::default() };
        let node = Node::open(options()).expect("a node");
        let topic = node.log().create_topic("readings", 1, &[]).expect("a topic");
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(&NewRecord { value: Some(b"21.5"), ..NewRecord::default() }).expect("room");
        let partition = node.log().partition("readings", 0).expect("the partition");
        append_durably(&*partition, batch.build().expect("a batch")).expect("appended");
        let overview = NodeOverview::new(&node);
        let families = overview.families();
        assert!(value(&families, "thalweg_log_alarms").abs() < f64::EPSILON);
        assert!(value(&families, "thalweg_log_syncs_total") >= 1.0);
        assert!(value(&families, "thalweg_log_sync_seconds_total") > 0.0);
        assert!(value(&families, "thalweg_log_sync_seconds_max") > 0.0);
        assert!(overview.overview().alarms.is_empty());
        drop((overview, partition));
        node.stop();
        // Both marks in the head.
        let directory = dir.path().join("log").join(format!("t-{}", topic.id));
        for segment in segments(&env, &directory) {
            let file = env.disk.open(&segment, OpenMode::Write).expect("a segment");
            file.write_at(&[0xaa; 8192], 0).expect("written");
        }
        let node = Node::open(options()).expect("a damaged partition keeps no node from it");
        let overview = NodeOverview::new(&node);
        let families = overview.families();
        assert!((value(&families, "thalweg_log_alarms") - 1.0).abs() < f64::EPSILON);
        let named = families.iter().find(|one| one.name == "thalweg_log_partition_read_only");
        let labels = &named.expect("the family").samples[0].labels;
        assert_eq!(labels[0], ("topic".to_owned(), "readings".to_owned()));
        let alarms = overview.overview().alarms;
        assert_eq!(alarms[0].subject, "partition readings-0");
        assert!(alarms[0].reason.contains("head"), "{}", alarms[0].reason);
        drop(overview);
        node.stop();
    }
}
