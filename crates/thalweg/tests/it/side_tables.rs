//! `<table>$bad` and `<job>$late`.

use crate::harness::Bench;

const READINGS: &str = "CREATE TABLE readings (sensor STRING, celsius DOUBLE) WITH (
      'connector' = 'kafka', 'topic' = 'readings', 'format' = 'json',
      'scan.startup.mode' = 'earliest-offset');";

/// A record is bad for one job and good for another, by the columns that they need.
#[test]
fn a_bad_record_says_for_which_job_it_is_bad() {
    let bench = Bench::new();
    bench.produce("readings", "no json");
    bench.produce("readings", r#"{"sensor": "a", "celsius": "warm"}"#);
    bench.produce("readings", r#"{"sensor": "b", "celsius": 1}"#);
    bench.run(READINGS);
    bench.run("CREATE MATERIALIZED VIEW names AS SELECT sensor FROM readings");
    bench.run("CREATE MATERIALIZED VIEW warmth AS SELECT celsius FROM readings");
    bench.await_rows(
        "SELECT job, `partition`, `offset`, CAST(raw AS STRING) FROM `readings$bad`
         ORDER BY job, `offset`",
        &[
            &["names", "0", "0", "no json"],
            &["warmth", "0", "0", "no json"],
            &["warmth", "0", "1", r#"{"sensor": "a", "celsius": "warm"}"#],
        ],
    );
    let reasons = bench.rows("SELECT reason FROM `readings$bad`");
    assert!(reasons.iter().all(|row| !row[0].is_empty()), "{reasons:?}");
}

/// Other jobs may read them, whatever became of the job that filled them.
#[test]
fn a_side_table_outlives_its_job() {
    let mut bench = Bench::new();
    bench.produce("readings", "no json");
    bench.run(READINGS);
    bench.run("CREATE TABLE out (n BIGINT) WITH ('connector' = 'blackhole')");
    bench.run("INSERT INTO out SELECT COUNT(*) FROM readings");
    bench.await_rows("SELECT COUNT(*) FROM `readings$bad`", &[&["1"]]);
    bench.run("CREATE MATERIALIZED VIEW wrong AS SELECT COUNT(*) AS n FROM `readings$bad`");
    let job = bench.rows("SHOW JOBS").into_iter().find(|row| row[1] != "wrong").expect("a job");
    bench.run(&format!("CANCEL JOB {}", job[0]));
    bench.reopen();
    bench.await_rows("SELECT n FROM wrong", &[&["1"]]);
    bench.run("DROP MATERIALIZED VIEW wrong; DROP TABLE `readings$bad`");
    bench.reopen();
    assert!(bench.try_run("SELECT COUNT(*) FROM `readings$bad`").is_err());
}
