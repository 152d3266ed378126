//! Which topics are meant: names, globs and regular expressions, and what was meant instead.

use krafka::Kafka;
use krafka::admin::{
    DescribeTopicsOptions, ListTopicsOptions, PartitionDescription, TopicDescription,
};
use krafka::error::ErrorCode;
use regex::Regex;

use super::Failure;
use super::kafka_error::{code, sentence};

/// The topics that `names` mean, in order. With `regex` they are regular expressions that
/// match the whole name, as in rpk; else a name with `*` or `?` is a glob, because no topic
/// has such a name.
///
/// # Errors
/// An expression matches nothing, or is none.
pub(crate) async fn resolve(
    kafka: &Kafka,
    names: &[String],
    regex: bool,
) -> Result<Vec<String>, Failure> {
    if !regex && !names.iter().any(|name| is_glob(name)) {
        return Ok(names.to_vec());
    }
    let existing = all(kafka, true).await?;
    let mut found = Vec::new();
    for name in names {
        if !regex && !is_glob(name) {
            found.push(name.clone());
            continue;
        }
        let expression = if regex { whole(name)? } else { glob(name)? };
        let before = found.len();
        found.extend(existing.iter().filter(|topic| expression.is_match(topic)).cloned());
        if found.len() == before {
            return Err(Failure::Running(format!("no topic matches '{name}'")));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Every topic's name.
pub(crate) async fn all(kafka: &Kafka, internal: bool) -> Result<Vec<String>, Failure> {
    let options = ListTopicsOptions::default().include_internal(true);
    let names = kafka.admin().list_topics(options).await?;
    Ok(names.into_iter().filter(|name| internal || !name.starts_with("__")).collect())
}

/// Describes topics, in the order of their names.
///
/// # Errors
/// The first that does not exist, with the name that may be meant.
pub(crate) async fn describe(
    kafka: &Kafka,
    names: &[String],
) -> Result<Vec<TopicDescription>, Failure> {
    let described = kafka.admin().describe_topics(names, DescribeTopicsOptions::default()).await?;
    let mut topics = Vec::new();
    for (name, topic) in described {
        match topic {
            Ok(topic) => topics.push(topic),
            Err(error) => return Err(failure(kafka, &name, &error).await),
        }
    }
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(topics)
}

/// Indexes of a topic's partitions; those of `wanted` where there are any.
///
/// # Errors
/// A wanted partition does not exist.
pub(crate) fn partitions(topic: &TopicDescription, wanted: &[i32]) -> Result<Vec<i32>, Failure> {
    let existing: Vec<i32> =
        topic.partitions.iter().map(|p: &PartitionDescription| p.partition).collect();
    if wanted.is_empty() {
        return Ok(existing);
    }
    match wanted.iter().find(|partition| !existing.contains(partition)) {
        None => Ok(wanted.to_vec()),
        Some(missing) => Err(Failure::Running(format!(
            "topic '{}' has no partition {missing}, it has 0 to {}",
            topic.name,
            existing.len().saturating_sub(1)
        ))),
    }
}

/// An error about a topic. One that does not exist comes with the name that may be meant.
pub(crate) async fn failure(kafka: &Kafka, name: &str, error: &krafka::KrafkaError) -> Failure {
    if code(error) != Some(ErrorCode::UnknownTopicOrPartition) {
        return Failure::Running(format!("topic '{name}': {}", sentence(error)));
    }
    let existing = all(kafka, true).await.unwrap_or_default();
    let advice = match nearest(name, &existing) {
        Some(meant) => format!("did you mean '{meant}'?"),
        None => "thalweg topic list shows those that there are".to_owned(),
    };
    Failure::Running(format!("topic '{name}' does not exist; {advice}"))
}

/// The name nearest to `name`, if one is near enough to be meant.
fn nearest<'a>(name: &str, existing: &'a [String]) -> Option<&'a str> {
    let distance =
        |other: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    let limit = (name.chars().count() / 3).clamp(1, 3);
    let near = existing.iter().map(|other| (distance(other), other));
    near.filter(|(distance, _)| *distance <= limit).min().map(|(_, other)| other.as_str())
}

fn is_glob(name: &str) -> bool {
    name.contains(['*', '?'])
}

fn whole(expression: &str) -> Result<Regex, Failure> {
    Regex::new(&format!("^(?:{expression})$")).map_err(|error| {
        Failure::Usage(format!("'{expression}' is no regular expression: {error}"))
    })
}

fn glob(pattern: &str) -> Result<Regex, Failure> {
    whole(&regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_and_expressions_match_whole_names() {
        assert!(glob("orders-*").expect("a glob").is_match("orders-eu"));
        assert!(!glob("orders-?").expect("a glob").is_match("orders-eu"));
        assert!(!glob("a.*").expect("a glob").is_match("abc"), "a dot is itself");
        assert!(whole("a|b").expect("an expression").is_match("b"));
        assert!(!whole("a|b").expect("an expression").is_match("ab"));
    }

    #[test]
    fn a_near_name_is_meant() {
        let existing = ["temperature".to_owned(), "alerts".to_owned()];
        assert_eq!(nearest("temprature", &existing), Some("temperature"));
        assert_eq!(nearest("orders", &existing), None);
    }
}
