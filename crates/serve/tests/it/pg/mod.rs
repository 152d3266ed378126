//! The PostgreSQL door, asked by clients that know nothing of it.

mod extended;
mod fuzz;
mod limits;
mod service;
mod simple;
mod wire;

use std::future::Future;
use std::sync::Arc;

use thalweg_core::authorizer::{AllowAll, Authorizer};
use thalweg_core::env::{SeededRandom, bind_listener};
use thalweg_serve::pgwire::{PgHandle, PgLimits, PgOptions, PgServer, SqlService};
use tokio_postgres::{Client, NoTls};

use service::TestService;

fn options(limits: PgLimits) -> PgOptions {
    PgOptions { limits, random: Arc::new(SeededRandom::new(1)) }
}

fn start(
    service: Arc<dyn SqlService>,
    authorizer: Arc<dyn Authorizer>,
    limits: PgLimits,
) -> PgHandle {
    let any = "127.0.0.1:0".parse().expect("address");
    let listener = bind_listener("PostgreSQL", "--sql", any, false).expect("free port");
    PgServer::start(listener, service, authorizer, options(limits)).expect("starts")
}

async fn connect(server: &PgHandle) -> Client {
    connect_with(server, "").await.expect("connects")
}

async fn connect_with(server: &PgHandle, more: &str) -> Result<Client, tokio_postgres::Error> {
    Ok(connect_to(server, more).await?.0)
}

type Connection = tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>;

async fn connect_to(
    server: &PgHandle,
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
    T: FnOnce(Arc<PgHandle>) -> F,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        let server = Arc::new(start(Arc::new(TestService::default()), Arc::new(AllowAll), limits));
        test(Arc::clone(&server)).await;
        let server = Arc::into_inner(server).expect("nobody else holds it");
        server.shutdown().await;
    });
}

fn sqlstate(error: &tokio_postgres::Error) -> &str {
    error.code().expect("an error of the server").code()
}
