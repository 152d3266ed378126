//! `thalweg topic alter` and `thalweg topic add-partitions`.

use clap::Args;
use krafka::Kafka;
use krafka::admin::{
    ConfigOp, ConfigResource, CreatePartitionsOptions, IncrementalAlterConfigsOptions,
};

use super::{key_and_value, outcome};
use crate::cli::{Failure, topic_names};

#[derive(Args)]
pub(crate) struct Options {
    /// Names; those with * or ? are globs
    #[arg(required = true)]
    names: Vec<String>,
    /// New number of partitions
    #[arg(short, long)]
    partitions: Option<i32>,
    /// Set a setting, such as retention.ms=86400000
    #[arg(short, long, visible_alias = "set", visible_short_alias = 's', value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// Give a setting its default again
    #[arg(short, long, visible_alias = "delete", value_name = "KEY")]
    delete_config: Vec<String>,
    /// Add to a setting that is a list
    #[arg(long, value_name = "KEY=VALUE")]
    append: Vec<String>,
    /// Take out of a setting that is a list
    #[arg(long, value_name = "KEY=VALUE")]
    subtract: Vec<String>,
    /// Have the server check it, change nothing
    #[arg(long, visible_alias = "dry")]
    dry_run: bool,
}

#[derive(Args)]
pub(crate) struct AddPartitions {
    /// Names; those with * or ? are globs
    #[arg(required = true)]
    names: Vec<String>,
    /// How many more
    #[arg(short = 'n', long = "num", value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    more: i32,
    /// Have the server check it, change nothing
    #[arg(long, visible_alias = "dry")]
    dry_run: bool,
}

pub(super) async fn run(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let changes = changes(options)?;
    if changes.is_empty() && options.partitions.is_none() {
        return Err(Failure::Usage(
            "what is to change? --config KEY=VALUE, --delete-config KEY or --partitions N".into(),
        ));
    }
    let names = topic_names::resolve(kafka, &options.names, false).await?;
    let done = if options.dry_run { "checked" } else { "altered" };
    if !changes.is_empty() {
        let changes = names.iter().map(|name| (ConfigResource::topic(name), changes.clone()));
        let how = IncrementalAlterConfigsOptions::default().validate_only(options.dry_run);
        let results = kafka.admin().incremental_alter_configs(changes, how).await?;
        let results = results.into_iter().map(|(resource, result)| (resource.name, result));
        outcome::report(kafka, done, results).await?;
    }
    if let Some(partitions) = options.partitions {
        let how = CreatePartitionsOptions::default().validate_only(options.dry_run);
        let counts = names.iter().map(|name| (name, partitions));
        let results = kafka.admin().create_partitions(counts, how).await?;
        outcome::report(kafka, done, results).await?;
    }
    Ok(())
}

pub(super) async fn add(kafka: &Kafka, options: &AddPartitions) -> Result<(), Failure> {
    let names = topic_names::resolve(kafka, &options.names, false).await?;
    let topics = topic_names::describe(kafka, &names).await?;
    let counts: Vec<(String, i32)> = topics
        .iter()
        .map(|topic| {
            let now = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            (topic.name.clone(), now.saturating_add(options.more))
        })
        .collect();
    let how = CreatePartitionsOptions::default().validate_only(options.dry_run);
    let results = kafka.admin().create_partitions(counts, how).await?;
    outcome::report(kafka, if options.dry_run { "checked" } else { "altered" }, results).await
}

fn changes(options: &Options) -> Result<Vec<ConfigOp>, Failure> {
    let mut changes = Vec::new();
    for setting in &options.config {
        let (name, value) = key_and_value(setting)?;
        changes.push(ConfigOp::set(name, value));
    }
    for setting in &options.append {
        let (name, value) = key_and_value(setting)?;
        changes.push(ConfigOp::Append { name: name.to_owned(), value: value.to_owned() });
    }
    for setting in &options.subtract {
        let (name, value) = key_and_value(setting)?;
        changes.push(ConfigOp::Subtract { name: name.to_owned(), value: value.to_owned() });
    }
    changes.extend(options.delete_config.iter().map(ConfigOp::delete));
    Ok(changes)
}
