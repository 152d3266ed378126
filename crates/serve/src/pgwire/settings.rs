//! PostgreSQL's settings, as far as clients set and ask for them when they connect.
//!
//! A setting is either honoured, or takes only the value that describes what the door
//! does, or has no effect on a reader and is merely remembered.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono_tz::Tz;

use super::error::{PgError, Result, sqlstate};

/// What a setting takes.
#[derive(Clone, Copy)]
enum Takes {
    /// Nothing: it cannot be set.
    Nothing,
    /// Anything; it has no effect here.
    Anything,
    /// Words of which one says what the door does anyway; compared without case, the
    /// first word only, as in `ISO, MDY`.
    Only(&'static [&'static str]),
    /// A time zone.
    Zone,
    /// A span of time.
    Timeout,
}

/// A setting: its name, its value at the start, what it takes, and whether the client is
/// told when it changes.
type Definition = (&'static str, &'static str, Takes, bool);

const DEFINITIONS: &[Definition] = &[
    ("server_version", SERVER_VERSION, Takes::Nothing, true),
    ("server_version_num", "140011", Takes::Nothing, false),
    ("server_encoding", "UTF8", Takes::Nothing, true),
    ("client_encoding", "UTF8", Takes::Only(&["utf8", "utf-8", "unicode"]), true),
    ("integer_datetimes", "on", Takes::Nothing, true),
    ("is_superuser", "on", Takes::Nothing, true),
    ("session_authorization", "", Takes::Nothing, true),
    ("in_hot_standby", "off", Takes::Nothing, true),
    ("DateStyle", "ISO, MDY", Takes::Only(&["iso"]), true),
    ("IntervalStyle", "postgres", Takes::Only(&["postgres"]), true),
    ("TimeZone", "UTC", Takes::Zone, true),
    ("standard_conforming_strings", "on", Takes::Only(&["on", "true", "yes", "1"]), true),
    ("default_transaction_read_only", "off", Takes::Anything, true),
    ("application_name", "", Takes::Anything, true),
    ("bytea_output", "hex", Takes::Only(&["hex"]), false),
    ("statement_timeout", "0", Takes::Timeout, false),
    ("max_identifier_length", "63", Takes::Nothing, false),
    ("transaction_isolation", "read committed", Takes::Anything, false),
    ("default_transaction_isolation", "read committed", Takes::Anything, false),
    ("transaction_read_only", "off", Takes::Anything, false),
    ("client_min_messages", "notice", Takes::Anything, false),
    ("extra_float_digits", "1", Takes::Anything, false),
    ("lock_timeout", "0", Takes::Anything, false),
    ("idle_in_transaction_session_timeout", "0", Takes::Anything, false),
    ("synchronous_commit", "on", Takes::Anything, false),
    ("row_security", "on", Takes::Anything, false),
    ("jit", "off", Takes::Anything, false),
    ("lc_messages", "C", Takes::Anything, false),
    ("lc_monetary", "C", Takes::Anything, false),
    ("lc_numeric", "C", Takes::Anything, false),
    ("lc_time", "C", Takes::Anything, false),
    ("geqo", "on", Takes::Anything, false),
    ("check_function_bodies", "on", Takes::Anything, false),
    ("xmloption", "content", Takes::Anything, false),
];

/// The release of PostgreSQL whose protocol and catalog the door speaks like.
pub(super) const SERVER_VERSION: &str = "14.11 (Thalweg)";

/// The settings of a session.
pub(super) struct Settings {
    values: BTreeMap<&'static str, String>,
    zone: Tz,
    statement_timeout: Option<Duration>,
}

impl Settings {
    /// Those of a new session.
    pub(super) fn new(user: &str) -> Self {
        let mut values: BTreeMap<_, _> =
            DEFINITIONS.iter().map(|&(name, value, ..)| (name, value.to_owned())).collect();
        values.insert("session_authorization", user.to_owned());
        Self { values, zone: Tz::UTC, statement_timeout: None }
    }

    /// Those that a client is told at the start.
    pub(super) fn reported(&self) -> impl Iterator<Item = (&'static str, &str)> {
        DEFINITIONS
            .iter()
            .filter(|(.., reported)| *reported)
            .filter_map(|&(name, ..)| self.values.get(name).map(|value| (name, value.as_str())))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether a name is one of PostgreSQL's, rather than a setting of jobs.
    pub(super) fn knows(name: &str) -> bool {
        find(name).is_some()
    }

    /// The value of a setting that [`Self::knows`].
    pub(super) fn get(&self, name: &str) -> Option<(&'static str, &str)> {
        let (name, ..) = find(name)?;
        Some((name, self.values.get(name)?))
    }

    /// The zone in which instants are shown.
    pub(super) fn zone(&self) -> Tz {
        self.zone
    }

    /// How long a statement may run.
    pub(super) fn statement_timeout(&self) -> Option<Duration> {
        self.statement_timeout
    }

    /// Sets a value; `None` is the one of the start. Returns what the client has to be
    /// told.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
    ) -> Result<Option<(&'static str, String)>> {
        let Some(&(name, default, takes, reported)) = find(name) else {
            return Err(PgError::new(
                "42704",
                format!("unrecognized configuration parameter \"{name}\""),
            ));
        };
        let value = value.unwrap_or(default);
        let invalid = || {
            PgError::new(
                sqlstate::INVALID_PARAMETER,
                format!("invalid value for parameter \"{name}\": \"{value}\""),
            )
        };
        let mut kept = value.to_owned();
        match takes {
            Takes::Nothing => {
                let text = format!("parameter \"{name}\" cannot be changed");
                return Err(PgError::new("55P02", text));
            }
            Takes::Anything => {}
            Takes::Only(words) => {
                let first = value.split(',').next().unwrap_or_default().trim();
                if !words.iter().any(|word| word.eq_ignore_ascii_case(first)) {
                    return Err(invalid().with_hint(format!("only \"{default}\" is supported")));
                }
                default.clone_into(&mut kept);
            }
            Takes::Zone => {
                self.zone = zone(value).ok_or_else(invalid)?;
                self.zone.name().clone_into(&mut kept);
            }
            Takes::Timeout => {
                let timeout = timeout(value).ok_or_else(invalid)?;
                self.statement_timeout = (!timeout.is_zero()).then_some(timeout);
            }
        }
        self.values.insert(name, kept.clone());
        Ok(reported.then_some((name, kept)))
    }
}

fn find(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name))
}

/// A zone by name, as the IANA database spells it, or one of the usual names of UTC.
fn zone(name: &str) -> Option<Tz> {
    const UTC: [&str; 8] = ["utc", "gmt", "z", "default", "local", "etc/utc", "zulu", "0"];
    if UTC.contains(&name.to_ascii_lowercase().as_str()) {
        return Some(Tz::UTC);
    }
    name.parse().ok()
}

/// A span such as `5000`, `500ms`, `2s` or `1min`; milliseconds without a unit.
fn timeout(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let amount: u64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    // PostgreSQL keeps it in 32 bits.
    let millis = amount.checked_mul(factor).filter(|millis| *millis <= i32::MAX as u64)?;
    Some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_have_no_effect_is_refused() {
        let mut settings = Settings::new("ada");
        assert!(settings.set("client_encoding", Some("LATIN1")).is_err());
        assert!(settings.set("datestyle", Some("German")).is_err());
        assert!(settings.set("server_version", Some("9")).is_err());
        assert!(settings.set("TimeZone", Some("Mars/Olympus")).is_err());
        assert!(settings.set("no_such_thing", Some("1")).is_err());
        assert_eq!(
            settings.set("datestyle", Some("iso")).expect("same"),
            Some(("DateStyle", "ISO, MDY".into()))
        );
    }

    #[test]
    fn zone_and_timeout_are_honoured() {
        let mut settings = Settings::new("ada");
        let told = settings.set("timezone", Some("Europe/Berlin")).expect("a zone");
        assert_eq!(told, Some(("TimeZone", "Europe/Berlin".into())));
        assert_eq!(settings.zone(), Tz::Europe__Berlin);
        settings.set("statement_timeout", Some("2s")).expect("a span");
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(2)));
        settings.set("statement_timeout", None).expect("reset");
        assert_eq!(settings.statement_timeout(), None);
        assert!(settings.set("statement_timeout", Some("99999999999")).is_err());
    }
}
