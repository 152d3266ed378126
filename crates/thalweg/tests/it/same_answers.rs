//! An expression gives the same value in a job and in a query on a view.

use crate::harness::Bench;

const ROWS: &[&str] = &[
    r#"{"id": 1, "s": "ann", "n": 7, "b": 3000000000, "d": 2.5, "m": 12.30, "at": "2024-02-29 12:34:56.789"}"#,
    r#"{"id": 2, "s": " 42 ", "n": -7, "b": -1, "d": 1.0E7, "m": -0.05, "at": "1969-12-31 23:59:59.999"}"#,
    r#"{"id": 3, "s": "Ünï|1.9", "n": 2147483647, "b": 9007199254740993, "d": -0.1, "m": 9999.99, "at": "2000-01-01 00:00:00"}"#,
    r#"{"id": 4}"#,
];

/// Casts, operators and functions in which Flink differs from what DataFusion does by itself.
const EXPRESSIONS: &[&str] = &[
    "CAST(n AS STRING) || '/' || CAST(d AS STRING)",
    "CAST(d AS INT)",
    "CAST(b AS INT)",
    "CAST(b AS DOUBLE)",
    "CAST(m AS STRING)",
    "CAST(m AS INT)",
    "CAST(s AS VARCHAR(2))",
    "CAST(s AS CHAR(5)) || '!'",
    "TRY_CAST(s AS INT)",
    "TRY_CAST(s AS DECIMAL(6, 2))",
    "CAST(at AS STRING)",
    "CAST(at AS DATE)",
    "CAST(at AS TIMESTAMP(0))",
    "CAST(n > 0 AS STRING)",
    "n + 1",
    "n / 2",
    "MOD(n, 4)",
    "m / 7",
    "m * m",
    "n * 1.5",
    "d / 3",
    "b = 3000000000",
    "n = '7'",
    "m BETWEEN -1 AND 12.3",
    "n IN (7, 2.0, 2147483647)",
    "CASE WHEN n > 0 THEN 1 ELSE 2.5 END",
    "CASE n WHEN 7 THEN 'seven' ELSE s END",
    "COALESCE(n, 0.5)",
    "NULLIF(n, 7)",
    "UPPER(s)",
    "CHAR_LENGTH(s)",
    "SUBSTRING(s, 2, 3)",
    "POSITION('n' IN s)",
    "TRIM(s)",
    "REPLACE(s, 'n', 'N')",
    "SPLIT_INDEX(s, '|', 1)",
    "ROUND(d, 0)",
    "ROUND(m, 1)",
    "FLOOR(d)",
    "CEIL(m)",
    "ABS(n)",
    "SQRT(ABS(d))",
    "EXTRACT(YEAR FROM at)",
    "DATE_FORMAT(at, 'yyyy-MM-dd HH:mm')",
    "FLOOR(at TO HOUR)",
    "TIMESTAMPADD(MONTH, 1, at)",
    "TIMESTAMPDIFF(DAY, at, TIMESTAMP '2025-01-01 00:00:00')",
    "at + INTERVAL '1' DAY",
    "s LIKE '%n%'",
    "s IS NOT DISTINCT FROM 'ann'",
];

/// The `number`th column as text that tells values apart.
fn column(number: usize, expression: &str) -> String {
    format!("CAST({expression} AS STRING) AS x{number}, ({expression}) IS NULL AS n{number}")
}

#[test]
fn jobs_and_queries_compute_alike() {
    let bench = Bench::new();
    for row in ROWS {
        bench.produce("rows_in", row);
    }
    bench.run(
        "CREATE TABLE rows_in (id INT, s STRING, n INT, b BIGINT, d DOUBLE, m DECIMAL(6, 2),
           at TIMESTAMP(3)) WITH ('connector' = 'kafka', 'topic' = 'rows_in',
           'scan.startup.mode' = 'earliest-offset', 'format' = 'json',
           'json.timestamp-format.standard' = 'SQL')",
    );
    let columns: Vec<String> =
        EXPRESSIONS.iter().enumerate().map(|(number, text)| column(number, text)).collect();
    let columns = columns.join(", ");
    bench.run("CREATE MATERIALIZED VIEW base AS SELECT * FROM rows_in");
    bench.run(&format!("CREATE MATERIALIZED VIEW by_job AS SELECT id, {columns} FROM rows_in"));
    for view in ["base", "by_job"] {
        bench.await_rows(&format!("SELECT COUNT(*) FROM {view}"), &[&["4"]]);
    }
    let by_job = bench.rows("SELECT * FROM by_job ORDER BY id");
    let queried = bench.rows(&format!("SELECT id, {columns} FROM base ORDER BY id"));
    assert_eq!((by_job.len(), queried.len()), (ROWS.len(), ROWS.len()));
    for (job, query) in by_job.iter().zip(&queried) {
        for (number, expression) in EXPRESSIONS.iter().enumerate() {
            let at = 1 + 2 * number..3 + 2 * number;
            assert_eq!(job[at.clone()], query[at], "{expression} of row {}", job[0]);
        }
    }
    // They are values, and not one error said twice.
    assert_eq!(by_job[0][1], "7/2.5");
    assert!(by_job[3][2..].iter().step_by(2).any(|null| null == "true"));
}

#[test]
fn an_answer_that_is_too_large_is_refused() {
    let bench = Bench::new();
    bench.run(
        "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen',
           'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '20000')",
    );
    bench.run("CREATE MATERIALIZED VIEW kept AS SELECT n FROM numbers");
    bench.await_rows("SELECT COUNT(*) FROM kept", &[&["20000"]]);
    let wide = "SELECT REPEAT('x', 10000) || CAST(a.n AS STRING) AS x FROM kept AS a
        JOIN (SELECT n FROM kept WHERE n <= 5) AS b ON a.n >= b.n";
    let error = bench.try_run(wide).expect_err("a gigabyte");
    assert_eq!(error.sqlstate(), "53200", "{error}");
    assert!(error.message.contains("more than the 512 MiB"), "{error}");
    // The node goes on.
    assert_eq!(bench.rows("SELECT MAX(n) FROM kept"), [["20000"]]);
}
