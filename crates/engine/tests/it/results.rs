//! What jobs give: watermarks, idleness, late rows, restarts, at any parallelism.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_engine::inspect::{JournalItem, read_journal};
use thalweg_engine::{JobOptions, JobState};
use thalweg_stream::graph::{Exchange, Graph, NodeId};

use crate::support::graph::Builder;
use crate::support::rig::{JOB, Rig, connect};
use crate::support::view::CountingView;

/// Windows of one second by key, to a sink: source, window, sink.
fn windows(idle_timeout: Option<i64>) -> (Graph, [NodeId; 3]) {
    let mut builder = Builder::default();
    let source = builder.source(idle_timeout);
    let window = builder.tumble(source, Exchange::Hash(vec![0]), 1_000);
    let sink = builder.sink(window);
    (builder.graph, [source, window, sink])
}

fn window(key: &str, count: i64, sum: i64, second: i64) -> String {
    let at = |second: i64| format!("1970-01-01T00:00:{second:02}");
    format!("+I[{key}, {count}, {sum}, {}, {}, {}.999]", at(second), at(second + 1), at(second))
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn windows_fire_when_the_watermark_passes_and_late_rows_are_kept() {
    for parallelism in [1, 2, 5] {
        let rig = Rig::new(1);
        for topic in ["in", "out", "late"] {
            rig.topic(topic, 1);
        }
        let (graph, [source, node, sink]) = windows(None);
        let services = connect(&rig, (source, "in"), (sink, "out"), Some((node, "late")));
        let job =
            rig.start(rig.spec(&graph, parallelism, JobOptions::default()), services).unwrap();
        rig.append("in", 0, &["a,1,100", "b,2,200", "a,3,900"]);
        rig.settle(&job);
        assert_eq!(rig.read("out"), [""; 0]);
        rig.append("in", 0, &["a,10,1500", "a,20,50", "b,1,1000"]);
        rig.settle(&job);
        assert_eq!(sorted(rig.read("out")), [window("a", 2, 4, 0), window("b", 1, 2, 0)]);
        let late = ["+I[a, 20, 1970-01-01T00:00:00.050, 1970-01-01T00:00:01.500]"];
        assert_eq!(rig.read("late"), late, "the watermark is looked at row by row");
        let status = job.status();
        assert_eq!((status.totals.rows_in, status.totals.late), (6, 1));
        assert_eq!((status.watermark, status.splits[0].watermark), (1500, 1500));
        assert_eq!(status.splits[0].lag(), 0);
    }
}

#[test]
fn a_silent_partition_holds_windows_back_until_it_is_idle() {
    let rig = Rig::new(2);
    rig.topic("in", 2);
    rig.topic("out", 1);
    let (graph, [source, _, sink]) = windows(Some(5_000));
    let services = connect(&rig, (source, "in"), (sink, "out"), None);
    let job = rig.start(rig.spec(&graph, 2, JobOptions::default()), services).unwrap();
    rig.append("in", 0, &["a,1,100", "a,2,2100"]);
    rig.settle(&job);
    rig.pass(&job, 4_900);
    assert_eq!(rig.read("out"), [""; 0], "partition 1 may still give earlier rows");
    rig.append("in", 0, &["a,3,2200"]);
    rig.settle(&job);
    rig.pass(&job, 200);
    assert_eq!(rig.read("out"), [window("a", 1, 1, 0)]);
    let idle: Vec<_> = job.status().splits.iter().map(|split| split.idle).collect();
    assert_eq!(idle, [false, true]);
    let events: Vec<_> = read_journal(&*rig.log.eager(), JOB)
        .unwrap()
        .into_iter()
        .flat_map(|(_, item)| match item {
            JournalItem::Epoch(epoch) => epoch.events,
            _ => Vec::new(),
        })
        .filter(|event| event.contains("idle"))
        .collect();
    assert_eq!(events, ["split 1 is idle"]);
    // It wakes up, and counts again.
    rig.append("in", 1, &["b,1,2300"]);
    rig.append("in", 0, &["a,4,9000"]);
    rig.settle(&job);
    assert_eq!(rig.read("out").len(), 1, "its 2300 holds back the windows after 2000");
    rig.append("in", 1, &["b,1,9100"]);
    rig.settle(&job);
    assert_eq!(rig.read("out").len(), 3);
}

#[test]
fn nothing_is_committed_while_nothing_happens() {
    let rig = Rig::new(3);
    rig.topic("in", 2);
    rig.topic("out", 1);
    let (graph, [source, _, sink]) = windows(Some(100));
    let services = connect(&rig, (source, "in"), (sink, "out"), None);
    let job = rig.start(rig.spec(&graph, 1, JobOptions::default()), services).unwrap();
    rig.append("in", 0, &["a,1,100"]);
    rig.settle(&job);
    rig.pass(&job, 200);
    let before = job.status().epoch;
    for _ in 0..50 {
        rig.pass(&job, 1_000);
    }
    assert_eq!(job.status().epoch, before);
}

#[test]
fn a_stopped_job_goes_on_where_it_was() {
    let rig = Rig::new(4);
    rig.topic("in", 2);
    rig.topic("out", 3);
    let (graph, [source, _, sink]) = windows(None);
    let start = |parallelism| {
        let services = connect(&rig, (source, "in"), (sink, "out"), None);
        rig.start(rig.spec(&graph, parallelism, JobOptions::default()), services)
    };
    rig.append("in", 0, &["a,1,100", "b,1,150"]);
    rig.append("in", 1, &["a,2,300", "c,2,400"]);
    let job = start(2).unwrap();
    rig.settle(&job);
    job.stop();
    rig.settle(&job);
    assert_eq!(job.status().state, JobState::Stopped);
    assert_eq!(job.status().snapshot, Some(job.status().epoch));
    drop(job);
    // Another parallelism is fine: no entry stands behind the snapshot.
    rig.append("in", 0, &["a,4,500", "b,1,1100"]);
    rig.append("in", 1, &["c,4,1200"]);
    let job = start(3).unwrap();
    rig.settle(&job);
    assert_eq!(job.status().replayed, 0);
    let want = [window("a", 3, 7, 0), window("b", 1, 1, 0), window("c", 1, 2, 0)];
    assert_eq!(sorted(rig.read("out")), want);
    assert_eq!(job.status().totals.rows_in, 7);
}

#[test]
fn the_result_is_the_same_at_any_parallelism() {
    let mut all = Vec::new();
    for parallelism in [1, 2, 3, 8] {
        let rig = Rig::new(5);
        rig.topic("in", 3);
        rig.topic("out", 2);
        for n in 0..300_i64 {
            let line = format!("k{},{n},{}", n % 11, n * 37 % 5_000 + n * 20);
            rig.append("in", (n % 3) as i32, &[&line]);
        }
        let mut builder = Builder::default();
        let source = builder.source(None);
        let keyed = builder.pass(&[(source, Exchange::Hash(vec![1]))]);
        let window = builder.tumble(keyed, Exchange::Hash(vec![0]), 1_000);
        let sink = builder.sink(window);
        let group = builder.group(source, Exchange::Hash(vec![0]));
        let view = builder.view(group);
        let counted = Arc::new(CountingView::default());
        let mut services = rig.services();
        services.sources.insert(source, rig.bounded("in"));
        services.sinks.insert(sink, rig.sink("out"));
        services.views.insert(view, counted.clone());
        let options = JobOptions {
            epoch_bytes_min: 600,
            epoch_bytes_max: 600,
            edge_bytes: parallelism % 2 * 10_000,
            ..JobOptions::default()
        };
        let job = rig.start(rig.spec(&builder.graph, parallelism, options), services).unwrap();
        rig.settle(&job);
        assert_eq!(job.status().state, JobState::Finished, "{:?}", job.error());
        let totals = job.status().totals;
        assert_eq!(totals.rows_in, 300);
        let used = sorted(rig.read("out")).iter().map(|line| count_of(line)).sum::<u64>();
        assert_eq!(used + totals.late, 300);
        all.push((counted.rows(), 0));
    }
    let first: &(BTreeMap<String, i64>, i32) = &all[0];
    assert!(all.iter().all(|other| other == first));
}

/// The second column of a window's line.
fn count_of(line: &str) -> u64 {
    line.split(", ").nth(1).unwrap().parse().unwrap()
}

#[test]
fn processing_time_windows_fire_by_the_clock_and_replay_at_the_recorded_time() {
    let mut rig = Rig::new(7);
    rig.topic("in", 1);
    rig.topic("out", 1);
    let mut builder = Builder::default();
    let source = builder.source(None);
    let window = builder.tumble_now(source, 10_000);
    let sink = builder.sink(window);
    let graph = builder.graph;
    let start = |rig: &Rig| {
        let services = connect(rig, (source, "in"), (sink, "out"), None);
        rig.start(rig.spec(&graph, 2, JobOptions::default()), services).unwrap()
    };
    // To the start of a window.
    let past = rig.sim.env().clock.wall_ms() % 10_000;
    rig.sim.clock.advance(std::time::Duration::from_millis(10_000 - past as u64));
    let job = start(&rig);
    rig.append("in", 0, &["a,1,1", "b,2,2"]);
    rig.pass(&job, 3_000);
    rig.append("in", 0, &["a,10,3"]);
    rig.pass(&job, 6_000);
    assert_eq!(rig.read("out"), [""; 0]);
    rig.pass(&job, 1_100);
    let first = sorted(rig.read("out"));
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(first[0].starts_with("+I[a, 2, 11, "), "{first:?}");
    rig.append("in", 0, &["a,5,4"]);
    rig.settle(&job);
    drop(job);
    rig = rig.crash();
    // Long after, the rows of the open window are still its rows.
    rig.sim.clock.advance(std::time::Duration::from_secs(3_600));
    let job = start(&rig);
    rig.settle(&job);
    assert!(job.error().is_none(), "{:?}", job.error());
    let out = rig.read("out");
    assert_eq!(out.len(), 3);
    assert!(out[2].starts_with("+I[a, 1, 5, "), "{out:?}");
}

#[test]
fn a_union_of_two_sources_comes_together_in_one_subtask() {
    let rig = Rig::new(8);
    for topic in ["left", "right"] {
        rig.topic(topic, 2);
    }
    rig.topic("out", 1);
    let mut builder = Builder::default();
    let left = builder.source(None);
    let right = builder.source(None);
    let both = builder.pass(&[(left, Exchange::Forward), (right, Exchange::Forward)]);
    let window = builder.tumble(both, Exchange::Single, 1_000);
    let sink = builder.sink(window);
    let mut services = connect(&rig, (left, "left"), (sink, "out"), None);
    services.sources.insert(right, rig.source("right"));
    let spec = rig.spec(&builder.graph, 3, JobOptions::default());
    let job = rig.start(spec, services).unwrap();
    for (topic, partition) in [("left", 0), ("left", 1), ("right", 0), ("right", 1)] {
        rig.append(topic, partition, &["a,1,100", "b,10,200", "c,1,1500"]);
        rig.settle(&job);
    }
    let want = [window_of("a", 4, 4), window_of("b", 4, 40)];
    assert_eq!(sorted(rig.read("out")), want, "the slowest of all partitions decides");
    let status = job.status();
    let sources: Vec<_> = status.splits.iter().map(|split| split.source.as_str()).collect();
    assert_eq!(sources, ["source-0", "source-0", "source-1", "source-1"]);
}

fn window_of(key: &str, count: i64, sum: i64) -> String {
    window(key, count, sum, 0)
}

#[test]
fn many_splits_that_end_are_read_a_few_at_a_time() {
    let rig = Rig::new(9);
    rig.topic("in", 200);
    rig.topic("out", 1);
    for partition in 0..200 {
        rig.append("in", partition, &[&format!("k,{partition},{}", 1_000 - partition)]);
    }
    let (graph, [source, node, sink]) = windows(None);
    let mut services = connect(&rig, (source, "in"), (sink, "out"), Some((node, "out")));
    services.sources.insert(source, rig.bounded("in"));
    let job = rig.start(rig.spec(&graph, 2, JobOptions::default()), services).unwrap();
    rig.settle(&job);
    assert_eq!(job.status().state, JobState::Finished, "{:?}", job.error());
    assert_eq!(job.status().totals.late, 0, "those not read yet hold the watermark back");
    let sum = 199 * 200 / 2;
    assert_eq!(sorted(rig.read("out")), [window("k", 1, 0, 1), window("k", 199, sum, 0)]);
}
