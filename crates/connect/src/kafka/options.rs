//! Options of the `kafka` and `upsert-kafka` connectors.

use std::collections::BTreeMap;

use thalweg_core::ids::Offset;
use thalweg_core::record_batch::Compression;
use thalweg_core::time::Millis;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use crate::options::{Known, Options};

/// Options of `kafka`, besides `connector` and those of formats.
pub(crate) const OPTIONS: &[Known] = &[
    Known::required("topic"),
    Known::new("format"),
    Known::new("value.format"),
    Known::new("key.format"),
    Known::new("key.fields"),
    Known::new("key.fields-prefix"),
    Known::new("value.fields-include"),
    Known::new("properties.*"),
    Known::new("scan.startup.mode"),
    Known::new("scan.startup.specific-offsets"),
    Known::new("scan.startup.timestamp-millis"),
    Known::new("scan.bounded.mode"),
    Known::new("scan.bounded.specific-offsets"),
    Known::new("scan.bounded.timestamp-millis"),
    Known::new("scan.topic-partition-discovery.interval"),
    Known::new("sink.partitioner"),
    Known::new("sink.delivery-guarantee"),
    Known::new("sink.transactional-id-prefix"),
    Known::new("sink.parallelism"),
];

/// Options of `upsert-kafka`.
pub(crate) const UPSERT_OPTIONS: &[Known] = &[
    Known::required("topic"),
    Known::required("key.format"),
    Known::required("value.format"),
    Known::new("key.fields-prefix"),
    Known::new("value.fields-include"),
    Known::new("properties.*"),
    Known::new("sink.delivery-guarantee"),
    Known::new("sink.transactional-id-prefix"),
    Known::new("sink.parallelism"),
    Known::new("sink.buffer-flush.max-rows"),
    Known::new("sink.buffer-flush.interval"),
];

/// Where reading starts or ends in a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum OffsetSpec {
    Earliest,
    Latest,
    /// Where the consumer group stands; the flag says what holds where it stands nowhere.
    Group {
        reset: Reset,
    },
    /// The first record with at least this timestamp.
    Timestamp(Millis),
    /// By partition; others are earliest where reading starts, and not read where it ends.
    Specific(BTreeMap<i32, Offset>),
}

/// `properties.auto.offset.reset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reset {
    Earliest,
    Latest,
    Fail,
}

/// When a topic is looked at for new partitions (`scan.topic-partition-discovery.interval`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Discovery {
    /// As often as the job asks for splits, every few seconds: on our own log it costs
    /// nothing. Flink's default is 5 minutes.
    WhenAsked,
    /// After so many milliseconds each time.
    Every(Millis),
    /// When reading starts, and not again.
    Once,
}

/// Which partition a record goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Partitioner {
    /// By the hash of the key; `Fixed` where there is none.
    ByKey,
    /// One partition for each subtask.
    Fixed,
    /// One after another, beginning anew in each epoch.
    RoundRobin,
}

/// What the options say, formats aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KafkaOptions {
    pub(crate) topic: String,
    pub(crate) group: Option<String>,
    pub(crate) start: OffsetSpec,
    pub(crate) end: Option<OffsetSpec>,
    pub(crate) discovery: Discovery,
    pub(crate) partitioner: Partitioner,
    pub(crate) compression: Compression,
}

impl KafkaOptions {
    /// Reads them.
    pub(crate) fn new(options: &Options<'_>) -> Result<Self> {
        if let Some(servers) = options.get("properties.bootstrap.servers") {
            return Err(StreamError::Invalid(format!(
                "'properties.bootstrap.servers' = '{servers}': external Kafka clusters are not \
                 supported yet; leave the option out to use Thalweg's own log"
            )));
        }
        let topic = options.required("topic")?;
        if topic.contains(';') || topic.is_empty() {
            return Err(options.wrong("topic", "the name of one topic"));
        }
        let group = options.get("properties.group.id").map(str::to_owned);
        let start = start_spec(options, group.is_some())?;
        let end = end_spec(options)?;
        for spec in [Some(&start), end.as_ref()].into_iter().flatten() {
            if matches!(spec, OffsetSpec::Group { .. }) && group.is_none() {
                return Err(StreamError::Invalid(
                    "'group-offsets' needs option 'properties.group.id'".into(),
                ));
            }
        }
        let codecs = Compression::ALL.map(|codec| (codec.name(), codec));
        Ok(Self {
            topic: topic.to_owned(),
            group,
            start,
            end,
            discovery: discovery(options)?,
            partitioner: options.choice(
                "sink.partitioner",
                &[
                    ("default", Partitioner::ByKey),
                    ("fixed", Partitioner::Fixed),
                    ("round-robin", Partitioner::RoundRobin),
                ],
                Partitioner::ByKey,
            )?,
            compression: options.choice(
                "properties.compression.type",
                &codecs,
                Compression::None,
            )?,
        })
    }
}

fn discovery(options: &Options<'_>) -> Result<Discovery> {
    let option = "scan.topic-partition-discovery.interval";
    Ok(match options.duration_ms(option)? {
        None => Discovery::WhenAsked,
        Some(0) => Discovery::Once,
        Some(interval) => {
            let interval = Millis::try_from(interval);
            Discovery::Every(interval.map_err(|_| options.wrong(option, "a shorter time span"))?)
        }
    })
}

/// Where reading starts. Without the option: where the group stands, else at the earliest
/// record. (In Flink a table without a group cannot be read at all without it.)
fn start_spec(options: &Options<'_>, has_group: bool) -> Result<OffsetSpec> {
    let reset = |default| {
        options.choice(
            "properties.auto.offset.reset",
            &[("earliest", Reset::Earliest), ("latest", Reset::Latest), ("none", Reset::Fail)],
            default,
        )
    };
    let Some(mode) = options.get("scan.startup.mode") else {
        let reset = reset(Reset::Earliest)?;
        return Ok(match (has_group, reset) {
            (true, reset) => OffsetSpec::Group { reset },
            (false, Reset::Latest) => OffsetSpec::Latest,
            (false, _) => OffsetSpec::Earliest,
        });
    };
    match mode {
        "earliest-offset" => Ok(OffsetSpec::Earliest),
        "latest-offset" => Ok(OffsetSpec::Latest),
        "group-offsets" => Ok(OffsetSpec::Group { reset: reset(Reset::Fail)? }),
        "timestamp" => timestamp(options, "scan.startup.timestamp-millis"),
        "specific-offsets" => specific(options, "scan.startup.specific-offsets"),
        _ => Err(options.wrong(
            "scan.startup.mode",
            "one of earliest-offset, latest-offset, group-offsets, timestamp, specific-offsets",
        )),
    }
}

fn end_spec(options: &Options<'_>) -> Result<Option<OffsetSpec>> {
    match options.get("scan.bounded.mode") {
        None | Some("unbounded") => Ok(None),
        Some("latest-offset") => Ok(Some(OffsetSpec::Latest)),
        Some("group-offsets") => Ok(Some(OffsetSpec::Group { reset: Reset::Fail })),
        Some("timestamp") => timestamp(options, "scan.bounded.timestamp-millis").map(Some),
        Some("specific-offsets") => specific(options, "scan.bounded.specific-offsets").map(Some),
        Some(_) => Err(options.wrong(
            "scan.bounded.mode",
            "one of unbounded, latest-offset, group-offsets, timestamp, specific-offsets",
        )),
    }
}

fn timestamp(options: &Options<'_>, option: &str) -> Result<OffsetSpec> {
    options.required(option)?;
    Ok(OffsetSpec::Timestamp(options.number(option)?.unwrap_or(0)))
}

/// `partition:0,offset:42;partition:1,offset:300`.
fn specific(options: &Options<'_>, option: &str) -> Result<OffsetSpec> {
    let mut offsets = BTreeMap::new();
    for part in options.required(option)?.split(';').filter(|part| !part.trim().is_empty()) {
        let parsed = part.split_once(',').and_then(|(partition, offset)| {
            let partition: i32 =
                partition.trim().strip_prefix("partition:")?.trim().parse().ok()?;
            let offset: Offset = offset.trim().strip_prefix("offset:")?.trim().parse().ok()?;
            (partition >= 0 && offset >= 0).then_some((partition, offset))
        });
        let (partition, offset) = parsed
            .ok_or_else(|| options.wrong(option, "partition:0,offset:42;partition:1,offset:300"))?;
        offsets.insert(partition, offset);
    }
    Ok(OffsetSpec::Specific(offsets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<KafkaOptions, String> {
        let table: BTreeMap<_, _> = options
            .iter()
            .chain(&[("topic", "t")])
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        KafkaOptions::new(&Options::new(&table)).map_err(|error| error.to_string())
    }

    #[test]
    fn startup_modes() {
        let start = |options: &[(&str, &str)]| parse(options).map(|parsed| parsed.start);
        assert_eq!(start(&[]), Ok(OffsetSpec::Earliest));
        assert_eq!(start(&[("properties.auto.offset.reset", "latest")]), Ok(OffsetSpec::Latest));
        assert_eq!(
            start(&[("properties.group.id", "g")]),
            Ok(OffsetSpec::Group { reset: Reset::Earliest })
        );
        assert_eq!(
            start(&[("scan.startup.mode", "group-offsets"), ("properties.group.id", "g")]),
            Ok(OffsetSpec::Group { reset: Reset::Fail })
        );
        assert!(start(&[("scan.startup.mode", "group-offsets")]).unwrap_err().contains("group.id"));
        assert_eq!(
            start(&[
                ("scan.startup.mode", "specific-offsets"),
                ("scan.startup.specific-offsets", "partition:0,offset:42;partition:1,offset:300"),
            ]),
            Ok(OffsetSpec::Specific([(0, 42), (1, 300)].into()))
        );
        assert!(start(&[("scan.startup.mode", "timestamp")]).unwrap_err().contains("required"));
        assert!(start(&[("scan.startup.mode", "newest")]).unwrap_err().contains("one of"));
    }

    #[test]
    fn the_interval_of_discovery_is_a_time_span() {
        let discovery = |span: &str| {
            let option = ("scan.topic-partition-discovery.interval", span);
            parse(&[option]).map(|parsed| parsed.discovery)
        };
        assert_eq!(parse(&[]).map(|parsed| parsed.discovery), Ok(Discovery::WhenAsked));
        assert_eq!(discovery("0"), Ok(Discovery::Once));
        assert_eq!(discovery("0 s"), Ok(Discovery::Once));
        assert_eq!(discovery("1500 ms"), Ok(Discovery::Every(1500)));
        assert_eq!(discovery("5 min"), Ok(Discovery::Every(300_000)));
        assert!(discovery("often").unwrap_err().contains("time span"));
    }

    #[test]
    fn another_cluster_is_refused_clearly() {
        let error = parse(&[("properties.bootstrap.servers", "h:9092")]).unwrap_err();
        assert!(error.contains("not supported yet"), "{error}");
    }
}
