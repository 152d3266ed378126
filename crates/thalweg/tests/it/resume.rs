//! What a node brings back at its start, and what does not keep it from starting.

use std::collections::BTreeMap;

use thalweg::node::{CatalogEvent, CatalogLog};
use thalweg_core::env::Env;
use thalweg_engine::JobState;
use thalweg_log::{Log, LogOptions};

use crate::harness::Bench;

const READINGS: &str = "CREATE TABLE readings (sensor STRING, celsius DOUBLE) WITH (
    'connector' = 'kafka', 'topic' = 'readings', 'scan.startup.mode' = 'earliest-offset',
    'format' = 'json');";

const COPY: &str = "CREATE TABLE copy (sensor STRING) WITH (
    'connector' = 'kafka', 'topic' = 'copy', 'format' = 'json');";

const COUNT: &str =
    "CREATE MATERIALIZED VIEW counted AS SELECT COUNT(*) AS n FROM readings WHERE celsius > 0;";

/// Appends to the catalog's log of a node that is closed, as a crash would leave it.
fn append(bench: &Bench, events: &[CatalogEvent]) {
    let log = Log::open(Env::real(), &bench.data().join("log"), LogOptions::default());
    let log = log.expect("the log");
    let now = Env::real().clock.wall_ms();
    let (catalog, _) = CatalogLog::open(log.as_ref(), now).expect("the catalog's log");
    for event in events {
        catalog.append(std::slice::from_ref(event), now).expect("appended");
    }
    drop(catalog);
    log.close().expect("closed");
}

fn definition(sql: &str) -> CatalogEvent {
    CatalogEvent::Definition {
        sql: sql.to_owned(),
        catalog: "default_catalog".to_owned(),
        database: "default_database".to_owned(),
    }
}

#[test]
fn a_view_over_a_side_table_comes_back() {
    let mut bench = Bench::new();
    bench.produce("readings", r#"{"sensor": "a", "celsius": 1}"#);
    bench.produce("readings", "no json");
    bench.run(&format!("{READINGS}{COUNT}"));
    bench.run("CREATE MATERIALIZED VIEW wrong AS SELECT COUNT(*) AS n FROM `readings$bad`");
    bench.await_rows("SELECT n FROM wrong", &[&["1"]]);
    for _ in 0..2 {
        bench.reopen();
        bench.await_rows("SELECT n FROM wrong", &[&["1"]]);
        bench.await_rows("SELECT n FROM counted", &[&["1"]]);
    }
}

#[test]
fn what_a_job_was_planned_from_comes_back_though_it_is_temporary() {
    let mut bench = Bench::new();
    bench.produce("readings", r#"{"sensor": "a", "celsius": 1}"#);
    bench.run(&READINGS.replace("CREATE TABLE", "CREATE TEMPORARY TABLE"));
    bench.run(COUNT);
    bench.reopen();
    bench.produce("readings", r#"{"sensor": "b", "celsius": 2}"#);
    bench.await_rows("SELECT n FROM counted", &[&["2"]]);
}

#[test]
fn a_job_that_cannot_go_on_keeps_nobody_else_from_starting() {
    let mut bench = Bench::new();
    bench.produce("readings", r#"{"sensor": "a", "celsius": 1}"#);
    bench.produce("others", r#"{"sensor": "a", "celsius": 1}"#);
    bench.run(&format!("{READINGS}{COPY}{COUNT}"));
    bench.run(&READINGS.replace("readings", "others"));
    bench.run("INSERT INTO copy SELECT sensor FROM others");
    bench.await_rows("SELECT n FROM counted", &[&["1"]]);
    let copying = bench.jobs()[..].iter().find(|(name, _)| name != "counted").cloned();
    let (copying, _) = copying.expect("the job that copies");
    // Its journal names input that is not there any more.
    bench.await_rows("SELECT sensor FROM copy", &[&["a"]]);
    bench.node().log().delete_topic("others").expect("deleted");
    bench.reopen();
    bench.await_rows("SELECT n FROM counted", &[&["1"]]);
    assert!(bench.jobs().contains(&(copying.clone(), JobState::Failed)), "{:?}", bench.jobs());
    let shown = bench.rows(&format!("SHOW JOB '{copying}'"));
    assert!(shown.iter().any(|row| row[0] == "error" && !row[1].is_empty()), "{shown:?}");
    bench.run(&format!("STOP JOB '{copying}'"));
    bench.reopen();
    assert!(bench.jobs().contains(&(copying.clone(), JobState::Stopped)), "{:?}", bench.jobs());
    bench.run(&format!("CANCEL JOB '{copying}'"));
    bench.reopen();
    assert!(bench.jobs().iter().all(|(name, _)| *name == "counted"), "{:?}", bench.jobs());
}

#[test]
fn a_definition_that_does_not_hold_any_more_keeps_nobody_from_starting() {
    let mut bench = Bench::new();
    bench.run(READINGS);
    bench.close();
    append(
        &bench,
        &[
            definition("CREATE VIEW broken AS SELECT nothing FROM nowhere"),
            definition("CREATE VIEW fine AS SELECT sensor FROM readings"),
        ],
    );
    bench.open();
    bench.produce("readings", r#"{"sensor": "a", "celsius": 1}"#);
    assert!(bench.try_run("SELECT * FROM broken").is_err());
    assert_eq!(bench.rows("SELECT sensor FROM readings"), [["a"]]);
    assert!(bench.rows("SHOW VIEWS").iter().any(|row| row.contains(&"fine".to_owned())));
}

#[test]
fn a_job_that_was_recorded_and_not_started_is_started() {
    let mut bench = Bench::new();
    bench.produce("readings", r#"{"sensor": "a", "celsius": 1}"#);
    bench.run(READINGS);
    bench.close();
    append(
        &bench,
        &[CatalogEvent::JobStarted {
            job: 77,
            name: "counted".to_owned(),
            sql: COUNT.trim_end_matches(';').to_owned(),
            catalog: "default_catalog".to_owned(),
            database: "default_database".to_owned(),
            settings: BTreeMap::new(),
            parallelism: 1,
        }],
    );
    bench.open();
    bench.await_rows("SELECT n FROM counted", &[&["1"]]);
}

#[test]
fn journals_and_state_of_nobody_are_deleted() {
    let mut bench = Bench::new();
    bench.run(&format!("{READINGS}{COUNT}"));
    let log = bench.node().log();
    log.create_topic("__journal.4711", 1, &[]).expect("a topic");
    let stray = bench.data().join("jobs").join("4711");
    bench.node().env().disk.create_dir_all(&stray.join("snapshots")).expect("a directory");
    drop(log);
    bench.reopen();
    assert!(bench.node().log().topic("__journal.4711").is_none());
    assert!(!bench.node().env().disk.exists(&stray));
    let journals = bench.node().log().topics();
    let journals = journals.iter().filter(|topic| topic.name.starts_with("__journal."));
    assert_eq!(journals.count(), 1, "that of the view stays");
}

#[test]
fn jobs_of_one_statement_have_names_of_their_own() {
    let mut bench = Bench::new();
    bench.produce("readings", r#"{"sensor": "a", "celsius": 1}"#);
    bench.run(&format!("{READINGS}{COPY}"));
    for _ in 0..3 {
        bench.run("INSERT INTO copy SELECT sensor FROM readings");
    }
    let names = |bench: &Bench| {
        let mut names: Vec<String> = bench.jobs().into_iter().map(|(name, _)| name).collect();
        names.sort();
        names
    };
    let before = names(&bench);
    let mut distinct = before.clone();
    distinct.dedup();
    assert_eq!(distinct.len(), 3, "{before:?}");
    bench.reopen();
    assert_eq!(names(&bench), before);
}

#[test]
fn what_cannot_start_did_not_happen() {
    let bench = Bench::new();
    let refused = "CREATE MATERIALIZED VIEW v AS SELECT nothing FROM nowhere";
    assert!(bench.try_run(refused).is_err());
    bench.run(READINGS);
    bench.run("CREATE MATERIALIZED VIEW v AS SELECT sensor FROM readings");
    assert!(bench.try_run("CREATE MATERIALIZED VIEW v AS SELECT celsius FROM readings").is_err());
    assert_eq!(bench.jobs().len(), 1);
}

#[test]
fn a_job_that_was_recorded_and_refused_leaves_nothing() {
    let mut bench = Bench::new();
    bench.produce("readings", r#"{"sensor": "a", "celsius": 1}"#);
    bench.run(&format!("{READINGS}{COPY}"));
    let topics = |bench: &Bench| {
        let topics = bench.node().log().topics();
        // What a table writes to is the table's.
        let others = topics.iter().filter(|topic| &*topic.name != "copy");
        let mut names: Vec<String> = others.map(|topic| topic.name.to_string()).collect();
        names.sort();
        names
    };
    let (tables, before) = (bench.rows("SHOW TABLES"), topics(&bench));
    for statement in [COUNT.trim_end_matches(';'), "INSERT INTO copy SELECT sensor FROM readings"] {
        let refused = format!(
            "SET 'pipeline.max-parallelism' = '1'; SET 'parallelism.default' = '2'; {statement}"
        );
        assert!(bench.try_run(&refused).is_err());
    }
    for _ in 0..2 {
        assert_eq!(bench.rows("SHOW TABLES"), tables);
        assert!(bench.rows("SHOW VIEWS").is_empty());
        assert!(bench.jobs().is_empty());
        assert_eq!(topics(&bench), before);
        let jobs = bench.node().env().disk.list(&bench.data().join("jobs")).unwrap_or_default();
        assert!(jobs.is_empty(), "{jobs:?}");
        bench.reopen();
    }
    bench.run(COUNT);
    bench.await_rows("SELECT n FROM counted", &[&["1"]]);
    bench.reopen();
    assert_eq!(bench.rows("SELECT n FROM counted"), [["1"]]);
    let jobs = bench.jobs();
    let [(name, JobState::Running | JobState::Recovering)] = &jobs[..] else {
        panic!("one job, which runs: {jobs:?}");
    };
    assert_eq!(name, "counted");
    bench.run("DROP MATERIALIZED VIEW counted");
    bench.reopen();
    assert!(bench.jobs().is_empty() && bench.rows("SHOW VIEWS").is_empty());
}

#[test]
fn a_partition_that_came_while_the_job_was_down_is_read_from_its_beginning() {
    let mut bench = Bench::new();
    bench.produce("readings", r#"{"sensor": "a", "celsius": 1}"#);
    bench.run(&format!("{}{COUNT}", READINGS.replace("earliest-offset", "latest-offset")));
    // Only then it is settled which offset is the latest one.
    let found = || bench.node().jobs().iter().any(|job| !job.status().splits.is_empty());
    let pause = || bench.node().env().clock.sleep(std::time::Duration::from_millis(10));
    assert!(
        (0..6_000).any(|_| found() || {
            pause();
            false
        }),
        "no split is found"
    );
    bench.produce("readings", r#"{"sensor": "b", "celsius": 1}"#);
    bench.await_rows("SELECT n FROM counted", &[&["1"]]);
    bench.run("STOP JOB 'counted'");
    bench.node().log().add_partitions("readings", 2).expect("one more");
    bench.produce_to("readings", 1, r#"{"sensor": "c", "celsius": 1}"#);
    bench.reopen();
    bench.produce("readings", r#"{"sensor": "d", "celsius": 1}"#);
    bench.run("RESTART JOB 'counted'");
    bench.await_rows("SELECT n FROM counted", &[&["3"]]);
}
