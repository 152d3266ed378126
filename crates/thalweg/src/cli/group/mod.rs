//! `thalweg group`: list, describe, move and delete consumer groups. A job shows up as a
//! group of its name, so its lag is seen here too. One file a subcommand, listed here.

mod delete;
mod describe;
mod list;
mod offset_delete;
mod reset;
mod reset_file;

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
    /// List groups
    List(list::Options),
    /// Show groups' members, positions and lag
    Describe(describe::Options),
    /// Move the offsets of a group that nobody is in
    #[command(visible_aliases = ["seek", "reset-offsets"])]
    Reset(reset::Options),
    /// Delete what a group has committed for some partitions
    OffsetDelete(offset_delete::Options),
    /// Delete groups
    Delete(delete::Options),
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    block_on(async {
        let kafka = options.kafka.connect().await?;
        match &options.command {
            Command::List(options) => list::run(&kafka, options).await,
            Command::Describe(options) => describe::run(&kafka, options).await,
            Command::Reset(options) => reset::run(&kafka, options).await,
            Command::OffsetDelete(options) => offset_delete::run(&kafka, options).await,
            Command::Delete(options) => delete::run(&kafka, options).await,
        }
    })
}
