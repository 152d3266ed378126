//! `thalweg topic delete`.

use clap::Args;
use krafka::Kafka;
use krafka::admin::DeleteTopicsOptions;

use super::outcome;
use crate::cli::{Failure, topic_names};

#[derive(Args)]
pub(crate) struct Options {
    /// Names; those with * or ? are globs
    #[arg(required = true)]
    names: Vec<String>,
    /// Names are regular expressions that match whole names
    #[arg(short, long)]
    regex: bool,
    /// Only say which topics these are
    #[arg(short, long)]
    dry_run: bool,
}

pub(super) async fn run(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let mut names = topic_names::resolve(kafka, &options.names, options.regex).await?;
    if options.regex || names != options.names {
        // A pattern means the user's topics; an internal one is deleted by its name.
        names.retain(|name| !name.starts_with("__") || options.names.contains(name));
    }
    if options.dry_run {
        names.iter().for_each(|name| eprintln!("would delete topic '{name}'"));
        return Ok(());
    }
    let results = kafka.admin().delete_topics(&names, DeleteTopicsOptions::default()).await?;
    outcome::report(kafka, "deleted", results).await
}
