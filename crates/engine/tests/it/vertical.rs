//! A job on threads and the real log: from a topic to a topic and a view.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::env::Env;
use thalweg_core::partition_log::{LogStore, append_durably};
use thalweg_engine::{Job, JobId, JobOptions, JobServices, JobSpec, JobState};
use thalweg_log::{Log, LogOptions};
use thalweg_stream::graph::Exchange;

use crate::support::graph::Builder;
use crate::support::sink::{MemorySink, TopicSink, read_all};
use crate::support::source::{TopicSource, append_lines};
use crate::support::view::CountingView;

fn lines(number: usize) -> Vec<String> {
    (0..number).map(|n| format!("k{},{n},{}", n % 7, n * 10)).collect()
}

fn services(log: &Arc<Log>, dir: &std::path::Path) -> JobServices {
    JobServices {
        env: Env::real(),
        log: Arc::clone(log) as Arc<dyn LogStore>,
        sources: BTreeMap::new(),
        sinks: BTreeMap::new(),
        views: BTreeMap::new(),
        late: BTreeMap::new(),
        bad: BTreeMap::new(),
        dir: dir.to_owned(),
    }
}

#[test]
fn a_bounded_job_reads_everything_once_and_finishes() {
    for parallelism in [1, 2, 3] {
        let temp = tempfile::tempdir().unwrap();
        let log = Log::open(Env::real(), &temp.path().join("log"), LogOptions::default()).unwrap();
        log.create_topic("in", 3, &[]).unwrap();
        log.create_topic("out", 2, &[]).unwrap();
        let lines = lines(3_000);
        for (number, lines) in lines.chunks(1_000).enumerate() {
            let partition = log.partition("in", number as i32).unwrap();
            append_lines(&*partition, lines, 10);
            append_durably(&*partition, one_line("bad line")).unwrap();
        }
        let mut builder = Builder::default();
        let source = builder.source(None);
        let pass = builder.pass(&[(source, Exchange::Forward)]);
        let keyed = builder.pass(&[(pass, Exchange::Hash(vec![0]))]);
        let sink = builder.sink(keyed);
        let view = builder.view(pass);
        let counted = Arc::new(CountingView::default());
        let bad = Arc::new(MemorySink::default());
        let store: Arc<dyn LogStore> = log.clone();
        let mut services = services(&log, &temp.path().join("job"));
        services.sources.insert(source, TopicSource::bounded(store.clone(), "in"));
        services.sinks.insert(sink, TopicSink::new(store.clone(), "out"));
        services.views.insert(view, counted.clone());
        services.bad.insert(source, bad.clone());
        let options = JobOptions { epoch_bytes_min: 4_000, ..JobOptions::default() };
        let spec = JobSpec {
            id: JobId(7),
            name: "copy".into(),
            graph: builder.graph,
            parallelism,
            options,
        };
        let job = Job::start(spec.clone(), services.clone()).unwrap();
        let outcome = job.wait();
        assert_eq!(outcome.state, JobState::Finished, "{:?}", outcome.error);
        let totals = outcome.totals;
        assert_eq!((totals.rows_in, totals.bad, totals.rows_out), (3_003, 3, 6_000));
        let mut out = read_all(&*log, "out");
        assert_eq!(out.len(), 3_000);
        out.sort();
        out.dedup();
        assert_eq!(out.len(), 3_000);
        assert_eq!(counted.rows().values().sum::<i64>(), 3_000);
        assert_eq!(bad.lines.lock().len(), 3);
        assert_eq!(job.status().splits.len(), 3);
        assert!(job.status().epoch.0 > 3);

        // Started again, it knows that it is done.
        let again = Job::start(spec, services).unwrap();
        let outcome = again.wait();
        assert_eq!(outcome.state, JobState::Finished, "{:?}", outcome.error);
        assert_eq!(read_all(&*log, "out").len(), 3_000);
        assert_eq!(outcome.totals, totals);
        assert_eq!(counted.rows().values().sum::<i64>(), 3_000);
        log.close().unwrap();
    }
}

fn one_line(line: &str) -> bytes::Bytes {
    use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};
    let mut batch = BatchBuilder::new(Compression::None);
    let record = NewRecord { timestamp: 1, value: Some(line.as_bytes()), ..Default::default() };
    batch.push(&record).unwrap();
    batch.build().unwrap()
}
