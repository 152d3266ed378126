//! `thalweg topic create`.

use clap::Args;
use krafka::Kafka;
use krafka::admin::{CreateTopicsOptions, NewTopic};
use krafka::error::ErrorCode;

use super::{key_and_value, outcome};
use crate::cli::Failure;
use crate::cli::kafka_error::code;

#[derive(Args)]
pub(crate) struct Options {
    /// Names
    #[arg(required = true)]
    names: Vec<String>,
    /// Number of partitions
    #[arg(short, long, default_value_t = 1, allow_negative_numbers = true)]
    partitions: i32,
    /// Number of replicas; -1 is the cluster's default
    #[arg(short, long, default_value_t = 1, allow_negative_numbers = true)]
    replicas: i16,
    /// A setting under Kafka's name, such as retention.ms=86400000
    #[arg(short, long, visible_alias = "topic-config", value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// Accept that a topic exists, as it is
    #[arg(long)]
    if_not_exists: bool,
    /// Have the server check it, create nothing
    #[arg(short, long, visible_alias = "dry")]
    dry_run: bool,
}

pub(super) async fn run(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let mut topics = Vec::new();
    for name in &options.names {
        let mut topic =
            NewTopic::new(name, options.partitions, options.replicas).map_err(Failure::usage)?;
        for setting in &options.config {
            let (key, value) = key_and_value(setting)?;
            topic = topic.with_config(key, value);
        }
        topics.push(topic);
    }
    let how = CreateTopicsOptions::default().validate_only(options.dry_run);
    let mut results = kafka.admin().create_topics(topics, how).await?;
    if options.if_not_exists {
        results.retain(|name, result| {
            let exists = matches!(
                result, Err(error) if code(error) == Some(ErrorCode::TopicAlreadyExists)
            );
            if exists {
                eprintln!("topic '{name}' exists already");
            }
            !exists
        });
    }
    let done = if options.dry_run { "checked" } else { "created" };
    outcome::report(kafka, done, results).await
}
