//! `thalweg group`: list and describe consumer groups. A job shows up as a group of its
//! name, so its lag is seen here too.

use clap::{Args, Subcommand};
use krafka::Kafka;
use krafka::admin::{
    ConsumerGroupLagOptions, DescribeConsumerGroupsOptions, ListConsumerGroupsOptions,
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
    /// List groups
    List {
        #[arg(short, long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    /// Show a group's members, positions and lag
    Describe {
        /// Name of the group
        name: String,
        #[arg(short, long, value_enum, default_value_t)]
        output: OutputFormat,
    },
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    block_on(async {
        let kafka = options.kafka.connect().await?;
        match &options.command {
            Command::List { output } => list(&kafka, *output).await,
            Command::Describe { name, output } => describe(&kafka, name, *output).await,
        }
    })
}

async fn list(kafka: &Kafka, output: OutputFormat) -> Result<(), Failure> {
    let groups = kafka
        .admin()
        .list_consumer_groups(ListConsumerGroupsOptions::default())
        .await
        .map_err(Failure::running)?;
    let mut rows = Vec::new();
    for of_broker in groups.into_values() {
        for group in of_broker.map_err(Failure::running)? {
            rows.push(vec![group.group_id, group.state.unwrap_or_default(), group.protocol_type]);
        }
    }
    rows.sort();
    Ok(print_rows(output, &["GROUP", "STATE", "PROTOCOL"], &rows)?)
}

async fn describe(kafka: &Kafka, name: &str, output: OutputFormat) -> Result<(), Failure> {
    let admin = kafka.admin();
    let mut groups = admin
        .describe_consumer_groups([name], DescribeConsumerGroupsOptions::default())
        .await
        .map_err(Failure::running)?;
    let group = groups
        .remove(name)
        .ok_or_else(|| Failure::Running(format!("group '{name}' does not exist")))?
        .map_err(|error| Failure::Running(format!("group '{name}': {error}")))?;
    eprintln!("group '{name}': {}, {} members", group.state, group.members.len());
    let owner = |topic: &str, partition: i32| {
        group.members.iter().find(|member| {
            member.assignment.iter().flatten().any(|assignment| {
                assignment.topic_name == topic && assignment.partitions.contains(&partition)
            })
        })
    };
    let lags = admin
        .consumer_group_lag(name, ConsumerGroupLagOptions::default())
        .await
        .map_err(Failure::running)?;
    let mut rows = Vec::new();
    for (at, lag) in lags {
        let lag = lag.map_err(|error| Failure::Running(format!("{at:?}: {error}")))?;
        let member = owner(&at.topic, at.partition).map_or("-", |member| &*member.client_id);
        rows.push(vec![
            at.topic.to_string(),
            at.partition.to_string(),
            lag.committed_offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string()),
            lag.end_offset.to_string(),
            lag.lag.map_or_else(|| "-".to_owned(), |lag| lag.to_string()),
            member.to_owned(),
        ]);
    }
    rows.sort();
    let headings = ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"];
    Ok(print_rows(output, &headings, &rows)?)
}
