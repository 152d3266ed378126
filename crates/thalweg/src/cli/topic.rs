//! `thalweg topic`: create, list, describe, alter and delete topics.

use clap::{Args, Subcommand};
use krafka::Kafka;
use krafka::admin::{
    ConfigResource, CreatePartitionsOptions, CreateTopicsOptions, DeleteTopicsOptions,
    DescribeConfigsOptions, DescribeTopicsOptions, ListTopicsOptions, NewTopic,
};

use super::Failure;
use super::client::{KafkaOptions, block_on};
use super::output::{OutputFormat, print_rows};

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
    Create {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
        /// Number of partitions
        #[arg(short, long, default_value_t = 1)]
        partitions: i32,
        /// A setting under Kafka's name, such as retention.ms=86400000
        #[arg(short, long, value_name = "KEY=VALUE")]
        config: Vec<String>,
    },
    /// List topics
    List {
        /// Internal topics too
        #[arg(short, long)]
        internal: bool,
        #[arg(short, long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    /// Show a topic's partitions and settings
    Describe {
        /// Name
        name: String,
        #[arg(short, long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    /// Raise the number of partitions
    Alter {
        /// Name
        name: String,
        /// New number of partitions
        #[arg(short, long)]
        partitions: i32,
    },
    /// Delete topics with their records
    Delete {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    block_on(async {
        let kafka = options.kafka.connect().await?;
        match &options.command {
            Command::Create { names, partitions, config } => {
                create(&kafka, names, *partitions, config).await
            }
            Command::List { internal, output } => list(&kafka, *internal, *output).await,
            Command::Describe { name, output } => describe(&kafka, name, *output).await,
            Command::Alter { name, partitions } => alter(&kafka, name, *partitions).await,
            Command::Delete { names } => delete(&kafka, names).await,
        }
    })
}

async fn create(
    kafka: &Kafka,
    names: &[String],
    partitions: i32,
    config: &[String],
) -> Result<(), Failure> {
    let mut topics = Vec::new();
    for name in names {
        let mut topic = NewTopic::new(name, partitions, 1).map_err(Failure::usage)?;
        for setting in config {
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| Failure::Usage(format!("'{setting}' is not KEY=VALUE")))?;
            topic = topic.with_config(key, value);
        }
        topics.push(topic);
    }
    let admin = kafka.admin();
    let results = admin
        .create_topics(topics, CreateTopicsOptions::default())
        .await
        .map_err(Failure::running)?;
    report("created", results)
}

async fn delete(kafka: &Kafka, names: &[String]) -> Result<(), Failure> {
    let admin = kafka.admin();
    let results = admin
        .delete_topics(names, DeleteTopicsOptions::default())
        .await
        .map_err(Failure::running)?;
    report("deleted", results)
}

async fn alter(kafka: &Kafka, name: &str, partitions: i32) -> Result<(), Failure> {
    let admin = kafka.admin();
    let results = admin
        .create_partitions([(name, partitions)], CreatePartitionsOptions::default())
        .await
        .map_err(Failure::running)?;
    report("altered", results)
}

/// One line a topic on stderr; an error if any topic failed.
fn report(
    done: &str,
    results: impl IntoIterator<Item = (String, krafka::error::Result<()>)>,
) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for (name, result) in results {
        match result {
            Ok(()) => eprintln!("{done} topic '{name}'"),
            Err(error) => failed.push(format!("topic '{name}': {error}")),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Running(failed.join("\n"))) }
}

async fn list(kafka: &Kafka, internal: bool, output: OutputFormat) -> Result<(), Failure> {
    let admin = kafka.admin();
    let names = admin.list_topics(ListTopicsOptions::default()).await.map_err(Failure::running)?;
    let topics = admin
        .describe_topics(&names, DescribeTopicsOptions::default())
        .await
        .map_err(Failure::running)?;
    let mut rows: Vec<Vec<String>> = topics
        .into_values()
        .filter_map(Result::ok)
        .filter(|topic| internal || !(topic.is_internal || topic.name.starts_with("__")))
        .map(|topic| vec![topic.name, topic.partitions.len().to_string()])
        .collect();
    rows.sort();
    Ok(print_rows(output, &["NAME", "PARTITIONS"], &rows)?)
}

async fn describe(kafka: &Kafka, name: &str, output: OutputFormat) -> Result<(), Failure> {
    let admin = kafka.admin();
    let mut topics = admin
        .describe_topics([name], DescribeTopicsOptions::default())
        .await
        .map_err(Failure::running)?;
    let topic = topics
        .remove(name)
        .ok_or_else(|| Failure::Running(format!("topic '{name}' does not exist")))?
        .map_err(|error| Failure::Running(format!("topic '{name}': {error}")))?;
    let consumer = kafka.consumer_without_group().build().await.map_err(Failure::running)?;
    let mut rows = Vec::new();
    for partition in &topic.partitions {
        let (start, end) =
            consumer.fetch_watermarks(name, partition.partition).await.map_err(Failure::running)?;
        rows.push(vec![
            partition.partition.to_string(),
            start.to_string(),
            end.to_string(),
            (end - start).to_string(),
        ]);
    }
    print_rows(output, &["PARTITION", "LOG-START", "HIGH-WATERMARK", "RECORDS"], &rows)?;
    let configs = admin
        .describe_configs([ConfigResource::topic(name)], DescribeConfigsOptions::default())
        .await
        .map_err(Failure::running)?;
    let mut settings: Vec<Vec<String>> = configs
        .into_values()
        .filter_map(Result::ok)
        .flatten()
        .map(|entry| vec![entry.name, entry.value.unwrap_or_default()])
        .collect();
    settings.sort();
    if output == OutputFormat::Table && !settings.is_empty() {
        println_blank()?;
    }
    Ok(print_rows(output, &["SETTING", "VALUE"], &settings)?)
}

fn println_blank() -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout())
}
