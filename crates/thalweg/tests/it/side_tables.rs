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

const EVENTS: &str = "
    CREATE TABLE clicks (page STRING, at TIMESTAMP(3), WATERMARK FOR at AS at) WITH (
      'connector' = 'kafka', 'topic' = 'clicks', 'format' = 'json',
      'json.timestamp-format.standard' = 'SQL', 'scan.startup.mode' = 'earliest-offset');
    CREATE TABLE sales (cents BIGINT, paid TIMESTAMP(3), WATERMARK FOR paid AS paid) WITH (
      'connector' = 'kafka', 'topic' = 'sales', 'format' = 'json',
      'json.timestamp-format.standard' = 'SQL', 'scan.startup.mode' = 'earliest-offset');";

/// A click and a sale that are in time, one that moves the time on, and a late one.
fn produce_late(bench: &Bench) {
    for (second, page, cents) in [(1, "in time", 1), (50, "far on", 2), (2, "too late", 3)] {
        let at = format!("2024-01-01 00:00:{second:02}");
        bench.produce("clicks", &format!(r#"{{"page": "{page}", "at": "{at}"}}"#));
        bench.produce("sales", &format!(r#"{{"cents": {cents}, "paid": "{at}"}}"#));
    }
}

#[test]
fn each_aggregate_of_a_job_has_a_table_of_its_own_late_rows() {
    let mut bench = Bench::new();
    produce_late(&bench);
    bench.run(EVENTS);
    bench.run(
        "CREATE TABLE pages (page STRING, n BIGINT) WITH ('connector' = 'blackhole');
         CREATE TABLE sums (cents BIGINT) WITH ('connector' = 'blackhole');
         EXECUTE STATEMENT SET BEGIN
           INSERT INTO pages SELECT page, COUNT(*) FROM
             TUMBLE(TABLE clicks, DESCRIPTOR(at), INTERVAL '10' SECOND)
             GROUP BY window_start, window_end, page;
           INSERT INTO sums SELECT SUM(cents) FROM
             TUMBLE(TABLE sales, DESCRIPTOR(paid), INTERVAL '10' SECOND)
             GROUP BY window_start, window_end;
         END",
    );
    let job = bench.rows("SHOW JOBS").remove(0).remove(1);
    let check = |bench: &Bench| {
        bench.await_rows(&format!("SELECT page FROM `{job}$late`"), &[&["too late"]]);
        bench.await_rows(&format!("SELECT cents FROM `{job}$late_2`"), &[&["3"]]);
    };
    check(&bench);
    bench.reopen();
    check(&bench);
}

/// What stands in the topic from before is read as far as its columns have the same names.
#[test]
fn a_job_that_comes_again_with_other_columns_has_a_table_that_fits() {
    let mut bench = Bench::new();
    produce_late(&bench);
    bench.run(EVENTS);
    bench.run(
        "CREATE MATERIALIZED VIEW counts AS SELECT page, COUNT(*) AS n FROM
           TUMBLE(TABLE clicks, DESCRIPTOR(at), INTERVAL '10' SECOND)
           GROUP BY window_start, window_end, page",
    );
    bench.await_rows("SELECT page FROM `counts$late`", &[&["too late"]]);
    bench.run(
        "DROP MATERIALIZED VIEW counts;
         CREATE MATERIALIZED VIEW counts AS SELECT SUM(cents) AS cents FROM
           TUMBLE(TABLE sales, DESCRIPTOR(paid), INTERVAL '10' SECOND)
           GROUP BY window_start, window_end",
    );
    for _ in 0..2 {
        let late = "SELECT cents FROM `counts$late` WHERE cents IS NOT NULL";
        bench.await_rows(late, &[&["3"]]);
        assert!(bench.try_run("SELECT page FROM `counts$late`").is_err());
        bench.reopen();
    }
}
