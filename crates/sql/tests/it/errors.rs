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
    check("SELEC * FROM bid", r"@e1@");
    check("SELECT price FROM bid WHERE", r"@e2@");
    check("CREATE TABEL t (a INT)", r"@e3@");
    check("CREATE TABLE t (a INTT)", r"@e4@");
    check("SELECT * FROM bid /*+ OPTIONS('a'='b') */", r"@e5@");
}

#[test]
fn names() {
    check("SELECT pric FROM bid", r"@n1@");
    check("SELECT b.price FROM bid AS x", r"@n2@");
    check("SELECT item.nam FROM bid", r"@n3@");
    check("SELECT price\nFROM bids\nWHERE price > 1", r"@n4@");
    check("SELECT\n\tUPER(url) FROM bid", r"@n5@");
    check("DROP TABLE bids", r"@n6@");
    check("SET 'table.exec.state.tll' = '1 h'", r"@n7@");
}

#[test]
fn types() {
    check("SELECT price + url FROM bid", r"@t1@");
    check("SELECT 1, SUBSTRING(price, 1) FROM bid", r"@t2@");
    check("SELECT price FROM bid WHERE price", r"@t3@");
    check("SELECT SUM(url) FROM bid", r"@t4@");
    check("SELECT price FROM bid UNION ALL SELECT ts FROM bid", r"@t5@");
}

#[test]
fn grouping_and_windows() {
    check("SELECT auction, COUNT(*) FROM bid GROUP BY url", r"@g1@");
    check(
        "SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(price), INTERVAL '1' MINUTE))",
        r"@g2@",
    );
    check(
        "SELECT COUNT(*) FROM TABLE(HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '3' SECOND, \
         INTERVAL '10' SECOND)) GROUP BY window_start, window_end",
        r"@g3@",
    );
    check("SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE) FROM bid GROUP BY auction", r"@g4@");
    check("SELECT TUMBLE(ts, INTERVAL '1' MINUTE) FROM bid", r"@g5@");
    check("SELECT auction FROM bid WHERE COUNT(*) > 1", r"@g6@");
}

#[test]
fn what_is_not_supported_yet_says_where() {
    check("SELECT * FROM bid a JOIN bid b ON a.auction = b.auction", r"@u1@");
    check("SELECT a.price FROM bid a, bid b", r"@u2@");
    check("SELECT price, ROW_NUMBER() OVER (ORDER BY ts) FROM bid", r"@u3@");
    check("SELECT price FROM bid ORDER BY price", r"@u4@");
    check("SELECT price FROM bid LIMIT 3", r"@u5@");
    check("SELECT price FROM bid WHERE auction IN (SELECT a FROM out)", r"@u6@");
    check("SELECT url FROM bid INTERSECT SELECT b FROM out", r"@u7@");
}

#[test]
fn sinks() {
    check("INSERT INTO out SELECT auction FROM bid", r"@s1@");
    check("INSERT INTO out SELECT auction, COUNT(*) FROM bid GROUP BY auction", r"@s2@");
    check("INSERT INTO out SELECT auction, item FROM bid", r"@s3@");
    check("INSERT INTO out (a, c) SELECT auction, url FROM bid", r"@s4@");
    check("INSERT INTO outt SELECT auction, url FROM bid", r"@s5@");
    check("INSERT INTO keyed (b) SELECT auction FROM bid", r"@s6@");
}

#[test]
fn definitions() {
    check("CREATE TABLE t (a INT, a STRING) WITH ('connector' = 'kafka')", r"@d1@");
    check(
        "CREATE TABLE t (a INT, WATERMARK FOR b AS b - INTERVAL '1' SECOND)
         WITH ('connector' = 'kafka')",
        r"@d2@",
    );
    check(
        "CREATE TABLE t (a TIMESTAMP, WATERMARK FOR a AS a) WITH ('connector' = 'kafka')",
        r"@d3@",
    );
    check("CREATE TABLE t (a INT, b AS a + c) WITH ('connector' = 'kafka')", r"@d4@");
    check("CREATE TABLE t (a INT, PRIMARY KEY (a)) WITH ('connector' = 'kafka')", r"@d5@");
    check("CREATE TABLE t (a INT) WITH ('connector' = 'kafkaa')", r"@d6@");
    check("CREATE TABLE bid (a INT) WITH ('connector' = 'kafka')", r"@d7@");
    check("CREATE VIEW v (x, y) AS SELECT price FROM bid", r"@d8@");
    check("CREATE FUNCTION f AS 'com.example.Mystery'", r"@d9@");
}

#[test]
fn an_error_has_a_sqlstate_and_a_position() {
    let sql = "SELECT price\nFROM bids";
    let error = failed(sql);
    assert_eq!(error.sqlstate(), "42P01");
    assert_eq!(error.span.unwrap().char_offset(sql), Some(18));
}
