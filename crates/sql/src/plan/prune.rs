//! Fewer columns and fewer steps: what nobody reads is neither computed nor decoded, and
//! a projection of a projection is one.

use std::collections::{BTreeMap, BTreeSet};

use super::rel::{Rel, RelColumn, RelNode, RelTime, Scan};
use super::scans;
use crate::expr::{Kind, TypedExpr};
use crate::types::{RowField, SqlType};

/// Larger expressions than this are not computed twice to save a step.
const INLINE_SIZE: usize = 8;

/// Optimises the plans of a job; all their columns are wanted.
pub(crate) fn optimise(rels: Vec<Rel>) -> Vec<Rel> {
    let mut rels: Vec<Rel> = rels
        .into_iter()
        .map(|rel| {
            let all: BTreeSet<usize> = (0..rel.columns.len()).collect();
            let merged = scans::pull_fields(merge(rel));
            merge(exactly(prune(merged, &all, false), &all))
        })
        .collect();
    scans::share(&mut rels);
    rels.into_iter().map(merge).collect()
}

/// A step that may have more columns than were asked for, and where those are.
struct Pruned {
    rel: Rel,
    /// New place of each column that is still there.
    places: BTreeMap<usize, usize>,
}

/// The step with exactly the columns asked for, in order.
fn exactly(pruned: Pruned, needed: &BTreeSet<usize>) -> Rel {
    let Pruned { rel, places } = pruned;
    let wanted: Vec<usize> = needed.iter().filter_map(|old| places.get(old).copied()).collect();
    if wanted.len() == rel.columns.len() && wanted.is_sorted() {
        return rel;
    }
    rel.project(&wanted)
}

fn columns_of(expr: &TypedExpr, out: &mut BTreeSet<usize>) {
    expr.walk(&mut |part| out.extend(part.as_column()));
}

fn remap(expr: &mut TypedExpr, places: &BTreeMap<usize, usize>) {
    expr.replace_columns(&|index, column| {
        let place = places.get(&index).copied()?;
        Some(TypedExpr { kind: Kind::Column(place), ..column.clone() })
    });
}

/// Places of kept columns, in order.
fn kept(needed: &BTreeSet<usize>) -> BTreeMap<usize, usize> {
    needed.iter().enumerate().map(|(new, &old)| (old, new)).collect()
}

fn take<T: Clone>(items: &[T], needed: &BTreeSet<usize>) -> Vec<T> {
    needed.iter().filter_map(|&index| items.get(index).cloned()).collect()
}

/// `timed`: a step above follows event time, so that the watermark is needed.
#[recursive::recursive]
fn prune(rel: Rel, needed: &BTreeSet<usize>, timed: bool) -> Pruned {
    let Rel { node, columns, updating, key, window } = rel;
    let place_key = |places: &BTreeMap<usize, usize>| {
        let key = key.as_ref()?;
        key.iter().map(|column| places.get(column).copied()).collect::<Option<Vec<_>>>()
    };
    let build = |node: RelNode, columns: Vec<RelColumn>, places: BTreeMap<usize, usize>| {
        let key = place_key(&places);
        let window = window.as_ref().map(|window| {
            let place = |column: Option<usize>| column.and_then(|c| places.get(&c).copied());
            super::rel::WindowColumns {
                start: place(window.start),
                end: place(window.end),
                time: place(window.time),
                assigned: window.assigned,
            }
        });
        Pruned { rel: Rel { node, columns, updating, key, window }, places }
    };
    match node {
        RelNode::Scan(scan) => {
            let (scan, needed) = prune_scan(scan, needed, timed);
            build(RelNode::Scan(scan), take(&columns, &needed), kept(&needed))
        }
        RelNode::Values(rows) => {
            let all = (0..columns.len()).collect();
            build(RelNode::Values(rows), columns, kept(&all))
        }
        RelNode::Calc { input, mut filter, exprs } => {
            let mut exprs = take(&exprs, needed);
            let mut below = BTreeSet::new();
            exprs.iter().chain(filter.as_ref()).for_each(|expr| columns_of(expr, &mut below));
            let input = prune(*input, &below, timed);
            exprs.iter_mut().chain(filter.as_mut()).for_each(|expr| remap(expr, &input.places));
            let node = RelNode::Calc { input: Box::new(input.rel), filter, exprs };
            build(node, take(&columns, needed), kept(needed))
        }
        RelNode::AssignWindow { input, window: kind, time } => {
            let width = input.columns.len();
            let mut below: BTreeSet<usize> =
                needed.iter().copied().filter(|&column| column < width).collect();
            below.extend(time_column(time));
            let input = prune(*input, &below, timed || time_column(time).is_some());
            let time = move_time(time, &input.places);
            let mut places = input.places;
            let start = input.rel.columns.len();
            places.extend((0..3).map(|number| (width + number, start + number)));
            let mut kept_columns = input.rel.columns.clone();
            kept_columns.extend_from_slice(&columns[width..]);
            let node = RelNode::AssignWindow { input: Box::new(input.rel), window: kind, time };
            build(node, kept_columns, places)
        }
        RelNode::Sessions { input, gap, time, partition_by } => {
            let all = (0..columns.len()).collect();
            build(RelNode::Sessions { input, gap, time, partition_by }, columns, kept(&all))
        }
        RelNode::WindowAggregate { input, window: kind, time, mut keys, calls } => {
            let (calls_kept, needed) =
                aggregate_columns(needed, columns.len(), keys.len(), calls.len());
            let mut calls = take(&calls, &calls_kept);
            let mut below = aggregate_inputs(&keys, &calls);
            below.extend(time_column(time));
            let event = time_column(time).is_some();
            let input = exactly_with_places(*input, &below, timed || event);
            let time = move_time(time, &input.places);
            move_aggregate(&mut keys, &mut calls, &input.places);
            let input = Box::new(input.rel);
            let node = RelNode::WindowAggregate { input, window: kind, time, keys, calls };
            build(node, take(&columns, &needed), kept(&needed))
        }
        RelNode::GroupAggregate { input, mut keys, calls } => {
            let (calls_kept, needed) =
                aggregate_columns(needed, columns.len(), keys.len(), calls.len());
            let mut calls = take(&calls, &calls_kept);
            let below = aggregate_inputs(&keys, &calls);
            let input = exactly_with_places(*input, &below, timed);
            move_aggregate(&mut keys, &mut calls, &input.places);
            let node = RelNode::GroupAggregate { input: Box::new(input.rel), keys, calls };
            build(node, take(&columns, &needed), kept(&needed))
        }
        RelNode::Union { inputs } => {
            let inputs = inputs
                .into_iter()
                .map(|input| exactly(prune(input, needed, timed), needed))
                .collect();
            build(RelNode::Union { inputs }, take(&columns, needed), kept(needed))
        }
    }
}

fn exactly_with_places(input: Rel, below: &BTreeSet<usize>, timed: bool) -> Pruned {
    prune(input, below, timed)
}

fn time_column(time: RelTime) -> Option<usize> {
    match time {
        RelTime::Event(column) => Some(column),
        RelTime::Processing => None,
    }
}

fn move_time(time: RelTime, places: &BTreeMap<usize, usize>) -> RelTime {
    match time {
        RelTime::Event(column) => RelTime::Event(places.get(&column).copied().unwrap_or(column)),
        RelTime::Processing => RelTime::Processing,
    }
}

/// Keys and window columns stay; calls only where they are read. Numbers of the calls,
/// and of all columns.
fn aggregate_columns(
    needed: &BTreeSet<usize>,
    width: usize,
    keys: usize,
    calls: usize,
) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let is_call = |column: usize| (keys..keys + calls).contains(&column);
    let kept: BTreeSet<usize> =
        (0..width).filter(|column| !is_call(*column) || needed.contains(column)).collect();
    let calls = kept.iter().filter(|column| is_call(**column)).map(|column| column - keys);
    (calls.collect(), kept)
}

fn aggregate_inputs(keys: &[usize], calls: &[super::rel::RelCall]) -> BTreeSet<usize> {
    let arguments = calls.iter().flat_map(|call| call.argument.into_iter().chain(call.filter));
    keys.iter().copied().chain(arguments).collect()
}

fn move_aggregate(
    keys: &mut [usize],
    calls: &mut [super::rel::RelCall],
    places: &BTreeMap<usize, usize>,
) {
    let place = |column: &mut usize| {
        if let Some(new) = places.get(column) {
            *column = *new;
        }
    };
    keys.iter_mut().for_each(place);
    for call in calls {
        call.argument.as_mut().map(place);
        call.filter.as_mut().map(place);
    }
}

/// The scan of the needed columns; those of the watermark stay where time matters.
fn prune_scan(mut scan: Scan, needed: &BTreeSet<usize>, timed: bool) -> (Scan, BTreeSet<usize>) {
    let mut needed = needed.clone();
    if !timed {
        scan.watermark = None;
    }
    if let Some((rowtime, expr)) = &scan.watermark {
        needed.insert(*rowtime);
        columns_of(expr, &mut needed);
    }
    if needed.is_empty() {
        // Rows are counted by some column; the first is as good as any.
        needed.extend((!scan.exprs.is_empty()).then_some(0));
    }
    let places = kept(&needed);
    if let Some((rowtime, expr)) = &mut scan.watermark {
        *rowtime = places.get(rowtime).copied().unwrap_or(*rowtime);
        remap(expr, &places);
    }
    scan.exprs = take(&scan.exprs, &needed);
    (scan, needed)
}

/// Which parts of a value are read.
#[derive(Debug, Default)]
struct Usage {
    whole: bool,
    fields: BTreeMap<usize, Usage>,
}

impl Usage {
    fn add(&mut self, path: &[usize]) {
        match path.split_first() {
            None => self.whole = true,
            Some((first, rest)) => self.fields.entry(*first).or_default().add(rest),
        }
    }

    /// The type with only the fields that are read.
    fn prune(&self, sql_type: &SqlType) -> SqlType {
        match sql_type {
            SqlType::Row(fields) if !self.whole && !self.fields.is_empty() => SqlType::Row(
                self.fields
                    .iter()
                    .filter_map(|(index, usage)| {
                        let field = fields.get(*index)?;
                        let sql_type = usage.prune(&field.sql_type);
                        Some(RowField { name: field.name.clone(), sql_type })
                    })
                    .collect(),
            ),
            other => other.clone(),
        }
    }

    /// Place of a field in the pruned type.
    fn place(&self, index: usize) -> usize {
        if self.whole {
            return index;
        }
        self.fields.keys().position(|known| *known == index).unwrap_or(index)
    }
}

/// The column and the fields that a chain of field accesses names.
fn path_of(expr: &TypedExpr) -> Option<(usize, Vec<usize>)> {
    match &expr.kind {
        Kind::Column(column) => Some((*column, Vec::new())),
        Kind::Field { base, index, .. } => {
            let (column, mut path) = path_of(base)?;
            path.push(*index);
            Some((column, path))
        }
        _ => None,
    }
}

/// Rows of which only some fields are read lose the others.
pub(crate) fn prune_rows(scan: &mut Scan) {
    let mut usage: BTreeMap<usize, Usage> = BTreeMap::new();
    for expr in &scan.exprs {
        collect_usage(expr, &mut usage);
    }
    for expr in &mut scan.exprs {
        rewrite_paths(expr, &usage);
    }
    for (column, usage) in &usage {
        let column = &mut scan.physical[*column];
        column.sql_type = usage.prune(&column.sql_type);
    }
}

#[recursive::recursive]
fn collect_usage(expr: &TypedExpr, usage: &mut BTreeMap<usize, Usage>) {
    if let Some((column, path)) = path_of(expr) {
        usage.entry(column).or_default().add(&path);
        return;
    }
    for child in expr.children() {
        collect_usage(child, usage);
    }
}

#[recursive::recursive]
fn rewrite_paths(expr: &mut TypedExpr, usage: &BTreeMap<usize, Usage>) {
    if path_of(expr).is_some() {
        rewrite_path(expr, usage);
        return;
    }
    for child in expr.children_mut() {
        rewrite_paths(child, usage);
    }
}

/// Gives the type of the pruned column and the new number of each field, from the
/// column outwards. The usage of the value itself is what comes back.
fn rewrite_path<'a>(expr: &mut TypedExpr, usage: &'a BTreeMap<usize, Usage>) -> Option<&'a Usage> {
    let found = match &mut expr.kind {
        Kind::Column(column) => usage.get(column)?,
        Kind::Field { base, index, .. } => {
            let usage = rewrite_path(base, usage)?;
            let old = *index;
            *index = usage.place(old);
            if usage.whole {
                return None;
            }
            usage.fields.get(&old)?
        }
        _ => return None,
    };
    expr.sql_type = found.prune(&expr.sql_type);
    Some(found)
}

/// Joins projections: a step over a projection reads through it.
#[recursive::recursive]
pub(crate) fn merge(rel: Rel) -> Rel {
    let Rel { node, columns, updating, key, window } = rel;
    let node = match node {
        RelNode::Calc { input, filter, exprs } => {
            let input = merge(*input);
            match input.node {
                RelNode::Calc { input: below, filter: first, exprs: inner }
                    if can_inline(&exprs, filter.as_ref(), &inner) =>
                {
                    join_calcs(*below, first, &inner, filter, exprs)
                }
                node => {
                    let input = Rel { node, ..input };
                    if filter.is_none() && is_identity(&exprs, &input) && columns == input.columns {
                        return Rel { columns, updating, key, window, node: input.node };
                    }
                    RelNode::Calc { input: Box::new(input), filter, exprs }
                }
            }
        }
        RelNode::AssignWindow { input, window, time } => {
            RelNode::AssignWindow { input: Box::new(merge(*input)), window, time }
        }
        RelNode::WindowAggregate { input, window, time, keys, calls } => {
            let input = Box::new(merge(*input));
            RelNode::WindowAggregate { input, window, time, keys, calls }
        }
        RelNode::GroupAggregate { input, keys, calls } => {
            RelNode::GroupAggregate { input: Box::new(merge(*input)), keys, calls }
        }
        RelNode::Union { inputs } => {
            RelNode::Union { inputs: inputs.into_iter().map(merge).collect() }
        }
        other => other,
    };
    Rel { node, columns, updating, key, window }
}

fn is_identity(exprs: &[TypedExpr], input: &Rel) -> bool {
    exprs.len() == input.columns.len()
        && exprs.iter().enumerate().all(|(index, expr)| expr.as_column() == Some(index))
}

/// Whether the inner expressions may be put in place of their columns: each is cheap or
/// read once. The inner filter stays before everything, so nothing is evaluated for
/// rows that it drops.
fn can_inline(outer: &[TypedExpr], filter: Option<&TypedExpr>, inner: &[TypedExpr]) -> bool {
    let mut reads = vec![0_usize; inner.len()];
    for expr in outer.iter().chain(filter) {
        expr.walk(&mut |part| {
            if let Some(column) = part.as_column() {
                reads[column] += 1;
            }
        });
    }
    inner.iter().zip(reads).all(|(expr, reads)| {
        let cheap = expr.as_column().is_some()
            || expr.as_literal().is_some()
            || path_of(expr).is_some()
            || (expr.size() <= INLINE_SIZE && !expr.is_fallible() && reads <= 2);
        reads <= 1 || cheap
    })
}

fn join_calcs(
    below: Rel,
    first: Option<TypedExpr>,
    inner: &[TypedExpr],
    second: Option<TypedExpr>,
    mut exprs: Vec<TypedExpr>,
) -> RelNode {
    let replace = |index: usize, _: &TypedExpr| inner.get(index).cloned();
    let second = second.map(|mut filter| {
        filter.replace_columns(&replace);
        filter
    });
    exprs.iter_mut().for_each(|expr| expr.replace_columns(&replace));
    let filter = match (first, second) {
        (Some(first), Some(second)) => {
            let parts = [first, second].into_iter().flat_map(|filter| match filter.kind {
                Kind::And(parts) => parts,
                kind => vec![TypedExpr { kind, ..filter }],
            });
            Some(TypedExpr::new(Kind::And(parts.collect()), SqlType::Boolean))
        }
        (first, second) => first.or(second),
    };
    RelNode::Calc { input: Box::new(below), filter, exprs }
}
