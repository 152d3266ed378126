//! Unwindowed aggregation against a model.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow_schema::{Field, Schema};
use proptest::prelude::*;
use thalweg_core::ids::Epoch;
use thalweg_core::time::{MIN_WATERMARK, Millis};
use thalweg_stream::graph::{GroupAggregate, Node, Operator};
use thalweg_stream::{ChangeBatch, RowKind};

use super::harness::{
    Cell, Change, EpochInput, EpochOutput, Event, Row, Run, aggregates, input_schema, input_spec,
    inputs, run,
};
use super::model::Contents;
use crate::operator::{Collector, OperatorContext, build};

fn node(keys: &[usize], with_aggregates: bool, ttl: Option<Millis>, update_before: bool) -> Node {
    let input = input_schema(false);
    let mut fields: Vec<Field> = keys.iter().map(|&key| input.field(key).clone()).collect();
    let aggregates = if with_aggregates { aggregates() } else { Vec::new() };
    fields.extend(
        aggregates
            .iter()
            .enumerate()
            .map(|(number, call)| Field::new(format!("a{number}"), call.result_type.clone(), true)),
    );
    Node {
        uid: "group".into(),
        name: "group".into(),
        operator: Operator::GroupAggregate(GroupAggregate {
            keys: keys.to_vec(),
            aggregates,
            ttl,
            update_before,
        }),
        inputs: Vec::new(),
        schema: Arc::new(Schema::new(fields)),
        updating: true,
        rowtime: None,
    }
}

/// What an aggregation by the key column has to give.
struct GroupModel {
    keyed: bool,
    with_aggregates: bool,
    ttl: Option<Millis>,
    update_before: bool,
    groups: BTreeMap<Option<i64>, (Contents, Millis)>,
}

impl GroupModel {
    fn result(&self, key: Option<i64>) -> Option<Vec<Cell>> {
        let results = self.groups.get(&key)?.0.results()?;
        let mut row = if self.keyed { vec![key] } else { Vec::new() };
        if self.with_aggregates {
            row.extend(results);
        }
        Some(row)
    }

    fn epoch(&mut self, epoch: &EpochInput) -> Vec<Change> {
        if let Some(ttl) = self.ttl {
            self.groups.retain(|_, (_, touched_at)| *touched_at + ttl > epoch.now);
        }
        let mut before: Vec<(Option<i64>, Option<Vec<Cell>>)> = Vec::new();
        for event in &epoch.events {
            let Event::Row(kind, Row { key, value, .. }) = event else { continue };
            let key = if self.keyed { *key } else { None };
            if !before.iter().any(|(other, _)| *other == key) {
                before.push((key, self.result(key)));
            }
            let (contents, touched_at) = self.groups.entry(key).or_default();
            assert!(contents.take(*kind, *value));
            *touched_at = epoch.now;
        }
        let mut changes = Vec::new();
        for (key, before) in before {
            let after = self.result(key);
            match (before, after) {
                (None, Some(after)) => changes.push((RowKind::Insert, after)),
                (Some(before), None) => changes.push((RowKind::Delete, before)),
                (Some(before), Some(after)) if before != after => {
                    if self.update_before {
                        changes.push((RowKind::UpdateBefore, before));
                    }
                    changes.push((RowKind::UpdateAfter, after));
                }
                _ => {}
            }
        }
        changes
    }
}

fn sorted(outputs: &[EpochOutput]) -> Vec<Vec<Change>> {
    let sort = |output: &EpochOutput| {
        let mut changes = output.changes.clone();
        changes.sort();
        changes
    };
    outputs.iter().map(sort).collect()
}

/// For the time to live a key is remembered once, however many epochs touch it.
#[test]
fn keys_that_are_touched_again_and_again_take_no_more_memory() {
    let node = node(&[0], true, Some(1 << 40), true);
    let mut operator = build(&node, &[input_spec(false, false)]).unwrap();
    let keys = Int64Array::from_iter_values(0..50);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(keys),
        Arc::new(TimestampMillisecondArray::from_iter_values(0..50)),
        Arc::new(Int64Array::from(vec![1; 50])),
        Arc::new(BooleanArray::from(vec![true; 50])),
    ];
    let rows = RecordBatch::try_new(input_schema(false), columns).unwrap();
    let batch = ChangeBatch::inserts(rows);
    let mut epochs = |range: std::ops::Range<Millis>| {
        for now in range {
            let context =
                OperatorContext { epoch: Epoch(1), now, key_groups: 0..16, key_groups_total: 16 };
            let mut out = Collector::default();
            operator.process(0, &batch, MIN_WATERMARK, &context, &mut out).unwrap();
            operator.finish_epoch(MIN_WATERMARK, &context, &mut out).unwrap();
        }
        operator.memory_bytes()
    };
    let first = epochs(0..10);
    assert_eq!(epochs(10..2000), first);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn groups(
        updating in any::<bool>(), keyed in any::<bool>(), with_aggregates in any::<bool>(),
        ttl in prop::option::of(1_i64..40), update_before in any::<bool>(),
        (inserts, changes) in (inputs(false), inputs(true)), cuts in any::<u64>(),
    ) {
        // A row that is taken back after its group was forgotten is beyond this model.
        let ttl = ttl.filter(|_| !updating);
        let epochs = if updating { changes } else { inserts };
        let keys: Vec<usize> = if keyed { vec![0] } else { Vec::new() };
        let node = node(&keys, with_aggregates, ttl, update_before);
        let plain = Run {
            text_keys: false,
            updating,
            keys,
            cuts: None,
            parallelism: vec![1],
            restore: false,
        };
        let outputs = run(&node, &epochs, &plain);
        let mut model =
            GroupModel { keyed, with_aggregates, ttl, update_before, groups: BTreeMap::new() };
        for (epoch, output) in epochs.iter().zip(&outputs) {
            prop_assert_eq!(&output.changes, &model.epoch(epoch));
        }

        let cut = Run { cuts: Some(cuts), ..plain };
        prop_assert_eq!(&run(&node, &epochs, &cut), &outputs);
        let restored = Run { restore: true, ..cut.clone() };
        prop_assert_eq!(&run(&node, &epochs, &restored), &outputs);
        let rescaled = Run { parallelism: vec![1, 3, 2], ..cut };
        prop_assert_eq!(sorted(&run(&node, &epochs, &rescaled)), sorted(&outputs));
    }
}
