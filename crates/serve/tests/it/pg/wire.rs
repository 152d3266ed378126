//! Bytes that no client library would send.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// A start-up message.
pub(super) fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = 196_608_i32.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    [&(body.len() as i32 + 4).to_be_bytes()[..], &body].concat()
}

/// A message with a type.
pub(super) fn message(message_type: u8, body: &[u8]) -> Vec<u8> {
    [&[message_type][..], &(body.len() as i32 + 4).to_be_bytes(), body].concat()
}

/// A Query message.
pub(super) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

/// Sends everything and returns what comes back until the door closes.
async fn talk(server: &PgHandle, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.local_addr()).await.expect("connects");
    socket.write_all(bytes).await.expect("writes");
    let mut answer = Vec::new();
    // The door may close so hard that the rest is lost.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn lengths_are_checked_before_room_is_made() {
    let limits = PgLimits { message_bytes: 1_000, ..PgLimits::default() };
    with_server(limits, async |server| {
        let hello = startup(&[("user", "ada")]);
        let huge_startup = [0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0];
        assert!(talk(&server, &huge_startup).await.contains("54000"));
        assert!(talk(&server, &[0, 0, 0, 1, 0, 0, 0, 0]).await.contains("08P01"));
        let huge_query = [&hello[..], &[b'Q', 0x7f, 0xff, 0xff, 0xff]].concat();
        assert!(talk(&server, &huge_query).await.contains("54000"));
        let negative = [&hello[..], &[b'Q', 0xff, 0xff, 0xff, 0xff]].concat();
        assert!(talk(&server, &negative).await.contains("08P01"));
        let lying_bind = [&hello[..], &message(b'B', b"\0\0\xff\xff")].concat();
        assert!(talk(&server, &lying_bind).await.contains("08P01"));
        let unknown = [&hello[..], &message(b'!', b"")].concat();
        assert!(talk(&server, &unknown).await.contains("08P01"));
    });
}

#[test]
fn openings_are_answered_in_kind() {
    with_server(PgLimits::default(), async |server| {
        let ssl = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
        let gss = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];
        let end = message(b'X', b"");
        let hello = startup(&[("user", "ada")]);
        let answer = talk(&server, &[&ssl[..], &gss, &hello, &end].concat()).await;
        assert!(answer.starts_with("NNR"), "both declined, then let in: {answer:?}");
        assert!(answer.contains("integer_datetimes\0on\0"));

        let old = [0, 0, 0, 8, 0, 2, 0, 0];
        assert!(talk(&server, &old).await.contains("unsupported frontend protocol 2.0"));
        assert!(talk(&server, &startup(&[("database", "x")])).await.contains("28000"));
        let replication = startup(&[("user", "ada"), ("replication", "database")]);
        assert!(talk(&server, &replication).await.contains("0A000"));

        let mut newer = startup(&[("user", "ada"), ("_pq_.x", "1")]);
        newer[7] = 2;
        let answer = talk(&server, &[newer, end].concat()).await;
        assert!(answer.starts_with('v') && answer.contains("_pq_.x"), "{answer:?}");
        let bad_cancel = [0, 0, 0, 10, 0x04, 0xd2, 0x16, 0x2e, 0, 0];
        assert!(talk(&server, &bad_cancel).await.contains("08P01"));
    });
}

#[test]
fn after_an_error_everything_up_to_sync_is_skipped() {
    with_server(PgLimits::default(), async |server| {
        let parse = message(b'P', b"\0SELECT wrong\0\0\0");
        let execute = message(b'E', b"\0\0\0\0\0");
        let sync = message(b'S', b"");
        let bytes = [
            startup(&[("user", "ada")]),
            parse,
            execute,
            sync,
            query("SELECT user"),
            message(b'X', b""),
        ];
        let answer = talk(&server, &bytes.concat()).await;
        assert_eq!(answer.matches("42601").count(), 1, "{answer:?}");
        assert!(!answer.contains("34000"), "Execute was not skipped: {answer:?}");
        assert!(answer.contains("SELECT 1"), "{answer:?}");
    });
}

#[test]
fn prepared_statements_are_bounded() {
    let limits = PgLimits { statements: 3, ..PgLimits::default() };
    with_server(limits, async |server| {
        let client = connect(&server).await;
        let mut held = Vec::new();
        let error = loop {
            match client.prepare("SELECT user").await {
                Ok(statement) => held.push(statement),
                Err(error) => break error,
            }
        };
        assert_eq!((sqlstate(&error), held.len()), ("53400", 3));
        client.batch_execute("DEALLOCATE ALL").await.expect("frees them");
        client.prepare("SELECT user").await.expect("has room again");
    });
}
