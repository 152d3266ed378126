//! Which records of a batch a topic does not take, and why: a producer that is told can
//! send the others again (KIP-467).

use std::fmt;

use crate::time::Millis;

/// Records that are named at most; beyond, they are only counted.
const NAMED_MAX: usize = 1000;

/// What is wrong with a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordFault {
    /// It has no key, and the topic is compacted.
    NoKey,
    /// Its time is further ahead than the topic takes.
    Ahead {
        /// Its timestamp.
        timestamp: Millis,
        /// How far ahead that is.
        by: Millis,
    },
    /// Its time is longer past than the topic takes.
    Behind {
        /// Its timestamp.
        timestamp: Millis,
        /// How long past that is.
        by: Millis,
    },
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => write!(f, "a compacted topic takes no record without a key"),
            Self::Ahead { timestamp, by } => {
                write!(f, "timestamp {timestamp} is {by} ms in the future")
            }
            Self::Behind { timestamp, by } => {
                write!(f, "timestamp {timestamp} is {by} ms in the past")
            }
        }
    }
}

/// The records of one batch that are refused, of which so many at most are named.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RefusedRecords {
    total: usize,
    untimely: bool,
    named: Vec<(i32, RecordFault)>,
}

impl RefusedRecords {
    /// Adds the record with this number in its batch, from 0 on.
    pub fn add(&mut self, index: i32, fault: RecordFault) {
        self.total += 1;
        self.untimely |= fault != RecordFault::NoKey;
        if self.named.len() < NAMED_MAX {
            self.named.push((index, fault));
        }
    }

    /// Whether no record is refused.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Whether one is refused for its time.
    pub fn has_untimely(&self) -> bool {
        self.untimely
    }

    /// The first of them: the number in the batch, and what is wrong.
    pub fn named(&self) -> &[(i32, RecordFault)] {
        &self.named
    }
}

impl fmt::Display for RefusedRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records of a batch are refused", self.total)?;
        match self.named.first() {
            Some((index, fault)) => write!(f, ", first record {index} of it: {fault}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_so_many_named() {
        let mut refused = RefusedRecords::default();
        assert!(refused.is_empty());
        for index in 0..5000 {
            refused.add(index + 3, RecordFault::NoKey);
        }
        assert!(!refused.is_empty() && !refused.has_untimely());
        assert_eq!(refused.named().len(), NAMED_MAX);
        assert_eq!(refused.named()[999], (1002, RecordFault::NoKey));
        refused.add(5003, RecordFault::Behind { timestamp: 7, by: 12 });
        assert!(refused.has_untimely());
        assert!(refused.to_string().starts_with("5001 records"), "{refused}");
        assert!(refused.to_string().contains("record 3 of it"), "{refused}");
    }
}
