//! Bad records of the real connectors: from a file and from a topic into a dead-letter
//! topic, with a crash in between.

use std::path::Path;
use std::sync::Arc;

use thalweg_connect::{ConnectorRegistry, bad_sink};
use thalweg_core::env::{Disk, OpenMode};
use thalweg_core::partition_log::{Isolation, LogStore};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, DecompressionLimits, NewRecord, split,
};
use thalweg_engine::{JobOptions, JobState};
use thalweg_stream::connector::Connectors;
use thalweg_stream::graph::Exchange;
use thalweg_stream::source::SourceRef;
use thalweg_stream::table::TableSpec;

use crate::support::expression::{DIVISION, Divide, NULL_TIME, NotSix};
use crate::support::graph::Builder;
use crate::support::rig::{Rig, connect};
use crate::support::source::line_schema;

const UNDECODABLE: &str = "invalid JSON: ";

/// Lines with what is bad about them.
const PATTERN: [(&str, Option<&str>); 9] = [
    (r#"{"k":"a","v":1,"ts":"1970-01-01 00:00:01"}"#, None),
    (r#"{"k":"b","v":0,"ts":"1970-01-01 00:00:02"}"#, Some(DIVISION)),
    (r#"{"k":"c""#, Some(UNDECODABLE)),
    (r#"  {"k":"d","v":6,"ts":"1970-01-01 00:00:03"}"#, None),
    (r#"{"k":"e","v":5,"ts":null, "more":"\u00e9"} "#, Some(NULL_TIME)),
    (r#"{"ts":"1970-01-01 00:00:04","v":0}"#, Some(DIVISION)),
    (r#"{"k":"f","v":2,"ts":"1970-01-01 00:00:05"}"#, None),
    (r#"{"k":"g","v":0}"#, Some(NULL_TIME)),
    (r#"{"k":"h","v":10,"ts":"1970-01-01 00:00:06"}"#, None),
];
const REPEATED: usize = 5;

fn pattern() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    (0..REPEATED).flat_map(|_| PATTERN)
}

/// A dead letter.
#[derive(PartialEq, Eq, Debug)]
struct Letter {
    key: Option<String>,
    value: String,
    headers: Vec<(String, String)>,
}

impl Letter {
    /// That of a line.
    fn new(line: &str, split: &str, position: usize, reason: &str) -> Self {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![
            header("thalweg.partition", split),
            header("thalweg.offset", &position.to_string()),
            header("thalweg.reason", reason),
            header("thalweg.job", "job"),
        ];
        Self { key: None, value: line.to_owned(), headers }
    }
}

fn letters(log: &dyn LogStore) -> Vec<Letter> {
    let log = log.partition("in.bad", 0).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (mut next, end) = (0, log.offsets().last_stable);
    let mut letters = Vec::new();
    while next < end {
        let bytes = log.read(next, 1 << 20, Isolation::ReadCommitted).unwrap();
        for batch in split(&bytes) {
            let batch = batch.unwrap();
            next = batch.header().next_offset();
            let mut scratch = Vec::new();
            for record in batch.records(&mut scratch, &DecompressionLimits::default()).unwrap() {
                let record = record.unwrap();
                let headers = record.headers.map(|header| {
                    let mut value = text(header.value.unwrap_or_default());
                    // What is said about JSON goes into more detail than is of interest here.
                    if value.starts_with(UNDECODABLE) {
                        value.truncate(UNDECODABLE.len());
                    }
                    (text(header.key), value)
                });
                letters.push(Letter {
                    key: record.key.map(text),
                    value: text(record.value.unwrap()),
                    headers: headers.collect(),
                });
            }
        }
    }
    letters
}

/// Runs a job over `source` with power failing after each number of steps, and checks that
/// the dead letters are these in the end.
fn check(prepare: impl Fn(&Rig), source_of: impl Fn(&Rig) -> SourceRef, expected: &[Letter]) {
    let mut replayed_some = 0;
    for (steps, parallelism) in (6..40).step_by(3).zip([1, 2].into_iter().cycle()) {
        let mut rig = Rig::new(steps);
        for topic in ["in", "out", "in.bad"] {
            rig.topic(topic, 1);
        }
        prepare(&rig);
        let mut builder = Builder::default();
        let source = builder.source(None);
        let kept = builder.pass(&[(source, Exchange::Forward)]);
        builder.filter(kept, NotSix);
        let divided = builder.pass(&[(kept, Exchange::Forward)]);
        builder.compute(divided, 1, Divide { tells: steps % 2 == 0, compares: false });
        let sink = builder.sink(divided);
        let options = JobOptions {
            batch_rows: 5,
            epoch_bytes_min: 300,
            epoch_bytes_max: 300,
            ..JobOptions::default()
        };
        let start = |rig: &Rig| {
            let mut services = connect(rig, (source, "in"), (sink, "out"), None);
            services.sources.insert(source, source_of(rig));
            services.bad.insert(source, bad_sink(rig.log.eager(), "in.bad", "job").unwrap());
            rig.start(rig.spec(&builder.graph, parallelism, options.clone()), services).unwrap()
        };
        let job = start(&rig);
        rig.steps(&job, steps as usize);
        let before = letters(&*rig.log.eager());
        drop(job);
        rig = rig.crash();
        let job = start(&rig);
        rig.settle(&job);
        let error = job.error().map(|error| error.to_string());
        assert_eq!((job.status().state, error), (JobState::Finished, None), "{steps}");
        assert_eq!(letters(&*rig.log.eager()), expected, "{steps}");
        assert_eq!(before, expected[..before.len()]);
        let totals = job.status().totals;
        let rows = REPEATED * PATTERN.len();
        assert_eq!((totals.rows_in, totals.bad), (rows as u64, expected.len() as u64));
        assert_eq!(rig.read("out").len(), 3 * REPEATED);
        replayed_some += usize::from(job.status().replayed > 0 && !before.is_empty());
    }
    assert!(replayed_some > 2, "{replayed_some}");
}

fn table(rig: &Rig, options: &[(&str, &str)]) -> SourceRef {
    let registry = ConnectorRegistry::new(rig.sim.env(), rig.log.eager(), Arc::new(|_: &[u8]| {}));
    let options =
        options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (name, primary_key) = ("c.d.t".to_owned(), Vec::new());
    let table = TableSpec { name, schema: line_schema(), primary_key, options };
    registry.source(&table, &[0, 1, 2]).unwrap()
}

#[test]
fn lines_of_a_json_file_become_dead_letters_as_they_are() {
    let mut contents = String::from("\u{feff}");
    let mut expected = Vec::new();
    for (number, (line, reason)) in pattern().enumerate() {
        if let Some(reason) = reason {
            expected.push(Letter::new(line, "/data/in.json", contents.len(), reason));
        }
        contents += line;
        contents += ["\n", "\r\n", "\n \n\n"][number % 3];
    }
    let prepare = |rig: &Rig| {
        rig.sim.disk.create_dir_all(Path::new("/data")).unwrap();
        let file = rig.sim.disk.open(Path::new("/data/in.json"), OpenMode::Create).unwrap();
        file.write_at(contents.as_bytes(), 0).unwrap();
        file.sync_data().unwrap();
        rig.sim.disk.sync_dir(Path::new("/data")).unwrap();
        rig.sim.disk.sync_dir(Path::new("/")).unwrap();
    };
    let options = [("connector", "filesystem"), ("path", "/data"), ("format", "json")];
    check(prepare, |rig| table(rig, &options), &expected);
}

#[test]
fn records_of_a_topic_become_dead_letters_with_their_keys_and_headers() {
    let mut expected = Vec::new();
    for (offset, (line, reason)) in pattern().enumerate() {
        let Some(reason) = reason else { continue };
        let mut letter = Letter::new(line, "0", offset, reason);
        letter.key = Some(format!("key {offset}"));
        letter.headers.insert(0, ("trace".to_owned(), offset.to_string()));
        expected.push(letter);
    }
    let prepare = |rig: &Rig| {
        let log = rig.log.eager().partition("in", 0).unwrap();
        let records: Vec<_> = pattern().enumerate().collect();
        for (number, records) in records.chunks(7).enumerate() {
            let mut batch = BatchBuilder::new(Compression::ALL[number % 5]);
            for (offset, (line, _)) in records {
                let (key, trace) = (format!("key {offset}"), offset.to_string());
                let record = NewRecord {
                    timestamp: 1,
                    key: Some(key.as_bytes()),
                    value: Some(line.as_bytes()),
                    headers: &[("trace", Some(trace.as_bytes()))],
                };
                batch.push(&record).unwrap();
            }
            log.append(batch.build().unwrap()).unwrap();
        }
        rig.log.log.commit_step();
    };
    let options = [
        ("connector", "kafka"),
        ("topic", "in"),
        ("format", "json"),
        ("scan.startup.mode", "earliest-offset"),
        ("scan.bounded.mode", "latest-offset"),
    ];
    check(prepare, |rig| table(rig, &options), &expected);
}
