//! A plain SELECT on a table.

use crate::harness::Bench;

#[test]
fn a_row_on_which_a_computed_column_fails_is_left_out_and_no_other() {
    let bench = Bench::new();
    for value in ["1", "x", "3", "", "5", "6", "y"] {
        bench.produce("texts", &format!(r#"{{"s": "{value}"}}"#));
    }
    bench.run(
        "CREATE TABLE texts (s STRING, n AS CAST(s AS INT)) WITH (
           'connector' = 'kafka', 'topic' = 'texts', 'scan.startup.mode' = 'earliest-offset',
           'format' = 'json')",
    );
    assert_eq!(bench.rows("SELECT n FROM texts ORDER BY n"), [["1"], ["3"], ["5"], ["6"]]);
    assert_eq!(bench.rows("SELECT COUNT(*) FROM texts"), [["4"]]);
}
