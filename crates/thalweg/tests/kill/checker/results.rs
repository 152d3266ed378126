//! Rules of the jobs: what came out equals a batch computation over the input.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::{Findings, Violation, text};
use crate::model::{
    self, ALERT_QUARTERS, CORRECTION_QUARTERS, Log, Placed, Reading, Row, Totals, WindowKey,
};
use crate::sql::{JOBS, JobAccount, TotalsView, WindowsView};

/// A row of a job without state as it should come out.
pub(super) fn passed_on(reading: &Reading, correction: i64) -> Reading {
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

pub(super) fn count_and_sum(windows: &BTreeMap<WindowKey, Totals>) -> WindowsView {
    windows.iter().map(|(key, totals)| (key.clone(), (totals.count, totals.sum))).collect()
}

/// View `totals` has all of the input.
pub(crate) fn totals_view(input: &[Placed], view: &TotalsView) -> Vec<Violation> {
    let mut findings = Findings::of("view totals equals a batch query");
    findings.compare("sensor", view, &model::totals(input.iter().map(|row| &row.reading)));
    findings.found
}

/// A view made on the way counts all of the input, too.
pub(crate) fn extra_view(
    name: &str,
    input: &[Placed],
    view: &BTreeMap<String, i64>,
) -> Vec<Violation> {
    let mut findings = Findings::of("a view made on the way equals a batch query");
    let totals = model::totals(input.iter().map(|row| &row.reading));
    let should = totals.into_iter().map(|(sensor, totals)| (sensor, totals.count)).collect();
    findings.compare(&format!("{name}: sensor"), view, &should);
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

/// A side table has as many rows as its topic has records.
pub(crate) fn side_table(table: &str, rows: i64, topic: &Log) -> Vec<Violation> {
    let mut findings = Findings::of("side tables show what their topics hold");
    let records: usize = topic.iter().map(Vec::len).sum();
    if rows != records as i64 {
        findings.add(format!("{table} has {rows} rows, its topic {records} records"));
    }
    findings.found
}

/// Each job runs and accounts for every record of the input: as many read as there are,
/// as many bad as there are, as many late as it kept.
pub(crate) fn accounts(
    input: &Log,
    late: &BTreeMap<&str, usize>,
    jobs: &[JobAccount],
) -> Vec<Violation> {
    let jobs: Vec<&JobAccount> = jobs.iter().filter(|job| extra_of(job).is_none()).collect();
    let mut findings = Findings::of("in = used + late + bad");
    let records: usize = input.iter().map(Vec::len).sum();
    let bad = undecodable(input).len();
    if jobs.len() != JOBS.len() {
        findings.add(format!("{} jobs, not {}: {jobs:?}", jobs.len(), JOBS.len()));
    }
    for job in jobs {
        let late = late.iter().find(|(name, _)| job.name.contains(**name));
        let should = JobAccount {
            state: "running".into(),
            rows_in: records as i64,
            late: late.map_or(0, |(_, late)| *late as i64),
            bad: bad as i64,
            error: String::new(),
            ..job.clone()
        };
        if *job != should {
            findings.add(format!("{job:?}\n    instead of {should:?}"));
        }
    }
    findings.found
}

/// The extra view that a job keeps, if it does.
fn extra_of(job: &JobAccount) -> Option<&str> {
    job.name.find("made_").map(|at| &job.name[at..])
}

/// Each extra view has one job, which runs, and each job of an extra view has its view.
pub(crate) fn extra_jobs(listed: &BTreeSet<String>, jobs: &[JobAccount]) -> Vec<Violation> {
    let mut findings = Findings::of("a view and its job come and go together");
    let jobs = jobs.iter().filter_map(|job| Some((extra_of(job)?.to_owned(), job.state.clone())));
    let is: Vec<(String, String)> = jobs.collect();
    for (view, state) in &is {
        if !listed.contains(view) {
            findings.add(format!("{view} has a job ({state}) and is no view"));
        }
    }
    for view in listed {
        let states: Vec<_> = is.iter().filter(|(name, _)| name == view).collect();
        if !matches!(&states[..], [(_, state)] if state == "running") {
            findings.add(format!("{view} is a view with the jobs {states:?}"));
        }
    }
    findings.found
}
