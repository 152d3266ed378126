//! The catalog's log, written anew at a start where most of it is past.

use std::path::Path;
use std::sync::Arc;

use thalweg::node::{CatalogEvent, CatalogLog, EndReason};
use thalweg_core::env::sim::{FaultPlan, SimEnv};
use thalweg_core::env::{Disk, Env};
use thalweg_core::partition_log::LogStore;
use thalweg_log::{Log, LogOptions};

use crate::harness::Bench;

fn definition(sql: String) -> CatalogEvent {
    CatalogEvent::Definition {
        sql,
        catalog: "default_catalog".to_owned(),
        database: "default_database".to_owned(),
    }
}

fn table(name: &str) -> CatalogEvent {
    definition(format!("CREATE TABLE {name} (n INT) WITH ('connector' = 'blackhole')"))
}

fn job(job: u64, sql: &str) -> CatalogEvent {
    CatalogEvent::JobStarted {
        job,
        name: format!("job-{job}"),
        sql: sql.to_owned(),
        catalog: "default_catalog".to_owned(),
        database: "default_database".to_owned(),
        settings: [("parallelism.default".to_owned(), "1".to_owned())].into(),
        parallelism: 1,
    }
}

/// Two hundred entries of which `live_events` still say something.
fn events() -> Vec<CatalogEvent> {
    let mut events = live_events();
    for round in 0..50 {
        events.push(table("passing"));
        events.push(job(100 + round, "INSERT INTO passing SELECT * FROM kept"));
        let reason = EndReason::Dropped;
        events.push(CatalogEvent::JobEnded { job: 100 + round, reason });
        events.push(definition("DROP TABLE passing".to_owned()));
    }
    events
}

/// They take more than one batch.
fn live_events() -> Vec<CatalogEvent> {
    let comment = "long ".repeat(20_000);
    let mut events = vec![table("kept"), job(7, "INSERT INTO kept SELECT * FROM kept")];
    for number in 0..6 {
        events.push(definition(format!("CREATE VIEW v{number} COMMENT '{comment}' AS SELECT 1")));
    }
    events
}

fn open(sim: &SimEnv) -> anyhow::Result<(Arc<Log>, CatalogLog, Vec<CatalogEvent>)> {
    // The disk is simulated; threads wait for each other as they do.
    let env = Env { disk: sim.disk.clone(), ..Env::real() };
    let options = LogOptions {
        reserve_bytes: 0,
        retention_held: true,
        on_fatal: Arc::new(|_| {}),
        ..LogOptions::default()
    };
    let log = Log::open(env, Path::new("/data/log"), options)?;
    let (catalog, events) = CatalogLog::open(log.as_ref(), 1)?;
    Ok((log, catalog, events))
}

fn rewrite(sim: &SimEnv) -> anyhow::Result<Vec<CatalogEvent>> {
    let (log, _catalog, events) = open(sim)?;
    log.close()?;
    Ok(events)
}

fn records(log: &Log) -> i64 {
    let offsets = log.partition("__catalog", 0).expect("the partition").offsets();
    offsets.high_watermark - offsets.start
}

#[test]
fn a_power_loss_at_any_operation_of_the_rewriting_loses_nothing() {
    let (mut at, mut cut) = (0, true);
    while cut {
        at += 1;
        let sim = SimEnv::new(at);
        let (log, catalog, _) = open(&sim).expect("a new log");
        catalog.append(&events(), 1).expect("room");
        log.close().expect("closed");
        drop((log, catalog));
        sim.disk.faults(FaultPlan { power_off_at: Some(at), ..FaultPlan::default() });
        let first = rewrite(&sim);
        cut = !sim.disk.exists(Path::new("/"));
        if let Ok(read) = first {
            assert!(read == live_events(), "power loss at operation {at}");
        }
        sim.crash();
        let (log, catalog, read) = open(&sim).expect("after a crash");
        assert!(read == live_events(), "power loss at operation {at}: {} entries", read.len());
        // A beginning, an end, and nothing of what is past.
        assert_eq!(records(&log), read.len() as i64 + 2, "power loss at operation {at}");
        catalog.append(&[table("later")], 1).expect("appended");
        log.close().expect("closed");
        drop((log, catalog));
        let mut expected = live_events();
        expected.push(table("later"));
        let (_, _, read) = open(&sim).expect("once more");
        assert!(read == expected, "power loss at operation {at}: {} entries", read.len());
    }
    assert!(at > 20, "only {at} operations");
}

#[test]
fn what_is_defined_and_runs_comes_back_from_a_log_that_was_written_anew() {
    let mut bench = Bench::new();
    bench.produce("readings", r#"{"sensor": "a", "celsius": 1}"#);
    bench.run(
        "CREATE TABLE readings (sensor STRING, celsius DOUBLE) WITH (
           'connector' = 'kafka', 'topic' = 'readings', 'format' = 'json',
           'scan.startup.mode' = 'earliest-offset');
         CREATE VIEW warm AS SELECT sensor FROM readings WHERE celsius > 0;
         CREATE MATERIALIZED VIEW counted AS SELECT COUNT(*) AS n FROM warm",
    );
    for _ in 0..40 {
        bench.run("CREATE TABLE passing (n INT) WITH ('connector' = 'blackhole')");
        bench.run("DROP TABLE passing");
    }
    let start = |bench: &Bench| {
        bench.node().log().partition("__catalog", 0).expect("the partition").offsets().start
    };
    let objects = bench.rows("SHOW TABLES");
    assert_eq!(start(&bench), 0);
    bench.reopen();
    let rewritten = start(&bench);
    assert!(rewritten > 80, "{rewritten}");
    for value in ["2", "3"] {
        assert_eq!(bench.rows("SHOW TABLES"), objects);
        bench.produce("readings", r#"{"sensor": "b", "celsius": 2}"#);
        bench.await_rows("SELECT n FROM counted", &[&[value]]);
        bench.reopen();
        assert_eq!(start(&bench), rewritten);
    }
}
