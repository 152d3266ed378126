//! `thalweg topic describe`.

use std::collections::HashMap;

use clap::Args;
use krafka::Kafka;
use krafka::admin::{
    ConfigEntry, ConfigResource, DescribeConfigsOptions, PartitionDescription, TopicDescription,
};
use krafka::consumer::TopicPartition;
use serde_json::json;

use super::storage;
use crate::cli::offsets::{self, Extent};
use crate::cli::output::{OutputFormat, print_line, print_rows, print_values};
use crate::cli::{Failure, topic_names};

#[derive(Args)]
pub(crate) struct Options {
    /// Names; those with * or ? are globs
    #[arg(required = true)]
    names: Vec<String>,
    /// Names are regular expressions that match whole names
    #[arg(short, long)]
    regex: bool,
    /// Only the settings that differ from their defaults
    #[arg(long)]
    changed: bool,
    #[arg(short, long, visible_alias = "format", value_enum, default_value_t)]
    output: OutputFormat,
}

/// What is known of a topic.
struct Described {
    topic: TopicDescription,
    extents: HashMap<TopicPartition, Extent>,
    bytes: HashMap<TopicPartition, i64>,
    settings: Vec<ConfigEntry>,
}

pub(super) async fn run(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let names = topic_names::resolve(kafka, &options.names, options.regex).await?;
    let mut described = Vec::new();
    for topic in topic_names::describe(kafka, &names).await? {
        described.push(describe(kafka, topic, options.changed).await?);
    }
    if options.output == OutputFormat::Json {
        let values: Vec<_> = described.iter().map(Described::json).collect();
        return Ok(print_values(&values)?);
    }
    for (index, topic) in described.iter().enumerate() {
        if index > 0 {
            print_line("")?;
        }
        topic.print(described.len() > 1)?;
    }
    Ok(())
}

async fn describe(
    kafka: &Kafka,
    topic: TopicDescription,
    changed: bool,
) -> Result<Described, Failure> {
    let place = |p: &PartitionDescription| TopicPartition::new(&topic.name, p.partition);
    let places: Vec<TopicPartition> = topic.partitions.iter().map(place).collect();
    let extents = offsets::extents(kafka, &places, false).await?;
    // A cluster may keep sizes from its users; what else there is to see is shown without.
    let stored = storage::stored(kafka, std::slice::from_ref(&topic)).await.unwrap_or_default();
    let configs = kafka
        .admin()
        .describe_configs([ConfigResource::topic(&topic.name)], DescribeConfigsOptions::default())
        .await?;
    let mut settings = Vec::new();
    for entries in configs.into_values() {
        settings.extend(entries?);
    }
    settings.retain(|entry| !changed || is_changed(entry));
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Described { bytes: storage::by_partition(&stored), topic, extents, settings })
}

impl Described {
    fn place(&self, partition: &PartitionDescription) -> TopicPartition {
        TopicPartition::new(&self.topic.name, partition.partition)
    }

    fn extent(&self, partition: &PartitionDescription) -> Extent {
        self.extents.get(&self.place(partition)).copied().unwrap_or(Extent { start: 0, end: 0 })
    }

    fn print(&self, named: bool) -> Result<(), Failure> {
        if named {
            print_line(&format!("topic {}", self.topic.name))?;
        }
        let row = |partition: &PartitionDescription| {
            let Extent { start, end } = self.extent(partition);
            let bytes = self.bytes.get(&self.place(partition));
            vec![
                partition.partition.to_string(),
                start.to_string(),
                end.to_string(),
                (end - start).to_string(),
                bytes.map_or_else(|| "-".to_owned(), i64::to_string),
                partition.leader.map_or_else(|| "-".to_owned(), |leader| leader.to_string()),
            ]
        };
        let rows: Vec<_> = self.topic.partitions.iter().map(row).collect();
        let headings = ["PARTITION", "LOG-START", "HIGH-WATERMARK", "RECORDS", "BYTES", "LEADER"];
        print_rows(OutputFormat::Table, &headings, &rows)?;
        if self.settings.is_empty() {
            return Ok(());
        }
        print_line("")?;
        let row = |entry: &ConfigEntry| {
            let source = source(entry).to_owned();
            vec![entry.name.clone(), entry.value.clone().unwrap_or_default(), source]
        };
        let rows: Vec<_> = self.settings.iter().map(row).collect();
        Ok(print_rows(OutputFormat::Table, &["SETTING", "VALUE", "SOURCE"], &rows)?)
    }

    fn json(&self) -> serde_json::Value {
        let partition = |partition: &PartitionDescription| {
            let Extent { start, end } = self.extent(partition);
            json!({
                "partition": partition.partition,
                "leader": partition.leader,
                "leader_epoch": partition.leader_epoch,
                "replicas": partition.replicas,
                "isr": partition.isr,
                "log_start": start,
                "high_watermark": end,
                "records": end - start,
                "bytes": self.bytes.get(&self.place(partition)),
            })
        };
        let setting = |entry: &ConfigEntry| {
            json!({
                "name": entry.name,
                "value": entry.value,
                "source": source(entry),
                "read_only": entry.read_only,
            })
        };
        json!({
            "name": self.topic.name,
            "internal": self.topic.is_internal,
            "partitions": self.topic.partitions.iter().map(partition).collect::<Vec<_>>(),
            "settings": self.settings.iter().map(setting).collect::<Vec<_>>(),
        })
    }
}

fn is_changed(entry: &ConfigEntry) -> bool {
    source(entry) == "topic"
}

/// Where a setting's value comes from (Kafka's ConfigSource).
fn source(entry: &ConfigEntry) -> &'static str {
    match entry.config_source {
        1 => "topic",
        2..=4 => "broker",
        _ => "default",
    }
}
