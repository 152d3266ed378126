//! The extended protocol.

use std::time::{Duration, UNIX_EPOCH};

use tokio_postgres::types::{FromSql, ToSql, Type};

use super::*;

/// A value as it came, in binary.
struct Raw(Type, Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(
        ty: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(ty.clone(), raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[test]
fn every_type_has_its_binary_form() {
    with_server(PgLimits::default(), async |server| {
        let client = connect(&server).await;
        let rows = client.query("SELECT types", &[]).await.expect("runs");
        let row = &rows[0];
        assert!(row.get::<_, bool>("bool"));
        assert_eq!(row.get::<_, i16>("int2"), -2);
        assert_eq!(row.get::<_, i32>("int4"), i32::MIN);
        assert_eq!(row.get::<_, i64>("int8"), i64::MAX);
        assert_eq!(row.get::<_, f32>("float4"), 1.5);
        assert_eq!(row.get::<_, f64>("float8"), -0.1);
        assert_eq!(row.get::<_, String>("text"), "grüße");
        assert_eq!(row.get::<_, Vec<u8>>("bytea"), [0, 255]);
        let instant = UNIX_EPOCH + Duration::from_millis(1_720_000_000_123);
        assert_eq!(row.get::<_, std::time::SystemTime>("timestamp"), instant);
        assert_eq!(row.get::<_, std::time::SystemTime>("timestamptz"), instant);
        assert_eq!(row.get::<_, Vec<Option<i32>>>("int4s"), [Some(1), None, Some(3)]);

        let raw = |name| row.get::<_, Raw>(name);
        let date = raw("date");
        assert_eq!((date.0, date.1), (Type::DATE, (19_907 - 10_957_i32).to_be_bytes().to_vec()));
        let json = raw("row");
        assert_eq!((json.0, json.1), (Type::JSON, b"{\"a\":1}".to_vec()));
        let numeric = raw("numeric");
        // Two digits of base 10000, weight 0, negative, scale 3: -1234.567.
        let digits = [2_i16, 0, 0x4000, 3, 1234, 5670];
        let digits: Vec<u8> = digits.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!((numeric.0, numeric.1), (Type::NUMERIC, digits));
        for column in 0..rows[1].len() {
            assert!(rows[1].get::<_, Option<Raw>>(column).is_none());
        }
    });
}

#[test]
fn parameters_reach_the_session_as_values_of_their_types() {
    with_server(PgLimits::default(), async |server| {
        let client = connect(&server).await;
        let echo = async |param_type: Type, value: &(dyn ToSql + Sync)| {
            let statement = client.prepare_typed("SELECT echo $1", &[param_type]).await;
            let rows = client.query(&statement.expect("prepares"), &[value]).await.expect("runs");
            rows[0].get::<_, String>(0)
        };
        assert_eq!(echo(Type::BOOL, &true).await, "TRUE");
        assert_eq!(echo(Type::INT4, &-7).await, "CAST(-7 AS INT)");
        assert_eq!(echo(Type::INT8, &7_i64).await, "CAST('7' AS BIGINT)");
        assert_eq!(echo(Type::FLOAT8, &0.5).await, "CAST('5e-1' AS DOUBLE)");
        assert_eq!(echo(Type::TEXT, &"it's").await, "'it''s'");
        assert_eq!(echo(Type::BYTEA, &vec![1_u8, 255]).await, "X'01FF'");
        assert_eq!(echo(Type::TEXT, &None::<String>).await, "NULL");
        let instant = UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(
            echo(Type::TIMESTAMPTZ, &instant).await,
            "CAST('1970-01-01 00:00:01.5Z' AS TIMESTAMP_LTZ(6))"
        );
        assert_eq!(echo(Type::TIMESTAMP, &instant).await, "TIMESTAMP '1970-01-01 00:00:01.5'");
        let error = client.prepare_typed("SELECT echo $1", &[Type::POINT]).await.expect_err("no");
        assert_eq!(sqlstate(&error), "0A000");
    });
}

#[test]
fn a_portal_is_read_by_the_handful() {
    with_server(PgLimits::default(), async |server| {
        let mut client = connect(&server).await;
        let transaction = client.transaction().await.expect("begins");
        let statement = transaction.prepare("SELECT numbers $1").await.expect("prepares");
        let portal = transaction.bind(&statement, &[&2_500]).await.expect("binds");
        let mut read = Vec::new();
        for expected in [1_100, 1_100, 300, 0] {
            let rows = transaction.query_portal(&portal, 1_100).await;
            let Ok(rows) = rows else {
                assert_eq!(expected, 0, "only a portal that is done cannot be run");
                break;
            };
            assert_eq!(rows.len(), expected);
            read.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
        }
        assert_eq!(read, (0..2_500).collect::<Vec<_>>());
        drop(transaction);
        client.query("SELECT user", &[]).await.expect("the connection goes on");
    });
}

#[test]
fn after_an_error_the_next_statement_runs() {
    with_server(PgLimits::default(), async |server| {
        let client = connect(&server).await;
        let error = client.prepare("SELECT wrong").await.expect_err("does not parse");
        assert_eq!(sqlstate(&error), "42601");
        let error = client.prepare("SELECT user; SELECT user").await.expect_err("two");
        assert_eq!(sqlstate(&error), "42601");
        let statement = client.prepare("SELECT echo $1 $2").await.expect("prepares");
        assert_eq!(statement.params().len(), 2);
        let row = client.query_one(&statement, &[&"a", &"b"]).await.expect("runs");
        assert_eq!(row.get::<_, String>(0), "'a' 'b'");
        assert_eq!(client.execute("INSERT x", &[]).await.expect("runs"), 0);
        let shown = client.query_one("SHOW server_encoding", &[]).await.expect("runs");
        assert_eq!(shown.get::<_, String>("server_encoding"), "UTF8");
    });
}
