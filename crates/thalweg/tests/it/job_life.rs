//! Jobs that are stopped, started again and cancelled, with restarts of the node between.

use thalweg::node::Answer;
use thalweg_engine::JobState;

use crate::harness::Bench;

const TABLES: &str = "CREATE TABLE numbers (n INT) WITH (
      'connector' = 'kafka', 'topic' = 'numbers', 'format' = 'json',
      'scan.startup.mode' = 'earliest-offset');
    CREATE TABLE copy (n INT) WITH (
      'connector' = 'kafka', 'topic' = 'copy', 'format' = 'json',
      'scan.startup.mode' = 'earliest-offset');";
const TOTAL: &str = "CREATE MATERIALIZED VIEW total AS SELECT SUM(n) AS n FROM numbers";
const COPY: &str = "INSERT INTO copy SELECT n FROM numbers";

/// A bench with the numbers 1 and 2.
fn bench() -> Bench {
    let bench = Bench::new();
    produce(&bench, 1);
    produce(&bench, 2);
    bench.run(TABLES);
    bench
}

fn produce(bench: &Bench, n: i32) {
    bench.produce("numbers", &format!(r#"{{"n": {n}}}"#));
}

/// Starts the job that copies; its name.
fn start_copy(bench: &Bench) -> String {
    let Answer::Job(job) = bench.run(COPY) else { panic!("a job") };
    job.name().to_owned()
}

fn state(bench: &Bench, name: &str) -> Option<JobState> {
    bench.jobs().into_iter().find(|(job, _)| job == name).map(|(_, state)| state)
}

#[test]
fn a_stopped_view_shows_its_last_rows_until_it_is_started_again() {
    let mut bench = bench();
    bench.run(TOTAL);
    bench.await_rows("SELECT n FROM total", &[&["3"]]);
    bench.run("STOP JOB 'total'");
    produce(&bench, 4);
    assert_eq!(bench.rows("SELECT n FROM total"), [["3"]]);
    for _ in 0..2 {
        bench.reopen();
        assert_eq!(state(&bench, "total"), Some(JobState::Stopped));
        assert_eq!(bench.rows("SELECT n FROM total"), [["3"]], "it has not run by itself");
    }
    let shown = bench.rows("SHOW JOB 'total'");
    assert!(shown.contains(&vec!["rows_in".to_owned(), "2".to_owned()]), "{shown:?}");
    bench.run("RESTART JOB 'total'");
    bench.await_rows("SELECT n FROM total", &[&["7"]]);
    bench.reopen();
    assert!(state(&bench, "total").is_some_and(runs));
    produce(&bench, 8);
    bench.await_rows("SELECT n FROM total", &[&["15"]]);
}

#[test]
fn a_job_is_started_again_in_the_process_that_stopped_it() {
    let mut bench = bench();
    bench.run(TOTAL);
    let copy = start_copy(&bench);
    for round in 0..3 {
        bench.run("STOP JOB 'total'");
        produce(&bench, 1);
        assert_eq!(state(&bench, "total"), Some(JobState::Stopped));
        bench.run("RESTART JOB 'total'");
        // One that runs is stopped first.
        bench.run(&format!("RESTART JOB '{copy}'"));
        let expected = (4 + round).to_string();
        bench.await_rows("SELECT n FROM total", &[&[&expected]]);
        bench.await_rows("SELECT SUM(n) FROM copy", &[&[&expected]]);
    }
    bench.reopen();
    assert_eq!(bench.jobs().len(), 2);
    assert!(bench.jobs().into_iter().all(|(_, state)| runs(state)));
}

#[test]
fn rows_that_only_a_replay_brings_back_are_asked_for_clearly() {
    let mut bench = bench();
    bench.run(TOTAL);
    bench.await_rows("SELECT n FROM total", &[&["3"]]);
    bench.run("STOP JOB 'total'");
    let id = bench.node().jobs()[0].id().to_string();
    bench.close();
    let snapshots = bench.data().join("jobs").join(id).join("snapshots");
    let disk = thalweg_core::env::Env::real().disk;
    assert!(disk.exists(&snapshots));
    disk.remove_dir_all(&snapshots).expect("removed");
    bench.open();
    assert_eq!(state(&bench, "total"), Some(JobState::Stopped));
    for statement in ["SELECT n FROM total", "SUBSCRIBE TO total"] {
        let error = bench.try_run(statement).expect_err("no rows");
        assert!(error.message.contains("job 'total' is stopped"), "{error}");
        assert!(error.hint.expect("a hint").starts_with("RESTART JOB 'total'"));
    }
    bench.run("RESTART JOB 'total'");
    assert_eq!(bench.rows("SELECT n FROM total"), [["3"]], "replayed when RESTART answers");
}

#[test]
fn a_cancelled_job_is_gone_with_its_state() {
    let mut bench = bench();
    bench.run(TOTAL);
    let copy = start_copy(&bench);
    bench.await_rows("SELECT SUM(n) FROM copy", &[&["3"]]);
    let error = bench.try_run("CANCEL JOB 'total'").expect_err("it keeps a view");
    assert!(error.hint.expect("a hint").contains("DROP MATERIALIZED VIEW"));
    bench.run(&format!("STOP JOB '{copy}'"));
    bench.reopen();
    assert_eq!(state(&bench, &copy), Some(JobState::Stopped));
    let journals = |bench: &Bench| {
        let topics = bench.node().log().topics();
        topics.iter().filter(|topic| topic.name.starts_with("__journal.")).count()
    };
    assert_eq!(journals(&bench), 2);
    bench.run(&format!("CANCEL JOB '{copy}'"));
    assert_eq!((state(&bench, &copy), journals(&bench)), (None, 1));
    bench.reopen();
    assert_eq!((state(&bench, &copy), journals(&bench)), (None, 1));
    assert!(bench.try_run(&format!("RESTART JOB '{copy}'")).is_err());
}

#[test]
fn a_stopped_view_can_be_dropped() {
    let mut bench = bench();
    bench.run(TOTAL);
    bench.run("STOP JOB 'total'");
    bench.reopen();
    bench.run("DROP MATERIALIZED VIEW total");
    assert!(bench.jobs().is_empty());
    bench.run(TOTAL);
    bench.await_rows("SELECT n FROM total", &[&["3"]]);
    bench.reopen();
    assert_eq!(bench.rows("SELECT n FROM total"), [["3"]]);
}

#[test]
fn what_a_stop_cannot_do_is_said() {
    let bench = bench();
    bench.run(TOTAL);
    bench.await_rows("SELECT n FROM total", &[&["3"]]);
    for how in ["WITH SAVEPOINT", "WITH DRAIN"] {
        let error = bench.try_run(&format!("STOP JOB 'total' {how}")).expect_err("refused");
        assert_eq!(error.sqlstate(), "0A000", "{error}");
    }
    assert_eq!(state(&bench, "total"), Some(JobState::Running));
    assert!(bench.try_run("STOP JOB 'nobody'").is_err());
}

/// Whether a job goes on by itself; it may still be at its start.
fn runs(state: JobState) -> bool {
    matches!(state, JobState::Running | JobState::Recovering)
}

fn assert_used(bench: &Bench, drop: &str, job: &str) {
    let error = bench.try_run(drop).expect_err("a job uses it");
    assert_eq!(error.sqlstate(), "2BP01", "{error}");
    assert!(error.message.contains(&format!("'{job}'")), "{error}");
    assert!(error.hint.expect("a hint").contains(&format!("STOP JOB '{job}'")));
}

#[test]
fn what_a_running_job_uses_is_not_dropped() {
    let mut bench = bench();
    bench.run("CREATE VIEW odd AS SELECT n FROM numbers WHERE MOD(n, 2) = 1");
    bench.run("CREATE MATERIALIZED VIEW total AS SELECT SUM(n) AS n FROM odd");
    let copy = start_copy(&bench);
    for _ in 0..2 {
        assert_used(&bench, "DROP TABLE numbers", "total");
        assert_used(&bench, "DROP TABLE numbers", &copy);
        assert_used(&bench, "DROP VIEW odd", "total");
        assert_used(&bench, "DROP TABLE IF EXISTS copy", &copy);
        bench.reopen();
    }
    // One that rests keeps nothing; started again, it does.
    bench.run(&format!("STOP JOB '{copy}'"));
    bench.run("CREATE TABLE passing (n INT) WITH ('connector' = 'blackhole')");
    bench.run("DROP TABLE passing");
    bench.run(&format!("RESTART JOB '{copy}'"));
    assert_used(&bench, "DROP TABLE copy", &copy);
    bench.run(&format!("STOP JOB '{copy}'"));
    bench.run("DROP TABLE copy");
    assert_used(&bench, "DROP TABLE numbers", "total");
    bench.run("DROP MATERIALIZED VIEW total");
    bench.run("DROP VIEW odd; DROP TABLE numbers");
    bench.reopen();
    assert!(bench.rows("SHOW TABLES").iter().flatten().all(|name| name.contains('$')));
    assert_eq!(state(&bench, &copy), Some(JobState::Stopped));
}

#[test]
fn what_a_job_used_that_came_to_its_end_or_was_cancelled_is_dropped() {
    let bench = bench();
    bench.run(
        "CREATE TABLE now (n INT) WITH ('connector' = 'kafka', 'topic' = 'numbers',
           'format' = 'json', 'scan.startup.mode' = 'earliest-offset',
           'scan.bounded.mode' = 'latest-offset')",
    );
    let Answer::Job(job) = bench.run("INSERT INTO copy SELECT n FROM now") else { panic!("a job") };
    assert_eq!(job.wait().state, JobState::Finished);
    bench.run("DROP TABLE now");
    let copy = start_copy(&bench);
    assert_used(&bench, "DROP TABLE numbers", &copy);
    bench.run(&format!("CANCEL JOB '{copy}'"));
    bench.run("DROP TABLE numbers; DROP TABLE copy");
}
