//! The PostgreSQL door, asked by clients that know nothing of it.

mod extended;
mod limits;
mod service;
mod simple;
mod wire;

use std::future::Future;
use std::sync::Arc;

use thalweg_core::authorizer::AllowAll;
use thalweg_core::env::{SeededRandom, bind_listener};
use thalweg_serve::pgwire::{PgDoor, PgLimits, PgServer};
use tokio_postgres::{Client, NoTls};

use service::TestService;

fn door(limits: PgLimits) -> PgDoor {
    PgDoor {
        service: Arc::new(TestService::default()),
        authorizer: Arc::new(AllowAll),
        random: Arc::new(SeededRandom::new(1)),
        limits,
    }
}

fn start(door: PgDoor) -> PgServer {
    let any = "127.0.0.1:0".parse().expect("address");
    let listener = bind_listener("PostgreSQL", "--sql", any, false).expect("free port");
    PgServer::start(listener, door).expect("starts")
}

async fn connect(server: &PgServer) -> Client {
    connect_with(server, "").await.expect("connects")
}

async fn connect_with(server: &PgServer, more: &str) -> Result<Client, tokio_postgres::Error> {
    Ok(connect_to(server, more).await?.0)
}

type Connection = tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>;

async fn connect_to(
    server: &PgServer,
    more: &str,
) -> Result<(Client, Connection), tokio_postgres::Error> {
    let address = server.local_addr();
    let config = format!("host=127.0.0.1 port={} user=ada dbname=main {more}", address.port());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
    Ok((client, tokio::spawn(connection)))
}

/// Runs a test against a door, which must close cleanly in the end.
fn with_server<F, T>(limits: PgLimits, test: T)
where
    T: FnOnce(Arc<PgServer>) -> F,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        let server = Arc::new(start(door(limits)));
        test(Arc::clone(&server)).await;
        let server = Arc::into_inner(server).expect("nobody else holds it");
        server.shutdown().await;
    });
}

fn sqlstate(error: &tokio_postgres::Error) -> &str {
    error.code().expect("an error of the server").code()
}
