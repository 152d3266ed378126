//! Whatever the text, the front end answers: a statement, a plan or an error, no panic.

use proptest::prelude::*;
use thalweg_sql::parser;

use crate::support::{explain, session};

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "BY",
    "HAVING",
    "UNION",
    "ALL",
    "DISTINCT",
    "AS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "(",
    ")",
    "(",
    ")",
    ",",
    ",",
    ".",
    "*",
    "+",
    "-",
    "/",
    "=",
    "<",
    ">",
    "||",
    "AND",
    "OR",
    "NOT",
    "NULL",
    "IS",
    "IN",
    "LIKE",
    "BETWEEN",
    "INTERVAL",
    "'1'",
    "'x'",
    "SECOND",
    "DAY",
    "1",
    "2.5",
    "1e9",
    "t",
    "a",
    "b",
    "r",
    "ts",
    "COUNT",
    "SUM",
    "UPPER",
    "TUMBLE",
    "HOP",
    "SESSION",
    "TABLE",
    "DESCRIPTOR",
    "window_start",
    "window_end",
    "TUMBLE_START",
    "CREATE",
    "VIEW",
    "INSERT",
    "INTO",
    "VALUES",
    "WITH",
    "SET",
    "EXPLAIN",
    "SHOW",
    "DROP",
    "DESCRIBE",
    "DATE",
    "TIMESTAMP",
    "INT",
    "STRING",
    "ROW",
    "<",
    ">",
    "[",
    "]",
    "`",
    "'",
    "--",
    "/*",
    "*/",
    ";",
    "${",
    "}",
    "\n",
    "EXTRACT",
    "TRIM",
    "FILTER",
    "OVER",
    "JOIN",
    "ON",
    "@",
];

const EXPRESSIONS: &[&str] = &[
    "a",
    "b",
    "r.x",
    "ts",
    "1",
    "-7",
    "2.5",
    "'text'",
    "NULL",
    "TRUE",
    "DATE '2024-01-01'",
    "INTERVAL '1' DAY",
    "CURRENT_TIMESTAMP",
];

const FORMS: &[&str] = &[
    "(# + #)",
    "(# - #)",
    "(# * #)",
    "(# / #)",
    "MOD(#, #)",
    "(# || #)",
    "(# = #)",
    "(# < #)",
    "(# AND #)",
    "(# OR #)",
    "(NOT #)",
    "(# IS NULL)",
    "CASE WHEN # THEN # ELSE # END",
    "COALESCE(#, #)",
    "IF(#, #, #)",
    "CAST(# AS STRING)",
    "CAST(# AS INT)",
    "CAST(# AS DOUBLE)",
    "CAST(# AS DECIMAL(10, 2))",
    "CAST(# AS TIMESTAMP(3))",
    "TRY_CAST(# AS DATE)",
    "UPPER(#)",
    "SUBSTRING(#, #, #)",
    "SPLIT_INDEX(#, #, #)",
    "DATE_FORMAT(#, #)",
    "EXTRACT(DAY FROM #)",
    "FLOOR(# TO DAY)",
    "ROUND(#, #)",
    "(# IN (#, #))",
    "(# BETWEEN # AND #)",
    "(# LIKE #)",
    "TIMESTAMPDIFF(HOUR, #, #)",
    "GREATEST(#, #)",
    "ROW(#, #)",
    "REPEAT(#, #)",
    "LPAD(#, #, #)",
    "REGEXP_EXTRACT(#, #, #)",
    "NULLIF(#, #)",
    "POWER(#, #)",
    "CHR(#)",
    "OVERLAY(#, #, #)",
];

/// An expression grown from choices: each fills the first hole.
fn grow(choices: &[(usize, bool)]) -> String {
    let mut text = "#".to_owned();
    for (choice, nest) in choices {
        let piece = if *nest {
            FORMS[choice % FORMS.len()]
        } else {
            EXPRESSIONS[choice % EXPRESSIONS.len()]
        };
        text = text.replacen('#', piece, 1);
    }
    while text.contains('#') {
        text = text.replacen('#', EXPRESSIONS[text.len() % EXPRESSIONS.len()], 1);
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_words_are_answered(choices in prop::collection::vec(0..WORDS.len(), 0..40)) {
        let sql: Vec<&str> = choices.iter().map(|choice| WORDS[*choice]).collect();
        let sql = format!("SELECT a FROM t {}", sql.join(" "));
        answer(&sql);
    }

    #[test]
    fn any_text_is_answered(sql in "\\PC{0,80}") {
        let _ = parser::parse(&sql);
        let _ = parser::substitute(&sql, &|_| None);
        let _ = parser::parse_type(&sql);
    }

    #[test]
    fn any_expression_is_planned_or_refused(
        choices in prop::collection::vec((0..1000_usize, any::<bool>()), 1..24),
    ) {
        let expr = grow(&choices);
        answer(&format!("SELECT {expr} AS x FROM t"));
        answer(&format!("SELECT {expr}"));
        answer(&format!("SELECT {expr} AS k, COUNT(*) FROM t GROUP BY {expr}"));
    }
}

fn answer(sql: &str) {
    let session = session(
        "CREATE TABLE t (a INT, b STRING, r ROW<x BIGINT, y STRING>, ts TIMESTAMP(3),
         WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka')",
    );
    match explain(&session, sql) {
        Ok(plan) => assert!(!plan.is_empty()),
        Err(error) => {
            assert!(!error.render(sql).is_empty());
            assert_ne!(error.sqlstate(), "XX000", "{sql}\n{}", error.render(sql));
        }
    }
}

#[test]
fn deep_and_long_statements_are_refused_or_run() {
    let session = session("CREATE TABLE t (a INT) WITH ('connector' = 'kafka')");
    let nested = format!("SELECT {}a{} FROM t", "(".repeat(2000), ")".repeat(2000));
    assert!(explain(&session, &nested).is_err());
    let long =
        |count: usize| format!("SELECT a FROM t WHERE {}", vec!["a = 1"; count].join(" OR "));
    explain(&session, &long(500)).unwrap();
    assert!(explain(&session, &long(5000)).is_err());
    let sum = format!("SELECT {} FROM t", vec!["a"; 500].join(" + "));
    explain(&session, &sum).unwrap();
}
