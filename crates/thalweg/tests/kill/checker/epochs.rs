//! Rules of answers while the system runs: whole epochs that go forward.

use std::collections::{BTreeMap, HashMap};

use super::{Findings, Violation};
use crate::model::{Placed, Totals};
use crate::sql::TotalsView;
use crate::workload::pinned_to;

/// Each answer of view `totals` is that of one epoch: for each partition there is a prefix
/// of its input that gives all rows of the sensors that are only there; answers never go
/// back to a shorter one; sensors that are everywhere fit between.
pub(crate) fn answers_are_epochs(
    input: &[Placed],
    partitions: usize,
    answers: &[TotalsView],
) -> Vec<Violation> {
    let mut findings = Findings::of("an answer is one epoch, and none goes back");
    let history = History::of(input);
    let mut shortest = vec![0; partitions];
    for (number, answer) in answers.iter().enumerate() {
        let mut longest = vec![usize::MAX; partitions];
        for (sensor, steps) in &history.pinned {
            let Some(partition) = pinned_to(sensor) else { continue };
            let totals = answer.get(sensor).copied().unwrap_or(Totals::EMPTY);
            let Some(step) = steps.get(usize::try_from(totals.count).unwrap_or(usize::MAX)) else {
                findings
                    .add(format!("answer {number}: {sensor} has more rows than ever: {totals:?}"));
                continue;
            };
            if step.totals != totals {
                findings.add(format!(
                    "answer {number}: {sensor} is {totals:?}, its first {} rows give {:?}",
                    totals.count, step.totals
                ));
            }
            shortest[partition] = step.from.max(shortest[partition]);
            longest[partition] = step.until.min(longest[partition]);
        }
        for partition in 0..partitions {
            let (from, until) = (shortest[partition], longest[partition]);
            if from > until {
                findings.add(format!(
                    "answer {number}: no prefix of partition {partition}: at least {from} rows \
                     (of this or of an earlier answer) and at most {until}"
                ));
                // Once is enough; the next answer is judged anew.
                shortest[partition] = 0;
            }
        }
        history.check_roaming(number, answer, &shortest, &longest, &mut findings);
    }
    findings.found
}

/// A sensor's totals after so many of its rows, and the prefixes of the partition, in
/// rows, that have exactly these.
struct Step {
    totals: Totals,
    from: usize,
    until: usize,
}

/// The input as it grew.
struct History {
    /// By sensor with one partition, after 0, 1, 2... rows.
    pinned: BTreeMap<String, Vec<Step>>,
    /// By roaming sensor and partition, the rows' numbers in the partition.
    roaming: BTreeMap<String, BTreeMap<usize, Vec<usize>>>,
}

impl History {
    fn of(input: &[Placed]) -> Self {
        let mut history = Self { pinned: BTreeMap::new(), roaming: BTreeMap::new() };
        let mut lengths: HashMap<usize, usize> = HashMap::new();
        for row in input {
            let length = lengths.entry(row.partition).or_insert(0);
            *length += 1;
            let sensor = row.reading.sensor.clone();
            if pinned_to(&sensor).is_none() {
                let by_partition = history.roaming.entry(sensor).or_default();
                by_partition.entry(row.partition).or_default().push(*length);
                continue;
            }
            let start = || vec![Step { totals: Totals::EMPTY, from: 0, until: usize::MAX }];
            let steps = history.pinned.entry(sensor).or_insert_with(start);
            let last = steps.last_mut().expect("never empty");
            last.until = *length - 1;
            let totals = last.totals.with(row.reading.quarters);
            steps.push(Step { totals, from: *length, until: usize::MAX });
        }
        history
    }

    fn check_roaming(
        &self,
        number: usize,
        answer: &TotalsView,
        shortest: &[usize],
        longest: &[usize],
        findings: &mut Findings,
    ) {
        for (sensor, by_partition) in &self.roaming {
            let count_within = |bounds: &[usize]| -> i64 {
                let within = by_partition.iter().map(|(partition, rows)| {
                    rows.iter().take_while(|row| **row <= bounds[*partition]).count()
                });
                within.sum::<usize>() as i64
            };
            let (least, most) = (count_within(shortest), count_within(longest));
            let count = answer.get(sensor).map_or(0, |totals| totals.count);
            if !(least..=most).contains(&count) {
                findings.add(format!(
                    "answer {number}: {sensor} has {count} rows, the prefixes {least} to {most}"
                ));
            }
        }
    }
}
