//! Ad-hoc queries over the rows of views.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::util::pretty::pretty_format_batches;
use thalweg_sql::Session;
use thalweg_sql::adhoc::{AdHoc, NoViews, ViewResolver};
use thalweg_sql::catalog::CatalogObject;
use thalweg_sql::error::{Result, SqlError};
use thalweg_sql::parser::{self, Statement};

use crate::support::session;

const VIEWS: &str = "
CREATE TABLE t (u STRING, price BIGINT, ts TIMESTAMP(3)) WITH ('connector' = 'kafka');
CREATE MATERIALIZED VIEW m AS SELECT u, SUM(price) AS total, MAX(ts) AS last_ts FROM t GROUP BY u;
CREATE VIEW big AS SELECT u, total FROM m WHERE total > 10;
CREATE VIEW renamed (`Name`, Amount) AS SELECT u, total FROM m;
";

struct Rows;

#[async_trait]
impl ViewResolver for Rows {
    async fn rows(&self, object: &CatalogObject) -> Result<Option<Vec<RecordBatch>>> {
        let CatalogObject::View(view) = object else { return Ok(None) };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["ann", "bob", "eve"])),
            Arc::new(Int64Array::from(vec![Some(15), Some(4), None])),
            Arc::new(TimestampMillisecondArray::from(vec![0, 60_000, 3_600_000])),
        ];
        Ok(Some(vec![RecordBatch::try_new(view.schema(), columns).unwrap()]))
    }
}

fn run_with(
    session: &Session,
    sql: &str,
    resolver: &dyn ViewResolver,
) -> std::result::Result<String, SqlError> {
    let Statement::Query(query) = parser::parse_one(sql)?.statement else { panic!("{sql}") };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let adhoc = AdHoc { memory_bytes: 64 << 20, now: 1_000_000 };
    let (_, batches) = runtime.block_on(adhoc.query(session, &query, resolver))?;
    Ok(pretty_format_batches(&batches).unwrap().to_string())
}

fn check(sql: &str, expected: &[&str]) {
    check_in(&session(VIEWS), sql, expected);
}

fn check_in(session: &Session, sql: &str, expected: &[&str]) {
    let table =
        run_with(session, sql, &Rows).unwrap_or_else(|error| panic!("{}", error.render(sql)));
    let lines: Vec<&str> = table.lines().filter(|line| !line.starts_with('+')).collect();
    let tidy: Vec<String> = lines
        .iter()
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|"))
        .collect();
    assert_eq!(tidy, expected, "\n{table}");
}

#[test]
fn constants_without_any_view() {
    let session = session("");
    let one = run_with(&session, "SELECT 1 + 1 AS two, UPPER('x') AS x", &NoViews).unwrap();
    assert!(one.contains("| 2   | X |"), "{one}");
    check(
        "SELECT current_database() AS d, IF(TRUE, 'a', 'b') AS i",
        &["d|i", "default_database|a"],
    );
    check(
        "SELECT UNIX_TIMESTAMP('1970-01-01 00:00:07') AS s, NOW() > TIMESTAMP '1970-01-01 00:00:00' AS n",
        &["s|n", "7|true"],
    );
}

#[test]
fn views_are_filtered_sorted_and_joined() {
    check(
        "SELECT * FROM m ORDER BY u DESC LIMIT 2",
        &["u|total|last_ts", "eve||1970-01-01T01:00:00", "bob|4|1970-01-01T00:01:00"],
    );
    check("SELECT m.u, big.total / 2 AS half FROM m JOIN big ON m.u = big.u", &["u|half", "ann|7"]);
    check(
        "SELECT u FROM default_catalog.default_database.m WHERE total IN (SELECT MAX(total) FROM m)",
        &["u", "ann"],
    );
    check("WITH x AS (SELECT u FROM m) SELECT COUNT(*) AS n FROM x", &["n", "3"]);
    check(
        "SELECT u, ROW_NUMBER() OVER (ORDER BY u DESC) AS r FROM m ORDER BY r LIMIT 1",
        &["u|r", "eve|1"],
    );
}

#[test]
fn averages_keep_their_type_as_in_jobs() {
    check("SELECT AVG(total) AS mean, SUM(total) AS s FROM m", &["mean|s", "9|19"]);
    check("SELECT AVG(CAST(total AS DOUBLE)) AS mean FROM m", &["mean", "9.5"]);
    check(
        "SELECT u, AVG(total) AS a FROM m GROUP BY u ORDER BY u",
        &["u|a", "ann|15", "bob|4", "eve|"],
    );
}

#[test]
fn functions_are_those_of_jobs() {
    check(
        "SELECT DATE_FORMAT(last_ts, 'HH:mm') AS t FROM m ORDER BY u",
        &["t", "00:00", "00:01", "01:00"],
    );
    check("SELECT total / 2 AS h, total * 0.5 AS d FROM m WHERE u = 'ann'", &["h|d", "7|7.5"]);
}

#[test]
fn errors_have_their_place() {
    let session = session(VIEWS);
    let sql = "SELECT totl FROM m";
    let error = run_with(&session, sql, &Rows).unwrap_err();
    assert_eq!(error.sqlstate(), "42703");
    assert_eq!(error.hint.as_deref(), Some("did you mean `total`?"));
    assert_eq!(error.span.unwrap().start.column, 8);
    let error = run_with(&session, "SELECT 1 FROM nothing", &Rows).unwrap_err();
    assert_eq!(error.sqlstate(), "42P01");
    let error = run_with(&session, "SELECT * FROM t", &Rows).unwrap_err();
    assert_eq!(error.sqlstate(), "0A000");
    let error = run_with(&session, "SELECT 1 / (total - 4) FROM m", &Rows).unwrap_err();
    assert!(error.message.contains("division by zero"), "{error}");
}

#[test]
fn a_plain_view_may_name_its_columns() {
    check("SELECT Amount FROM renamed WHERE `Name` = 'ann'", &["Amount", "15"]);
    check(
        "SELECT r.`Name` AS n FROM renamed AS r JOIN m ON m.u = r.`Name` WHERE Amount = 4",
        &["n", "bob"],
    );
    check("SELECT p FROM renamed AS r (p, q) WHERE q = 15", &["p", "ann"]);
    let error = run_with(&session(VIEWS), "SELECT total FROM renamed", &Rows).unwrap_err();
    assert_eq!(error.sqlstate(), "42703");
}

/// Each of these is one value to a job; see the tests of expressions.
#[test]
fn casts_are_those_of_jobs() {
    for (expr, value) in [
        ("CAST(TRUE AS STRING)", "TRUE"),
        ("CAST('abcdef' AS VARCHAR(3))", "abc"),
        ("CAST('ab' AS CHAR(4)) || '!'", "ab  !"),
        ("CAST(0.1E0 AS STRING)", "0.1"),
        ("CAST(12345678.9E0 AS STRING)", "1.23456789E7"),
        ("CAST(1.9 AS INT)", "1"),
        ("CAST(-1.9E0 AS INT)", "-1"),
        ("CAST(3000000000 AS INT)", "-1294967296"),
        ("CAST('  42 ' AS INT)", "42"),
        ("CAST('1.9' AS INT)", "1"),
        ("TRY_CAST('abc' AS INT)", ""),
        ("CAST(CAST('2024-02-29 12:34:56.789' AS TIMESTAMP(0)) AS STRING)", "2024-02-29 12:34:56"),
        ("CAST(TIMESTAMP '2024-02-29 12:34:56.5' AS STRING)", "2024-02-29 12:34:56.500"),
        ("CAST(DATE '2024-02-29' AS TIMESTAMP(3))", "2024-02-29T00:00:00"),
        ("CAST('yes' AS BOOLEAN)", "true"),
        ("2147483647 + 1", "-2147483648"),
        ("CASE 3 WHEN 1 THEN 1.5 WHEN 3 THEN 2 END", "2.0"),
        ("COALESCE(NULL, 2, 1.5)", "2.0"),
        ("NULLIF(5, 5.0)", ""),
        ("CAST(CAST(total AS DOUBLE) AS STRING)", "15.0"),
        ("CAST(last_ts AS STRING)", "1970-01-01 00:00:00.000"),
    ] {
        check(&format!("SELECT {expr} AS x FROM m WHERE u = 'ann'"), &["x", value]);
    }
    for (expr, message) in [
        ("CAST(u AS INT)", "cannot cast 'ann' to INT"),
        ("CAST(total AS DATE)", "cannot cast BIGINT to DATE"),
    ] {
        let sql = format!("SELECT {expr} AS x FROM m");
        let error = run_with(&session(VIEWS), &sql, &Rows).unwrap_err();
        assert!(error.message.contains(message), "{error}");
    }
}

#[test]
fn values_meet_as_in_jobs() {
    check("SELECT u FROM m WHERE total = '15.0'", &["u", "ann"]);
    check("SELECT u FROM m WHERE total IN ('4', 15.0) ORDER BY u", &["u", "ann", "bob"]);
    check("SELECT u FROM m WHERE total BETWEEN 3.5 AND '4'", &["u", "bob"]);
    check("SELECT u FROM m WHERE total NOT BETWEEN 3.5 AND 14", &["u", "ann"]);
    check("SELECT u FROM m WHERE last_ts = '1970-01-01 00:01'", &["u", "bob"]);
    check("SELECT u FROM m WHERE CAST(u AS CHAR(5)) = 'bob  '", &["u", "bob"]);
    check(
        "SELECT 1 AS x UNION ALL SELECT 1.25 UNION ALL SELECT total FROM m WHERE u = 'bob'",
        &["x", "1.00", "1.25", "4.00"],
    );
    check("SELECT u FROM m WHERE total = (SELECT MIN(total) * 1.0 FROM m)", &["u", "bob"]);
    let error =
        run_with(&session(VIEWS), "SELECT u FROM m WHERE total = last_ts", &Rows).unwrap_err();
    assert_eq!(error.sqlstate(), "42804", "{error}");
}

/// Wall-clock time and instants meet in the session's zone.
#[test]
fn instants_are_those_of_the_session() {
    let mut session = session(VIEWS);
    crate::support::run(&mut session, "SET 'table.local-time-zone' = '+02:00'").unwrap();
    check_in(
        &session,
        "SELECT CAST(NOW() AS STRING) AS n, CAST(LOCALTIMESTAMP AS STRING) AS l, CURRENT_DATE AS d,
         CAST('1970-01-01 00:16:40Z' AS TIMESTAMP_LTZ(3)) = NOW() AS same,
         TIMESTAMP '1970-01-01 02:16:40' = CURRENT_TIMESTAMP AS here",
        &[
            "n|l|d|same|here",
            "1970-01-01 02:16:40.000|1970-01-01 02:16:40.000|1970-01-01|true|true",
        ],
    );
}

/// The rows of `m`, two thousand of them.
struct ManyRows;

#[async_trait]
impl ViewResolver for ManyRows {
    async fn rows(&self, object: &CatalogObject) -> Result<Option<Vec<RecordBatch>>> {
        let CatalogObject::View(view) = object else { return Ok(None) };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values((0..2000).map(|n| format!("user {n}")))),
            Arc::new(Int64Array::from_iter_values(0..2000)),
            Arc::new(TimestampMillisecondArray::from_iter_values(0..2000)),
        ];
        Ok(Some(vec![RecordBatch::try_new(view.schema(), columns).unwrap()]))
    }
}

fn refused(sql: &str, memory_bytes: usize) -> SqlError {
    let Statement::Query(query) = parser::parse_one(sql).unwrap().statement else { panic!() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let adhoc = AdHoc { memory_bytes, now: 0 };
    runtime.block_on(adhoc.query(&session(VIEWS), &query, &ManyRows)).unwrap_err()
}

#[test]
fn a_query_has_bounded_memory() {
    const MIB: usize = 1 << 20;
    for sql in [
        // The result.
        "SELECT * FROM m AS a, m AS b",
        "SELECT * FROM m AS a, m AS b, m AS c",
        // What steps hold.
        "SELECT COUNT(*) FROM m AS a, m AS b, m AS c WHERE a.u < b.u AND b.u < c.u AND a.u <> c.u",
        "SELECT a.u || b.u AS x FROM m AS a, m AS b ORDER BY x LIMIT 10 OFFSET 3000000",
        "SELECT MAX(n) FROM (SELECT COUNT(*) OVER (PARTITION BY a.u) AS n FROM m AS a, m AS b)",
        "SELECT MAX(n) FROM (SELECT COUNT(a.u) OVER () AS n, b.u FROM m AS a, m AS b)",
        "SELECT string_agg(a.u || b.u, ',') FROM m AS a, m AS b",
    ] {
        let error = refused(sql, 16 * MIB);
        assert_eq!(error.sqlstate(), "53200", "{sql}: {error}");
        assert!(error.message.contains("more than the 16 MiB"), "{error}");
    }
    // The inputs.
    assert_eq!(refused("SELECT COUNT(*) FROM m", 16 << 10).sqlstate(), "53200");
}

#[test]
fn values_have_bounded_lengths() {
    const GIB: usize = 1 << 30;
    for sql in [
        "SELECT REPEAT(u, 1000000) AS x FROM m",
        "SELECT LPAD(u, 200000, 'é') AS x FROM m",
        "SELECT CAST(u AS CHAR(1000000)) AS x FROM m",
        "SELECT RPAD('x', 2000000000, 'y') AS x",
        "SELECT REPLACE(u, 'u', REPEAT('x', 1000000)) AS x FROM m",
        "SELECT REGEXP_REPLACE(u, '.', REPEAT('x', 100000)) AS x FROM m",
        "SELECT REPEAT('x', 1000000) AS x FROM m",
        "SELECT CASE WHEN total = 1 THEN REPEAT('x', 100000) ELSE u END AS x FROM m",
    ] {
        let error = refused(sql, GIB);
        assert_eq!(error.sqlstate(), "54000", "{sql}: {error}");
    }
    // What DataFusion would make without a bound.
    for sql in ["SELECT array_repeat(u, 1000000000) FROM m", "SELECT range(1, 1000000000000)"] {
        assert_eq!(refused(sql, GIB).sqlstate(), "42883", "{sql}");
    }
    let recursive = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) \
        SELECT COUNT(*) FROM r";
    assert_eq!(refused(recursive, GIB).sqlstate(), "0A000");
}

#[test]
fn long_constants_are_fine_where_they_stand_once() {
    let long = "x".repeat(100_000);
    check(&format!("SELECT u FROM m WHERE u = '{long}' OR total = 4"), &["u", "bob"]);
    check("SELECT CHAR_LENGTH(REPEAT('x', 1000000)) AS n", &["n", "1000000"]);
}
