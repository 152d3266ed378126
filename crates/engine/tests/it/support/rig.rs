//! A simulated machine on which a test runs jobs step by step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::env::SeededRandom;
use thalweg_core::env::sim::SimEnv;
use thalweg_engine::{Job, JobError, JobId, JobOptions, JobServices, JobSpec, ManualJob, Step};
use thalweg_stream::graph::{Graph, NodeId};

use super::sim::SimLog;
use super::sink::{TopicSink, read_all};
use super::source::{TopicSource, append_lines};

pub(crate) const JOB: JobId = JobId(3);

/// The machine.
pub(crate) struct Rig {
    pub(crate) sim: SimEnv,
    pub(crate) log: SimLog,
    random: SeededRandom,
}

impl Rig {
    pub(crate) fn new(seed: u64) -> Self {
        let sim = SimEnv::new(seed);
        let log = SimLog::open(&sim, "/log").unwrap();
        Self { sim, log, random: SeededRandom::for_part(seed, 1) }
    }

    /// Power loss, and the log opened again. The job must be dropped before.
    pub(crate) fn crash(self) -> Self {
        let Self { sim, log, random } = self;
        drop(log);
        sim.crash();
        let log = SimLog::open(&sim, "/log").unwrap();
        Self { sim, log, random }
    }

    pub(crate) fn topic(&self, name: &str, partitions: i32) {
        self.log.eager().create_topic(name, partitions, &[]).unwrap();
    }

    pub(crate) fn append(&self, topic: &str, partition: i32, lines: &[&str]) {
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        append_lines(&*self.log.eager().partition(topic, partition).unwrap(), &lines, 2);
        self.log.log.commit_step();
    }

    /// Services without sources, sinks and views.
    pub(crate) fn services(&self) -> JobServices {
        JobServices {
            env: self.sim.env(),
            log: self.log.lazy(),
            sources: BTreeMap::new(),
            sinks: BTreeMap::new(),
            views: BTreeMap::new(),
            late: BTreeMap::new(),
            bad: BTreeMap::new(),
            dir: PathBuf::from("/job"),
        }
    }

    pub(crate) fn source(&self, topic: &str) -> Arc<TopicSource> {
        TopicSource::unbounded(self.log.eager(), topic)
    }

    pub(crate) fn bounded(&self, topic: &str) -> Arc<TopicSource> {
        TopicSource::bounded(self.log.eager(), topic)
    }

    pub(crate) fn sink(&self, topic: &str) -> Arc<TopicSink> {
        TopicSink::new(self.log.eager(), topic)
    }

    pub(crate) fn spec(&self, graph: &Graph, parallelism: usize, options: JobOptions) -> JobSpec {
        JobSpec { id: JOB, name: "test".into(), graph: graph.clone(), parallelism, options }
    }

    pub(crate) fn start(
        &self,
        spec: JobSpec,
        services: JobServices,
    ) -> Result<ManualJob, JobError> {
        self.log.set_at_once(true);
        let job = Job::start_manual(spec, services);
        self.log.set_at_once(false);
        job
    }

    /// Runs a number of steps at most.
    pub(crate) fn steps(&self, job: &ManualJob, steps: usize) {
        for _ in 0..steps {
            match job.step(&self.random) {
                Step::Over => return,
                Step::Worked => {}
                Step::Idle { .. } => drop(self.log.log.commit_step()),
            }
        }
    }

    /// Runs until nothing is left to do, or the job is over.
    pub(crate) fn settle(&self, job: &ManualJob) {
        let mut idle = 0;
        while idle < 3 {
            match job.step(&self.random) {
                Step::Over => return,
                Step::Worked => idle = 0,
                Step::Idle { .. } => {
                    idle += 1;
                    self.log.log.commit_step();
                }
            }
        }
    }

    /// The same, after some time has passed.
    pub(crate) fn pass(&self, job: &ManualJob, millis: u64) {
        self.sim.clock.advance(Duration::from_millis(millis));
        self.settle(job);
    }

    pub(crate) fn read(&self, topic: &str) -> Vec<String> {
        read_all(&*self.log.log, topic)
    }
}

/// A job with one source, one sink and the late rows of one node.
pub(crate) fn connect(
    rig: &Rig,
    source: (NodeId, &str),
    sink: (NodeId, &str),
    late: Option<(NodeId, &str)>,
) -> JobServices {
    let mut services = rig.services();
    services.sources.insert(source.0, rig.source(source.1));
    services.sinks.insert(sink.0, rig.sink(sink.1));
    if let Some((node, topic)) = late {
        services.late.insert(node, rig.sink(topic));
    }
    services
}
