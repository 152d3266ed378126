//! Rules of late rows: the system's own word is taken, but it has to be a possible one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Findings, Violation, text};
use crate::model::{self, DELAY_MS, Log, Placed, Reading, Row};

/// A late row as the system kept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LateRow {
    pub(crate) sensor: String,
    pub(crate) quarters: i64,
    pub(crate) at_ms: i64,
    /// The watermark that it met, where the system says so.
    pub(crate) watermark: Option<i64>,
}

/// Reads a topic of late rows.
pub(crate) fn read_late_rows(job: &str, log: &Log) -> (Vec<LateRow>, Vec<Violation>) {
    let mut findings = Findings::of("late rows are input rows that came late");
    let mut rows = Vec::new();
    for record in log.iter().flatten() {
        let row = Row::parse(&record.value).and_then(|row| {
            Some(LateRow {
                sensor: row.text("sensor")?.to_owned(),
                quarters: row.quarters("celsius")?,
                at_ms: row.time("measured_at")?,
                watermark: row.time("watermark"),
            })
        });
        match row {
            Some(row) => rows.push(row),
            None => {
                findings.add(format!("{job}: a row that cannot be read: {}", text(&record.value)))
            }
        }
    }
    (rows, findings.found)
}

/// Finds the input rows that were kept as late, and checks that each could be late: its
/// window had fired at the watermark it met, and the rows before it allow that watermark.
/// Late rows do not say where they stood; rows that agree in all columns are the same.
pub(crate) fn late_rows(
    job: &str,
    input: &[Placed],
    late: &[LateRow],
) -> (BTreeSet<(usize, i64)>, Vec<Violation>) {
    let mut findings = Findings::of("late rows are input rows that came late");
    let mut candidates: HashMap<(&str, i64, i64), Vec<&Placed>> = HashMap::new();
    for row in input {
        let Reading { sensor, quarters, at_ms, .. } = &row.reading;
        candidates.entry((sensor, *quarters, *at_ms)).or_default().push(row);
    }
    let highest = Highest::of(input);
    let mut places = BTreeSet::new();
    // A reading that was written twice may be late twice: the later one met more.
    let mut late: Vec<&LateRow> = late.iter().collect();
    late.sort_by_key(|row| Reverse(row.watermark));
    for row in late {
        let rest = candidates.get_mut(&(row.sensor.as_str(), row.quarters, row.at_ms));
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            findings.add(format!("{job}: not in the input, or not so often: {row:?}"));
            continue;
        };
        // Where several rows agree, the one that had most before it.
        rest.sort_by_key(|placed| highest.before(placed));
        let Some(placed) = rest.pop() else { continue };
        let window = placed.reading.window();
        let possible = highest.before(placed);
        let met = row.watermark.unwrap_or(possible);
        if met > possible {
            findings.add(format!("{job}: watermark of {row:?} is above {possible}"));
        }
        if !model::fired(window, met) {
            findings.add(format!("{job}: the window of {row:?} had not fired at {met}"));
        }
        places.insert((placed.partition, placed.offset));
    }
    (places, findings.found)
}

/// The highest watermarks that the input allows.
struct Highest {
    /// At the end of each partition.
    at_end: BTreeMap<usize, i64>,
    /// At each row, of its own partition.
    at_row: HashMap<(usize, i64), i64>,
}

impl Highest {
    fn of(input: &[Placed]) -> Self {
        let mut at_end = BTreeMap::new();
        let mut at_row = HashMap::new();
        for row in input {
            let watermark = row.reading.at_ms - DELAY_MS;
            let highest = at_end.entry(row.partition).or_insert(watermark);
            *highest = watermark.max(*highest);
            at_row.insert((row.partition, row.offset), *highest);
        }
        Self { at_end, at_row }
    }

    /// When a row is read, its partition has been read up to it, and others perhaps to
    /// their ends.
    fn before(&self, row: &Placed) -> i64 {
        let others = self.at_end.iter().filter(|(partition, _)| **partition != row.partition);
        let own = self.at_row[&(row.partition, row.offset)];
        others.map(|(_, highest)| *highest).fold(own, i64::min)
    }
}
