//! What the door refuses, gives up and survives.

use std::time::Duration;

use futures::{StreamExt, pin_mut};
use thalweg_core::authorizer::{Operation, Principal, Resource};

use super::*;

#[test]
fn a_full_door_says_so_and_has_room_again() {
    let limits = PgLimits { connections: 1, ..PgLimits::default() };
    with_server(limits, async |server| {
        let first = connect(&server).await;
        let error = connect_with(&server, "").await.expect_err("full");
        assert_eq!(sqlstate(&error), "53300");
        drop(first);
        // The door notices the end of the first one in its own time.
        while connect_with(&server, "").await.is_err() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn who_may_not_is_told() {
    struct ReadOnly;
    impl Authorizer for ReadOnly {
        fn authorize(&self, who: &Principal, operation: Operation, _: Resource<'_>) -> bool {
            who.name() == "ada" && matches!(operation, Operation::Read | Operation::Describe)
        }
    }
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let service = Arc::new(TestService::default());
        let server = start(service, Arc::new(ReadOnly), PgLimits::default());
        let client = connect(&server).await;
        client.batch_execute("SELECT user").await.expect("may read");
        let error = client.batch_execute("CREATE x").await.expect_err("may not create");
        assert_eq!(sqlstate(&error), "42501");
        let error = connect_with(&server, "user=bob").await.expect_err("may not connect");
        assert_eq!(sqlstate(&error), "28000");
        let error = connect_with(&server, "dbname=nowhere").await.expect_err("no such database");
        assert_eq!(sqlstate(&error), "3D000");
        server.shutdown().await;
    });
}

#[test]
fn a_running_statement_can_be_cancelled_or_runs_out_of_time() {
    with_server(PgLimits::default(), async |server| {
        let client = connect(&server).await;
        let token = client.cancel_token();
        let query = client.simple_query("SELECT forever");
        pin_mut!(query);
        // Cancels until it counts: a request may come before the statement begins.
        let error = loop {
            tokio::select! {
                result = &mut query => break result.expect_err("cancelled"),
                cancelled = token.cancel_query(NoTls) => cancelled.expect("a connection"),
            }
        };
        assert_eq!(sqlstate(&error), "57014");
        client.batch_execute("SET statement_timeout = 20").await.expect("sets");
        let error = client.simple_query("SELECT forever").await.expect_err("too long");
        assert_eq!(sqlstate(&error), "57014");
        client.batch_execute("SELECT user").await.expect("the session goes on");
    });
}

#[test]
fn a_subscription_sends_each_change_at_once() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let service = Arc::new(TestService::default());
        let server = start(service.clone(), Arc::new(AllowAll), PgLimits::default());
        let (client, connection) = connect_to(&server, "").await.expect("connects");
        let rows = client.query_raw("SUBSCRIBE TO v", Vec::<&str>::new()).await.expect("begins");
        pin_mut!(rows);
        for number in [7_i64, 8, 9] {
            while service.feed.send(number).is_err() {
                tokio::task::yield_now().await;
            }
            let row = rows.next().await.expect("a row").expect("no error");
            assert_eq!(row.get::<_, i64>(0), number);
        }
        // A client that is gone ends its subscription.
        connection.abort();
        while service.feed.receiver_count() > 0 {
            tokio::task::yield_now().await;
        }
        server.shutdown().await;
    });
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    use tokio::io::AsyncWriteExt;
    let limits = PgLimits { write_timeout: Duration::from_millis(100), ..PgLimits::default() };
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let service = Arc::new(TestService::default());
        let server = start(service.clone(), Arc::new(AllowAll), limits);
        let mut socket =
            tokio::net::TcpStream::connect(server.local_addr()).await.expect("connects");
        let hello = super::wire::startup(&[("user", "ada")]);
        let bytes = [hello, super::wire::query("SELECT endless")].concat();
        socket.write_all(&bytes).await.expect("writes");
        while service.feed.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        while service.feed.receiver_count() > 0 {
            tokio::task::yield_now().await;
        }
        server.shutdown().await;
    });
}

#[test]
fn the_door_closes_though_clients_are_busy() {
    with_server(PgLimits::default(), async |server| {
        let idle = connect(&server).await;
        let busy = connect(&server).await;
        tokio::spawn(async move {
            let error = busy.simple_query("SELECT forever").await.expect_err("given up");
            assert_eq!(sqlstate(&error), "57P01");
        });
        // with_server shuts the door down while both are still there.
        std::mem::forget(idle);
    });
}
