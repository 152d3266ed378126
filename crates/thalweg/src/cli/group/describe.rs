//! `thalweg group describe`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use krafka::Kafka;
use krafka::admin::{
    ConsumerGroupDescription, ConsumerGroupLagOptions, ConsumerGroupMember,
    DescribeConsumerGroupsOptions,
};
use krafka::consumer::TopicPartition;
use serde_json::json;

use crate::cli::Failure;
use crate::cli::kafka_error::sentence;
use crate::cli::offsets;
use crate::cli::output::{OutputFormat, print_line, print_rows, print_values};

#[derive(Args)]
pub(crate) struct Options {
    /// Names
    #[arg(required = true)]
    names: Vec<String>,
    #[arg(short, long, visible_alias = "format", value_enum, default_value_t)]
    output: OutputFormat,
    /// The same as --output json
    #[arg(long)]
    json: bool,
}

/// Where a group stands in a partition.
struct Position {
    committed: Option<i64>,
    end: i64,
    lag: Option<i64>,
}

struct Described {
    group: ConsumerGroupDescription,
    positions: BTreeMap<(String, i32), Position>,
}

pub(super) async fn run(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let how = DescribeConsumerGroupsOptions::default();
    let mut groups = kafka.admin().describe_consumer_groups(&options.names, how).await?;
    let mut described = Vec::new();
    for name in &options.names {
        let group = groups
            .remove(name)
            .ok_or_else(|| Failure::Running(format!("group '{name}' does not exist")))?
            .map_err(|error| Failure::Running(format!("group '{name}': {}", sentence(&error))))?;
        described.push(describe(kafka, group).await?);
    }
    if options.json || options.output == OutputFormat::Json {
        let values: Vec<_> = described.iter().map(Described::json).collect();
        return Ok(print_values(&values)?);
    }
    for (index, group) in described.iter().enumerate() {
        if index > 0 {
            print_line("")?;
        }
        group.print()?;
    }
    Ok(())
}

async fn describe(kafka: &Kafka, group: ConsumerGroupDescription) -> Result<Described, Failure> {
    let mut positions = BTreeMap::new();
    let lags = kafka
        .admin()
        .consumer_group_lag(&group.group_id, ConsumerGroupLagOptions::default())
        .await?;
    for (at, lag) in lags {
        let lag = lag.map_err(|error| {
            let place = format!("topic '{}', partition {}", at.topic, at.partition);
            Failure::Running(format!("group '{}', {place}: {}", group.group_id, sentence(&error)))
        })?;
        let position =
            Position { committed: lag.committed_offset, end: lag.end_offset, lag: lag.lag };
        positions.insert((at.topic.to_string(), at.partition), position);
    }
    // Partitions that are read but not committed yet.
    let read: BTreeSet<(String, i32)> = group.members.iter().flat_map(owned).collect();
    let rest: Vec<TopicPartition> = read
        .into_iter()
        .filter(|place| !positions.contains_key(place))
        .map(|(topic, partition)| TopicPartition::new(topic, partition))
        .collect();
    for (place, extent) in offsets::extents(kafka, &rest, false).await? {
        let position = Position { committed: None, end: extent.end, lag: None };
        positions.insert((place.topic().to_owned(), place.partition()), position);
    }
    Ok(Described { group, positions })
}

/// The partitions that a member has.
fn owned(member: &ConsumerGroupMember) -> Vec<(String, i32)> {
    let assignments = member.assignment.iter().flatten();
    assignments
        .flat_map(|of| of.partitions.iter().map(|partition| (of.topic_name.clone(), *partition)))
        .collect()
}

impl Described {
    fn owner(&self, place: &(String, i32)) -> Option<&ConsumerGroupMember> {
        self.group.members.iter().find(|member| owned(member).contains(place))
    }

    fn total_lag(&self) -> i64 {
        self.positions.values().filter_map(|position| position.lag).sum()
    }

    fn print(&self) -> Result<(), Failure> {
        let group = &self.group;
        eprintln!(
            "group '{}': {}, {}, {} members, lag {}",
            group.group_id,
            group.state,
            group.group_type,
            group.members.len(),
            self.total_lag()
        );
        let shown = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let row = |(place, position): (&(String, i32), &Position)| {
            let member = self.owner(place);
            let of = |field: fn(&ConsumerGroupMember) -> &str| member.map_or("-", field).to_owned();
            vec![
                place.0.clone(),
                place.1.to_string(),
                shown(position.committed),
                position.end.to_string(),
                shown(position.lag),
                of(|member| &member.client_id),
                of(|member| &member.client_host),
            ]
        };
        let rows: Vec<_> = self.positions.iter().map(row).collect();
        let headings = ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "HOST"];
        Ok(print_rows(OutputFormat::Table, &headings, &rows)?)
    }

    fn json(&self) -> serde_json::Value {
        let member = |member: &ConsumerGroupMember| {
            json!({
                "member_id": member.member_id,
                "client_id": member.client_id,
                "host": member.client_host,
                "instance_id": member.instance_id,
                "partitions": owned(member)
                    .into_iter()
                    .map(|(topic, partition)| json!({"topic": topic, "partition": partition}))
                    .collect::<Vec<_>>(),
            })
        };
        let position = |(place, position): (&(String, i32), &Position)| {
            json!({
                "topic": place.0,
                "partition": place.1,
                "committed": position.committed,
                "end": position.end,
                "lag": position.lag,
                "member_id": self.owner(place).map(|member| &member.member_id),
            })
        };
        json!({
            "group": self.group.group_id,
            "state": self.group.state,
            "type": self.group.group_type.to_string(),
            "assignor": self.group.assignor,
            "total_lag": self.total_lag(),
            "members": self.group.members.iter().map(member).collect::<Vec<_>>(),
            "partitions": self.positions.iter().map(position).collect::<Vec<_>>(),
        })
    }
}
