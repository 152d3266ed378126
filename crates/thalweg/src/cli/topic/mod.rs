//! `thalweg topic`: create, list, describe, alter, trim and delete topics. One file a
//! subcommand, listed here.

mod alter;
mod create;
mod delete;
mod describe;
mod list;
mod outcome;
mod storage;
mod trim;

use clap::{Args, Subcommand};

use super::Failure;
use super::client::{KafkaOptions, block_on};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    kafka: KafkaOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create topics
    Create(create::Options),
    /// List topics
    List(list::Options),
    /// Show topics' partitions and settings
    Describe(describe::Options),
    /// Change settings, or raise the number of partitions
    #[command(visible_alias = "alter-config")]
    Alter(alter::Options),
    /// Add partitions
    AddPartitions(alter::AddPartitions),
    /// Delete the oldest records, up to an offset or a time
    Trim(trim::Options),
    /// Show how many bytes each partition has in which directory
    DescribeStorage(storage::Options),
    /// Delete topics with their records
    Delete(delete::Options),
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    block_on(async {
        let kafka = options.kafka.connect().await?;
        match &options.command {
            Command::Create(options) => create::run(&kafka, options).await,
            Command::List(options) => list::run(&kafka, options).await,
            Command::Describe(options) => describe::run(&kafka, options).await,
            Command::Alter(options) => alter::run(&kafka, options).await,
            Command::AddPartitions(options) => alter::add(&kafka, options).await,
            Command::Trim(options) => trim::run(&kafka, options).await,
            Command::DescribeStorage(options) => storage::run(&kafka, options).await,
            Command::Delete(options) => delete::run(&kafka, options).await,
        }
    })
}

/// `KEY=VALUE` as typed.
fn key_and_value(setting: &str) -> Result<(&str, &str), Failure> {
    setting.split_once('=').ok_or_else(|| Failure::Usage(format!("'{setting}' is not KEY=VALUE")))
}
