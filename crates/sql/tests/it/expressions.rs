//! Values of expressions, against those that Flink's documentation and its tests give.
//! A constant expression is evaluated at planning, as an `INSERT` of constant rows; an
//! expression over columns by the engine's interface.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use thalweg_sql::parser::{self, Statement};
use thalweg_sql::types::SqlType;
use thalweg_sql::{PlannedInsert, Session};
use thalweg_stream::error::StreamError;
use thalweg_stream::expression::{EvalContext, ExpressionRef};
use thalweg_stream::graph::Operator;

use crate::support::{empty, session};

/// Type and value of a constant expression, the value as `CAST(... AS STRING)` writes it.
fn constant(session: &Session, expr: &str) -> Result<(String, String), String> {
    let sql = format!("SELECT {expr}, CAST({expr} AS STRING)");
    let parsed = parser::parse_one(&sql).map_err(|error| error.to_string())?;
    let Statement::Query(query) = parsed.statement else { return Err("no query".into()) };
    let shape = session.describe_query(&query).map_err(|error| error.message)?;
    let rows = match session.plan_query(&query, "print").map_err(|error| error.message)? {
        PlannedInsert::Rows { rows, .. } => rows,
        PlannedInsert::Job(_) => return Err("not constant".into()),
    };
    let text = rows.column(1).as_any().downcast_ref::<StringArray>().unwrap();
    let value = if text.is_null(0) { "NULL" } else { text.value(0) };
    Ok((shape.columns[0].sql_type.to_string(), value.to_owned()))
}

fn check_in(session: &Session, cases: &[(&str, &str, &str)]) {
    let mut wrong = String::new();
    for (expr, sql_type, value) in cases {
        let expected = Ok(((*sql_type).to_owned(), (*value).to_owned()));
        let actual = constant(session, expr);
        if actual != expected {
            wrong.push_str(&format!("{expr}: {actual:?} instead of {expected:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn check(cases: &[(&str, &str, &str)]) {
    check_in(&empty(), cases);
}

fn check_errors(cases: &[(&str, &str)]) {
    let session = empty();
    for (expr, message) in cases {
        match constant(&session, expr) {
            Err(actual) => assert!(actual.contains(message), "{expr}: {actual}"),
            Ok(value) => panic!("{expr} gave {value:?}"),
        }
    }
}

#[test]
fn arithmetic_has_flinks_types() {
    check(&[
        ("1 + 1", "INT", "2"),
        ("2147483647 + 1", "INT", "-2147483648"),
        ("3000000000 + 1", "BIGINT", "3000000001"),
        ("7 / 2", "INT", "3"),
        ("-7 / 2", "INT", "-3"),
        ("-7 % 3", "INT", "-1"),
        ("MOD(-7, 3)", "INT", "-1"),
        ("MOD(CAST(7 AS BIGINT), 3)", "INT", "1"),
        ("MOD(7, CAST(3 AS BIGINT))", "BIGINT", "1"),
        ("CAST(1 AS SMALLINT) + CAST(2 AS TINYINT)", "SMALLINT", "3"),
        ("1 + 1.5", "DECIMAL(12, 1)", "2.5"),
        ("0.908 * CAST(1000 AS BIGINT)", "DECIMAL(23, 3)", "908.000"),
        ("1.0 / 3", "DECIMAL(13, 12)", "0.333333333333"),
        ("CAST(10 AS DECIMAL(10, 2)) / CAST(3 AS DECIMAL(5, 1))", "DECIMAL(17, 8)", "3.33333333"),
        ("CAST(9.99 AS DECIMAL(3, 2)) + CAST(0.01 AS DECIMAL(3, 2))", "DECIMAL(4, 2)", "10.00"),
        ("10.5 % 3", "DECIMAL(3, 1)", "1.5"),
        ("1.5E0 * 2", "DOUBLE", "3.0"),
        ("1E10", "DOUBLE", "1.0E10"),
        ("-(5)", "INT", "-5"),
        ("+5", "INT", "5"),
        ("1 + CAST(NULL AS INT)", "INT", "NULL"),
        ("5.0E0 / 0", "DOUBLE", "Infinity"),
        ("CAST(1 AS FLOAT) + CAST(2 AS FLOAT)", "FLOAT", "3.0"),
        ("CAST(1 AS FLOAT) + 1", "DOUBLE", "2.0"),
        (
            "CAST(99999999999999999999999999999999999999 AS DECIMAL(38, 0)) * 10",
            "DECIMAL(38, 0)",
            "NULL",
        ),
        // More than 128 bits on the way, but not in the end.
        (
            "CAST(100.0 AS DECIMAL(38, 18)) * CAST(100.0 AS DECIMAL(38, 18))",
            "DECIMAL(38, 6)",
            "10000.000000",
        ),
        (
            "CAST(-100000000000000000000 AS DECIMAL(38, 0)) / CAST(3 AS DECIMAL(38, 18))",
            "DECIMAL(38, 6)",
            "-33333333333333333333.333333",
        ),
        (
            "CAST(1000000000000000000000000000000 AS DECIMAL(38, 0)) + CAST(0.0000005 AS DECIMAL(38, 18))",
            "DECIMAL(38, 6)",
            "1000000000000000000000000000000.000001",
        ),
        (
            "MOD(CAST(1000000000000000000000000000001 AS DECIMAL(38, 0)), CAST(7 AS DECIMAL(38, 18)))",
            "DECIMAL(38, 18)",
            "2.000000000000000000",
        ),
        (
            "CAST(99999999999999999999 AS DECIMAL(38, 18)) * CAST(99999999999999999999 AS DECIMAL(38, 18))",
            "DECIMAL(38, 6)",
            "NULL",
        ),
    ]);
    check_errors(&[
        ("1 / 0", "division by zero"),
        ("MOD(1, 0)", "division by zero"),
        ("'a' + 1", "cannot apply `+` to STRING and INT"),
        ("TRUE * 2", "cannot apply `*` to BOOLEAN and INT"),
    ]);
}

#[test]
fn casts_follow_flink() {
    check(&[
        ("CAST('  42 ' AS INT)", "INT", "42"),
        ("CAST('1.9' AS INT)", "INT", "1"),
        ("CAST(1.9 AS INT)", "INT", "1"),
        ("CAST(-1.9E0 AS INT)", "INT", "-1"),
        ("CAST(3000000000 AS INT)", "INT", "-1294967296"),
        ("CAST(1E100 AS INT)", "INT", "2147483647"),
        ("CAST(TRUE AS INT)", "INT", "1"),
        ("CAST(2 AS BOOLEAN)", "BOOLEAN", "TRUE"),
        ("CAST('yes' AS BOOLEAN)", "BOOLEAN", "TRUE"),
        ("CAST(1.005 AS DECIMAL(10, 2))", "DECIMAL(10, 2)", "1.01"),
        ("CAST(1.005E0 AS DECIMAL(10, 2))", "DECIMAL(10, 2)", "1.01"),
        ("CAST(1234.5 AS DECIMAL(4, 1))", "DECIMAL(4, 1)", "NULL"),
        ("CAST('12.345' AS DECIMAL(10, 1))", "DECIMAL(10, 1)", "12.3"),
        ("CAST(0.1E0 AS STRING)", "STRING", "0.1"),
        ("CAST(100.0E0 AS STRING)", "STRING", "100.0"),
        ("CAST(12345678.9E0 AS STRING)", "STRING", "1.23456789E7"),
        ("CAST(0.00012E0 AS STRING)", "STRING", "1.2E-4"),
        ("CAST(TRUE AS STRING)", "STRING", "TRUE"),
        ("CAST('abcdef' AS VARCHAR(3))", "VARCHAR(3)", "abc"),
        ("CAST('ab' AS CHAR(4)) || '|'", "STRING", "ab  |"),
        ("CAST(12 AS CHAR(4)) || '|'", "STRING", "12  |"),
        ("CAST('2024-02-29' AS DATE)", "DATE", "2024-02-29"),
        (
            "CAST('2024-02-29 12:34:56.789' AS TIMESTAMP(3))",
            "TIMESTAMP(3)",
            "2024-02-29 12:34:56.789",
        ),
        ("CAST('2024-02-29 12:34:56.789' AS TIMESTAMP(0))", "TIMESTAMP(0)", "2024-02-29 12:34:56"),
        (
            "CAST('2024-02-29 12:34:56.789123' AS TIMESTAMP(6))",
            "TIMESTAMP(6)",
            "2024-02-29 12:34:56.789123",
        ),
        (
            "CAST('2024-02-29 12:34:56.789123Z' AS TIMESTAMP_LTZ(6))",
            "TIMESTAMP_LTZ(6)",
            "2024-02-29 12:34:56.789123",
        ),
        (
            "CAST('2024-02-29T12:34:56+02:00' AS TIMESTAMP_LTZ(3))",
            "TIMESTAMP_LTZ(3)",
            "2024-02-29 10:34:56.000",
        ),
        ("TRY_CAST('2024-02-29 12:34:56Z' AS TIMESTAMP(3))", "TIMESTAMP(3)", "NULL"),
        ("TRY_CAST('00:00:00.12345678é' AS TIME)", "TIME(0)", "NULL"),
        ("CAST(TIMESTAMP '2024-02-29 12:34:56.789' AS DATE)", "DATE", "2024-02-29"),
        ("CAST(TIMESTAMP '1969-12-31 23:59:59.5' AS DATE)", "DATE", "1969-12-31"),
        ("CAST(DATE '2024-02-29' AS TIMESTAMP(3))", "TIMESTAMP(3)", "2024-02-29 00:00:00.000"),
        ("CAST(TIMESTAMP '2024-02-29 12:34:56' AS TIME)", "TIME(0)", "12:34:56"),
        ("TRY_CAST('abc' AS INT)", "INT", "NULL"),
        ("TRY_CAST('2024-02-30' AS DATE)", "DATE", "NULL"),
        ("CAST(NULL AS STRING)", "STRING", "NULL"),
        ("CAST(ROW(1, 'a', NULL) AS STRING)", "STRING", "(1, a, NULL)"),
        ("CAST(ROW(1, '2') AS ROW<a BIGINT, b INT>)", "ROW<`a` BIGINT, `b` INT>", "(1, 2)"),
        ("CAST(x'414243' AS STRING)", "STRING", "ABC"),
        ("CAST('AB' AS BYTES)", "BYTES", "AB"),
    ]);
    check_errors(&[
        ("CAST('abc' AS INT)", "cannot cast 'abc' to INT"),
        ("CAST('' AS INT)", "cannot cast '' to INT"),
        ("CAST('maybe' AS BOOLEAN)", "cannot cast 'maybe' to BOOLEAN"),
        ("CAST('a' AS CHAR(2000000000))", "the result would have more than 16 MiB"),
        ("CAST(1 AS DATE)", "cannot cast INT to DATE"),
        ("CAST(TRUE AS TIMESTAMP(3))", "cannot cast BOOLEAN to TIMESTAMP(3)"),
    ]);
}

#[test]
fn conditions_and_comparisons() {
    check(&[
        ("CASE WHEN 1 > 2 THEN 'a' ELSE 'b' END", "STRING", "b"),
        ("CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END", "STRING", "two"),
        ("CASE 3 WHEN 1 THEN 1.5 WHEN 3 THEN 2 END", "DECIMAL(11, 1)", "2.0"),
        ("CASE WHEN TRUE THEN 1 ELSE 1 / 0 END", "INT", "1"),
        ("IF(1 < 2, 10, 20)", "INT", "10"),
        ("IFNULL(CAST(NULL AS INT), 5)", "INT", "5"),
        ("COALESCE(NULL, NULL, 'x')", "STRING", "x"),
        ("NULLIF(5, 5)", "INT", "NULL"),
        ("NULLIF(5, 6)", "INT", "5"),
        ("GREATEST(1, 3, 2)", "INT", "3"),
        ("GREATEST(1, CAST(NULL AS INT), 3)", "INT", "NULL"),
        ("LEAST('b', 'a')", "STRING", "a"),
        ("1 = 1.0", "BOOLEAN", "TRUE"),
        ("'2' > 1", "BOOLEAN", "TRUE"),
        ("'2024-01-01' = DATE '2024-01-01'", "BOOLEAN", "TRUE"),
        ("NULL = 1", "BOOLEAN", "NULL"),
        ("NULL IS DISTINCT FROM 1", "BOOLEAN", "TRUE"),
        ("CAST(NULL AS BOOLEAN) IS NOT TRUE", "BOOLEAN", "TRUE"),
        ("CAST(NULL AS BOOLEAN) OR TRUE", "BOOLEAN", "TRUE"),
        ("FALSE AND 1 / 0 = 1", "BOOLEAN", "FALSE"),
        ("TRUE OR 1 / 0 = 1", "BOOLEAN", "TRUE"),
        ("3 BETWEEN 1 AND 5", "BOOLEAN", "TRUE"),
        ("3 NOT BETWEEN 1 AND 5", "BOOLEAN", "FALSE"),
        ("3 IN (1, 2, 3)", "BOOLEAN", "TRUE"),
        ("3 NOT IN (1, NULL)", "BOOLEAN", "NULL"),
        ("'abc' LIKE 'a%'", "BOOLEAN", "TRUE"),
        ("'a_c' LIKE 'a!_c' ESCAPE '!'", "BOOLEAN", "TRUE"),
        ("'abc' NOT LIKE '%b%'", "BOOLEAN", "FALSE"),
        ("'abc' SIMILAR TO '(a|b)%'", "BOOLEAN", "TRUE"),
        ("NOT TRUE", "BOOLEAN", "FALSE"),
    ]);
    check_errors(&[
        ("CASE WHEN TRUE THEN 1 ELSE DATE '2024-01-01' END", "no common type: INT, DATE"),
        ("1 = DATE '2024-01-01'", "cannot compare INT with DATE"),
        ("CASE WHEN 1 THEN 2 END", "a condition must be BOOLEAN, but this is INT"),
    ]);
}

#[test]
fn functions_on_text() {
    check(&[
        ("UPPER('aé')", "STRING", "AÉ"),
        ("LOWER('ABC')", "STRING", "abc"),
        ("INITCAP('hello WORLD-x')", "STRING", "Hello World-X"),
        ("CHAR_LENGTH('aé')", "INT", "2"),
        ("CHARACTER_LENGTH('abc')", "INT", "3"),
        ("'a' || 1", "STRING", "a1"),
        ("CONCAT('a', 'b', CAST(NULL AS STRING))", "STRING", "NULL"),
        ("CONCAT_WS('~', 'a', CAST(NULL AS STRING), 'b')", "STRING", "a~b"),
        ("SUBSTRING('hello', 2)", "STRING", "ello"),
        ("SUBSTRING('hello' FROM 2 FOR 3)", "STRING", "ell"),
        ("SUBSTR('hello', -3)", "STRING", "llo"),
        ("SUBSTRING('hello', 0, 2)", "STRING", "he"),
        ("LEFT('hello', 2)", "STRING", "he"),
        ("RIGHT('hello', 2)", "STRING", "lo"),
        ("TRIM('  x ')", "STRING", "x"),
        ("TRIM(LEADING 'x' FROM 'xxaxx')", "STRING", "axx"),
        ("TRIM(BOTH 'x' FROM 'xxaxx')", "STRING", "a"),
        ("LTRIM('  a')", "STRING", "a"),
        ("RTRIM('a  ') || '|'", "STRING", "a|"),
        ("LPAD('hi', 4, '??')", "STRING", "??hi"),
        ("LPAD('hi', 1, '??')", "STRING", "h"),
        ("RPAD('hi', 4, 'x')", "STRING", "hixx"),
        ("REPEAT('ab', 3)", "STRING", "ababab"),
        ("REPLACE('hello world', 'world', 'flink')", "STRING", "hello flink"),
        ("POSITION('o' IN 'hello')", "INT", "5"),
        ("LOCATE('l', 'hello', 4)", "INT", "4"),
        ("INSTR('hello', 'z')", "INT", "0"),
        ("OVERLAY('xxxxxtest' PLACING 'xxxx' FROM 6)", "STRING", "xxxxxxxxx"),
        ("OVERLAY('xxxxxtest' PLACING 'xxxx' FROM 6 FOR 2)", "STRING", "xxxxxxxxxst"),
        ("SPLIT_INDEX('a/b/c', '/', 1)", "STRING", "b"),
        ("SPLIT_INDEX('a/b/c', '/', 9)", "STRING", "NULL"),
        ("SPLIT_INDEX('a b', 32, 1)", "STRING", "b"),
        ("REVERSE('abc')", "STRING", "cba"),
        ("ASCII('abc')", "INT", "97"),
        ("CHR(97)", "STRING", "a"),
        ("TRANSLATE('abcba', 'ab', 'x')", "STRING", "xcx"),
        ("REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', 2)", "STRING", "bar"),
        ("REGEXP_EXTRACT('abc', 'x')", "STRING", "NULL"),
        ("REGEXP_REPLACE('foobar', 'oo|ar', '')", "STRING", "fb"),
        ("REGEXP_REPLACE('abc', '(b)', '[$1]')", "STRING", "a[b]c"),
        ("REGEXP('abc', '^a.c$')", "BOOLEAN", "TRUE"),
        ("MD5('abc')", "STRING", "900150983cd24fb0d6963f7d28e17f72"),
        (
            "SHA256('abc')",
            "STRING",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        ("TO_BASE64('hello world')", "STRING", "aGVsbG8gd29ybGQ="),
        ("FROM_BASE64('aGVsbG8gd29ybGQ=')", "STRING", "hello world"),
        ("HEX(255)", "STRING", "FF"),
        ("BIN(4)", "STRING", "100"),
        ("STARTSWITH('abc', 'ab')", "BOOLEAN", "TRUE"),
        ("JSON_VALUE('{\"a\": {\"b\": [1, true]}}', '$.a.b[1]')", "STRING", "true"),
        ("JSON_VALUE('{\"a\": {}}', '$.a')", "STRING", "NULL"),
        ("JSON_QUERY('{\"a\": [1, 2]}', '$.a')", "STRING", "[1,2]"),
        ("JSON_EXISTS('{\"a\": null}', '$.a')", "BOOLEAN", "TRUE"),
    ]);
    check_errors(&[
        ("UPPER(1)", "argument 1 must be a string, but is INT"),
        ("UPPER('a', 'b')", "takes 1 arguments, but is given 2"),
        ("REGEXP_EXTRACT('a', '(?<=a)b')", "the regex '(?<=a)b' is not supported"),
    ]);
}

#[test]
fn functions_of_numbers() {
    check(&[
        ("ABS(-5)", "INT", "5"),
        ("ABS(-1.5)", "DECIMAL(2, 1)", "1.5"),
        ("CEIL(1.2)", "DECIMAL(2, 0)", "2"),
        ("FLOOR(-1.2)", "DECIMAL(2, 0)", "-2"),
        ("CEIL(1.2E0)", "DOUBLE", "2.0"),
        ("FLOOR(7)", "INT", "7"),
        ("ROUND(3.14159, 2)", "DECIMAL(4, 2)", "3.14"),
        ("ROUND(2.5)", "DECIMAL(2, 0)", "3"),
        ("ROUND(1.005E0, 2)", "DOUBLE", "1.01"),
        ("ROUND(125, -1)", "INT", "130"),
        ("TRUNCATE(42.345, 2)", "DECIMAL(5, 3)", "42.340"),
        ("POWER(2, 10)", "DOUBLE", "1024.0"),
        ("SQRT(9)", "DOUBLE", "3.0"),
        ("LN(1)", "DOUBLE", "0.0"),
        ("LOG(2, 8)", "DOUBLE", "3.0"),
        ("LOG10(100)", "DOUBLE", "2.0"),
        ("EXP(0)", "DOUBLE", "1.0"),
        ("SIGN(-2)", "INT", "-1"),
        ("SIGN(-2.5)", "DECIMAL(2, 1)", "-1.0"),
        ("PI()", "DOUBLE", "3.141592653589793"),
        ("DEGREES(PI())", "DOUBLE", "180.0"),
    ]);
}

#[test]
fn functions_of_time() {
    check(&[
        ("YEAR(DATE '2024-03-09')", "BIGINT", "2024"),
        ("QUARTER(DATE '2024-03-09')", "BIGINT", "1"),
        ("WEEK(DATE '1994-09-27')", "BIGINT", "39"),
        ("DAYOFYEAR(DATE '1994-09-27')", "BIGINT", "270"),
        ("DAYOFWEEK(DATE '1994-09-27')", "BIGINT", "3"),
        ("HOUR(TIMESTAMP '1994-09-27 13:14:15')", "BIGINT", "13"),
        ("EXTRACT(DAY FROM DATE '2006-06-05')", "BIGINT", "5"),
        ("EXTRACT(MINUTE FROM TIMESTAMP '2006-06-05 10:11:12')", "BIGINT", "11"),
        (
            "DATE_FORMAT(TIMESTAMP '2024-03-09 15:04:05.678', 'yyyy-MM-dd HH:mm')",
            "STRING",
            "2024-03-09 15:04",
        ),
        ("TO_TIMESTAMP('2024-03-09 15:04:05')", "TIMESTAMP(3)", "2024-03-09 15:04:05.000"),
        ("TO_TIMESTAMP('09.03.2024', 'dd.MM.yyyy')", "TIMESTAMP(3)", "2024-03-09 00:00:00.000"),
        ("TO_TIMESTAMP('nonsense')", "TIMESTAMP(3)", "NULL"),
        ("TO_DATE('2024-03-09')", "DATE", "2024-03-09"),
        ("TO_TIMESTAMP_LTZ(1000, 0)", "TIMESTAMP_LTZ(3)", "1970-01-01 00:16:40.000"),
        ("TO_TIMESTAMP_LTZ(1000, 3)", "TIMESTAMP_LTZ(3)", "1970-01-01 00:00:01.000"),
        ("FROM_UNIXTIME(44)", "STRING", "1970-01-01 00:00:44"),
        ("UNIX_TIMESTAMP('1970-01-01 00:00:44')", "BIGINT", "44"),
        (
            "CONVERT_TZ('1970-01-01 00:00:00', 'UTC', 'America/Los_Angeles')",
            "STRING",
            "1969-12-31 16:00:00",
        ),
        (
            "TIMESTAMPDIFF(DAY, TIMESTAMP '2003-01-02 10:00:00', TIMESTAMP '2003-01-03 10:00:00')",
            "INT",
            "1",
        ),
        ("TIMESTAMPDIFF(MONTH, DATE '2024-01-31', DATE '2024-02-29')", "INT", "0"),
        (
            "TIMESTAMPDIFF(HOUR, TIMESTAMP '2024-01-01 02:30:00', TIMESTAMP '2024-01-01 00:00:00')",
            "INT",
            "-2",
        ),
        ("TIMESTAMPADD(WEEK, 1, DATE '2003-01-02')", "DATE", "2003-01-09"),
        (
            "TIMESTAMPADD(HOUR, 2, TIMESTAMP '2003-01-02 23:00:00')",
            "TIMESTAMP(3)",
            "2003-01-03 01:00:00.000",
        ),
        (
            "TIMESTAMP '2024-01-31 10:00:00' + INTERVAL '1' MONTH",
            "TIMESTAMP(3)",
            "2024-02-29 10:00:00.000",
        ),
        (
            "TIMESTAMP '2024-01-31 10:00:00' - INTERVAL '1 02' DAY TO HOUR",
            "TIMESTAMP(3)",
            "2024-01-30 08:00:00.000",
        ),
        ("DATE '2024-02-28' + INTERVAL '2' DAY", "DATE", "2024-03-01"),
        (
            "INTERVAL '10' MINUTE + INTERVAL '30' SECOND",
            "INTERVAL DAY TO SECOND",
            "+0 00:10:30.000",
        ),
        ("INTERVAL '10' MINUTE * 3", "INTERVAL DAY TO SECOND", "+0 00:30:00.000"),
        (
            "FLOOR(TIMESTAMP '2024-03-09 15:04:05' TO HOUR)",
            "TIMESTAMP(3)",
            "2024-03-09 15:00:00.000",
        ),
        (
            "CEIL(TIMESTAMP '2024-03-09 15:04:05' TO MONTH)",
            "TIMESTAMP(3)",
            "2024-04-01 00:00:00.000",
        ),
        ("TIME '10:11:12' + INTERVAL '50' MINUTE", "TIME(0)", "11:01:12"),
    ]);
}

#[test]
fn instants_are_shown_in_the_sessions_zone() {
    let session = session("SET 'table.local-time-zone' = 'Europe/Vienna'");
    check_in(
        &session,
        &[
            ("TO_TIMESTAMP_LTZ(0, 3)", "TIMESTAMP_LTZ(3)", "1970-01-01 01:00:00.000"),
            (
                "CAST(TO_TIMESTAMP_LTZ(0, 3) AS TIMESTAMP(3))",
                "TIMESTAMP(3)",
                "1970-01-01 01:00:00.000",
            ),
            ("HOUR(TO_TIMESTAMP_LTZ(0, 3))", "BIGINT", "1"),
            ("FROM_UNIXTIME(0)", "STRING", "1970-01-01 01:00:00"),
            ("UNIX_TIMESTAMP('1970-01-01 01:00:00')", "BIGINT", "0"),
        ],
    );
}

/// The expression of the only column of `SELECT expr FROM t`, over `t`'s columns.
fn compiled(expr: &str) -> ExpressionRef {
    let session = session(
        "CREATE TABLE t (i INT, s STRING, ts TIMESTAMP(3), big BIGINT)
         WITH ('connector' = 'datagen')",
    );
    // All columns are read, so that their numbers are those of the table.
    let sql = format!("SELECT i, s, ts, big, {expr} AS result FROM t");
    let Statement::Query(query) = parser::parse_one(&sql).unwrap().statement else { panic!() };
    let PlannedInsert::Job(job) = session.plan_query(&query, "print").unwrap() else { panic!() };
    let calc = job.graph.nodes.iter().find_map(|node| match &node.operator {
        Operator::Calc { projection, .. } => projection.last().cloned(),
        _ => None,
    });
    calc.unwrap()
}

fn rows(i: Vec<Option<i32>>) -> RecordBatch {
    let count = i.len();
    let schema = Schema::new(vec![
        Field::new("i", DataType::Int32, true),
        Field::new("s", DataType::Utf8, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        Field::new("big", DataType::Int64, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(i)),
        Arc::new(StringArray::from(vec!["1"; count])),
        Arc::new(TimestampMillisecondArray::from(vec![1000; count])),
        Arc::new(Int64Array::from(vec![7; count])),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn ints(array: &ArrayRef) -> Vec<Option<i32>> {
    array.as_any().downcast_ref::<Int32Array>().unwrap().iter().collect()
}

#[test]
fn a_branch_is_not_evaluated_for_rows_that_do_not_take_it() {
    let context = EvalContext { now: 0 };
    let rows = rows(vec![Some(0), Some(2), None]);
    let case = compiled("CASE WHEN i = 0 THEN -1 ELSE 10 / i END");
    assert_eq!(ints(&case.evaluate(&rows, &context).unwrap()), [Some(-1), Some(5), None]);
    let both = compiled("IF(i <> 0 AND 10 / i = 5, 1, 0)");
    assert_eq!(ints(&both.evaluate(&rows, &context).unwrap()), [Some(0), Some(1), Some(0)]);
}

#[test]
fn a_failure_names_its_row_and_expression() {
    let values = (0..1000).map(|number| Some(if number % 7 == 2 { 0 } else { number }));
    let rows = rows(values.collect());
    let error = compiled("10 / i").evaluate(&rows, &EvalContext { now: 0 }).unwrap_err();
    match error {
        StreamError::Evaluation { expression, detail, rows } => {
            assert_eq!(expression, "10 / i");
            assert_eq!(detail, "division by zero");
            let failed: Vec<usize> = rows.iter().map(|failed| failed.row).collect();
            let zeros: Vec<usize> = (0..1000).filter(|row| row % 7 == 2 || *row == 0).collect();
            assert_eq!(failed, zeros);
        }
        other => panic!("{other}"),
    }
}

/// Results that are too large together fail, but not one row alone: half of them will do.
#[test]
fn results_of_a_batch_are_bounded() {
    let expression = compiled("REPEAT(s, 1000000 + i)");
    let context = EvalContext { now: 0 };
    match expression.evaluate(&rows(vec![Some(1); 400]), &context).unwrap_err() {
        StreamError::Evaluation { detail, rows, .. } => {
            assert_eq!(detail, "the results of one batch would have more than 256 MiB");
            assert!(rows.is_empty());
        }
        other => panic!("{other}"),
    }
    assert_eq!(expression.evaluate(&rows(vec![Some(1); 200]), &context).unwrap().len(), 200);
    match compiled("LPAD(s, i, 'x')").evaluate(&rows(vec![Some(1), Some(i32::MAX)]), &context) {
        Err(StreamError::Evaluation { detail, rows, .. }) => {
            assert_eq!(detail, "the result would have more than 16 MiB");
            assert_eq!(rows.iter().map(|failed| failed.row).collect::<Vec<_>>(), [1]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn now_is_the_epochs_time() {
    let now = compiled("CAST(UNIX_TIMESTAMP() AS INT)");
    let context = EvalContext { now: 1_234_567 };
    let rows = rows(vec![None, None]);
    assert_eq!(ints(&now.evaluate(&rows, &context).unwrap()), [Some(1234), Some(1234)]);
    assert_eq!(now.as_column(), None);
}

#[test]
fn types_of_tables_are_those_of_expressions() {
    let expression = compiled("big * 2");
    assert_eq!(SqlType::from_arrow(&expression.data_type()), Some(SqlType::BigInt));
    assert_eq!(expression.to_sql(), "big * 2");
}
