//! Settings of a topic: Kafka's names, their defaults, what they do here.

use thalweg_core::record_batch::{Codec, Compression, TimestampType};

/// Type of a setting's value, as DescribeConfigs names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigType {
    /// true or false.
    Boolean,
    /// 32-bit number.
    Int,
    /// 64-bit number.
    Long,
    /// Floating-point number.
    Double,
    /// Text.
    String,
    /// Texts separated by commas.
    List,
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigSource {
    /// Built in.
    Default,
    /// Set on the topic.
    Topic,
}

/// A setting and its value, for DescribeConfigs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigEntry {
    /// Kafka's name.
    pub name: &'static str,
    /// The value in force.
    pub value: String,
    /// The built-in value.
    pub default: &'static str,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Type of the value.
    pub kind: ConfigType,
    /// What it does here.
    pub doc: &'static str,
}

/// Which values a setting takes.
enum Accepts {
    /// Numbers from this one on.
    From(i64),
    /// Numbers in a range, both ends included.
    Between(i64, i64),
    /// Numbers in a range, or this one.
    BetweenOr(i64, i64, i64),
    /// A share between 0 and 1.
    Share,
    /// One or several of these words, separated by commas.
    AnyOf(&'static [&'static str]),
    /// One of these words; the text says why there are no others.
    OneOf(&'static [&'static str], &'static str),
}

struct Setting {
    name: &'static str,
    default: &'static str,
    kind: ConfigType,
    accepts: Accepts,
    doc: &'static str,
}

const INT_MAX: i64 = i32::MAX as i64;

/// What `compression.type` may be.
const CODECS: &[&str] = &["producer", "uncompressed", "gzip", "lz4", "snappy", "zstd"];

/// All settings, sorted by name.
const SETTINGS: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        default: "delete",
        kind: ConfigType::List,
        accepts: Accepts::AnyOf(&["compact", "delete"]),
        doc: "delete: old segments are deleted by time and size; compact: of each key the newest \
              record is kept; both may be given.",
    },
    Setting {
        name: "compression.gzip.level",
        default: "-1",
        kind: ConfigType::Int,
        accepts: Accepts::BetweenOr(1, 9, -1),
        doc: "Level at which batches are compressed anew where compression.type is gzip; -1: \
              the usual one.",
    },
    Setting {
        name: "compression.lz4.level",
        default: "9",
        kind: ConfigType::Int,
        accepts: Accepts::Between(1, 17),
        doc: "No effect: batches are compressed anew to lz4 at the one level that there is.",
    },
    Setting {
        name: "compression.type",
        default: "producer",
        kind: ConfigType::String,
        accepts: Accepts::OneOf(CODECS, "these are Kafka's"),
        doc: "producer: batches are stored as they were sent; otherwise those of another codec \
              are compressed anew at the append.",
    },
    Setting {
        name: "compression.zstd.level",
        default: "3",
        kind: ConfigType::Int,
        accepts: Accepts::Between(-131_072, 22),
        doc: "Level at which batches are compressed anew where compression.type is zstd. Above 3 \
              the window is 2 MiB, and the tables are bounded accordingly.",
    },
    Setting {
        name: "delete.retention.ms",
        default: "86400000",
        kind: ConfigType::Long,
        accepts: Accepts::From(0),
        doc: "How long compaction keeps tombstones and the ends of transactions.",
    },
    Setting {
        name: "file.delete.delay.ms",
        default: "60000",
        kind: ConfigType::Long,
        accepts: Accepts::From(0),
        doc: "No effect: files are removed at once.",
    },
    Setting {
        name: "flush.messages",
        default: "9223372036854775807",
        kind: ConfigType::Long,
        accepts: Accepts::From(1),
        doc: "No effect: what was acknowledged is always synced.",
    },
    Setting {
        name: "flush.ms",
        default: "9223372036854775807",
        kind: ConfigType::Long,
        accepts: Accepts::From(0),
        doc: "No effect: what was acknowledged is always synced.",
    },
    Setting {
        name: "index.interval.bytes",
        default: "4096",
        kind: ConfigType::Int,
        accepts: Accepts::From(0),
        doc: "No effect: the index interval is a setting of the whole log.",
    },
    Setting {
        name: "max.compaction.lag.ms",
        default: "9223372036854775807",
        kind: ConfigType::Long,
        accepts: Accepts::From(1),
        doc: "Time after which a record is compacted at latest.",
    },
    Setting {
        name: "max.message.bytes",
        default: "1048588",
        kind: ConfigType::Int,
        accepts: Accepts::Between(0, INT_MAX),
        doc: "Largest record batch, as it is sent and stored.",
    },
    Setting {
        name: "message.timestamp.after.max.ms",
        default: "9223372036854775807",
        kind: ConfigType::Long,
        accepts: Accepts::From(0),
        doc: "How far in the future a producer's timestamp may be. Kafka's default is one hour; \
              here event times of any clock are taken unless this is set.",
    },
    Setting {
        name: "message.timestamp.before.max.ms",
        default: "9223372036854775807",
        kind: ConfigType::Long,
        accepts: Accepts::From(0),
        doc: "How far in the past a producer's largest timestamp in a batch may be.",
    },
    Setting {
        name: "message.timestamp.type",
        default: "CreateTime",
        kind: ConfigType::String,
        accepts: Accepts::OneOf(&["CreateTime", "LogAppendTime"], "these are Kafka's"),
        doc: "Whether timestamps are the producer's or those of the append.",
    },
    Setting {
        name: "min.cleanable.dirty.ratio",
        default: "0.5",
        kind: ConfigType::Double,
        accepts: Accepts::Share,
        doc: "Share of a partition that must be new before it is compacted again.",
    },
    Setting {
        name: "min.compaction.lag.ms",
        default: "0",
        kind: ConfigType::Long,
        accepts: Accepts::From(0),
        doc: "Time for which a record is not compacted.",
    },
    Setting {
        name: "min.insync.replicas",
        default: "1",
        kind: ConfigType::Int,
        accepts: Accepts::Between(1, 1),
        doc: "There is one replica, on this disk.",
    },
    Setting {
        name: "preallocate",
        default: "false",
        kind: ConfigType::Boolean,
        accepts: Accepts::OneOf(&["false"], "segments grow as they are written"),
        doc: "Segments grow as they are written.",
    },
    Setting {
        name: "retention.bytes",
        default: "-1",
        kind: ConfigType::Long,
        accepts: Accepts::From(-1),
        doc: "Size of a partition beyond which old segments are deleted; -1: none.",
    },
    Setting {
        name: "retention.ms",
        default: "604800000",
        kind: ConfigType::Long,
        accepts: Accepts::From(-1),
        doc: "Age beyond which segments are deleted; -1: none.",
    },
    Setting {
        name: "segment.bytes",
        default: "1073741824",
        kind: ConfigType::Int,
        accepts: Accepts::Between(1024, INT_MAX),
        doc: "Size at which the next segment is begun.",
    },
    Setting {
        name: "segment.index.bytes",
        default: "10485760",
        kind: ConfigType::Int,
        accepts: Accepts::From(4),
        doc: "No effect: indexes grow with their segments.",
    },
    Setting {
        name: "segment.jitter.ms",
        default: "0",
        kind: ConfigType::Long,
        accepts: Accepts::From(0),
        doc: "No effect: segments roll on their own append.",
    },
    Setting {
        name: "segment.ms",
        default: "604800000",
        kind: ConfigType::Long,
        accepts: Accepts::From(1),
        doc: "Age at which an append begins the next segment.",
    },
    Setting {
        name: "unclean.leader.election.enable",
        default: "false",
        kind: ConfigType::Boolean,
        accepts: Accepts::OneOf(&["false"], "there is one replica"),
        doc: "There is one replica.",
    },
];

/// A share in millionths, so that settings can be compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Share(pub u32);

impl Share {
    /// Whether a part of a whole is more than this share of it.
    pub fn is_exceeded(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 1_000_000 > u128::from(whole) * u128::from(self.0)
    }
}

/// The settings of a topic that the log acts on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicConfig {
    /// `cleanup.policy` has `delete`.
    pub delete: bool,
    /// `cleanup.policy` has `compact`.
    pub compact: bool,
    /// `compression.type` and its level, where it is not the producer's choice.
    pub compression: Option<Codec>,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: Share,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `max.message.bytes`.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `retention.bytes`, where there is a limit.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`, where there is a limit.
    pub retention_ms: Option<i64>,
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms`.
    pub segment_ms: i64,
}

impl TopicConfig {
    /// Checks settings and reads those that the log acts on.
    ///
    /// # Errors
    /// What is wrong, in words for the user: an unknown name (with the nearest known
    /// one), a value out of range, a feature that is not there.
    pub fn parse(config: &[(String, String)]) -> Result<Self, String> {
        Self::parse_over(config, &[])
    }

    /// As [`TopicConfig::parse`], where settings that are not in `config` are looked for in
    /// `defaults` before the built-in ones.
    ///
    /// # Errors
    /// As [`TopicConfig::parse`], of either.
    pub fn parse_over(
        config: &[(String, String)],
        defaults: &[(String, String)],
    ) -> Result<Self, String> {
        check_all(config)?;
        check_all(defaults)?;
        let value_of = |name: &str| value_of(name, config, defaults);
        let number = |name: &str| value_of(name).parse::<i64>().unwrap_or_default();
        let limit = |name: &str| Some(number(name)).filter(|&limit| limit >= 0);
        let policy = |word| list(value_of("cleanup.policy")).any(|given| given == word);
        let ratio = value_of("min.cleanable.dirty.ratio").parse().unwrap_or(0.5);
        let stamped = value_of("message.timestamp.type") == "LogAppendTime";
        let codec = compression(value_of("compression.type")).map(|compression| {
            let level = match compression {
                Compression::Gzip => Some(number("compression.gzip.level")),
                Compression::Zstd => Some(number("compression.zstd.level")),
                Compression::None | Compression::Snappy | Compression::Lz4 => None,
            };
            // Of gzip's levels -1 is the usual one.
            let usual = compression == Compression::Gzip && level == Some(-1);
            let level = level.filter(|_| !usual).and_then(|level| i32::try_from(level).ok());
            Codec { compression, level }
        });
        Ok(Self {
            delete: policy("delete"),
            compact: policy("compact"),
            compression: codec,
            delete_retention_ms: number("delete.retention.ms"),
            min_cleanable_dirty_ratio: Share((ratio * 1e6) as u32),
            min_compaction_lag_ms: number("min.compaction.lag.ms"),
            max_compaction_lag_ms: number("max.compaction.lag.ms"),
            max_message_bytes: number("max.message.bytes") as usize,
            timestamp_type: if stamped {
                TimestampType::LogAppendTime
            } else {
                TimestampType::CreateTime
            },
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            retention_bytes: limit("retention.bytes").map(|bytes| bytes as u64),
            retention_ms: limit("retention.ms"),
            segment_bytes: number("segment.bytes") as u64,
            segment_ms: number("segment.ms"),
        })
    }
}

impl TopicConfig {
    /// Whether appends have to be checked record by record.
    pub(crate) fn looks_into_records(&self) -> bool {
        let created = self.timestamp_type == TimestampType::CreateTime;
        let limit = self.timestamp_before_max_ms.min(self.timestamp_after_max_ms);
        self.compact || (created && limit < i64::MAX)
    }
}

/// Every setting with the value that it has under `config` and, where that has none, under
/// `defaults`; sorted by name.
pub fn describe(config: &[(String, String)], defaults: &[(String, String)]) -> Vec<ConfigEntry> {
    let entry = |setting: &Setting| {
        let own = find_in(config, setting.name);
        ConfigEntry {
            name: setting.name,
            value: value_of(setting.name, config, defaults).to_owned(),
            default: setting.default,
            source: if own.is_some() { ConfigSource::Topic } else { ConfigSource::Default },
            kind: setting.kind,
            doc: setting.doc,
        }
    };
    SETTINGS.iter().map(entry).collect()
}

fn value_of<'a>(
    name: &str,
    config: &'a [(String, String)],
    defaults: &'a [(String, String)],
) -> &'a str {
    let set = find_in(config, name).or_else(|| find_in(defaults, name));
    let built_in = || SETTINGS.iter().find(|setting| setting.name == name);
    set.or_else(|| built_in().map(|setting| setting.default)).unwrap_or_default()
}

fn find_in<'a>(config: &'a [(String, String)], name: &str) -> Option<&'a str> {
    config.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// The codec of this name; none for that of the producer.
fn compression(name: &str) -> Option<Compression> {
    let of_name = |codec: &Compression| match codec {
        Compression::None => name == "uncompressed",
        codec => name == codec.name(),
    };
    Compression::ALL.into_iter().find(of_name)
}

/// Fails for a name that is no setting's.
pub(crate) fn check_known(name: &str) -> Result<(), String> {
    find(name).map(|_| ())
}

fn find(name: &str) -> Result<&'static Setting, String> {
    if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
        return Ok(setting);
    }
    let nearest = SETTINGS.iter().min_by_key(|setting| distance(setting.name, name));
    let nearest = nearest.filter(|setting| distance(setting.name, name) <= 4);
    let hint = nearest.map_or(String::new(), |near| format!("; did you mean '{}'?", near.name));
    Err(format!("unknown setting '{name}'{hint}"))
}

fn check_all(config: &[(String, String)]) -> Result<(), String> {
    for (index, (name, value)) in config.iter().enumerate() {
        check(name, value)?;
        if find_in(&config[..index], name).is_some() {
            return Err(format!("'{name}' is set twice"));
        }
    }
    Ok(())
}

fn check(name: &str, value: &str) -> Result<(), String> {
    let setting = find(name)?;
    let number = || {
        value
            .parse::<i64>()
            .map_err(|_| format!("'{name}' must be a whole number, but is '{value}'"))
    };
    match setting.accepts {
        Accepts::From(least) if number()? < least => {
            Err(format!("'{name}' must be at least {least}, but is {value}"))
        }
        Accepts::From(_) if setting.kind == ConfigType::Int && number()? > INT_MAX => {
            Err(format!("'{name}' must be at most {INT_MAX}, but is {value}"))
        }
        Accepts::Between(least, most) if !(least..=most).contains(&number()?) => {
            Err(format!("'{name}' must be between {least} and {most}, but is {value}"))
        }
        Accepts::BetweenOr(least, most, or) => match number()? {
            value if value == or || (least..=most).contains(&value) => Ok(()),
            value => {
                Err(format!("'{name}' must be between {least} and {most}, or {or}, but is {value}"))
            }
        },
        Accepts::Share if !value.parse().is_ok_and(|share| (0.0..=1.0).contains(&share)) => {
            Err(format!("'{name}' must be between 0 and 1, but is '{value}'"))
        }
        Accepts::AnyOf(words) => {
            let given: Vec<_> = list(value).collect();
            match given.iter().find(|given| !words.contains(given)) {
                None if !given.is_empty() => Ok(()),
                _ => Err(format!("'{name}' must be of {}, but is '{value}'", words.join(", "))),
            }
        }
        Accepts::OneOf(words, why) if !words.contains(&value) => {
            Err(format!("'{name}' must be {}, but is '{value}': {why}", words.join(" or ")))
        }
        _ => Ok(()),
    }
}

/// The parts of a list.
fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Edit distance (Levenshtein 1966), for suggestions.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn defaults_are_valid_and_sorted() {
        let all: Vec<_> =
            SETTINGS.iter().map(|s| (s.name.to_owned(), s.default.to_owned())).collect();
        assert!(all.is_sorted());
        assert_eq!(TopicConfig::parse(&all), TopicConfig::parse(&[]));
        let entries = describe(&config(&[("retention.ms", "5")]), &[]);
        let entry = entries.iter().find(|entry| entry.name == "retention.ms").unwrap();
        assert_eq!((entry.value.as_str(), entry.source), ("5", ConfigSource::Topic));
    }

    #[test]
    fn what_is_refused_says_why() {
        for (name, value, says) in [
            ("retention.sm", "5", "did you mean 'retention.ms'"),
            ("cleanup.policy", "compacted", "of compact, delete"),
            ("cleanup.policy", " , ", "of compact, delete"),
            ("retention.ms", "soon", "whole number"),
            ("retention.ms", "-2", "at least -1"),
            ("segment.bytes", "3", "between 1024"),
            ("min.insync.replicas", "2", "between 1 and 1"),
            ("compression.type", "none", "producer or uncompressed or gzip"),
            ("min.cleanable.dirty.ratio", "NaN", "between 0 and 1"),
            ("compression.gzip.level", "0", "between 1 and 9, or -1"),
            ("compression.gzip.level", "10", "between 1 and 9, or -1"),
            ("compression.lz4.level", "18", "between 1 and 17"),
            ("compression.zstd.level", "23", "between -131072 and 22"),
        ] {
            let error = TopicConfig::parse(&config(&[(name, value)])).unwrap_err();
            assert!(error.contains(says), "{name}={value}: {error}");
        }
    }

    #[test]
    fn own_settings_come_before_the_defaults() {
        let (own, defaults) = (
            config(&[("retention.ms", "5")]),
            config(&[("retention.ms", "6"), ("segment.ms", "7")]),
        );
        let parsed = TopicConfig::parse_over(&own, &defaults).unwrap();
        assert_eq!((parsed.retention_ms, parsed.segment_ms), (Some(5), 7));
        let value = |name| {
            let found = describe(&own, &defaults).into_iter().find(|entry| entry.name == name);
            found.map(|entry| (entry.value, entry.source)).unwrap()
        };
        assert_eq!(value("retention.ms"), ("5".to_owned(), ConfigSource::Topic));
        assert_eq!(value("segment.ms"), ("7".to_owned(), ConfigSource::Default));
        assert!(TopicConfig::parse_over(&own, &config(&[("segment.ms", "0")])).is_err());
    }

    #[test]
    fn codecs_have_levels() {
        for (settings, compression, level) in [
            (&[("compression.type", "gzip")][..], Compression::Gzip, None),
            (
                &[("compression.type", "gzip"), ("compression.gzip.level", "9")],
                Compression::Gzip,
                Some(9),
            ),
            (
                &[("compression.type", "zstd"), ("compression.zstd.level", "-1")],
                Compression::Zstd,
                Some(-1),
            ),
            (
                &[("compression.type", "lz4"), ("compression.lz4.level", "1")],
                Compression::Lz4,
                None,
            ),
        ] {
            let parsed = TopicConfig::parse(&config(settings)).unwrap();
            assert_eq!(parsed.compression, Some(Codec { compression, level }));
        }
    }
}
