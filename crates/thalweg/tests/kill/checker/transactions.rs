//! Rules of transactions: all or nothing, as answered, in order.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Violation, text};
use crate::model::Log;
use crate::transactor::{End, Part, Transaction};

/// What a reader of committed records finds in the topic is, of each transaction, every
/// record once or none at all, as its producer was told, and in the producer's order.
pub(crate) fn transactions_are_whole(begun: &[Transaction], log: &Log) -> Vec<Violation> {
    let mut findings = Findings::of("a transaction is all or nothing");
    let mut found: BTreeMap<(u64, u64), BTreeSet<u64>> = BTreeMap::new();
    for (partition, records) in log.iter().enumerate() {
        let mut newest: BTreeMap<u64, Part> = BTreeMap::new();
        for record in records {
            let place = format!("{partition}@{}", record.offset);
            let Some(part) = Part::parse(&record.value) else {
                findings.add(format!("{place}: nobody sent {}", text(&record.value)));
                continue;
            };
            if !found.entry((part.transactor, part.number)).or_default().insert(part.part) {
                findings.add(format!("{place}: {part:?} is there twice"));
            }
            match newest.insert(part.transactor, part) {
                Some(before) if before > part => {
                    findings.add(format!("{place}: {part:?} stands behind {before:?}"));
                }
                _ => {}
            }
        }
    }
    for transaction in begun {
        let parts = found.remove(&(transaction.transactor, transaction.number));
        let parts = parts.map_or(0, |parts| parts.len() as u64);
        let right = match transaction.end {
            End::Committed => parts == transaction.parts,
            End::Aborted => parts == 0,
            End::Unknown => parts == 0 || parts == transaction.parts,
        };
        if !right {
            findings.add(format!("{transaction:?}: {parts} of its records are visible"));
        }
    }
    for (number, parts) in found {
        findings.add(format!("transaction {number:?} was never begun: {parts:?}"));
    }
    findings.found
}
