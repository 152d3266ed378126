//! The simple protocol.

use std::process::Command;

use tokio_postgres::SimpleQueryMessage;

use super::*;

/// Rows as text, one string a row, and the number of results.
fn rows(messages: &[SimpleQueryMessage]) -> (Vec<String>, usize) {
    let mut rows = Vec::new();
    let mut results = 0;
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                let cells = (0..row.len()).map(|column| row.get(column).unwrap_or("NULL"));
                rows.push(cells.collect::<Vec<_>>().join("|"));
            }
            SimpleQueryMessage::CommandComplete(_) => results += 1,
            _ => {}
        }
    }
    (rows, results)
}

#[test]
fn several_statements_run_in_turn_up_to_the_first_error() {
    with_server(PgLimits::default(), async |server| {
        let client = connect(&server).await;
        let script = "SELECT user; -- a comment;\n CREATE x; ; SELECT numbers 2";
        let messages = client.simple_query(script).await.expect("runs");
        assert_eq!(rows(&messages), (vec!["ada".into(), "0|name 0".into(), "1|name 1".into()], 3));

        let error = client.simple_query("SELECT user; SELECT 'ä' wrong; CREATE x").await;
        let error = error.expect_err("the second one");
        let error = error.as_db_error().expect("of the server");
        assert_eq!(error.code().code(), "42601");
        assert_eq!(error.detail(), Some("a detail"));
        assert_eq!(error.hint(), Some("a hint"));
        assert_eq!(
            error.position(),
            Some(&tokio_postgres::error::ErrorPosition::Original(25)),
            "counted in characters of the whole text"
        );
        for empty in ["", " ; -- nothing"] {
            let messages = client.simple_query(empty).await.expect("an empty query");
            // The client shows the empty answer as a result of no rows.
            assert_eq!(rows(&messages), (vec![], 1));
        }
    });
}

#[test]
fn every_type_has_its_text_form() {
    with_server(PgLimits::default(), async |server| {
        let client = connect_with(&server, "options='-c timezone=Europe/Berlin'").await;
        let messages = client.expect("connects").simple_query("SELECT types").await.expect("runs");
        let expected = "t|-2|-2147483648|9223372036854775807|1.5|-0.1|-1234.567|grüße|\\x00ff|\
                        2024-07-03|01:02:03.000004|2024-07-03 09:46:40.123|\
                        2024-07-03 11:46:40.123+02|1 year 2 mons 3 days 00:00:01|{1,NULL,3}|\
                        {\"a\":1}";
        let (rows, _) = rows(&messages);
        assert_eq!(rows[0], expected);
        assert_eq!(rows[1], ["NULL"; 16].join("|"));
    });
}

#[test]
fn settings_are_kept_and_shown() {
    with_server(PgLimits::default(), async |server| {
        let client = connect_with(&server, "application_name=test").await.expect("connects");
        let show = async |name: &str| {
            rows(&client.simple_query(&format!("SHOW {name}")).await.expect("known")).0.remove(0)
        };
        assert!(show("server_version").await.starts_with("14."));
        assert_eq!(show("application_name").await, "test");
        assert_eq!(show("TRANSACTION ISOLATION LEVEL").await, "read committed");
        client.simple_query("SET TIME ZONE 'Asia/Tokyo'").await.expect("a zone");
        assert_eq!(show("timezone").await, "Asia/Tokyo");
        client.simple_query("DISCARD ALL").await.expect("resets");
        assert_eq!(show("timezone").await, "UTC");
        let error = client.simple_query("SET client_encoding TO LATIN1").await.expect_err("no");
        assert_eq!(sqlstate(&error), "22023");
    });
}

#[test]
fn a_transaction_block_is_as_clients_expect_it() {
    with_server(PgLimits::default(), async |server| {
        let client = connect(&server).await;
        client.batch_execute("BEGIN; SELECT user; COMMIT").await.expect("runs");
        client.batch_execute("BEGIN").await.expect("begins");
        client.batch_execute("CREATE wrong; wrong").await.expect_err("fails");
        let error = client.batch_execute("SELECT user").await.expect_err("failed block");
        assert_eq!(sqlstate(&error), "25P02");
        client.batch_execute("ROLLBACK").await.expect("ends it");
        client.batch_execute("SELECT user").await.expect("runs again");
    });
}

#[test]
fn copy_sends_the_rows_of_a_query() {
    use futures::TryStreamExt;
    with_server(PgLimits::default(), async |server| {
        let client = connect(&server).await;
        let stream = client.copy_out("COPY (SELECT numbers 3) TO STDOUT").await.expect("begins");
        let lines: Vec<_> = stream.try_collect().await.expect("ends");
        assert_eq!(lines, ["0\tname 0\n", "1\tname 1\n", "2\tname 2\n"]);
        client.batch_execute("SELECT user").await.expect("the connection goes on");
    });
}

/// What psql says when it runs a command; `None` where it is not installed.
async fn psql(server: &PgHandle, command: &'static str) -> Option<(bool, String, String)> {
    let port = server.local_addr().port().to_string();
    let run = move || {
        Command::new("psql")
            .args(["-X", "-A", "-h", "127.0.0.1", "-U", "ada", "-d", "main", "-p", &port])
            .args(["-c", command])
            .env("PGCONNECT_TIMEOUT", "10")
            .output()
    };
    let output = tokio::task::spawn_blocking(run).await.expect("no panic").ok()?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Some((output.status.success(), text(output.stdout), text(output.stderr)))
}

#[test]
fn psql_shows_rows_and_errors() {
    with_server(PgLimits::default(), async |server| {
        let Some(good) = psql(&server, "SELECT numbers 2").await else { return };
        let rows = "n|name\n0|name 0\n1|name 1\n(2 rows)\n".to_owned();
        assert_eq!(good, (true, rows, String::new()));
        let (success, _, said) = psql(&server, "SELECT a, wrong FROM t").await.expect("ran");
        assert!(!success);
        assert!(said.contains("LINE 1: SELECT a, wrong FROM t\n                  ^"), "{said}");
    });
}

/// Every command must succeed, and show what is given here.
#[test]
fn psql_describes_what_is_there() {
    let commands: [(&str, &[&str]); 12] = [
        ("\\d", &["default_database|averages|materialized view|ada", "|sensor|table|ada"]),
        ("\\dt", &["default_database|sensor|table|ada\n(1 row)"]),
        ("\\dv", &[]),
        ("\\dm", &["|averages|materialized view|ada\n(1 row)"]),
        (
            "\\d sens*",
            &[
                "Table \"default_database.sensor\"",
                "int4|integer||",
                "numeric|numeric(12,3)||",
                "int4s|integer[]||",
                "\"sensor_pkey\" PRIMARY KEY, not enforced (int4, text)",
            ],
        ),
        ("\\d+ averages", &["Materialized view", "SELECT avg(x) FROM sensor"]),
        ("\\d default_database.averages", &["timestamptz|timestamp with time zone||"]),
        ("\\l", &["main|ada|UTF8"]),
        ("\\dn", &["default_database|ada"]),
        ("\\df", &["(0 rows)"]),
        ("\\dt+", &["sensor|table|ada|permanent"]),
        ("\\du", &["ada"]),
    ];
    with_server(PgLimits::default(), async |server| {
        for (command, expected) in commands {
            let Some((success, out, said)) = psql(&server, command).await else { return };
            assert!(success && !said.contains("ERROR"), "{command}: {said}");
            for text in expected {
                assert!(out.contains(text), "{command} does not show {text:?}:\n{out}");
            }
        }
        let (_, _, said) = psql(&server, "\\d nothing").await.expect("ran");
        assert!(said.contains("Did not find any relation named \"nothing\""), "{said}");
    });
}
