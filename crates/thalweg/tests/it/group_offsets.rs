//! Tables that are read from where a consumer group stands.

use crate::harness::Bench;

fn table(name: &str, options: &str) -> String {
    format!(
        "CREATE TABLE {name} (n INT) WITH (
           'connector' = 'kafka', 'topic' = 'numbers', 'format' = 'json',
           'properties.group.id' = 'readers' {options});"
    )
}

/// A bench on which a job of group `readers` has read the numbers 1 to 3; 4 came since.
fn bench() -> Bench {
    let bench = Bench::new();
    for n in 1..=3 {
        bench.produce("numbers", &format!(r#"{{"n": {n}}}"#));
    }
    bench.run(&table("numbers", ", 'scan.startup.mode' = 'earliest-offset'"));
    bench.run("CREATE MATERIALIZED VIEW seen AS SELECT n FROM numbers");
    bench.await_rows("SELECT COUNT(*) FROM seen", &[&["3"]]);
    bench.run("DROP MATERIALIZED VIEW seen");
    bench.produce("numbers", r#"{"n": 4}"#);
    bench
}

#[test]
fn a_job_goes_on_where_the_group_stands() {
    let mut bench = bench();
    // Without the option, too: group-offsets is the default.
    for (name, mode) in [("rest", ", 'scan.startup.mode' = 'group-offsets'"), ("default_mode", "")]
    {
        bench.run(&table(name, mode));
        assert_eq!(bench.rows(&format!("SELECT n FROM {name}")), [["4"]]);
    }
    // The offsets are there before a job starts, also after a restart.
    bench.reopen();
    assert_eq!(bench.rows("SELECT n FROM rest"), [["4"]]);
    bench.run("CREATE MATERIALIZED VIEW v AS SELECT n FROM rest");
    bench.await_rows("SELECT n FROM v", &[&["4"]]);
}

#[test]
fn without_an_offset_the_reset_option_decides() {
    let bench = bench();
    let other = |reset: &str| {
        table("other", &format!(", 'scan.startup.mode' = 'group-offsets' {reset}"))
            .replace("'readers'", "'others'")
    };
    for (reset, rows) in [("earliest", 4), ("latest", 0)] {
        bench.run(&other(&format!(", 'properties.auto.offset.reset' = '{reset}'")));
        assert_eq!(bench.rows("SELECT n FROM other").len(), rows, "{reset}");
        bench.run("DROP TABLE other");
    }
    bench.run(&other(""));
    let error = bench.try_run("SELECT n FROM other").expect_err("no offset");
    assert!(error.message.contains("group 'others' has no committed offset"), "{error}");
}
