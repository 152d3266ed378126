//! What came of changing several topics.

use krafka::Kafka;

use crate::cli::Failure;
use crate::cli::topic_names;

/// Says on stderr what was done to which topic.
///
/// # Errors
/// All that failed, one a line.
pub(super) async fn report(
    kafka: &Kafka,
    done: &str,
    results: impl IntoIterator<Item = (String, krafka::error::Result<()>)>,
) -> Result<(), Failure> {
    let mut results: Vec<_> = results.into_iter().collect();
    results.sort_by(|a, b| a.0.cmp(&b.0));
    let mut failed = Vec::new();
    for (name, result) in results {
        match result {
            Ok(()) => eprintln!("{done} topic '{name}'"),
            Err(error) => match topic_names::failure(kafka, &name, &error).await {
                Failure::Running(message) => failed.push(message),
                other => return Err(other),
            },
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Running(failed.join("\n"))) }
}
