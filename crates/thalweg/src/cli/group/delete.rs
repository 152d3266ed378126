//! `thalweg group delete`.

use clap::Args;
use krafka::Kafka;
use krafka::admin::DeleteConsumerGroupsOptions;

use crate::cli::Failure;
use crate::cli::kafka_error::sentence;

#[derive(Args)]
pub(crate) struct Options {
    /// Names
    #[arg(required = true)]
    names: Vec<String>,
}

pub(super) async fn run(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let how = DeleteConsumerGroupsOptions::default();
    let mut failed = Vec::new();
    for (name, result) in kafka.admin().delete_consumer_groups(&options.names, how).await? {
        match result {
            Ok(()) => eprintln!("deleted group '{name}'"),
            Err(error) => failed.push(format!("group '{name}': {}", sentence(&error))),
        }
    }
    failed.sort();
    if failed.is_empty() { Ok(()) } else { Err(Failure::Running(failed.join("\n"))) }
}
