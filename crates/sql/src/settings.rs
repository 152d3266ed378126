//! Settings of a session: `SET 'key' = 'value'` with Flink's names.

use std::collections::BTreeMap;

use thalweg_core::time::Millis;

use crate::error::{ErrorCode, Result, SqlError};
use crate::expr::zone::SessionZone;
use crate::suggest;

/// Keys that mean something here, with what they do.
pub const KNOWN: &[(&str, &str)] = &[
    ("parallelism.default", "subtasks of each step of a job"),
    ("pipeline.name", "name of the next job"),
    ("pipeline.max-parallelism", "key groups of the next job"),
    ("execution.checkpointing.interval", "time between snapshots"),
    ("table.exec.state.ttl", "state of a key that is not touched for so long is dropped"),
    ("table.exec.source.idle-timeout", "a silent split stops holding the watermark back"),
    ("table.exec.emit.allow-lateness", "how long a complete window still takes rows"),
    ("table.local-time-zone", "zone in which TIMESTAMP_LTZ is shown and read"),
    ("sql-client.execution.result-mode", "how a query's rows are shown"),
];

/// The settings of a session.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    /// The value of a setting.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// All that are set, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Sets a value.
    ///
    /// # Errors
    /// A value that cannot work; a key that is one of ours misspelt. Other keys, of Flink
    /// or of PostgreSQL, are kept without effect.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        check(key, value)?;
        self.values.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// Forgets a value.
    pub fn reset(&mut self, key: &str) {
        self.values.remove(key);
    }

    /// Forgets all values.
    pub fn reset_all(&mut self) {
        self.values.clear();
    }

    /// `parallelism.default`.
    pub fn parallelism(&self) -> Option<usize> {
        self.get("parallelism.default")?.parse().ok()
    }

    /// `pipeline.name`.
    pub fn job_name(&self) -> Option<&str> {
        self.get("pipeline.name").filter(|name| !name.is_empty())
    }

    /// A duration; 0 counts as not set.
    pub fn duration(&self, key: &str) -> Option<Millis> {
        parse_duration(self.get(key)?).filter(|millis| *millis > 0)
    }

    /// `table.exec.emit.allow-lateness`; 0 where it is not set.
    pub fn allowed_lateness(&self) -> Millis {
        self.duration("table.exec.emit.allow-lateness").unwrap_or(0)
    }

    /// `table.local-time-zone`.
    pub fn zone(&self) -> SessionZone {
        self.get("table.local-time-zone").and_then(|zone| zone.parse().ok()).unwrap_or_default()
    }
}

fn check(key: &str, value: &str) -> Result<()> {
    let invalid = |message: String| Err(SqlError::new(ErrorCode::InvalidArgument, message));
    match key {
        "parallelism.default" | "pipeline.max-parallelism" => match value.parse::<u16>() {
            Ok(1..) => Ok(()),
            _ => invalid(format!("'{key}' must be a number from 1, not '{value}'")),
        },
        "table.exec.state.ttl"
        | "table.exec.source.idle-timeout"
        | "table.exec.emit.allow-lateness"
        | "execution.checkpointing.interval" => match parse_duration(value) {
            Some(_) => Ok(()),
            None => invalid(format!("'{key}' must be a duration such as '5 s', not '{value}'")),
        },
        "table.local-time-zone" => match value.parse::<SessionZone>() {
            Ok(_) => Ok(()),
            Err(message) => invalid(message),
        },
        _ => {
            let known = KNOWN.iter().map(|(name, _)| *name);
            match suggest::nearest(key, known).filter(|name| *name != key && key.contains('.')) {
                Some(meant) => {
                    let message = format!("there is no setting '{key}'");
                    let hint = format!("did you mean '{meant}'?");
                    Err(SqlError::new(ErrorCode::UnknownObject, message).with_hint(hint))
                }
                None => Ok(()),
            }
        }
    }
}

/// Flink's durations: a number and a unit, milliseconds by default.
pub fn parse_duration(text: &str) -> Option<Millis> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: i64 = text[..end].parse().ok()?;
    let factor = match text[end..].trim().to_ascii_lowercase().as_str() {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_misspelt_keys() {
        assert_eq!(parse_duration("5 s"), Some(5000));
        assert_eq!(parse_duration("200ms"), Some(200));
        assert_eq!(parse_duration("1 fortnight"), None);
        let mut settings = Settings::default();
        settings.set("table.exec.mini-batch.enabled", "true").unwrap();
        settings.set("extra_float_digits", "3").unwrap();
        let error = settings.set("table.exec.state.tll", "1 h").unwrap_err();
        assert_eq!(error.hint.unwrap(), "did you mean 'table.exec.state.ttl'?");
        assert!(settings.set("parallelism.default", "0").is_err());
    }
}
