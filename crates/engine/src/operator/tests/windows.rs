//! Windowed aggregation against the model.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;
use thalweg_core::time::Millis;
use thalweg_stream::RowKind;
use thalweg_stream::graph::{Node, Operator, WindowAggregate};
use thalweg_stream::window::{Window, WindowTime};

use super::harness::{
    EpochInput, EpochOutput, Event, Row, Run, aggregates, fold, input_schema, inputs, run,
    run_until_timer,
};
use super::model::WindowModel;

#[derive(Clone, Debug)]
struct Case {
    window: Window,
    lateness: Millis,
    keyed: bool,
    text_keys: bool,
    processing_time: bool,
}

impl Case {
    fn node(&self) -> Node {
        let keys = if self.keyed { vec![0] } else { Vec::new() };
        let input = input_schema(self.text_keys);
        let mut fields: Vec<Field> = keys.iter().map(|&key| input.field(key).clone()).collect();
        let aggregates = aggregates();
        fields.extend(aggregates.iter().enumerate().map(|(number, call)| {
            Field::new(format!("a{number}"), call.result_type.clone(), true)
        }));
        let instant = DataType::Timestamp(TimeUnit::Millisecond, None);
        let mut names = vec!["window_start", "window_end"];
        if !self.processing_time {
            names.push("window_time");
        }
        fields.extend(names.into_iter().map(|name| Field::new(name, instant.clone(), false)));
        let time = if self.processing_time {
            WindowTime::Processing
        } else {
            WindowTime::Event { column: 1 }
        };
        Node {
            uid: "window".into(),
            name: "window".into(),
            operator: Operator::WindowAggregate(WindowAggregate {
                window: self.window,
                time,
                keys,
                aggregates,
                allowed_lateness: self.lateness,
            }),
            inputs: Vec::new(),
            schema: Arc::new(Schema::new(fields)),
            updating: self.lateness > 0,
            rowtime: None,
        }
    }

    fn run(&self, updating: bool) -> Run {
        Run {
            text_keys: self.text_keys,
            updating,
            keys: if self.keyed { vec![0] } else { Vec::new() },
            cuts: None,
            parallelism: vec![1],
            restore: false,
        }
    }
}

fn windows() -> impl Strategy<Value = Window> {
    let times = prop_oneof![3 => 1_i64..5, 1 => 9_i64..40];
    (0..5, 1_i64..9, times, -5_i64..5).prop_map(|(kind, part, times, offset)| match kind {
        0 => Window::Tumbling { size: part * times, offset },
        1 => Window::Hopping { slide: part, size: part * times, offset },
        2 => Window::Cumulating { step: part, size: part * times, offset },
        _ => Window::Session { gap: part },
    })
}

fn cases() -> impl Strategy<Value = Case> {
    let lateness = prop_oneof![2 => Just(0), 1 => 1_i64..20];
    (windows(), lateness, any::<bool>(), any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(window, lateness, keyed, text_keys, processing_time)| Case {
            window,
            lateness,
            keyed,
            text_keys,
            processing_time,
        },
    )
}

fn sorted(outputs: &[EpochOutput]) -> Vec<EpochOutput> {
    let sort = |output: &EpochOutput| {
        let mut output = output.clone();
        output.changes.sort();
        output.late.sort_by_key(|(row, watermark)| (row.time, row.key, row.value, *watermark));
        output
    };
    outputs.iter().map(sort).collect()
}

/// Places of FIRST_VALUE and LAST_VALUE among the aggregates.
const BY_ARRIVAL: [usize; 2] = [6, 7];

/// What an epoch has to show. The model loses the order of arrival where sessions merge,
/// and does not know which of several equal values of a window is taken back.
fn comparable(case: &Case, updating: bool, rows: Vec<Vec<Option<i64>>>) -> Vec<Vec<Option<i64>>> {
    let mut rows = rows;
    let is_tumbling = matches!(case.window, Window::Tumbling { .. });
    if matches!(case.window, Window::Session { .. }) || (updating && !is_tumbling) {
        for row in &mut rows {
            for place in BY_ARRIVAL {
                row[usize::from(case.keyed) + place] = None;
            }
        }
    }
    rows.sort();
    rows
}

fn check(case: &Case, updating: bool, epochs: &[EpochInput], cuts: u64) {
    let node = case.node();
    let outputs = run(&node, epochs, &case.run(updating));
    let mut model = WindowModel::new(case.window, case.lateness, case.keyed, case.processing_time);
    for (number, epoch) in epochs.iter().enumerate() {
        let (results, late) = model.epoch(epoch);
        if model.confused {
            break;
        }
        let given = fold(&outputs[..=number]);
        let [given, results] = [given, results].map(|rows| comparable(case, updating, rows));
        assert_eq!(given, results, "epoch {number}");
        let given: Vec<_> = outputs[..=number].iter().flat_map(|o| o.late.clone()).collect();
        assert_eq!(given, late, "late rows of epoch {number}");
    }
    if case.lateness == 0 {
        let changes = outputs.iter().flat_map(|output| &output.changes);
        let (start, end) =
            (node.schema.index_of("window_start"), node.schema.index_of("window_end"));
        let (start, end) = (start.unwrap(), end.unwrap());
        let order: Vec<_> = changes.map(|(_, row)| (row[end], row[start])).collect();
        assert!(order.is_sorted(), "{order:?}");
    }

    let cut = Run { cuts: Some(cuts), ..case.run(updating) };
    assert_eq!(run(&node, epochs, &cut), outputs, "cut into batches");
    let restored = Run { restore: true, ..cut.clone() };
    assert_eq!(run(&node, epochs, &restored), outputs, "restored before each epoch");
    let rescaled = Run { parallelism: vec![1, 3, 2], ..cut };
    let rescaled = run(&node, epochs, &rescaled);
    assert_eq!(sorted(&rescaled), sorted(&outputs), "rescaled");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn windows_of_inserts(case in cases(), epochs in inputs(false), cuts in any::<u64>()) {
        check(&case, false, &epochs, cuts);
    }

    #[test]
    fn windows_of_an_updating_input(
        case in cases(), epochs in inputs(true), cuts in any::<u64>(),
    ) {
        // In processing time a row is taken back in the window of another time than that in
        // which it came: Flink's results then mean nothing either.
        check(&Case { processing_time: false, ..case }, true, &epochs, cuts);
    }
}

/// Windows of processing time ask to be woken when they end, and fire then.
#[test]
fn processing_time_has_timers() {
    for (window, end) in [
        (Window::Tumbling { size: 10, offset: 0 }, 110),
        (Window::Hopping { slide: 5, size: 10, offset: 0 }, 105),
        (Window::Session { gap: 30 }, 133),
    ] {
        let case =
            Case { window, lateness: 0, keyed: true, text_keys: false, processing_time: true };
        let row = Event::Row(RowKind::Insert, Row { key: Some(1), time: 0, value: Some(1) });
        let (fired, timer) = run_until_timer(&case.node(), &[row], 103);
        assert_eq!((fired, timer), (vec![end], Some(end)), "{window:?}");
    }
}
