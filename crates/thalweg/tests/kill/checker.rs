//! The rules. Each takes what is known and gives the violations that it finds; none
//! asks the system anything. `tests` plants a violation of each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use bytes::Bytes;

use crate::model::{
    self, ALERT_QUARTERS, CORRECTION_QUARTERS, DELAY_MS, Log, Placed, Reading, Row, Totals,
    WindowKey,
};
use crate::observer::Records;
use crate::sql::{TotalsView, WindowsView};
use crate::topics::Fate;
use crate::workload::{Outcome, Sent, pinned_to};

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

/// Topics that the server said it made exist; those that it said it deleted do not.
pub(crate) fn topics_stay(
    fates: &BTreeMap<String, Fate>,
    listed: &BTreeSet<String>,
) -> Vec<Violation> {
    let mut findings = Findings::of("topics are as answered");
    for (topic, fate) in fates {
        match (fate, listed.contains(topic)) {
            (Fate::Made, false) => findings.add(format!("{topic} was made and is gone")),
            (Fate::Deleted, true) => findings.add(format!("{topic} was deleted and is there")),
            _ => {}
        }
    }
    for topic in listed.iter().filter(|topic| !fates.contains_key(*topic)) {
        findings.add(format!("{topic} is there and nobody asked for it"));
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

/// A row of a job without state as it should come out.
fn passed_on(reading: &Reading, correction: i64) -> Reading {
    Reading { quarters: reading.quarters - correction, ..reading.clone() }
}

/// Alerts are the readings above the threshold, each once.
pub(crate) fn alerts(input: &[Placed], output: &Log) -> Vec<Violation> {
    let hot = input.iter().filter(|row| row.reading.quarters > ALERT_QUARTERS);
    let mut found = mapped("alerts are the filtered input", hot, 0, output);
    let mut findings = Findings::of("alerts are the filtered input");
    for record in output.iter().flatten() {
        let row = Row::parse(&record.value);
        let message = row.as_ref().and_then(|row| row.text("message"));
        let sensor = row.as_ref().and_then(|row| row.text("sensor")).unwrap_or("?");
        if message != Some(&format!("{sensor} is hot")) {
            findings.add(format!("message of {}", text(&record.value)));
        }
    }
    found.append(&mut findings.found);
    found
}

/// Adjusted readings are all readings, each once, with the correction.
pub(crate) fn adjusted(input: &[Placed], output: &Log) -> Vec<Violation> {
    mapped("adjusted readings are the input", input.iter(), CORRECTION_QUARTERS, output)
}

fn mapped<'a>(
    rule: &'static str,
    input: impl Iterator<Item = &'a Placed>,
    correction: i64,
    output: &Log,
) -> Vec<Violation> {
    let mut findings = Findings::of(rule);
    let mut should: BTreeMap<Reading, u32> = BTreeMap::new();
    let mut places: HashMap<u64, Vec<(usize, i64)>> = HashMap::new();
    for row in input {
        *should.entry(passed_on(&row.reading, correction)).or_default() += 1;
        places.entry(row.reading.id).or_default().push((row.partition, row.offset));
    }
    let mut is: BTreeMap<Reading, u32> = BTreeMap::new();
    for (partition, records) in output.iter().enumerate() {
        let mut newest: HashMap<usize, i64> = HashMap::new();
        for record in records {
            let at = format!("{partition}@{}", record.offset);
            let Some(reading) = Reading::decode(&record.value) else {
                findings.add(format!("{at}: a row that cannot be read: {}", text(&record.value)));
                continue;
            };
            // A reading that stands twice in the input has no order of its own.
            if let Some([(source, offset)]) = places.get(&reading.id).map(Vec::as_slice) {
                let newest = newest.entry(*source).or_insert(-1);
                if *newest > *offset {
                    findings.add(format!(
                        "{at}: input {source}@{offset} (reading {}) stands behind {source}@{newest}",
                        reading.id
                    ));
                }
                *newest = *offset;
            }
            *is.entry(reading).or_default() += 1;
        }
    }
    findings.compare("times", &is, &should);
    findings.found
}

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

/// Windows that should have come out: those of the input without its late rows that the
/// last watermark closes.
pub(crate) fn expected_windows(
    input: &[Placed],
    partitions: usize,
    late: &BTreeSet<(usize, i64)>,
) -> BTreeMap<WindowKey, Totals> {
    let watermark = model::watermark(input, partitions).unwrap_or(i64::MIN);
    let mut windows = model::windows(input, late);
    windows.retain(|(_, start), _| model::fired(*start, watermark));
    windows
}

/// The topic of windows has each window once, with its count, sum and average.
pub(crate) fn windows(expected: &BTreeMap<WindowKey, Totals>, output: &Log) -> Vec<Violation> {
    let mut findings = Findings::of("windows equal a batch query");
    let mut is = BTreeMap::new();
    for record in output.iter().flatten() {
        let read = Row::parse(&record.value).and_then(|row| {
            let key = (row.text("sensor")?.to_owned(), row.time("window_start")?);
            let (count, sum) = (row.integer("readings")?, row.quarters("celsius")?);
            let exact = sum as f64 / 4.0 / count as f64;
            ((row.number("average")? - exact).abs() < 1e-9).then_some((key, (count, sum)))
        });
        let Some((key, value)) = read else {
            findings.add(format!("a row that cannot be right: {}", text(&record.value)));
            continue;
        };
        if let Some(before) = is.insert(key.clone(), value) {
            findings.add(format!("{key:?} came twice: {before:?} and {value:?}"));
        }
    }
    findings.compare("window", &is, &count_and_sum(expected));
    findings.found
}

/// View `per_second` has each window, with its count and sum.
pub(crate) fn windows_view(
    expected: &BTreeMap<WindowKey, Totals>,
    view: &WindowsView,
) -> Vec<Violation> {
    let mut findings = Findings::of("view per_second equals a batch query");
    findings.compare("window", view, &count_and_sum(expected));
    findings.found
}

fn count_and_sum(windows: &BTreeMap<WindowKey, Totals>) -> WindowsView {
    windows.iter().map(|(key, totals)| (key.clone(), (totals.count, totals.sum))).collect()
}

/// View `totals` has all of the input.
pub(crate) fn totals_view(input: &[Placed], view: &TotalsView) -> Vec<Violation> {
    let mut findings = Findings::of("view totals equals a batch query");
    findings.compare("sensor", view, &model::totals(input.iter().map(|row| &row.reading)));
    findings.found
}

/// Undecodable records of the input, as (partition, offset) to bytes.
pub(crate) fn undecodable(input: &Log) -> BTreeMap<(usize, i64), Bytes> {
    let mut bad = BTreeMap::new();
    for (partition, records) in input.iter().enumerate() {
        let undecodable = records.iter().filter(|record| Reading::decode(&record.value).is_none());
        bad.extend(undecodable.map(|record| ((partition, record.offset), record.value.clone())));
    }
    bad
}

/// Bad records that were kept are the undecodable ones, each `times` times, with headers
/// that say where it stood and why it is bad.
pub(crate) fn bad_records(input: &Log, kept: &Log, times: usize) -> Vec<Violation> {
    let mut findings = Findings::of("bad records are the undecodable ones");
    let mut is: BTreeMap<(usize, i64), Vec<Bytes>> = BTreeMap::new();
    for record in kept.iter().flatten() {
        let place = (|| {
            record.header("thalweg.reason").filter(|reason| !reason.is_empty())?;
            let partition = record.header("thalweg.partition")?.parse().ok()?;
            Some((partition, record.header("thalweg.offset")?.parse().ok()?))
        })();
        match place {
            Some(place) => is.entry(place).or_default().push(record.value.clone()),
            None => findings.add(format!("{record:?} does not say where it stood and why")),
        }
    }
    let should = undecodable(input).into_iter().map(|(place, raw)| (place, vec![raw; times]));
    findings.compare("record", &is, &should.collect());
    findings.found
}

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

#[cfg(test)]
#[path = "checker_tests.rs"]
mod tests;
