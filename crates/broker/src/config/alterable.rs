//! Which settings of the broker can be altered while it runs, to what, and what is said
//! where they cannot (Kafka: `DynamicBrokerConfig`).

use std::ops::RangeInclusive;

use thalweg_log::topic_config::{
    ConfigType::{self, Int, Long},
    TopicConfig,
};

use super::dynamic::{Resource, Settings, TEXT_BYTES_MAX};
use super::topic;
use crate::broker::Broker;

/// Most connections.
pub(crate) const MAX_CONNECTIONS: &str = "max.connections";
/// Most connections of one address.
pub(crate) const MAX_CONNECTIONS_PER_IP: &str = "max.connections.per.ip";

/// A setting that is no default of topics.
pub(super) struct Alterable {
    pub(super) name: &'static str,
    pub(super) kind: ConfigType,
    accepts: RangeInclusive<i64>,
    /// Whether all brokers cannot have it together.
    of_one_broker: bool,
    /// Built-in value and meaning, where it stands nowhere else.
    pub(super) inert: Option<(&'static str, &'static str)>,
}

const THREADS: &str = "No effect: threads follow the number of processors.";
const UP: RangeInclusive<i64> = 1..=i32::MAX as i64;
const COUNT: RangeInclusive<i64> = 0..=i32::MAX as i64;

/// Sorted by name.
pub(super) const ALTERABLE: &[Alterable] = &[
    inert("background.threads", Int, UP, ("10", THREADS)),
    limit(MAX_CONNECTIONS),
    limit(MAX_CONNECTIONS_PER_IP),
    inert("num.io.threads", Int, UP, ("8", THREADS)),
    inert("num.network.threads", Int, UP, ("3", THREADS)),
    inert("num.recovery.threads.per.data.dir", Int, UP, ("2", THREADS)),
    Alterable {
        of_one_broker: true,
        ..inert(
            "sasl.kerberos.min.time.before.relogin",
            Long,
            i64::MIN..=i64::MAX,
            ("60000", "No effect: there is no Kerberos."),
        )
    },
];

const fn limit(name: &'static str) -> Alterable {
    Alterable { name, kind: Int, accepts: COUNT, of_one_broker: false, inert: None }
}

const fn inert(
    name: &'static str,
    kind: ConfigType,
    accepts: RangeInclusive<i64>,
    inert: (&'static str, &'static str),
) -> Alterable {
    Alterable { name, kind, accepts, of_one_broker: false, inert: Some(inert) }
}

fn find(name: &str) -> Option<&'static Alterable> {
    ALTERABLE.iter().find(|setting| setting.name == name)
}

/// Whether a setting of the broker can be altered while it runs.
pub(super) fn is_alterable(name: &str) -> bool {
    find(name).is_some() || topic::of_default(name).is_some()
}

/// Checks what the altered settings of a broker, or of all, are to be.
///
/// # Errors
/// What is wrong, in Kafka's words where it has some.
pub(crate) fn check_broker(
    broker: &Broker,
    resource: &Resource,
    settings: &Settings,
) -> Result<(), String> {
    let names = |wrong: &dyn Fn(&str) -> bool| {
        let names: Vec<_> = settings.keys().map(String::as_str).filter(|n| wrong(n)).collect();
        (!names.is_empty()).then(|| format!("Set({})", names.join(", ")))
    };
    if let Some(names) = names(&|name| !is_alterable(name)) {
        return Err(format!("Cannot update these configs dynamically: {names}"));
    }
    for (name, value) in settings {
        check_value(broker, name, value)
            .map_err(|why| format!("Invalid value {value} for configuration {name}: {why}"))?;
    }
    let of_one = |name: &str| find(name).is_some_and(|setting| setting.of_one_broker);
    match names(&of_one).filter(|_| *resource == Resource::AllBrokers) {
        Some(names) => Err(format!(
            "Cannot update these configs at default cluster level, broker id must be specified: \
             {names}"
        )),
        None => Ok(()),
    }
}

fn check_value(broker: &Broker, name: &str, value: &str) -> Result<(), String> {
    if value.len() > TEXT_BYTES_MAX {
        return Err(format!("it is longer than {TEXT_BYTES_MAX} bytes"));
    }
    if let Some(of_topic) = topic::of_default(name) {
        let settings = [(of_topic.to_owned(), value.to_owned())];
        return topic::check(broker, &settings);
    }
    let Some(setting) = find(name) else { return Ok(()) };
    let number = value.parse::<i64>().map_err(|_| "it is not a whole number".to_owned())?;
    match setting.accepts.contains(&number) {
        true => Ok(()),
        false => {
            let (least, most) = setting.accepts.clone().into_inner();
            Err(format!("it must be between {least} and {most}"))
        }
    }
}

/// The defaults of topics among the altered settings of a broker. One that this version
/// does not take any more is left out, and said so.
pub(crate) fn topic_defaults(settings: &Settings) -> Vec<(String, String)> {
    let default = |(name, value): (&String, &String)| {
        let pair = (topic::of_default(name)?.to_owned(), value.clone());
        match TopicConfig::parse(std::slice::from_ref(&pair)) {
            Ok(_) => Some(pair),
            Err(error) => {
                tracing::error!(name, value, error, "the broker's altered setting is left out");
                None
            }
        }
    };
    settings.iter().filter_map(default).collect()
}

/// The number that a setting was altered to.
pub(crate) fn number(settings: &Settings, name: &str) -> Option<usize> {
    settings.get(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        assert!(ALTERABLE.is_sorted_by_key(|setting| setting.name));
        for setting in ALTERABLE {
            let (value, _) = setting.inert.unwrap_or(("1", ""));
            let value = value.parse().expect("a number");
            assert!(setting.accepts.contains(&value), "{}", setting.name);
            assert_eq!(topic::of_default(setting.name), None);
        }
    }

    #[test]
    fn defaults_of_topics_are_found_among_the_rest() {
        let set = |pairs: &[(&str, &str)]| -> Settings {
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        let settings =
            set(&[("log.retention.ms", "-1"), ("max.connections", "7"), ("log.roll.ms", "0")]);
        let expected = [("retention.ms".to_owned(), "-1".to_owned())];
        assert_eq!(topic_defaults(&settings), expected, "segment.ms cannot be 0");
        assert_eq!(number(&settings, MAX_CONNECTIONS), Some(7));
        assert_eq!(number(&settings, MAX_CONNECTIONS_PER_IP), None);
    }
}
