//! Rules of the log: what was acknowledged is there, once, in order, unchanged.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::{Findings, Violation, text};
use crate::model::Log;
use crate::objects::Fate;
use crate::observer::Records;
use crate::workload::{Outcome, Sent};

/// Offsets of a topic without control records follow each other from 0.
pub(crate) fn offsets_are_dense(topic: &str, log: &Log) -> Vec<Violation> {
    let mut findings = Findings::of("offsets have no gap");
    for (partition, records) in log.iter().enumerate() {
        let gap = records.iter().enumerate().find(|(n, record)| record.offset != *n as i64);
        if let Some((expected, record)) = gap {
            findings.add(format!("{topic}-{partition}: {} follows {expected}", record.offset));
        }
    }
    findings.found
}

/// What a reader saw at an offset is there at the end, and the same.
pub(crate) fn nothing_seen_has_changed(topic: &str, log: &Log, seen: &Records) -> Vec<Violation> {
    let mut findings = Findings::of("what was read stays");
    for (partition, records) in log.iter().enumerate() {
        let now: HashMap<i64, &Bytes> = records.iter().map(|r| (r.offset, &r.value)).collect();
        for (offset, value) in seen.get(&(topic.to_owned(), partition)).into_iter().flatten() {
            match now.get(offset) {
                Some(now) if *now == value => {}
                Some(now) => findings.add(format!(
                    "{topic}-{partition}@{offset}: read {}, now {}",
                    text(value),
                    text(now)
                )),
                None => findings
                    .add(format!("{topic}-{partition}@{offset}: read {}, gone", text(value))),
            }
        }
    }
    findings.found
}

/// Every acknowledged record is at its offset; nothing else is there but what may be; an
/// idempotent producer's records are there once and in its order.
pub(crate) fn input_is_what_was_sent(sent: &[Sent], input: &Log) -> Vec<Violation> {
    let mut findings = Findings::of("the input is what was sent");
    let by_value: HashMap<&Bytes, &Sent> = sent.iter().map(|sent| (&sent.value, sent)).collect();
    let mut places: HashMap<u64, Vec<(usize, i64)>> = HashMap::new();
    for (partition, records) in input.iter().enumerate() {
        let mut newest: HashMap<u64, u64> = HashMap::new();
        for record in records {
            let Some(sent) = by_value.get(&record.value) else {
                findings.add(format!(
                    "{partition}@{}: nobody sent {}",
                    record.offset,
                    text(&record.value)
                ));
                continue;
            };
            places.entry(sent.id).or_default().push((partition, record.offset));
            let Some(life) = sent.idempotent else { continue };
            let newest = newest.entry(life).or_insert(0);
            if *newest > sent.id {
                findings.add(format!(
                    "{partition}@{}: record {} of producer {life} stands behind {newest}",
                    record.offset, sent.id
                ));
            }
            *newest = sent.id.max(*newest);
        }
    }
    for sent in sent {
        let found = places.get(&sent.id).map_or(&[][..], Vec::as_slice);
        check_sent(sent, found, &mut findings);
    }
    findings.found
}

fn check_sent(sent: &Sent, found: &[(usize, i64)], findings: &mut Findings) {
    let id = sent.id;
    if found.iter().any(|(partition, _)| *partition != sent.partition) {
        findings.add(format!("record {id} was for partition {}: {found:?}", sent.partition));
    }
    if found.len() > 1 && sent.idempotent.is_some() {
        findings.add(format!("record {id} of an idempotent producer is at {found:?}"));
    }
    match sent.outcome {
        Outcome::Acked(Some(offset)) if !found.contains(&(sent.partition, offset)) => findings
            .add(format!("record {id} acknowledged at {}@{offset}: {found:?}", sent.partition)),
        Outcome::Acked(None) if found.is_empty() => {
            findings.add(format!("record {id} acknowledged: it is nowhere"));
        }
        Outcome::NotSent if !found.is_empty() => {
            findings.add(format!("record {id} never left its producer: {found:?}"));
        }
        Outcome::Acked(_) | Outcome::NotSent | Outcome::Unknown => {}
    }
}

/// What a group committed is what the server has for it, or less than that.
pub(crate) fn commits_stay(
    committed: &BTreeMap<i32, i64>,
    stored: &BTreeMap<i32, i64>,
) -> Vec<Violation> {
    let mut findings = Findings::of("an acknowledged commit stays");
    for (partition, offset) in committed {
        let stored = stored.get(partition);
        if stored.is_none_or(|stored| stored < offset) {
            findings.add(format!("partition {partition}: committed {offset}, now {stored:?}"));
        }
    }
    findings.found
}

/// Objects that the server said it made exist; those that it said it deleted do not.
pub(crate) fn objects_stay(
    fates: &BTreeMap<String, Fate>,
    listed: &BTreeSet<String>,
) -> Vec<Violation> {
    let mut findings = Findings::of("objects are as answered");
    for (name, fate) in fates {
        match (fate, listed.contains(name)) {
            (Fate::Made, false) => findings.add(format!("{name} was made and is gone")),
            (Fate::Deleted, true) => findings.add(format!("{name} was deleted and is there")),
            _ => {}
        }
    }
    for name in listed.iter().filter(|name| !fates.contains_key(*name)) {
        findings.add(format!("{name} is there and nobody asked for it"));
    }
    findings.found
}

/// The members of a group read every record, some perhaps more than once.
pub(crate) fn group_reads_all(
    input: &Log,
    read: &BTreeMap<usize, BTreeSet<i64>>,
) -> Vec<Violation> {
    let mut findings = Findings::of("a group leaves nothing out");
    for (partition, records) in input.iter().enumerate() {
        let read = read.get(&partition);
        let left_out = |offset: &i64| read.is_none_or(|read| !read.contains(offset));
        let left_out: Vec<i64> = records.iter().map(|r| r.offset).filter(left_out).collect();
        if let (Some(first), Some(last)) = (left_out.first(), left_out.last()) {
            let count = left_out.len();
            findings.add(format!("partition {partition}: {count} records of {first} to {last}"));
        }
    }
    findings.found
}
