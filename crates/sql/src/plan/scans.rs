//! Scans read no more than they must: fields instead of rows, and each table once.

use std::collections::BTreeMap;

use super::rel::{Rel, RelColumn, RelNode, Scan};
use crate::expr::{Kind, TypedExpr};

/// Takes fields of rows where the table is read, so that a filter above moves only the
/// fields that are wanted.
#[recursive::recursive]
pub(crate) fn pull_fields(rel: Rel) -> Rel {
    let Rel { node, columns, updating, key, window } = rel;
    let node = match node {
        RelNode::Calc { input, mut filter, mut exprs } => {
            let mut input = *input;
            if let RelNode::Scan(scan) = &mut input.node {
                for expr in exprs.iter_mut().chain(filter.as_mut()) {
                    pull(expr, scan, &mut input.columns);
                }
            } else {
                input = pull_fields(input);
            }
            RelNode::Calc { input: Box::new(input), filter, exprs }
        }
        RelNode::AssignWindow { input, window, time } => {
            RelNode::AssignWindow { input: Box::new(pull_fields(*input)), window, time }
        }
        RelNode::WindowAggregate { input, window, time, keys, calls } => {
            let input = Box::new(pull_fields(*input));
            RelNode::WindowAggregate { input, window, time, keys, calls }
        }
        RelNode::GroupAggregate { input, keys, calls } => {
            RelNode::GroupAggregate { input: Box::new(pull_fields(*input)), keys, calls }
        }
        RelNode::Union { inputs } => {
            RelNode::Union { inputs: inputs.into_iter().map(pull_fields).collect() }
        }
        other => other,
    };
    Rel { node, columns, updating, key, window }
}

/// Replaces field accesses on columns that the table stores by columns of the scan.
#[recursive::recursive]
fn pull(expr: &mut TypedExpr, scan: &mut Scan, columns: &mut Vec<RelColumn>) {
    if matches!(expr.kind, Kind::Field { .. })
        && let Some(stored) = stored_field(expr, scan)
    {
        let names: Vec<String> = scan.physical.iter().map(|column| column.name.clone()).collect();
        let name = stored.to_sql(&names);
        let place = columns.iter().position(|column| column.name == name).unwrap_or_else(|| {
            columns.push(RelColumn { name, sql_type: expr.sql_type.clone(), time: expr.time });
            scan.exprs.push(stored);
            columns.len() - 1
        });
        expr.kind = Kind::Column(place);
        return;
    }
    for child in expr.children_mut() {
        pull(child, scan, columns);
    }
}

/// A chain of field accesses, over what the table stores.
fn stored_field(expr: &TypedExpr, scan: &Scan) -> Option<TypedExpr> {
    match &expr.kind {
        Kind::Column(column) => {
            let stored = scan.exprs.get(*column)?;
            stored.as_column().map(|_| stored.clone())
        }
        Kind::Field { base, index, name } => {
            let base = Box::new(stored_field(base, scan)?);
            let kind = Kind::Field { base, index: *index, name: name.clone() };
            Some(TypedExpr { kind, ..expr.clone() })
        }
        _ => None,
    }
}

/// Makes all scans of a table one that gives what any of them needs.
pub(crate) fn share(rels: &mut [Rel]) {
    let mut merged: BTreeMap<String, Merged> = BTreeMap::new();
    for rel in rels.iter() {
        collect(rel, &mut merged);
    }
    merged.retain(|_, merged| merged.scans > 1);
    if merged.is_empty() {
        return;
    }
    for rel in rels {
        replace(rel, &merged);
    }
}

/// The scans of one table, together.
struct Merged {
    scans: usize,
    rel: Rel,
}

fn text_of(scan: &Scan, expr: &TypedExpr) -> String {
    let names: Vec<String> = scan.physical.iter().map(|column| column.name.clone()).collect();
    expr.to_sql(&names)
}

#[recursive::recursive]
fn collect(rel: &Rel, merged: &mut BTreeMap<String, Merged>) {
    if let RelNode::Scan(scan) = &rel.node {
        match merged.get_mut(&scan.table.name.to_string()) {
            Some(known) => {
                known.scans += 1;
                add(&mut known.rel, rel, scan);
            }
            None => {
                let known = Merged { scans: 1, rel: rel.clone() };
                merged.insert(scan.table.name.to_string(), known);
            }
        }
    }
    for input in rel.inputs() {
        collect(input, merged);
    }
}

fn add(whole: &mut Rel, part: &Rel, scan: &Scan) {
    let places: Vec<usize> = scan
        .exprs
        .iter()
        .zip(&part.columns)
        .map(|(expr, column)| {
            let text = text_of(scan, expr);
            let RelNode::Scan(known) = &mut whole.node else { return 0 };
            let place = known.exprs.iter().position(|other| text_of(scan, other) == text);
            place.unwrap_or_else(|| {
                known.exprs.push(expr.clone());
                whole.columns.push(column.clone());
                whole.columns.len() - 1
            })
        })
        .collect();
    let RelNode::Scan(known) = &mut whole.node else { return };
    if known.watermark.is_none()
        && let Some((rowtime, expr)) = &scan.watermark
    {
        let mut expr = expr.clone();
        expr.replace_columns(&|index, column| {
            Some(TypedExpr { kind: Kind::Column(places[index]), ..column.clone() })
        });
        known.watermark = Some((places[*rowtime], expr));
    }
}

#[recursive::recursive]
fn replace(rel: &mut Rel, merged: &BTreeMap<String, Merged>) {
    let whole = match &rel.node {
        RelNode::Scan(scan) => merged.get(&scan.table.name.to_string()).map(|known| {
            let RelNode::Scan(all) = &known.rel.node else { return known.rel.clone() };
            let places: Vec<usize> = scan
                .exprs
                .iter()
                .filter_map(|expr| {
                    let text = text_of(scan, expr);
                    all.exprs.iter().position(|other| text_of(scan, other) == text)
                })
                .collect();
            known.rel.clone().project(&places)
        }),
        _ => None,
    };
    if let Some(whole) = whole {
        *rel = whole;
        return;
    }
    match &mut rel.node {
        RelNode::Scan(_) | RelNode::Values(_) => {}
        RelNode::Calc { input, .. }
        | RelNode::AssignWindow { input, .. }
        | RelNode::Sessions { input, .. }
        | RelNode::WindowAggregate { input, .. }
        | RelNode::GroupAggregate { input, .. } => replace(input, merged),
        RelNode::Union { inputs } => {
            inputs.iter_mut().for_each(|input| replace(input, merged));
        }
    }
}
