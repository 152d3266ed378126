//! Settings of groups of the broker's own protocol (KIP-848). Kafka has some more, for share
//! groups and streams groups, which do not exist here.

use thalweg_log::topic_config::ConfigType::Int;

use super::dynamic::{Resource, Settings, TEXT_BYTES_MAX};
use super::{Setting, Source, Synonym};
use crate::broker::Broker;
use crate::group::GroupSettings;
use crate::options::GroupOptions;

const SESSION: &str = "consumer.session.timeout.ms";
const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";

/// A setting, and those of the broker that are its default and its bounds.
struct Row {
    name: &'static str,
    default: &'static str,
    least: &'static str,
    most: &'static str,
    bounds: fn(&GroupOptions) -> (u64, u64),
    doc: &'static str,
}

/// Sorted by name.
const ROWS: &[Row] = &[
    Row {
        name: HEARTBEAT,
        default: "group.consumer.heartbeat.interval.ms",
        least: "group.consumer.min.heartbeat.interval.ms",
        most: "group.consumer.max.heartbeat.interval.ms",
        bounds: |options| options.consumer_heartbeat_interval_ms_bounds,
        doc: "How often a member of the group is to be heard of.",
    },
    Row {
        name: SESSION,
        default: "group.consumer.session.timeout.ms",
        least: "group.consumer.min.session.timeout.ms",
        most: "group.consumer.max.session.timeout.ms",
        bounds: |options| options.consumer_session_timeout_ms_bounds,
        doc: "How long a member of the group may be silent.",
    },
];

/// What a group's settings mean for the coordinator.
pub(crate) fn effect(settings: &Settings) -> GroupSettings {
    let number = |name: &str| settings.get(name)?.parse().ok();
    GroupSettings { session_timeout_ms: number(SESSION), heartbeat_interval_ms: number(HEARTBEAT) }
}

/// Checks what the settings of a group are to be.
///
/// # Errors
/// What is wrong, in Kafka's words where it has some.
pub(crate) fn check(options: &GroupOptions, settings: &Settings) -> Result<(), String> {
    if let Some(name) = settings.keys().find(|name| ROWS.iter().all(|row| row.name != **name)) {
        return Err(format!("Unknown group config name: {name}"));
    }
    for row in ROWS {
        let Some(value) = settings.get(row.name) else { continue };
        let number = value.parse::<i32>().ok().filter(|_| value.len() <= TEXT_BYTES_MAX);
        let Some(number) = number else {
            return Err(format!(
                "Invalid value {value} for configuration {}: Not a number of type INT",
                row.name
            ));
        };
        let (least, most) = (row.bounds)(options);
        match u64::try_from(number).unwrap_or(0) {
            number if number < least => {
                return Err(format!(
                    "{} must be greater than or equal to {} ({least})",
                    row.name, row.least
                ));
            }
            number if number > most => {
                return Err(format!(
                    "{} must be less than or equal to {} ({most})",
                    row.name, row.most
                ));
            }
            _ => {}
        }
    }
    let effect = effect(settings);
    let session = effect.session_timeout_ms.unwrap_or(options.consumer_session_timeout_ms);
    let heartbeat = effect.heartbeat_interval_ms.unwrap_or(options.consumer_heartbeat_interval_ms);
    match session <= heartbeat {
        true => Err(format!("{SESSION} must be greater than {HEARTBEAT}")),
        false => Ok(()),
    }
}

/// Every setting of a group.
pub(crate) fn of_group(broker: &Broker, group: &str) -> Vec<Setting> {
    let own = broker.configs.of(&Resource::Group(group.to_owned()));
    let of_broker = super::of_broker(broker);
    let setting = |row: &Row| {
        let found = of_broker.iter().find(|setting| setting.name == row.default);
        let own = own.get(row.name).map(|value| Synonym {
            name: row.name,
            value: value.clone(),
            source: Source::Group,
        });
        let inherited = found.into_iter().flat_map(|setting| setting.synonyms.iter().cloned());
        let synonyms: Vec<_> = own.into_iter().chain(inherited).collect();
        Setting::of_synonyms(row.name, Int, row.doc, synonyms)
    };
    ROWS.iter().filter_map(setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[(&str, &str)]) -> Result<(), String> {
        let settings =
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        check(&GroupOptions::default(), &settings)
    }

    #[test]
    fn values_are_bounded_by_the_broker_and_each_other() {
        assert_eq!(said(&[(SESSION, "50000"), (HEARTBEAT, "5000")]), Ok(()));
        for (settings, says) in [
            (&[("share.session.timeout.ms", "1")][..], "Unknown group config name: share"),
            (&[(SESSION, "soon")], "Not a number of type INT"),
            (&[(SESSION, "60001")], "less than or equal to group.consumer.max.session.timeout.ms"),
            (&[(SESSION, "-1")], "greater than or equal to group.consumer.min.session.timeout.ms"),
            (&[(HEARTBEAT, "15001")], "group.consumer.max.heartbeat.interval.ms"),
            (&[(HEARTBEAT, "0")], "group.consumer.min.heartbeat.interval.ms"),
            (&[(SESSION, "6000"), (HEARTBEAT, "6000")], "must be greater than consumer.heartbeat"),
        ] {
            let error = said(settings).expect_err("refused");
            assert!(error.contains(says), "{settings:?}: {error}");
        }
    }
}
