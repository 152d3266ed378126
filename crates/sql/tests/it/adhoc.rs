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
    let session = session(VIEWS);
    let table =
        run_with(&session, sql, &Rows).unwrap_or_else(|error| panic!("{}", error.render(sql)));
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
