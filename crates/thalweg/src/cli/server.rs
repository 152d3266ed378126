//! `thalweg server`: opens every door and serves until it is told to stop.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;
use thalweg_core::env::Env;

use super::{Failure, shutdown};
use crate::config::Config;
use crate::node::{DoorOptions, Doors, Node, NodeOptions};

#[derive(Args)]
pub(crate) struct Options {
    /// Where everything is kept [default: ./thalweg-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the Kafka door [default: 127.0.0.1:9092]
    #[arg(long, value_name = "ADDR")]
    kafka: Option<String>,
    /// Host and port that Kafka clients are told to connect to
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Address of the PostgreSQL door [default: 127.0.0.1:6875]
    #[arg(long, value_name = "ADDR")]
    sql: Option<String>,
    /// Address of the HTTP door [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep nothing: a temporary data directory, removed at the end
    #[arg(long, conflicts_with = "data_dir")]
    ephemeral: bool,
    /// Allow addresses that other machines reach, without TLS and authentication
    #[arg(long)]
    insecure_public: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let config = config(options)?;
    let doors = DoorOptions {
        kafka: address("Kafka", &config.server.kafka)?,
        advertise: config.server.advertise.clone(),
        sql: address("PostgreSQL", &config.server.sql)?,
        http: address("HTTP", &config.server.http)?,
        insecure_public: config.server.insecure_public,
        auto_create_topics: config.kafka.auto_create_topics,
        default_partitions: config.kafka.default_partitions,
        max_connections: config.kafka.max_connections,
        max_connections_per_ip: config.kafka.max_connections_per_ip,
    };
    let node = NodeOptions {
        data_dir: (!options.ephemeral).then(|| config.server.data_dir.clone()),
        parallelism: config.jobs.parallelism.max(1),
        reserve_bytes: config.log.reserve_bytes,
        retention_check_ms: config.log.retention_check_ms,
        ..NodeOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(node, doors))
}

async fn serve(node: NodeOptions, doors: DoorOptions) -> Result<(), Failure> {
    // The ports first: a taken one is found before anything is touched.
    let bound = doors.bind()?;
    let node = tokio::task::block_in_place(|| Node::open(node))?;
    let doors = Doors::open(&node, bound, &doors).await?;
    for (name, told, holds) in doors.overridden() {
        eprintln!(
            "note: {name} is {holds}, as a Kafka client has set it, not {told} as in the settings \
             (shown, and taken back, by kafka-configs --entity-type brokers)"
        );
    }
    writeln!(std::io::stdout(), "{}", doors.ready_line(&node))?;
    std::io::stdout().flush()?;
    shutdown::requested().await?;
    eprintln!("stopping: jobs take a last snapshot");
    doors.close().await;
    tokio::task::block_in_place(|| node.stop());
    Ok(())
}

/// Command line over environment over file over defaults.
fn config(options: &Options) -> Result<Config, Failure> {
    let mut config = Config::load(&Env::real(), options.config.as_deref())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let server = &mut config.server;
    let set = |field: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            field.clone_from(value);
        }
    };
    set(&mut server.kafka, &options.kafka);
    set(&mut server.advertise, &options.advertise);
    set(&mut server.sql, &options.sql);
    set(&mut server.http, &options.http);
    if let Some(data_dir) = &options.data_dir {
        server.data_dir.clone_from(data_dir);
    }
    server.insecure_public |= options.insecure_public;
    Ok(config)
}

fn address(door: &str, text: &str) -> Result<SocketAddr, Failure> {
    text.to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| Failure::Usage(format!("{door} address '{text}' is not HOST:PORT")))
}
