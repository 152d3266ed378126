//! The view store against a model, and its promises to readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;
use thalweg_core::env::{Random, SeededRandom};
use thalweg_core::ids::Epoch;
use thalweg_serve::view::{Fold, StoredView, ViewError, ViewEvent, ViewLimits, ViewStore};
use thalweg_stream::view::View;
use thalweg_stream::{ChangeBatch, RowKind};

type Row = (String, Option<i64>);
type Change = (RowKind, Row);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("amount", DataType::Int64, true),
        Field::new("name", DataType::Utf8, false),
    ]))
}

/// The key is the second column, so that encoding order and column order differ.
const KEY: &[usize] = &[1];

fn batch(changes: &[Change]) -> ChangeBatch {
    let amounts = Int64Array::from_iter(changes.iter().map(|(_, row)| row.1));
    let names = StringArray::from_iter_values(changes.iter().map(|(_, row)| &row.0));
    let rows = RecordBatch::try_new(schema(), vec![Arc::new(amounts), Arc::new(names)]);
    ChangeBatch::changes(rows.expect("batch"), changes.iter().map(|(kind, _)| *kind).collect())
}

fn rows_of<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in batches {
        let amounts = batch.column(0).as_primitive::<Int64Type>();
        let names = batch.column(1).as_string::<i32>();
        rows.extend((0..batch.num_rows()).map(|row| {
            let amount = amounts.is_valid(row).then(|| amounts.value(row));
            (names.value(row).to_owned(), amount)
        }));
    }
    rows
}

fn shown(view: &StoredView) -> Vec<Row> {
    let snapshot = view.snapshot();
    let batches = snapshot.to_batches().expect("decodes");
    let rows = rows_of(&batches);
    assert_eq!(rows.len() as u64, snapshot.num_rows());
    rows
}

fn row(name: &str, amount: i64) -> Row {
    (name.to_owned(), Some(amount))
}

fn view(store: &ViewStore, fold: Fold) -> Arc<StoredView> {
    store.create("v", schema(), KEY, fold).expect("new name")
}

/// What a view must hold: for each row how often. An upsert view's model is the same
/// with one row a key.
#[derive(Default)]
struct Model(BTreeMap<Row, u64>);

impl Model {
    fn rows(&self) -> Vec<Row> {
        self.0
            .iter()
            .flat_map(|(row, &count)| std::iter::repeat_n(row.clone(), count as usize))
            .collect()
    }

    fn of_key(&self, name: &str) -> Option<Row> {
        self.0.keys().find(|row| row.0 == name).cloned()
    }

    fn add(&mut self, row: Row) {
        *self.0.entry(row).or_default() += 1;
    }

    fn remove(&mut self, row: &Row) {
        let count = self.0.get_mut(row).expect("held");
        *count -= 1;
        if *count == 0 {
            self.0.remove(row);
        }
    }

    /// A valid change of a multiset.
    fn multiset_step(&mut self, random: &SeededRandom, keys: u64, changes: &mut Vec<Change>) {
        let near = (name(random, keys), Some(0));
        let held = self.0.range(near..).next().map(|(row, _)| row.clone());
        match held {
            Some(row) if random.below(100) < 45 => {
                self.remove(&row);
                let kind =
                    if random.chance(500_000) { RowKind::Delete } else { RowKind::UpdateBefore };
                changes.push((kind, row));
            }
            _ => {
                let amount = random.chance(900_000).then(|| random.below(3) as i64 - 1);
                let row = (name(random, keys), amount);
                self.add(row.clone());
                changes.push((RowKind::Insert, row));
            }
        }
    }

    /// A valid change of an upsert view.
    fn upsert_step(&mut self, random: &SeededRandom, keys: u64, changes: &mut Vec<Change>) {
        let name = name(random, keys);
        let new = (name.clone(), Some(random.below(5) as i64));
        let held = self.of_key(&name);
        if let Some(held) = &held {
            self.remove(held);
        }
        match (held, random.below(4)) {
            (Some(held), 0) => changes.push((RowKind::Delete, held)),
            (Some(_), 1) => changes.push((RowKind::Delete, (name, None))),
            (Some(held), 2) => {
                self.add(new.clone());
                changes.extend([(RowKind::UpdateBefore, held), (RowKind::UpdateAfter, new)]);
            }
            _ => {
                self.add(new.clone());
                changes.push((RowKind::UpdateAfter, new));
            }
        }
    }
}

fn name(random: &SeededRandom, keys: u64) -> String {
    format!("{:x}", random.below(keys).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// After every epoch the view is the model's rows, in key order; what is exported and
    /// imported elsewhere is the same again.
    #[test]
    fn a_view_is_the_fold_of_its_changelog(
        seed in any::<u64>(),
        upsert in any::<bool>(),
        keys in prop_oneof![1_u64..20, 2_000_u64..20_000],
        sizes in prop::collection::vec(prop_oneof![0_usize..40, 1_000_usize..4_000], 1..8),
    ) {
        let random = SeededRandom::new(seed);
        let store = ViewStore::default();
        let fold = if upsert { Fold::Upsert } else { Fold::Multiset };
        // Searching the model's map by name is slow, so upsert histories stay small.
        let keys = if upsert { keys.min(400) } else { keys };
        let view = view(&store, fold);
        let mut model = Model::default();
        let mut held_back = Vec::new();
        for (epoch, size) in (1..).zip(sizes) {
            let mut changes = Vec::new();
            while changes.len() < size {
                if upsert {
                    model.upsert_step(&random, keys, &mut changes);
                } else {
                    model.multiset_step(&random, keys, &mut changes);
                }
            }
            let cut = random.below(changes.len() as u64 + 1) as usize;
            view.commit(Epoch(epoch), &[batch(&changes[..cut]), batch(&changes[cut..])])
                .expect("valid changes");
            prop_assert_eq!(shown(&view), model.rows());
            held_back.push((view.snapshot(), model.rows()));
        }
        for (snapshot, rows) in held_back {
            prop_assert_eq!(rows_of(&snapshot.to_batches().expect("decodes")), rows);
        }
        let (epoch, exported) = view.export().expect("exports");
        let copy = store.create("copy", schema(), KEY, fold).expect("new name");
        copy.import(epoch, &exported).expect("imports");
        prop_assert_eq!(copy.snapshot().epoch(), epoch);
        prop_assert_eq!(shown(&copy), model.rows());
    }
}

#[test]
fn a_retraction_of_a_missing_row_is_refused_and_changes_nothing() {
    for fold in [Fold::Multiset, Fold::Upsert] {
        let store = ViewStore::default();
        let view = view(&store, fold);
        view.commit(Epoch(1), &[batch(&[(RowKind::Insert, row("a", 1))])]).expect("commit");
        let changes =
            batch(&[(RowKind::Insert, row("b", 2)), (RowKind::UpdateBefore, row("a", 7))]);
        let error = view.commit(Epoch(2), &[changes]).expect_err("no such row").to_string();
        assert!(
            error.contains("view v") && error.contains("-U") && error.contains("(7, a)"),
            "{error}"
        );
        assert_eq!(shown(&view), [row("a", 1)]);
        assert_eq!(view.snapshot().epoch(), Epoch(1));
    }
}

#[test]
fn within_an_epoch_a_multiset_takes_a_retraction_before_its_addition() {
    let store = ViewStore::default();
    let view = view(&store, Fold::Multiset);
    let changes = [
        (RowKind::Delete, row("a", 1)),
        (RowKind::Insert, row("a", 2)),
        (RowKind::Insert, row("a", 1)),
    ];
    view.commit(Epoch(1), &[batch(&changes)]).expect("nets out");
    assert_eq!(shown(&view), [row("a", 2)]);
}

#[test]
fn other_columns_nulls_and_old_epochs_are_refused() {
    let store = ViewStore::default();
    let view = view(&store, Fold::Multiset);
    let other = Arc::new(Schema::new(vec![Field::new("x", DataType::Int32, true)]));
    let rows = RecordBatch::new_empty(Arc::clone(&other));
    let error = view.commit(Epoch(1), &[ChangeBatch::inserts(rows.clone())]).expect_err("columns");
    assert!(error.to_string().contains("Int64, Utf8"), "{error}");
    assert!(view.import(Epoch(1), &[rows]).is_err());

    let nullable = Arc::new(Schema::new(
        schema()
            .fields()
            .iter()
            .map(|f| f.as_ref().clone().with_nullable(true))
            .collect::<Vec<_>>(),
    ));
    let columns: Vec<Arc<dyn Array>> =
        vec![Arc::new(Int64Array::from(vec![1])), Arc::new(StringArray::from(vec![None::<&str>]))];
    let rows = RecordBatch::try_new(nullable, columns).expect("batch");
    let error = view.commit(Epoch(1), &[ChangeBatch::inserts(rows)]).expect_err("null");
    assert!(error.to_string().contains("\"name\""), "{error}");

    view.commit(Epoch(5), &[]).expect("an epoch without changes");
    assert!(view.commit(Epoch(5), &[]).is_err(), "an epoch is committed once");
    assert!(store.create("w", Arc::new(Schema::empty()), &[], Fold::Multiset).is_err());
    assert!(matches!(
        store.create("v", schema(), KEY, Fold::Upsert),
        Err(ViewError::Exists { .. })
    ));
}

#[test]
fn an_import_that_repeats_an_upsert_key_is_refused() {
    let store = ViewStore::default();
    let view = view(&store, Fold::Upsert);
    let rows = batch(&[(RowKind::Insert, row("a", 1)), (RowKind::Insert, row("a", 2))]).rows;
    assert!(view.import(Epoch(3), &[rows]).is_err());
}

#[test]
fn views_of_a_group_show_an_epoch_together() {
    let store = ViewStore::default();
    let group = store.group();
    let make =
        |name| store.create_in(&group, name, schema(), KEY, Fold::Multiset).expect("new name");
    let (left, right) = (make("left"), make("right"));
    let commit = |view: &StoredView, epoch, amount| {
        view.commit(Epoch(epoch), &[batch(&[(RowKind::Insert, row("a", amount))])])
            .expect("commit");
    };
    commit(&left, 1, 1);
    commit(&left, 2, 2);
    assert!(shown(&left).is_empty(), "the other one has not committed");
    commit(&right, 1, 1);
    assert_eq!((shown(&left).len(), shown(&right).len()), (1, 1), "epoch 2 is still unseen");
    commit(&right, 2, 2);
    let both = store.snapshot(&["left", "right"]).expect("exist");
    assert!(both.iter().all(|snapshot| snapshot.epoch() == Epoch(2) && snapshot.num_rows() == 2));
    left.commit(Epoch(3), &[]).expect("commit");
    right.commit(Epoch(3), &[]).expect("commit");
    assert_eq!(left.snapshot().epoch(), Epoch(3), "the epoch moves on without changes");
    commit(&left, 4, 4);
    assert!(matches!(store.snapshot(&["left", "nowhere"]), Err(ViewError::NotFound { .. })));
    store.drop_view("right").expect("exists");
    assert_eq!(left.snapshot().epoch(), Epoch(4), "nobody is waited for any more");
}

/// A job that starts again from its snapshot replays what readers have seen already.
#[test]
fn readers_do_not_go_back_while_a_job_replays() {
    let store = ViewStore::default();
    let view = view(&store, Fold::Multiset);
    let changes = |epoch| [batch(&[(RowKind::Insert, row("a", epoch))])];
    view.commit(Epoch(1), &changes(1)).expect("commit");
    let (epoch, snapshot) = view.export().expect("exports");
    view.commit(Epoch(2), &changes(2)).expect("commit");
    let (_, mut subscription) = view.subscribe().expect("subscribes");
    view.import(epoch, &snapshot).expect("imports");
    assert_eq!((view.snapshot().epoch(), shown(&view).len()), (Epoch(2), 2));
    view.commit(Epoch(2), &changes(2)).expect("replayed");
    view.commit(Epoch(3), &changes(3)).expect("new");
    assert_eq!(shown(&view), [row("a", 1), row("a", 2), row("a", 3)]);
    assert!(matches!(subscription.try_next(), Some(ViewEvent::Lagged)));
}

/// While one thread commits, every pair of snapshots is of one epoch and whole.
#[test]
fn readers_never_see_half_an_epoch() {
    const EPOCHS: u64 = 300;
    let store = Arc::new(ViewStore::default());
    let group = store.group();
    let views: Vec<_> = ["left", "right"]
        .iter()
        .map(|name| store.create_in(&group, name, schema(), KEY, Fold::Multiset).expect("new"))
        .collect();
    std::thread::scope(|scope| {
        let store = &store;
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(move || {
                    loop {
                        let both = store.snapshot(&["left", "right"]).expect("exist");
                        let epoch = both[0].epoch();
                        assert_eq!(epoch, both[1].epoch());
                        for snapshot in both {
                            let rows = rows_of(&snapshot.to_batches().expect("decodes"));
                            assert_eq!(rows.len() as u64, epoch.0 * 3);
                        }
                        if epoch.0 == EPOCHS {
                            return;
                        }
                    }
                })
            })
            .collect();
        for epoch in 1..=EPOCHS {
            for view in &views {
                let changes: Vec<Change> = (0..3)
                    .map(|n| (RowKind::Insert, row(&format!("{}", epoch * 7919 % 501), n)))
                    .collect();
                view.commit(Epoch(epoch), &[batch(&changes)]).expect("commit");
            }
        }
        for reader in readers {
            reader.join().expect("reader");
        }
    });
}

#[test]
fn a_row_that_counts_often_is_given_in_batches_of_bounded_size() {
    let store = ViewStore::default();
    let view = view(&store, Fold::Multiset);
    let changes = vec![(RowKind::Insert, row("a", 1)); 5_000];
    for epoch in 1..=10 {
        view.commit(Epoch(epoch), &[batch(&changes)]).expect("commit");
    }
    assert!(view.memory_bytes() < 1_000, "copies are counted, not kept");
    let sizes: Vec<usize> =
        view.snapshot().batches().map(|batch| batch.expect("decodes").num_rows()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 50_000);
    assert!(sizes.iter().all(|&size| size <= 8_192), "{sizes:?}");
}

#[test]
fn memory_is_accounted_for_and_bounded() {
    let limits = ViewLimits { view_bytes: 20_000, cache_bytes: 10_000, ..ViewLimits::default() };
    let store = ViewStore::new(limits);
    let view = view(&store, Fold::Multiset);
    let changes = |from: i64| -> Vec<Change> {
        (from..from + 300).map(|n| (RowKind::Insert, row(&format!("key {n:06}"), n))).collect()
    };
    view.commit(Epoch(1), &[batch(&changes(0))]).expect("fits");
    let rows_only = store.memory_bytes();
    assert!(rows_only >= 300 * 20 && rows_only == view.memory_bytes(), "{rows_only}");
    shown(&view);
    let cached = store.memory_bytes() - rows_only;
    assert!(cached <= 10_000, "{cached} bytes decoded");
    let error = view.commit(Epoch(2), &[batch(&changes(300)), batch(&changes(600))]);
    assert!(error.expect_err("over budget").to_string().contains("view v"));
    assert_eq!(view.snapshot().num_rows(), 300);
    let deletes: Vec<Change> =
        changes(0).into_iter().map(|(_, row)| (RowKind::Delete, row)).collect();
    view.commit(Epoch(2), &[batch(&deletes)]).expect("commit");
    assert_eq!(store.memory_bytes(), 0, "all of it is given back");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("runtime")
}

#[test]
fn waiting_ends_with_the_epoch_or_with_the_view() {
    let store = ViewStore::default();
    let view = view(&store, Fold::Multiset);
    runtime().block_on(async {
        let (snapshot, ()) = tokio::join!(view.wait_for(Epoch(2)), async {
            view.commit(Epoch(1), &[]).expect("commit");
            view.commit(Epoch(3), &[]).expect("commit");
        });
        assert_eq!(snapshot.expect("reached").epoch(), Epoch(3));
        let (waited, dropped) =
            tokio::join!(view.wait_for(Epoch(9)), async { store.drop_view("v") });
        dropped.expect("existed");
        assert!(matches!(waited, Err(ViewError::Dropped { .. })));
    });
    assert!(store.get("v").is_none() && store.list().is_empty());
}

#[test]
fn a_subscriber_gets_every_epoch_after_its_snapshot() {
    let limits = ViewLimits { subscriber_bytes: 4_000, subscribers: 2, ..ViewLimits::default() };
    let store = ViewStore::new(limits);
    let view = view(&store, Fold::Multiset);
    let commit = |epoch, amount| {
        view.commit(Epoch(epoch), &[batch(&[(RowKind::Insert, row("a", amount))])])
            .expect("commit");
    };
    commit(1, 1);
    let (snapshot, mut subscription) = view.subscribe().expect("subscribes");
    assert_eq!(snapshot.num_rows(), 1);
    commit(2, 2);
    runtime().block_on(async {
        match subscription.next().await {
            ViewEvent::Changes { epoch, changes } => {
                assert_eq!(epoch, Epoch(2));
                assert_eq!(rows_of(changes.iter().map(|batch| &batch.rows)), [row("a", 2)]);
            }
            other => panic!("{other:?}"),
        }
    });
    assert!(subscription.try_next().is_none());

    let (_, mut other) = view.subscribe().expect("a second one");
    assert!(matches!(view.subscribe(), Err(ViewError::TooManySubscribers { limit: 2, .. })));
    for epoch in 3..200 {
        commit(epoch, 3);
        if !matches!(other.try_next(), Some(ViewEvent::Changes { .. })) {
            panic!("the quick one gets every epoch");
        }
    }
    assert!(matches!(subscription.try_next(), Some(ViewEvent::Lagged)));
    drop(subscription);
    store.drop_view("v").expect("existed");
    assert!(matches!(other.try_next(), Some(ViewEvent::Closed)));
}
