//! The rules. Each takes what is known and gives the violations that it finds; none
//! asks the system anything. `tests` plants a violation of each.

mod epochs;
mod late;
mod log;
mod results;
#[cfg(test)]
mod tests;
mod transactions;

use std::collections::BTreeMap;
use std::fmt;

pub(crate) use epochs::answers_are_epochs;
pub(crate) use late::{late_rows, read_late_rows};
pub(crate) use log::{
    commits_stay, group_reads_all, input_is_what_was_sent, nothing_seen_has_changed, objects_stay,
    offsets_are_dense,
};
pub(crate) use results::{
    accounts, adjusted, alerts, bad_records, expected_windows, extra_jobs, extra_view, side_table,
    totals_view, windows, windows_view,
};
pub(crate) use transactions::transactions_are_whole;

/// A rule that was broken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.detail)
    }
}

/// Collects violations of one rule.
struct Findings {
    rule: &'static str,
    found: Vec<Violation>,
}

impl Findings {
    fn of(rule: &'static str) -> Self {
        Self { rule, found: Vec::new() }
    }

    fn add(&mut self, detail: impl Into<String>) {
        self.found.push(Violation { rule: self.rule, detail: detail.into() });
    }

    /// Compares what is with what should be, key by key.
    fn compare<K: Ord + fmt::Debug, V: PartialEq + fmt::Debug>(
        &mut self,
        what: &str,
        is: &BTreeMap<K, V>,
        should: &BTreeMap<K, V>,
    ) {
        for (key, value) in should {
            match is.get(key) {
                Some(found) if found == value => {}
                Some(found) => self.add(format!("{what} {key:?}: is {found:?}, not {value:?}")),
                None => self.add(format!("{what} {key:?}: missing, should be {value:?}")),
            }
        }
        for (key, value) in is.iter().filter(|(key, _)| !should.contains_key(key)) {
            self.add(format!("{what} {key:?}: {value:?} should not be there"));
        }
    }
}

fn text(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.chars().take(160).collect()
}
