//! `thalweg topic list`.

use clap::Args;
use krafka::Kafka;

use crate::cli::output::{OutputFormat, print_rows};
use crate::cli::{Failure, topic_names};

#[derive(Args)]
pub(crate) struct Options {
    /// Only these topics; names with * or ? are globs
    names: Vec<String>,
    /// Names are regular expressions that match whole names
    #[arg(short, long)]
    regex: bool,
    /// Internal topics too
    #[arg(short, long)]
    internal: bool,
    #[arg(short, long, visible_alias = "format", value_enum, default_value_t)]
    output: OutputFormat,
}

pub(super) async fn run(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let names = if options.names.is_empty() {
        topic_names::all(kafka, options.internal).await?
    } else {
        topic_names::resolve(kafka, &options.names, options.regex).await?
    };
    let topics = topic_names::describe(kafka, &names).await?;
    let rows: Vec<Vec<String>> = topics
        .into_iter()
        .filter(|topic| options.internal || !options.names.is_empty() || !topic.is_internal)
        .map(|topic| {
            let replicas = topic.partitions.first().map_or(0, |p| p.replicas.len());
            vec![topic.name, topic.partitions.len().to_string(), replicas.to_string()]
        })
        .collect();
    Ok(print_rows(options.output, &["NAME", "PARTITIONS", "REPLICAS"], &rows)?)
}
