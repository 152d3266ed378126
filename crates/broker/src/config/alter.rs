//! Changes of settings: what a list of them makes of the settings that there are.

use thalweg_log::topic_config::ConfigType;

use super::Setting;
use crate::error_code::ErrorCode;

/// What is altered.
pub(crate) struct Subject {
    /// The settings that it has of its own.
    pub(crate) own: Vec<(String, String)>,
    /// All settings that it may have.
    pub(crate) all: Vec<Setting>,
}

/// What is done to a setting (KIP-339).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op {
    Set,
    Delete,
    Append,
    Subtract,
}

impl Op {
    /// The operation of this code of Kafka's.
    pub(crate) fn of_code(code: i8) -> Option<Self> {
        [Self::Set, Self::Delete, Self::Append, Self::Subtract]
            .get(usize::try_from(code).ok()?)
            .copied()
    }
}

/// A change of one setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) op: Op,
    pub(crate) value: Option<String>,
}

/// New values; `None` takes a setting's own value away. As
/// [`thalweg_core::partition_log::LogStore::alter_topic`] is told.
pub(crate) type Alterations = Vec<(String, Option<String>)>;

/// Code and explanation.
type Refusal = (ErrorCode, String);

/// The alterations that changes one by one amount to.
///
/// # Errors
/// A change that makes no sense. Whether values are good is for others to say.
pub(crate) fn altered(subject: &Subject, changes: &[Change]) -> Result<Alterations, Refusal> {
    once_each(changes)?;
    changes.iter().map(|change| Ok((change.name.clone(), outcome(subject, change)?))).collect()
}

/// The alterations after which the subject has these settings of its own and no others.
///
/// # Errors
/// A setting twice, or without a value.
pub(crate) fn replaced(subject: &Subject, settings: &[Change]) -> Result<Alterations, Refusal> {
    once_each(settings)?;
    let gone = subject.own.iter().filter(|(name, _)| settings.iter().all(|s| s.name != *name));
    let gone = gone.map(|(name, _)| Ok((name.clone(), None)));
    gone.chain(settings.iter().map(|set| Ok((set.name.clone(), Some(value(set)?))))).collect()
}

fn once_each(changes: &[Change]) -> Result<(), Refusal> {
    let mut names: Vec<_> = changes.iter().map(|change| change.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err((ErrorCode::InvalidRequest, format!("'{}' is in the request twice", pair[0])))
        }
        None => Ok(()),
    }
}

fn outcome(subject: &Subject, change: &Change) -> Result<Option<String>, Refusal> {
    match change.op {
        Op::Delete => Ok(None),
        Op::Set => value(change).map(Some),
        Op::Append | Op::Subtract => {
            let (name, given) = (&change.name, value(change)?);
            let entry = subject.all.iter().find(|entry| entry.name == *name);
            // What is unknown is refused with the values.
            let Some(entry) = entry else { return Ok(Some(given)) };
            if entry.kind != ConfigType::List {
                let reason = format!("'{name}' is no list, so nothing can be added or removed");
                return Err((ErrorCode::InvalidConfig, reason));
            }
            Ok(Some(merged(&entry.value, &given, change.op)))
        }
    }
}

fn value(change: &Change) -> Result<String, Refusal> {
    change.value.clone().ok_or_else(|| {
        (ErrorCode::InvalidRequest, format!("'{}' has no value; null cannot be set", change.name))
    })
}

fn merged(had: &str, given: &str, op: Op) -> String {
    let words = |list: &str| -> Vec<String> {
        list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let (mut had, given) = (words(had), words(given));
    had.retain(|word| op == Op::Append || !given.contains(word));
    if op == Op::Append {
        for word in given {
            if !had.contains(&word) {
                had.push(word);
            }
        }
    }
    had.join(",")
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    fn subject(own: &[(&str, &str)]) -> Subject {
        let value = |name: &str, or: &str| {
            own.iter().find(|(own, _)| *own == name).map_or(or, |(_, value)| value).to_owned()
        };
        let setting = |name, kind, or| Setting {
            name,
            value: value(name, or),
            source: Source::Default,
            kind,
            read_only: false,
            documentation: "",
            synonyms: Vec::new(),
        };
        Subject {
            own: own.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            all: vec![
                setting("cleanup.policy", ConfigType::List, "delete"),
                setting("retention.ms", ConfigType::Long, "0"),
            ],
        }
    }

    fn meta() -> Subject {
        subject(&[("retention.ms", "1000"), ("segment.ms", "5")])
    }

    fn change(name: &str, op: Op, value: Option<&str>) -> Change {
        Change { name: name.into(), op, value: value.map(str::to_owned) }
    }

    fn pair(name: &str, value: Option<&str>) -> (String, Option<String>) {
        (name.into(), value.map(str::to_owned))
    }

    #[test]
    fn changes_one_by_one() {
        let changes = [
            change("retention.ms", Op::Set, Some("7")),
            change("segment.ms", Op::Delete, Some("ignored")),
            change("cleanup.policy", Op::Append, Some("compact, delete")),
        ];
        let expected = [
            pair("retention.ms", Some("7")),
            pair("segment.ms", None),
            pair("cleanup.policy", Some("delete,compact")),
        ];
        assert_eq!(altered(&meta(), &changes), Ok(expected.to_vec()));
        let both = subject(&[("cleanup.policy", "compact,delete")]);
        let changes = [change("cleanup.policy", Op::Subtract, Some("delete"))];
        let expected = [pair("cleanup.policy", Some("compact"))];
        assert_eq!(altered(&both, &changes), Ok(expected.to_vec()));
    }

    #[test]
    fn what_makes_no_sense() {
        let twice = change("retention.ms", Op::Set, Some("7"));
        for (changes, code) in [
            (vec![twice.clone(), twice], ErrorCode::InvalidRequest),
            (vec![change("retention.ms", Op::Set, None)], ErrorCode::InvalidRequest),
            (vec![change("retention.ms", Op::Append, Some("7"))], ErrorCode::InvalidConfig),
        ] {
            assert_eq!(altered(&meta(), &changes).map_err(|(code, _)| code), Err(code));
        }
    }

    #[test]
    fn a_whole_replacement() {
        let settings = [change("retention.ms", Op::Set, Some("7"))];
        let expected = [pair("segment.ms", None), pair("retention.ms", Some("7"))];
        assert_eq!(replaced(&meta(), &settings), Ok(expected.to_vec()));
        let null = [change("retention.ms", Op::Set, None)];
        assert_eq!(replaced(&meta(), &null).map_err(|(c, _)| c), Err(ErrorCode::InvalidRequest));
    }
}
