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
