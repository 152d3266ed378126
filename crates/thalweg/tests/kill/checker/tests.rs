//! Each rule is broken once on purpose, so that it is known that it can fail.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::late::LateRow;
use super::results::{count_and_sum, passed_on};
use super::*;
use crate::model::{self, BASE_MS, CORRECTION_QUARTERS, Log, Placed, Reading, Stored, readings};
use crate::objects::Fate;
use crate::observer::Records;
use crate::sql::{JobAccount, TotalsView};
use crate::workload::{Outcome, Sent};

const LIFE: u64 = 1;

fn reading(id: u64, sensor: &str, quarters: i64, at_ms: i64) -> Reading {
    Reading { id, sensor: sensor.into(), quarters, at_ms: BASE_MS + at_ms }
}

fn log(partitions: &[&[String]]) -> Log {
    let stored =
        |(offset, value): (usize, &String)| Stored::new(offset as i64, Bytes::from(value.clone()));
    partitions.iter().map(|records| records.iter().enumerate().map(stored).collect()).collect()
}

/// Sensors s-0 and s-3 on partition 0, s-1 and the roaming r-0 on partition 1.
fn input() -> Log {
    let zero = [
        reading(1, "s-0", 300, 0).json(),
        reading(3, "s-3", 330, 500).json(),
        "reading 5 is lost".to_owned(),
        reading(6, "s-0", 321, 4_000).json(),
        reading(7, "s-0", 310, 100).json(),
    ];
    let one = [
        reading(2, "s-1", 320, 200).json(),
        reading(4, "r-0", 340, 700).json(),
        reading(8, "s-1", 280, 4_000).json(),
    ];
    log(&[&zero, &one])
}

fn sent(input: &Log) -> Vec<Sent> {
    let mut sent = Vec::new();
    for (partition, records) in input.iter().enumerate() {
        sent.extend(records.iter().map(|record| Sent {
            id: Reading::decode(&record.value).map_or(5, |reading| reading.id),
            idempotent: Some(LIFE),
            partition,
            value: record.value.clone(),
            outcome: Outcome::Acked(Some(record.offset)),
        }));
    }
    sent.sort_by_key(|sent| sent.id);
    sent
}

fn details(violations: &[Violation]) -> String {
    violations.iter().map(|violation| format!("{violation}\n")).collect()
}

#[track_caller]
fn broken(violations: &[Violation], words: &str) {
    let details = details(violations);
    assert!(details.contains(words), "expected {words:?} in {details:?}");
}

#[track_caller]
fn kept(violations: &[Violation]) {
    assert!(violations.is_empty(), "{}", details(violations));
}

#[test]
fn what_was_sent_is_there() {
    kept(&input_is_what_was_sent(&sent(&input()), &input()));
    kept(&offsets_are_dense("t", &input()));
}

#[test]
fn a_lost_acknowledged_record_is_found() {
    let sent = sent(&input());
    let mut input = input();
    input[0].pop();
    broken(&input_is_what_was_sent(&sent, &input), "record 7 acknowledged at 0@4: []");
}

#[test]
fn an_acknowledgement_with_another_offset_is_found() {
    let mut sent = sent(&input());
    sent[0].outcome = Outcome::Acked(Some(3));
    broken(&input_is_what_was_sent(&sent, &input()), "record 1 acknowledged at 0@3: [(0, 0)]");
}

#[test]
fn a_duplicate_is_found_unless_the_producer_may_write_it() {
    let mut sent = sent(&input());
    let mut input = input();
    let again = Stored::new(5, input[0][4].value.clone());
    input[0].push(again);
    broken(&input_is_what_was_sent(&sent, &input), "record 7 of an idempotent producer is at");
    sent[6].idempotent = None;
    kept(&input_is_what_was_sent(&sent, &input));
}

#[test]
fn a_record_that_nobody_sent_is_found() {
    let mut sent = sent(&input());
    sent.remove(3);
    broken(&input_is_what_was_sent(&sent, &input()), "1@1: nobody sent");
}

#[test]
fn a_record_that_never_left_its_producer_is_found() {
    let mut sent = sent(&input());
    sent[0].outcome = Outcome::NotSent;
    broken(&input_is_what_was_sent(&sent, &input()), "record 1 never left its producer");
    sent[0].outcome = Outcome::Unknown;
    kept(&input_is_what_was_sent(&sent, &input()));
}

#[test]
fn a_changed_order_is_found() {
    let mut sent = sent(&input());
    let mut input = input();
    let first = input[1][0].value.clone();
    input[1][0].value = input[1][1].value.clone();
    input[1][1].value = first;
    for sent in &mut sent {
        sent.outcome = Outcome::Unknown;
    }
    broken(&input_is_what_was_sent(&sent, &input), "record 2 of producer 1 stands behind 4");
}

#[test]
fn a_gap_is_found() {
    let mut input = input();
    input[0].remove(1);
    broken(&offsets_are_dense("t", &input), "t-0: 2 follows 1");
}

#[test]
fn a_changed_or_vanished_offset_is_found() {
    let mut seen = Records::new();
    let of_partition = seen.entry(("t".into(), 1)).or_default();
    of_partition.insert(0, input()[1][0].value.clone());
    kept(&nothing_seen_has_changed("t", &input(), &seen));
    let of_partition = seen.entry(("t".into(), 1)).or_default();
    of_partition.insert(1, Bytes::from_static(b"something else"));
    of_partition.insert(3, Bytes::from_static(b"was visible"));
    let violations = nothing_seen_has_changed("t", &input(), &seen);
    broken(&violations, "t-1@1: read something else, now {\"id\": 4");
    broken(&violations, "t-1@3: read was visible, gone");
}

#[test]
fn a_lost_commit_is_found() {
    let committed = BTreeMap::from([(0, 5), (1, 3)]);
    kept(&commits_stay(&committed, &BTreeMap::from([(0, 5), (1, 4)])));
    broken(
        &commits_stay(&committed, &BTreeMap::from([(0, 4), (1, 3)])),
        "committed 5, now Some(4)",
    );
    broken(&commits_stay(&committed, &BTreeMap::from([(0, 5)])), "committed 3, now None");
}

#[test]
fn lost_and_risen_objects_are_found() {
    let fate = |name: &str, fate| (name.to_owned(), fate);
    let fates =
        BTreeMap::from([fate("a", Fate::Made), fate("b", Fate::Deleted), fate("c", Fate::Unknown)]);
    let listed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    kept(&objects_stay(&fates, &listed(&["a"])));
    kept(&objects_stay(&fates, &listed(&["a", "c"])));
    broken(&objects_stay(&fates, &listed(&["c"])), "a was made and is gone");
    broken(&objects_stay(&fates, &listed(&["a", "b"])), "b was deleted and is there");
    broken(&objects_stay(&fates, &listed(&["a", "d"])), "d is there and nobody asked for it");
}

#[test]
fn a_record_that_a_group_left_out_is_found() {
    let mut read = BTreeMap::from([(0, (0..5).collect()), (1, BTreeSet::from([0, 1, 2]))]);
    kept(&group_reads_all(&input(), &read));
    read.insert(1, BTreeSet::from([0, 2]));
    broken(&group_reads_all(&input(), &read), "partition 1: 1 records of 1 to 1");
    read.remove(&0);
    broken(&group_reads_all(&input(), &read), "partition 0: 5 records of 0 to 4");
}

fn adjusted_output() -> Log {
    let row = |placed: &Placed| passed_on(&placed.reading, CORRECTION_QUARTERS).json();
    let rows: Vec<String> = readings(&input()).iter().map(row).collect();
    log(&[&rows])
}

#[test]
fn adjusted_readings_are_compared() {
    let input = readings(&input());
    kept(&adjusted(&input, &adjusted_output()));
    let mut output = adjusted_output();
    output[0].remove(2);
    broken(&adjusted(&input, &output), "id: 6, sensor: \"s-0\"");
    let mut output = adjusted_output();
    let again = output[0][0].clone();
    output[0].push(again);
    let violations = adjusted(&input, &output);
    broken(&violations, "is 2, not 1");
    broken(&violations, "input 0@0 (reading 1) stands behind 0@4");
}

#[test]
fn alerts_are_compared() {
    let alert = |id, sensor, quarters, at_ms| {
        let row = reading(id, sensor, quarters, at_ms).json();
        row.replace('}', &format!(", \"message\": \"{sensor} is hot\"}}"))
    };
    let rows = [alert(3, "s-3", 330, 500), alert(6, "s-0", 321, 4_000), alert(4, "r-0", 340, 700)];
    let input = readings(&input());
    kept(&alerts(&input, &log(&[&rows])));
    broken(&alerts(&input, &log(&[&rows[..2]])), "id: 4, sensor: \"r-0\"");
    let cold = [&rows[..], &[alert(2, "s-1", 320, 200)]].concat();
    broken(&alerts(&input, &log(&[&cold])), "1 should not be there");
    let silent = rows.clone().map(|row| row.replace("is hot", "is cool"));
    broken(&alerts(&input, &log(&[&silent])), "message of");
}

fn late() -> Vec<LateRow> {
    let Reading { sensor, quarters, at_ms, .. } = reading(7, "s-0", 310, 100);
    vec![LateRow { sensor, quarters, at_ms, watermark: Some(BASE_MS + 2_000) }]
}

#[test]
fn late_rows_are_judged() {
    let input = readings(&input());
    let (places, violations) = late_rows("job", &input, &late());
    kept(&violations);
    assert_eq!(places, BTreeSet::from([(0, 4)]));

    // The same reading again, at the end: late in both places, with other watermarks.
    let mut again = input.clone();
    let closing = reading(9, "s-0", 290, 9_000);
    again.push(Placed { partition: 0, offset: 5, reading: closing });
    again.push(Placed { offset: 6, ..input[3].clone() });
    let closing = reading(10, "s-1", 290, 9_000);
    again.push(Placed { partition: 1, offset: 3, reading: closing });
    let mut both = [late(), late()].concat();
    both[1].watermark = Some(BASE_MS + 7_000);
    let (places, violations) = late_rows("job", &again, &both);
    kept(&violations);
    assert_eq!(places, BTreeSet::from([(0, 4), (0, 6)]));

    let twice = [late(), late()].concat();
    broken(&late_rows("job", &input, &twice).1, "job: not in the input, or not so often");
    let mut too_high = late();
    too_high[0].watermark = Some(BASE_MS + 2_001);
    broken(&late_rows("job", &input, &too_high).1, "is above");
    let mut not_fired = late();
    not_fired[0].watermark = Some(BASE_MS + 998);
    broken(&late_rows("job", &input, &not_fired).1, "had not fired");
    // Reading 1 was the first of all: nothing could be late to it.
    let first = LateRow { sensor: "s-0".into(), quarters: 300, at_ms: BASE_MS, watermark: None };
    broken(&late_rows("job", &input, &[first]).1, "had not fired");
}

fn window_row(sensor: &str, count: i64, sum: i64) -> String {
    format!(
        r#"{{"sensor": "{sensor}", "window_start": "2026-01-31 12:00:00", "readings": {count}, "celsius": {:?}, "average": {:?}}}"#,
        sum as f64 / 4.0,
        sum as f64 / 4.0 / count as f64
    )
}

#[test]
fn windows_are_compared() {
    let input = readings(&input());
    let expected = expected_windows(&input, 2, &BTreeSet::from([(0, 4)]));
    let rows = [
        window_row("s-0", 1, 300),
        window_row("s-3", 1, 330),
        window_row("s-1", 1, 320),
        window_row("r-0", 1, 340),
    ];
    kept(&windows(&expected, &log(&[&rows])));
    kept(&windows_view(&expected, &count_and_sum(&expected)));
    broken(&windows(&expected, &log(&[&rows[..3]])), "missing, should be (1, 340)");
    let twice = [&rows[..], &rows[..1]].concat();
    broken(&windows(&expected, &log(&[&twice])), "came twice");
    let with_late = [&rows[1..], &[window_row("s-0", 2, 610)]].concat();
    broken(&windows(&expected, &log(&[&with_late])), "is (2, 610), not (1, 300)");
    let wrong_average =
        rows.clone().map(|row| row.replace("75.0,", "75.0, \"average\": 1, \"x\":"));
    broken(&windows(&expected, &log(&[&wrong_average])), "a row that cannot be right");
    let mut view = count_and_sum(&expected);
    view.insert(("s-9".into(), BASE_MS), (1, 1));
    broken(&windows_view(&expected, &view), "(1, 1) should not be there");
}

#[test]
fn bad_records_are_compared() {
    let bad = |partition: &str, offset: &str, value: &Bytes| Stored {
        headers: vec![
            ("thalweg.partition".into(), partition.into()),
            ("thalweg.offset".into(), offset.into()),
            ("thalweg.reason".into(), "not JSON".into()),
        ],
        ..Stored::new(0, value.clone())
    };
    let input = input();
    let one = bad("0", "2", &input[0][2].value);
    let judge = |kept: &[Stored], times| bad_records(&input, &vec![kept.to_vec()], times);
    kept(&judge(std::slice::from_ref(&one), 1));
    kept(&judge(&[one.clone(), one.clone()], 2));
    broken(&judge(&[], 1), "record (0, 2): missing");
    broken(&judge(&[one.clone(), one.clone()], 1), "record (0, 2): is");
    let good = bad("1", "0", &input[1][0].value);
    broken(&judge(&[one.clone(), good], 1), "record (1, 0)");
    let changed = bad("0", "2", &Bytes::from_static(b"reading 5 was lost"));
    broken(&judge(&[changed], 1), "record (0, 2): is");
    broken(&judge(&[Stored { headers: Vec::new(), ..one }], 1), "does not say where it stood");
}

#[test]
fn a_side_table_is_compared() {
    kept(&side_table("t$bad", 8, &input()));
    broken(&side_table("t$bad", 7, &input()), "t$bad has 7 rows, its topic 8 records");
}

#[test]
fn late_rows_are_read() {
    let row = r#"{"sensor": "s-0", "celsius": 77.5, "measured_at": "2026-01-31 12:00:00.100",
        "watermark": "2026-01-31 12:00:02"}"#;
    let (rows, violations) = read_late_rows("job", &log(&[&[row.to_owned(), "{}".to_owned()]]));
    assert_eq!(rows, late());
    broken(&violations, "a row that cannot be read: {}");
}

#[test]
fn accounts_are_compared() {
    let job = |name: &str, late| JobAccount {
        name: name.into(),
        state: "running".into(),
        rows_in: 8,
        late,
        bad: 1,
        error: String::new(),
    };
    let jobs = [job("a", 0), job("c.d.windows", 2), job("b", 0), job("c", 0), job("d", 0)];
    let late = BTreeMap::from([("windows", 2)]);
    kept(&accounts(&input(), &late, &jobs));
    broken(&accounts(&input(), &late, &jobs[..4]), "4 jobs, not 5");
    type Change = fn(&mut JobAccount);
    let changes: [Change; 4] = [
        |job| job.rows_in += 1,
        |job| job.late += 1,
        |job| job.bad -= 1,
        |job| job.state = "failed".into(),
    ];
    for change in changes {
        let mut wrong = jobs.clone();
        change(&mut wrong[1]);
        broken(&accounts(&input(), &late, &wrong), "name: \"c.d.windows\"");
    }
}

/// View `totals` after so many readings of the two partitions.
fn answer(zero: usize, one: usize) -> TotalsView {
    let input = readings(&input());
    let prefix =
        |partition, length| input.iter().filter(move |row| row.partition == partition).take(length);
    model::totals(prefix(0, zero).chain(prefix(1, one)).map(|row| &row.reading))
}

#[test]
fn the_final_view_is_compared() {
    let input = readings(&input());
    kept(&totals_view(&input, &answer(4, 3)));
    broken(&totals_view(&input, &answer(4, 2)), "sensor \"s-1\": is");
}

#[test]
fn a_view_made_on_the_way_is_compared() {
    let input = readings(&input());
    let mut counts: BTreeMap<String, i64> =
        answer(4, 3).into_iter().map(|(sensor, totals)| (sensor, totals.count)).collect();
    kept(&extra_view("v", &input, &counts));
    counts.insert("s-0".into(), 2);
    broken(&extra_view("v", &input, &counts), "v: sensor \"s-0\": is 2, not 3");
}

#[test]
fn a_view_without_a_job_and_a_job_without_a_view_are_found() {
    let job = |name: &str, state: &str| JobAccount {
        name: name.into(),
        state: state.into(),
        rows_in: 0,
        late: 0,
        bad: 0,
        error: String::new(),
    };
    let jobs = [job("totals", "running"), job("made_1", "running")];
    let listed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    kept(&extra_jobs(&listed(&["made_1"]), &jobs));
    broken(&extra_jobs(&listed(&[]), &jobs), "made_1 has a job (running) and is no view");
    broken(&extra_jobs(&listed(&["made_1", "made_2"]), &jobs), "made_2 is a view with the jobs []");
    let failed = [job("made_1", "failed")];
    broken(&extra_jobs(&listed(&["made_1"]), &failed), "made_1 is a view with the jobs [(");
}

#[test]
fn whole_epochs_that_go_forward_are_right() {
    let input = readings(&input());
    let answers = [answer(0, 0), answer(1, 0), answer(3, 2), answer(4, 3)];
    kept(&answers_are_epochs(&input, 2, &answers));
}

#[test]
fn a_torn_epoch_is_found() {
    let input = readings(&input());
    // The third row of s-0, but nothing of s-3, which came before it.
    let mut torn = answer(4, 3);
    torn.remove("s-3");
    broken(&answers_are_epochs(&input, 2, &[torn]), "no prefix of partition 0");
    // s-1 has all its rows, the roaming sensor between them none.
    let mut torn = answer(4, 3);
    torn.remove("r-0");
    broken(&answers_are_epochs(&input, 2, &[torn]), "r-0 has 0 rows, the prefixes 1 to 1");
}

#[test]
fn an_answer_that_goes_back_is_found() {
    let input = readings(&input());
    let answers = [answer(3, 2), answer(1, 2)];
    broken(&answers_are_epochs(&input, 2, &answers), "answer 1: no prefix of partition 0");
}

#[test]
fn a_wrong_sum_in_an_answer_is_found() {
    let input = readings(&input());
    let mut wrong = answer(3, 2);
    wrong.get_mut("s-0").expect("there").sum += 1;
    broken(&answers_are_epochs(&input, 2, &[wrong]), "answer 0: s-0 is");
    let mut wrong = answer(4, 3);
    wrong.get_mut("s-1").expect("there").count += 1;
    broken(&answers_are_epochs(&input, 2, &[wrong]), "s-1 has more rows than ever");
}

#[test]
fn transactions() {
    use crate::transactor::{End, Part, Transaction};
    let part = |number, part| Part { transactor: 0, number, part }.text();
    let begun = |number, parts, end| Transaction { transactor: 0, number, parts, end };
    let ledger = [
        begun(0, 2, End::Committed),
        begun(1, 2, End::Aborted),
        begun(2, 2, End::Unknown),
        begun(3, 1, End::Unknown),
    ];
    let right = log(&[&[part(0, 0), part(2, 0)], &[part(0, 1), part(2, 1)]]);
    assert_eq!(transactions_are_whole(&ledger, &right), []);
    for (wrong, expected) in [
        (log(&[&[part(0, 0)]]), "1 of its records"),
        (log(&[&[]]), "0 of its records"),
        (log(&[&[part(0, 0), part(1, 0), part(1, 1)], &[part(0, 1)]]), "2 of its records"),
        (log(&[&[part(0, 0), part(0, 1), part(2, 1)]]), "1 of its records"),
        (log(&[&[part(0, 0), part(0, 1), part(0, 1)]]), "is there twice"),
        (log(&[&[part(2, 0), part(0, 0)], &[part(0, 1), part(2, 1)]]), "stands behind"),
        (log(&[&[part(0, 0), part(0, 1), part(9, 0)]]), "never begun"),
        (log(&[&[part(0, 0), part(0, 1), "boo".to_owned()]]), "nobody sent"),
    ] {
        let found = details(&transactions_are_whole(&ledger, &wrong));
        assert!(found.contains(expected), "{expected}: {found}");
    }
}
