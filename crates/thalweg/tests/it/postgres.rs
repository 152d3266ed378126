//! The PostgreSQL door with a stock client.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thalweg::node::{DoorOptions, Doors};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls};

use crate::harness::Bench;

/// Opens the doors on free ports and works with a client.
fn with_client<T>(bench: &Bench, work: impl AsyncFnOnce(Client) -> T) -> T {
    bench.block_on(async {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = DoorOptions { kafka: any, sql: any, http: any, ..DoorOptions::default() };
        let bound = options.bind().expect("free ports");
        let doors = Doors::open(bench.node(), bound, &options).await.expect("the doors open");
        let (host, port) = (doors.sql().ip(), doors.sql().port());
        let config = format!("host={host} port={port} user=me");
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("connects");
        let connection = tokio::spawn(connection);
        let result = work(client).await;
        connection.await.expect("no panic").expect("ends well");
        doors.close().await;
        result
    })
}

#[test]
fn instants_go_in_and_out_as_parameters() {
    let bench = Bench::new();
    for (n, at) in [(1, "2024-02-29 12:34:56.789Z"), (2, "2024-02-29 12:34:56.790Z")] {
        bench.produce("moments", &format!(r#"{{"n": {n}, "moment": "{at}"}}"#));
    }
    bench.run(
        "CREATE TABLE moments (n INT, moment TIMESTAMP_LTZ(3)) WITH ('connector' = 'kafka',
           'topic' = 'moments', 'scan.startup.mode' = 'earliest-offset', 'format' = 'json',
           'json.timestamp-format.standard' = 'SQL')",
    );
    let moment = UNIX_EPOCH + Duration::from_millis(1_709_210_096_789);
    with_client(&bench, async |client| {
        for zone in ["UTC", "Europe/Vienna"] {
            client.batch_execute(&format!("SET 'table.local-time-zone' = '{zone}'")).await.unwrap();
            let sql = "SELECT n, moment FROM moments WHERE moment = $1";
            let rows = client.query_typed(sql, &[(&moment, Type::TIMESTAMPTZ)]).await.unwrap();
            assert_eq!(rows.len(), 1, "{zone}");
            assert_eq!(rows[0].get::<_, i32>(0), 1);
            assert_eq!(rows[0].get::<_, SystemTime>(1), moment);
        }
    });
}

#[test]
fn a_parameter_comes_back_as_what_it_is() {
    let bench = Bench::new();
    let moment = UNIX_EPOCH + Duration::from_micros(1_709_210_096_789_012);
    with_client(&bench, async |client| {
        let sql = "SELECT $1 AS moment, $2 AS small, $3 AS large, $4 AS word";
        let word = Some("word");
        let rows = client
            .query_typed(
                sql,
                &[
                    (&moment, Type::TIMESTAMPTZ),
                    (&7i32, Type::INT4),
                    (&8i64, Type::INT8),
                    (&word, Type::TEXT),
                ],
            )
            .await
            .unwrap();
        assert_eq!(rows[0].get::<_, SystemTime>(0), moment);
        assert_eq!((rows[0].get::<_, i32>(1), rows[0].get::<_, i64>(2)), (7, 8));
        assert_eq!(rows[0].get::<_, Option<&str>>(3), word);
        let nothing = (None::<SystemTime>, None::<i32>, None::<i64>, None::<&str>);
        let rows = client
            .query_typed(
                sql,
                &[
                    (&nothing.0, Type::TIMESTAMPTZ),
                    (&nothing.1, Type::INT4),
                    (&nothing.2, Type::INT8),
                    (&nothing.3, Type::TEXT),
                ],
            )
            .await
            .unwrap();
        assert_eq!(rows[0].get::<_, Option<SystemTime>>(0), None);
        assert_eq!(rows[0].get::<_, Option<i32>>(1), None);
        assert_eq!(rows[0].get::<_, Option<i64>>(2), None);
        assert_eq!(rows[0].get::<_, Option<&str>>(3), None);
    });
}
