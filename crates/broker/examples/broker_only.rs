//! The log and the Kafka door, and nothing else: `broker_only ADDRESS DATA_DIR`.
//!
//! For measuring the broker by itself and for testing it with stock clients; the
//! `thalweg` binary has the same door. Prints the same `ready` line.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use thalweg_broker::{Broker, BrokerOptions};
use thalweg_core::env::{Env, bind_listener};
use thalweg_core::partition_log::LogStore;
use thalweg_log::{Log, LogOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9092".into()).parse()?;
    let data = PathBuf::from(arguments.next().unwrap_or_else(|| "thalweg-data".into()));
    let env = Env::real();
    let listener = bind_listener("Kafka", "the first argument", address, false)?;
    let log = Log::open(env.clone(), &data, LogOptions::default())?;
    let store: Arc<dyn LogStore> = log.clone();
    let broker = Broker::start(env, store, BrokerOptions::new(listener))?;
    let mut out = std::io::stdout();
    writeln!(out, "ready kafka={} sql=- http=- data={}", broker.local_addr(), data.display())?;
    out.flush()?;
    tokio::signal::ctrl_c().await?;
    broker.shutdown().await;
    log.close()?;
    Ok(())
}
