//! Connections to a running server, as any other client makes them.

use std::future::Future;
use std::time::Duration;

use clap::Args;
use krafka::Kafka;

use super::{Failure, shutdown};

/// Where the Kafka door is.
#[derive(Args, Clone, Debug)]
pub(crate) struct KafkaOptions {
    /// Kafka door of the server, or any Kafka cluster
    #[arg(
        short,
        long,
        visible_alias = "bootstrap-server",
        env = "THALWEG_BROKERS",
        global = true,
        default_value = "localhost:9092",
        value_name = "HOST:PORT"
    )]
    pub(crate) brokers: String,
}

impl KafkaOptions {
    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Kafka, Failure> {
        self.connect_with(false).await
    }

    /// Connects as a producer does: topics that are asked for may be created by that.
    pub(crate) async fn connect_to_produce(&self) -> Result<Kafka, Failure> {
        self.connect_with(true).await
    }

    async fn connect_with(&self, creates_topics: bool) -> Result<Kafka, Failure> {
        Kafka::builder(&self.brokers)
            .client_id("thalweg")
            .allow_auto_create_topics(creates_topics)
            .connect_timeout(Duration::from_secs(5))
            .connect()
            .await
            .map_err(|error| {
                Failure::Usage(format!(
                    "cannot connect to {}: {error}\nis it running? start it with: thalweg server",
                    self.brokers
                ))
            })
    }
}

/// Runs a client command to its end, or until Ctrl-C.
pub(crate) fn block_on<F>(command: F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    shutdown::client_runtime()?.block_on(async {
        tokio::select! {
            result = command => result,
            stop = shutdown::requested() => Ok(stop?),
        }
    })
}

/// Runs a client command that itself ends cleanly on Ctrl-C.
pub(crate) fn block_on_to_end<F>(command: F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    shutdown::client_runtime()?.block_on(command)
}
