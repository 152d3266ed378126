//! `thalweg group reset` (rpk's `group seek`, Kafka's `--reset-offsets`).

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use clap::Args;
use krafka::Kafka;
use krafka::admin::{
    AlterConsumerGroupOffsetsOptions, DescribeConsumerGroupsOptions,
    ListConsumerGroupOffsetsOptions,
};
use krafka::consumer::TopicPartition;
use krafka::error::ErrorCode;
use thalweg_core::env::Env;

use super::reset_file;
use crate::cli::kafka_error::{code, sentence};
use crate::cli::offsets::{self, Bound, parse_instant};
use crate::cli::output::{OutputFormat, print_rows};
use crate::cli::{Failure, topic_names};

/// Largest file of offsets.
const FILE_BYTES_MAX: u64 = 16 << 20;

#[derive(Args)]
#[command(group = clap::ArgGroup::new("where").required(true))]
pub(crate) struct Options {
    /// Name of the group
    name: String,
    /// start, end, or a time: Unix seconds or milliseconds, 2026-01-31, -1h
    #[arg(long, value_name = "WHERE", group = "where", allow_hyphen_values = true)]
    to: Option<String>,
    /// This offset in every partition
    #[arg(long, value_name = "N", group = "where")]
    to_offset: Option<u64>,
    /// So many records forward, or back with -N
    #[arg(long, value_name = "N", group = "where", allow_hyphen_values = true)]
    shift_by: Option<i64>,
    /// Where another group stands
    #[arg(long, value_name = "GROUP", group = "where")]
    to_group: Option<String>,
    /// As a file says: TOPIC PARTITION OFFSET a line
    #[arg(long, value_name = "FILE", group = "where", visible_alias = "from-file")]
    to_file: Option<PathBuf>,
    /// Only these topics
    #[arg(short, long, visible_alias = "topic", value_delimiter = ',', value_name = "TOPIC")]
    topics: Vec<String>,
    /// Topics of --topics too for which the group has committed nothing
    #[arg(long, requires = "topics")]
    allow_new_topics: bool,
    /// Only show what would change
    #[arg(short, long, visible_alias = "dry")]
    dry_run: bool,
    #[arg(short, long, visible_alias = "format", value_enum, default_value_t)]
    output: OutputFormat,
}

pub(super) async fn run(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    refuse_active(kafka, &options.name).await?;
    let before = committed(kafka, &options.name).await?;
    let after = wanted(kafka, options, &before).await?;
    if after.is_empty() {
        return Err(Failure::Running(format!(
            "group '{}' has committed nothing that this would move; --topics TOPIC \
             --allow-new-topics gives it offsets for a topic it has not read",
            options.name
        )));
    }
    if !options.dry_run {
        let how = AlterConsumerGroupOffsetsOptions::default();
        let offsets = after
            .iter()
            .map(|((topic, partition), offset)| (TopicPartition::new(topic, *partition), *offset));
        let admin = kafka.admin();
        let results = admin.alter_consumer_group_offsets(&options.name, offsets, how).await?;
        for (place, result) in results {
            result.map_err(|error| {
                Failure::Running(format!(
                    "group '{}', topic '{}', partition {}: {}",
                    options.name,
                    place.topic(),
                    place.partition(),
                    sentence(&error)
                ))
            })?;
        }
    }
    let row = |((topic, partition), offset): (&(String, i32), &i64)| {
        let prior = before.get(&TopicPartition::new(topic, *partition));
        let prior = prior.map_or_else(|| "-".to_owned(), i64::to_string);
        vec![topic.clone(), partition.to_string(), prior, offset.to_string()]
    };
    let rows: Vec<Vec<String>> = after.iter().map(row).collect();
    if options.dry_run {
        eprintln!("nothing was changed: this is what the reset would do");
    }
    let headings = ["TOPIC", "PARTITION", "PRIOR-OFFSET", "NEW-OFFSET"];
    Ok(print_rows(options.output, &headings, &rows)?)
}

/// The new offsets, in order.
type NewOffsets = BTreeMap<(String, i32), i64>;

/// Where the group is to stand.
async fn wanted(
    kafka: &Kafka,
    options: &Options,
    before: &HashMap<TopicPartition, i64>,
) -> Result<NewOffsets, Failure> {
    let is_meant = |place: &TopicPartition| {
        options.topics.is_empty() || options.topics.iter().any(|topic| topic == place.topic())
    };
    let key = |place: &TopicPartition| (place.topic().to_owned(), place.partition());
    if let Some(other) = &options.to_group {
        let offsets = committed(kafka, other).await?;
        return Ok(offsets
            .iter()
            .filter(|(p, _)| is_meant(p))
            .map(|(p, n)| (key(p), *n))
            .collect());
    }
    if let Some(path) = &options.to_file {
        let failure = |error: String| Failure::Running(format!("{}: {error}", path.display()));
        let contents =
            thalweg_core::env::read_file(Env::real().disk.as_ref(), path, FILE_BYTES_MAX)
                .map_err(|error| failure(error.to_string()))?;
        let text = String::from_utf8(contents).map_err(|error| failure(error.to_string()))?;
        let offsets = reset_file::parse(&text).map_err(failure)?;
        return Ok(offsets
            .iter()
            .filter(|(p, _)| is_meant(p))
            .map(|(p, n)| (key(p), *n))
            .collect());
    }
    let mut places: Vec<TopicPartition> =
        before.keys().filter(|place| is_meant(place)).cloned().collect();
    if options.allow_new_topics {
        for topic in topic_names::describe(kafka, &options.topics).await? {
            let all = topic.partitions.iter();
            places.extend(all.map(|p| TopicPartition::new(&topic.name, p.partition)));
        }
    }
    let extents = offsets::extents(kafka, &places, false).await?;
    if let Some(by) = options.shift_by {
        return Ok(extents
            .iter()
            .map(|(place, extent)| {
                let from = before.get(place).copied().unwrap_or(extent.start);
                (key(place), from.saturating_add(by).clamp(extent.start, extent.end))
            })
            .collect());
    }
    let bound = match (&options.to, options.to_offset) {
        (Some(to), _) => parse_to(to)?,
        (None, offset) => Bound::Exact(offset.unwrap_or(0).try_into().unwrap_or(i64::MAX)),
    };
    let offsets = offsets::at(kafka, bound, &extents).await?;
    let inside = |place: &TopicPartition, offset: i64| {
        extents.get(place).map_or(offset, |extent| offset.min(extent.end))
    };
    Ok(offsets.iter().map(|(place, offset)| (key(place), inside(place, *offset))).collect())
}

/// `--to` takes no offset, because rpk reads a number there as a time.
fn parse_to(text: &str) -> Result<Bound, Failure> {
    match text {
        "start" | "beginning" | "earliest" => return Ok(Bound::Start),
        "end" | "latest" => return Ok(Bound::End),
        _ => {}
    }
    let time = text.strip_prefix('@').unwrap_or(text);
    let is_short = time.len() < 9 && time.bytes().all(|byte| byte.is_ascii_digit());
    match parse_instant(time, Env::real().clock.wall_ms()) {
        Some(millis) if !is_short => Ok(Bound::Time(millis)),
        _ => Err(Failure::Usage(format!(
            "--to {text} is neither start, end nor a time; --to-offset N names an offset, \
             --shift-by N moves it"
        ))),
    }
}

/// The offsets that a group has committed.
async fn committed(kafka: &Kafka, name: &str) -> Result<HashMap<TopicPartition, i64>, Failure> {
    let how = ListConsumerGroupOffsetsOptions::default();
    let mut offsets = HashMap::new();
    for (place, offset) in kafka.admin().list_consumer_group_offsets(name, how).await? {
        if let Some(offset) = offset?.offset {
            offsets.insert(place, offset);
        }
    }
    Ok(offsets)
}

/// A group with members would overwrite what is set here.
async fn refuse_active(kafka: &Kafka, name: &str) -> Result<(), Failure> {
    let how = DescribeConsumerGroupsOptions::default();
    match kafka.admin().describe_consumer_groups([name], how).await?.remove(name) {
        Some(Ok(group)) if !group.members.is_empty() => Err(Failure::Running(format!(
            "group '{name}' is {} with {} members, which would go on from where they are; stop \
             them first",
            group.state,
            group.members.len()
        ))),
        Some(Err(error)) if code(&error) != Some(ErrorCode::GroupIdNotFound) => {
            Err(Failure::Running(format!("group '{name}': {}", sentence(&error))))
        }
        // A group that does not exist is one without offsets.
        _ => Ok(()),
    }
}
