//! Rows that turn out to be bad after they were decoded: kept as they came, where they stood,
//! and the same after a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};
use thalweg_engine::{JobOptions, JobState};
use thalweg_stream::graph::{Exchange, Graph, NodeId};
use thalweg_stream::source::SourceRef;

use crate::support::expression::{Counted, DIVISION, Divide, NO_LINE, NULL_TIME, NotSix, bad_line};
use crate::support::file::LineFile;
use crate::support::graph::Builder;
use crate::support::rig::{Rig, connect};
use crate::support::view::CountingView;

/// Batches of three rows, so that bad rows stand in all kinds of places in them.
fn options() -> JobOptions {
    JobOptions { batch_rows: 3, epoch_bytes_min: 20, epoch_bytes_max: 20, ..JobOptions::default() }
}

fn rig() -> Rig {
    let rig = Rig::new(6);
    for topic in ["in", "out", "bad"] {
        rig.topic(topic, 1);
    }
    rig
}

const LINES: [&str; 12] = [
    "a,1,1", "b,0,2", "no line", "c,5,", "d,0,4", "e,2,5", "f,0,", "g,0,7", "no line", "h,1,8",
    "i,3,", "j,0,9",
];

/// What is bad of [`LINES`], by its place there.
const BAD: [(usize, &str); 9] = [
    (1, DIVISION),
    (2, NO_LINE),
    (3, NULL_TIME),
    (4, DIVISION),
    (6, NULL_TIME),
    (7, DIVISION),
    (8, NO_LINE),
    (10, NULL_TIME),
    (11, DIVISION),
];

/// `SELECT k, 10 / v, ts`, with the division in the source (`at` 0) or so many steps behind
/// it, the first of which drops row `e`.
fn division(at: usize, tells: bool) -> (Graph, NodeId, NodeId) {
    let mut builder = Builder::default();
    let source = builder.source(None);
    let first = builder.pass(&[(source, Exchange::Forward)]);
    let second = builder.pass(&[(first, Exchange::Forward)]);
    let sink = builder.sink(second);
    builder.compute([source, first, second][at], 1, Divide { tells, compares: false });
    (builder.graph, source, sink)
}

/// Bad records at these positions; where the division is in the source, it fails before the
/// event time is looked at.
fn expected(split: &str, at: usize, position: impl Fn(usize) -> usize) -> Vec<String> {
    let line = |&(place, reason): &(usize, &str)| {
        let divides_first = at == 0 && LINES[place].contains(",0,");
        let reason = if divides_first { DIVISION } else { reason };
        bad_line(LINES[place], split, position(place), reason)
    };
    BAD.iter().map(line).collect()
}

#[test]
fn rows_of_a_topic_keep_their_bytes_and_offsets() {
    for (at, tells) in [(0, true), (0, false), (1, true), (1, false), (2, true), (2, false)] {
        let mut rig = rig();
        let (graph, source, sink) = division(at, tells);
        let start = |rig: &Rig| {
            let mut services = connect(rig, (source, "in"), (sink, "out"), None);
            services.bad.insert(source, rig.sink("bad"));
            rig.start(rig.spec(&graph, 2, options()), services).unwrap()
        };
        let job = start(&rig);
        rig.append("in", 0, &LINES[..7]);
        rig.settle(&job);
        let before = rig.read("bad");
        drop(job);
        rig = rig.crash();
        let job = start(&rig);
        rig.append("in", 0, &LINES[7..]);
        rig.settle(&job);
        assert_eq!(job.error().map(|error| error.to_string()), None, "{at} {tells}");
        assert!(job.status().replayed > 0);
        let bad = rig.read("bad");
        assert_eq!(bad, expected("0", at, |place| place));
        assert_eq!(bad[..before.len()], before);
        let out: Vec<_> = rig.read("out").iter().map(|line| line[3..8].to_owned()).collect();
        assert_eq!(out, ["a, 10", "e, 5,", "h, 10"]);
        let totals = job.status().totals;
        assert_eq!((totals.rows_in, totals.rows_out, totals.bad), (12, 3, 9));
    }
}

#[test]
fn rows_of_a_file_keep_their_bytes_and_byte_positions() {
    let position = |place: usize| LINES[..place].iter().map(|line| line.len() + 1).sum();
    let mut in_the_middle = 0;
    for (at, steps) in (0..3).flat_map(|at| (4..30).map(move |steps| (at, steps))) {
        let mut rig = rig();
        let file: SourceRef = LineFile::write(&rig.sim, "/data/in.csv", &LINES);
        let (graph, source, sink) = division(at, false);
        let start = |rig: &Rig| {
            let mut services = connect(rig, (source, "in"), (sink, "out"), None);
            services.sources.insert(source, Arc::clone(&file));
            services.bad.insert(source, rig.sink("bad"));
            rig.start(rig.spec(&graph, 1, options()), services).unwrap()
        };
        // Power fails after some steps.
        let job = start(&rig);
        rig.steps(&job, steps);
        let before = rig.read("bad").len();
        drop(job);
        rig = rig.crash();
        let job = start(&rig);
        rig.settle(&job);
        let error = job.error().map(|error| error.to_string());
        assert_eq!((job.status().state, error), (JobState::Finished, None), "{at} {steps}");
        assert_eq!(rig.read("bad"), expected("/data/in.csv", at, position), "{at} {steps}");
        let replayed = job.status().replayed > 0;
        in_the_middle += usize::from(replayed && before > 0 && before < BAD.len());
    }
    assert!(in_the_middle > 10, "{in_the_middle} histories have something to replay");
}

#[test]
fn a_row_behind_a_filter_and_windows_is_still_known() {
    let rig = rig();
    let mut builder = Builder::default();
    let source = builder.source(None);
    let kept = builder.pass(&[(source, Exchange::Forward)]);
    builder.filter(kept, NotSix);
    let windows = builder.hop(kept, 4, 2);
    let divided = builder.pass(&[(windows, Exchange::Forward)]);
    builder.compute(divided, 1, Divide { tells: true, compares: false });
    // Another branch, which fails on the same rows for itself.
    let other = builder.pass(&[(kept, Exchange::Forward)]);
    builder.filter(other, Divide { tells: false, compares: true });
    let (sink, view) = (builder.sink(divided), builder.view(other));
    let mut services = connect(&rig, (source, "in"), (sink, "out"), None);
    services.bad.insert(source, rig.sink("bad"));
    services.views.insert(view, Arc::new(CountingView::default()));
    let spec = rig.spec(&builder.graph, 1, JobOptions::default());
    let job = rig.start(spec, services).unwrap();
    rig.append("in", 0, &["a,6,0", "b,0,1", "c,6,2", "d,1,3", "e,6,4", "f,0,5", "g,0,6"]);
    rig.settle(&job);
    assert_eq!(job.error().map(|error| error.to_string()), None);
    let mut bad = Vec::new();
    for (position, line) in [(1, "b,0,1"), (5, "f,0,5"), (6, "g,0,6")] {
        bad.push(bad_line(line, "0", position, DIVISION));
        bad.push(bad_line(line, "0", position, "10 / v < 100: division by zero"));
    }
    assert_eq!(rig.read("bad"), bad, "once for each step, though a row is in two windows");
    assert_eq!(rig.read("out").len(), 2, "row d, in two windows");
    assert_eq!(job.status().totals.bad, 6);
}

#[test]
fn keys_and_headers_are_kept() {
    let rig = rig();
    let (graph, source, sink) = division(1, true);
    let mut services = connect(&rig, (source, "in"), (sink, "out"), None);
    services.bad.insert(source, rig.sink("bad"));
    let job = rig.start(rig.spec(&graph, 1, options()), services).unwrap();
    let mut batch = BatchBuilder::new(Compression::Lz4);
    for value in ["a,0,1", "b,1,", "oops"] {
        let record = NewRecord {
            timestamp: 1,
            key: Some(b"k"),
            value: Some(value.as_bytes()),
            headers: &[("trace", Some(b"\x01")), ("none", None)],
        };
        batch.push(&record).unwrap();
    }
    let log = rig.log.eager().partition("in", 0).unwrap();
    log.append(batch.build().unwrap()).unwrap();
    rig.log.log.commit_step();
    rig.settle(&job);
    let bad = rig.read("bad");
    assert_eq!(bad.len(), 3, "{bad:?}");
    let beside = "6b, [{name: 7472616365, value: 01}, {name: 6e6f6e65, value: null}]]";
    assert!(bad.iter().all(|line| line.ends_with(beside)), "{bad:?}");
}

#[test]
fn a_batch_of_nothing_but_bad_rows_is_no_trouble() {
    for tells in [true, false] {
        let rig = rig();
        let (graph, source, sink) = division(1, tells);
        let mut services = connect(&rig, (source, "in"), (sink, "out"), None);
        services.bad.insert(source, rig.sink("bad"));
        let lines = vec!["a,0,1"; 8192];
        rig.append("in", 0, &lines);
        services.sources.insert(source, rig.bounded("in"));
        let options = JobOptions { epoch_bytes_min: 1 << 20, ..JobOptions::default() };
        let job = rig.start(rig.spec(&graph, 1, options), services).unwrap();
        rig.settle(&job);
        assert_eq!(job.status().state, JobState::Finished, "{:?}", job.error());
        let expected: Vec<_> =
            (0..lines.len()).map(|offset| bad_line("a,0,1", "0", offset, DIVISION)).collect();
        assert_eq!(rig.read("bad"), expected);
    }
}

/// Every second row is bad: they are left out together, and the others are asked for once
/// more, in the source and behind it.
#[test]
fn the_good_rows_among_many_bad_ones_are_tried_again_once() {
    for at in [0, 1] {
        let rig = rig();
        let counted = Counted {
            divide: Divide { tells: true, compares: false },
            rows: Arc::new(AtomicUsize::new(0)),
        };
        let mut builder = Builder::default();
        let source = builder.source(None);
        let step = builder.pass(&[(source, Exchange::Forward)]);
        let sink = builder.sink(step);
        builder.compute([source, step][at], 1, counted.clone());
        let mut services = connect(&rig, (source, "in"), (sink, "out"), None);
        services.bad.insert(source, rig.sink("bad"));
        let lines: Vec<&str> = ["a,0,1", "b,5,1"].repeat(2000);
        rig.append("in", 0, &lines);
        services.sources.insert(source, rig.bounded("in"));
        let options = JobOptions { epoch_bytes_min: 1 << 20, ..JobOptions::default() };
        let job = rig.start(rig.spec(&builder.graph, 1, options), services).unwrap();
        rig.settle(&job);
        assert_eq!(job.status().state, JobState::Finished, "{:?}", job.error());
        let expected = (0..lines.len()).step_by(2);
        let expected = expected.map(|offset| bad_line("a,0,1", "0", offset, DIVISION));
        assert_eq!(rig.read("bad"), expected.collect::<Vec<_>>());
        assert_eq!(rig.read("out").len(), 2000);
        assert_eq!(counted.rows.load(Ordering::Relaxed), 4000 + 2000);
    }
}
