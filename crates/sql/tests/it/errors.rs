//! What a user sees when something is wrong: message, place, advice.

use thalweg_sql::error::SqlError;

use crate::support::{explain, run, session};

const TABLES: &str = "
CREATE TABLE bid (
    auction BIGINT, price BIGINT, url STRING, item ROW<name STRING, size INT>,
    ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH ('connector' = 'kafka');
CREATE TABLE out (a BIGINT, b STRING) WITH ('connector' = 'kafka');
CREATE TABLE keyed (a BIGINT, b BIGINT, PRIMARY KEY (a) NOT ENFORCED)
WITH ('connector' = 'upsert-kafka');
";

fn failed(sql: &str) -> SqlError {
    let mut session = session(TABLES);
    match thalweg_sql::parser::parse_one(sql) {
        Err(error) => error,
        Ok(parsed) => {
            let result = match &parsed.statement {
                thalweg_sql::parser::Statement::Insert(_)
                | thalweg_sql::parser::Statement::Query(_)
                | thalweg_sql::parser::Statement::StatementSet(_) => {
                    explain(&session, sql).map(|_| ())
                }
                _ => run(&mut session, sql).map(|_| ()),
            };
            result.expect_err(sql)
        }
    }
}

fn check(sql: &str, expected: &str) {
    let rendered = failed(sql).render(sql);
    assert_eq!(rendered.trim(), expected.trim(), "\n{rendered}");
}

#[test]
fn syntax() {
    check(
        "SELEC * FROM bid",
        r"
error[syntax-error]: expected SELECT, found `SELEC`
 --> line 1, column 1
  |
1 | SELEC * FROM bid
  | ^^^^^
  = help: did you mean `SELECT`?
",
    );
    check(
        "SELECT price FROM bid WHERE",
        r"
error[syntax-error]: expected an expression, but the statement ends here
 --> line 1, column 28
  |
1 | SELECT price FROM bid WHERE
  |                            ^
",
    );
    check(
        "CREATE TABEL t (a INT)",
        r"
error[syntax-error]: expected TABLE, VIEW, MATERIALIZED VIEW, FUNCTION or DATABASE after CREATE, found `TABEL`
 --> line 1, column 8
  |
1 | CREATE TABEL t (a INT)
  |        ^^^^^
  = help: did you mean `TABLE`?
",
    );
    check(
        "CREATE TABLE t (a INTT)",
        r"
error[syntax-error]: expected a data type, found `INTT`
 --> line 1, column 19
  |
1 | CREATE TABLE t (a INTT)
  |                   ^^^^
",
    );
    check(
        "SELECT * FROM bid /*+ OPTIONS('a'='b') */",
        r"
error[not-supported]: hints (`/*+ ... */`)
 --> line 1, column 19
  |
1 | SELECT * FROM bid /*+ OPTIONS('a'='b') */
  |                   ^^^^^^^^^^^^^^^^^^^^^^^
  = help: put options into WITH (...) of the table, or use SET
",
    );
}

#[test]
fn names() {
    check(
        "SELECT pric FROM bid",
        r"
error[unknown-column]: there is no column `pric`
 --> line 1, column 8
  |
1 | SELECT pric FROM bid
  |        ^^^^
  = help: did you mean `price`?
",
    );
    check(
        "SELECT b.price FROM bid AS x",
        r"
error[unknown-column]: there is no column `price` in `b`
 --> line 1, column 8
  |
1 | SELECT b.price FROM bid AS x
  |        ^^^^^^^
  = help: did you mean `price`?
",
    );
    check(
        "SELECT item.nam FROM bid",
        r"
error[unknown-column]: there is no field `nam`
 --> line 1, column 13
  |
1 | SELECT item.nam FROM bid
  |             ^^^
  = help: did you mean `name`?
",
    );
    check(
        "SELECT price\nFROM bids\nWHERE price > 1",
        r"
error[unknown-table]: there is no table or view `bids`
 --> line 2, column 6
  |
2 | FROM bids
  |      ^^^^
  = help: did you mean `bid`?
",
    );
    check(
        "SELECT\n\tUPER(url) FROM bid",
        "
error[unknown-function]: there is no function `UPER`
 --> line 2, column 2
  |
2 | \tUPER(url) FROM bid
  | \t^^^^
  = help: did you mean `upper`?
",
    );
    check(
        "DROP TABLE bids",
        r"
error[unknown-table]: there is no table or view `bids`
 --> line 1, column 12
  |
1 | DROP TABLE bids
  |            ^^^^
  = help: did you mean `bid`?
",
    );
    check(
        "SET 'table.exec.state.tll' = '1 h'",
        r"
error[unknown-object]: there is no setting 'table.exec.state.tll'
 --> line 1, column 5
  |
1 | SET 'table.exec.state.tll' = '1 h'
  |     ^^^^^^^^^^^^^^^^^^^^^^
  = help: did you mean 'table.exec.state.ttl'?
",
    );
}

#[test]
fn types() {
    check(
        "SELECT price + url FROM bid",
        r"
error[type-mismatch]: cannot apply `+` to BIGINT and STRING
 --> line 1, column 8
  |
1 | SELECT price + url FROM bid
  |        ^^^^^^^^^^^
",
    );
    check(
        "SELECT 1, SUBSTRING(price, 1) FROM bid",
        r"
error[type-mismatch]: SUBSTRING(text FROM start [FOR length]): argument 1 must be a string, but is BIGINT
 --> line 1, column 21
  |
1 | SELECT 1, SUBSTRING(price, 1) FROM bid
  |                     ^^^^^^^^
",
    );
    check(
        "SELECT price FROM bid WHERE price",
        r"
error[type-mismatch]: a condition must be BOOLEAN
 --> line 1, column 29
  |
1 | SELECT price FROM bid WHERE price
  |                             ^^^^^
",
    );
    check(
        "SELECT SUM(url) FROM bid",
        r"
error[type-mismatch]: SUM([DISTINCT] a): the argument must be a number, but is STRING
 --> line 1, column 8
  |
1 | SELECT SUM(url) FROM bid
  |        ^^^^^^^
",
    );
    check(
        "SELECT price FROM bid UNION ALL SELECT ts FROM bid",
        r"
error[type-mismatch]: column `price` of UNION has no common type: BIGINT, TIMESTAMP(3)
",
    );
}

#[test]
fn grouping_and_windows() {
    check(
        "SELECT auction, COUNT(*) FROM bid GROUP BY url",
        r"
error[grouping-error]: column `auction` is neither grouped nor aggregated
 --> line 1, column 8
  |
1 | SELECT auction, COUNT(*) FROM bid GROUP BY url
  |        ^^^^^^^
  = help: add it to GROUP BY, or take MAX(auction) or another aggregate of it
",
    );
    check(
        "SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(price), INTERVAL '1' MINUTE))",
        r"
error[invalid-argument]: a window needs a time attribute, but `price` is a BIGINT
 --> line 1, column 57
  |
1 | SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(price), INTERVAL '1' MINUTE))
  |                                                         ^^^^^
  = help: declare WATERMARK FOR `price` in the table, or use a column AS PROCTIME()
",
    );
    check(
        "SELECT COUNT(*) FROM TABLE(HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '3' SECOND, \
         INTERVAL '10' SECOND)) GROUP BY window_start, window_end",
        r"
error[invalid-argument]: SIZE (10000 ms) must be a multiple of SLIDE (3000 ms)
 --> line 1, column 28
  |
1 | SELECT COUNT(*) FROM TABLE(HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '3' SECOND, INTERVAL '10' SECOND)) GROUP BY window_start, window_end
  |                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
",
    );
    check(
        "SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE) FROM bid GROUP BY auction",
        r"
error[grouping-error]: column `ts` is neither grouped nor aggregated
 --> line 1, column 21
  |
1 | SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE) FROM bid GROUP BY auction
  |                     ^^
  = help: add it to GROUP BY, or take MAX(ts) or another aggregate of it
",
    );
    check(
        "SELECT TUMBLE(ts, INTERVAL '1' MINUTE) FROM bid",
        r"
error[grouping-error]: TUMBLE(time, size) stands only in GROUP BY or FROM
 --> line 1, column 8
  |
1 | SELECT TUMBLE(ts, INTERVAL '1' MINUTE) FROM bid
  |        ^^^^^^^^^
",
    );
    check(
        "SELECT auction FROM bid WHERE COUNT(*) > 1",
        r"
error[grouping-error]: the aggregate function COUNT cannot stand in WHERE
 --> line 1, column 31
  |
1 | SELECT auction FROM bid WHERE COUNT(*) > 1
  |                               ^^^^^
  = help: put the condition into HAVING
",
    );
}

#[test]
fn what_is_not_supported_yet_says_where() {
    check(
        "SELECT * FROM bid a JOIN bid b ON a.auction = b.auction",
        r"
error[not-supported]: joins are not supported in jobs yet
 --> line 1, column 26
  |
1 | SELECT * FROM bid a JOIN bid b ON a.auction = b.auction
  |                          ^^^^^
",
    );
    check(
        "SELECT a.price FROM bid a, bid b",
        r"
error[not-supported]: joins are not supported in jobs yet
 --> line 1, column 28
  |
1 | SELECT a.price FROM bid a, bid b
  |                            ^^^^^
",
    );
    check(
        "SELECT price, ROW_NUMBER() OVER (ORDER BY ts) FROM bid",
        r"
error[not-supported]: OVER windows are not supported in jobs yet
 --> line 1, column 15
  |
1 | SELECT price, ROW_NUMBER() OVER (ORDER BY ts) FROM bid
  |               ^^^^^^^^^^
",
    );
    check(
        "SELECT price FROM bid ORDER BY price",
        r"
error[not-supported]: ORDER BY is not supported in jobs yet
 --> line 1, column 32
  |
1 | SELECT price FROM bid ORDER BY price
  |                                ^^^^^
  = help: sort when you read: SELECT ... FROM a materialized view ORDER BY ...
",
    );
    check(
        "SELECT price FROM bid LIMIT 3",
        r"
error[not-supported]: LIMIT and OFFSET are not supported in jobs yet
 --> line 1, column 29
  |
1 | SELECT price FROM bid LIMIT 3
  |                             ^
",
    );
    check(
        "SELECT price FROM bid WHERE auction IN (SELECT a FROM out)",
        r"
error[not-supported]: IN (SELECT ...) is not supported in jobs yet
 --> line 1, column 29
  |
1 | SELECT price FROM bid WHERE auction IN (SELECT a FROM out)
  |                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
",
    );
    check(
        "SELECT url FROM bid INTERSECT SELECT b FROM out",
        r"
error[not-supported]: INTERSECT is not supported in jobs yet
 --> line 1, column 31
  |
1 | SELECT url FROM bid INTERSECT SELECT b FROM out
  |                               ^^^^^^^^^^^^^^^^^
",
    );
}

#[test]
fn sinks() {
    check(
        "INSERT INTO out SELECT auction FROM bid",
        r"
error[sink-mismatch]: the query gives 1 columns, but `out` takes 2
 --> line 1, column 13
  |
1 | INSERT INTO out SELECT auction FROM bid
  |             ^^^
  = help: query: [auction BIGINT]; table: [a BIGINT, b STRING]
",
    );
    check(
        "INSERT INTO out SELECT auction, COUNT(*) FROM bid GROUP BY auction",
        r"
error[sink-mismatch]: the query updates its results, but table `out` ('connector' = 'kafka') only takes inserts
 --> line 1, column 13
  |
1 | INSERT INTO out SELECT auction, COUNT(*) FROM bid GROUP BY auction
  |             ^^^
  = help: group by a window, or write to an upsert table or a materialized view
",
    );
    check(
        "INSERT INTO out SELECT auction, item FROM bid",
        r"
error[sink-mismatch]: column 2 of the query is ROW<`name` STRING, `size` INT>, which is not cast to STRING of column `b` of `out` by itself
 --> line 1, column 13
  |
1 | INSERT INTO out SELECT auction, item FROM bid
  |             ^^^
",
    );
    check(
        "INSERT INTO out (a, c) SELECT auction, url FROM bid",
        r"
error[unknown-column]: there is no column `c` to write in `out`
 --> line 1, column 21
  |
1 | INSERT INTO out (a, c) SELECT auction, url FROM bid
  |                     ^
  = help: did you mean `a`?
",
    );
    check(
        "INSERT INTO outt SELECT auction, url FROM bid",
        r"
error[unknown-table]: there is no table or view `outt`
 --> line 1, column 13
  |
1 | INSERT INTO outt SELECT auction, url FROM bid
  |             ^^^^
  = help: did you mean `out`?
",
    );
    check(
        "INSERT INTO keyed (b) SELECT auction FROM bid",
        r"
error[sink-mismatch]: column `a` is NOT NULL and gets no value
 --> line 1, column 13
  |
1 | INSERT INTO keyed (b) SELECT auction FROM bid
  |             ^^^^^
",
    );
}

#[test]
fn definitions() {
    check(
        "CREATE TABLE t (a INT, a STRING) WITH ('connector' = 'kafka')",
        r"
error[invalid-definition]: column `a` stands twice
 --> line 1, column 24
  |
1 | CREATE TABLE t (a INT, a STRING) WITH ('connector' = 'kafka')
  |                        ^
",
    );
    check(
        "CREATE TABLE t (a INT, WATERMARK FOR b AS b - INTERVAL '1' SECOND)
         WITH ('connector' = 'kafka')",
        r"
error[unknown-column]: there is no column `b`
 --> line 1, column 38
  |
1 | CREATE TABLE t (a INT, WATERMARK FOR b AS b - INTERVAL '1' SECOND)
  |                                      ^
  = help: did you mean `a`?
",
    );
    check(
        "CREATE TABLE t (a TIMESTAMP, WATERMARK FOR a AS a) WITH ('connector' = 'kafka')",
        r"
error[invalid-definition]: the event-time column `a` must be TIMESTAMP(3) or TIMESTAMP_LTZ(3), but is TIMESTAMP(6)
 --> line 1, column 44
  |
1 | CREATE TABLE t (a TIMESTAMP, WATERMARK FOR a AS a) WITH ('connector' = 'kafka')
  |                                            ^
",
    );
    check(
        "CREATE TABLE t (a INT, b AS a + c) WITH ('connector' = 'kafka')",
        r"
error[unknown-column]: there is no column `c`
 --> line 1, column 33
  |
1 | CREATE TABLE t (a INT, b AS a + c) WITH ('connector' = 'kafka')
  |                                 ^
  = help: did you mean `a`?
",
    );
    check(
        "CREATE TABLE t (a INT, PRIMARY KEY (a)) WITH ('connector' = 'kafka')",
        r"
error[syntax-error]: expected NOT ENFORCED after the primary key (the data is not checked), found `)`
 --> line 1, column 39
  |
1 | CREATE TABLE t (a INT, PRIMARY KEY (a)) WITH ('connector' = 'kafka')
  |                                       ^
",
    );
    check(
        "CREATE TABLE t (a INT) WITH ('connector' = 'kafkaa')",
        r"
error[invalid-argument]: there is no connector 'kafkaa'
 --> line 1, column 14
  |
1 | CREATE TABLE t (a INT) WITH ('connector' = 'kafkaa')
  |              ^
",
    );
    check(
        "CREATE TABLE bid (a INT) WITH ('connector' = 'kafka')",
        r"
error[already-exists]: table `default_catalog.default_database.bid` already exists
 --> line 1, column 14
  |
1 | CREATE TABLE bid (a INT) WITH ('connector' = 'kafka')
  |              ^^^
",
    );
    check(
        "CREATE VIEW v (x, y) AS SELECT price FROM bid",
        r"
error[invalid-definition]: the view names 2 columns, but its query has 1
 --> line 1, column 13
  |
1 | CREATE VIEW v (x, y) AS SELECT price FROM bid
  |             ^
",
    );
    check(
        "CREATE FUNCTION f AS 'com.example.Mystery'",
        r"
error[not-supported]: the Java class 'com.example.Mystery' cannot be run here
 --> line 1, column 17
  |
1 | CREATE FUNCTION f AS 'com.example.Mystery'
  |                 ^
  = help: classes whose name is that of a built-in function stand for it; SHOW FUNCTIONS lists them
",
    );
}

#[test]
fn an_error_has_a_sqlstate_and_a_position() {
    let sql = "SELECT price\nFROM bids";
    let error = failed(sql);
    assert_eq!(error.sqlstate(), "42P01");
    assert_eq!(error.span.unwrap().char_offset(sql), Some(18));
}
