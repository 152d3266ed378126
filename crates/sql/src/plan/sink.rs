//! What a query gives, fitted to the table that takes it: columns by position, implicit
//! casts, and whether the sink takes changes.

use sqlparser::ast::Ident;
use thalweg_stream::connector::Connectors;

use super::rel::Rel;
use crate::catalog::TableObject;
use crate::error::{ErrorCode, Result, Span, SqlError};
use crate::expr::TypedExpr;
use crate::expr::coerce::cast_to;
use crate::expr::zone::SessionZone;
use crate::suggest;
use crate::types::SqlType;

/// The rows with exactly the sink's columns.
///
/// # Errors
/// Another number of columns, types without a cast, unknown columns.
pub(crate) fn fit(
    rel: Rel,
    table: &TableObject,
    columns: &[Ident],
    zone: SessionZone,
    span: Option<Span>,
) -> Result<Rel> {
    let targets = targets(table, columns)?;
    if targets.len() != rel.columns.len() {
        return Err(wrong_count(&rel, table, &targets).at(span));
    }
    let mut exprs = Vec::new();
    for number in table.writable() {
        let column = &table.columns[number];
        let expr = match targets.iter().position(|&target| target == number) {
            Some(place) => {
                let given = rel.column(place);
                let from = given.sql_type.clone();
                let time = given.time;
                let fits = is_implicit(&from, &column.sql_type);
                let cast = fits.then(|| cast_to(given, &column.sql_type, zone)).flatten();
                let cast = cast.ok_or_else(|| {
                    let message = format!(
                        "column {} of the query is {from}, which is not cast to {} of column `{}` of `{}` by itself",
                        place + 1,
                        column.sql_type,
                        column.name,
                        table.name.name,
                    );
                    SqlError::new(ErrorCode::SinkMismatch, message).at(span)
                })?;
                TypedExpr { time, ..cast }
            }
            None if column.nullable => TypedExpr::null(column.sql_type.clone()),
            None => {
                let message = format!("column `{}` is NOT NULL and gets no value", column.name);
                return Err(SqlError::new(ErrorCode::SinkMismatch, message).at(span));
            }
        };
        exprs.push((column.name.clone(), expr));
    }
    Ok(rel.calc(None, exprs))
}

/// Text and nested values turn into each other only where the query says so.
fn is_implicit(from: &SqlType, to: &SqlType) -> bool {
    let nested =
        |kind: &SqlType| matches!(kind, SqlType::Row(_) | SqlType::Array(_) | SqlType::Map(..));
    nested(from) == nested(to) || *from == SqlType::Null
}

/// Numbers of the table's columns that the query fills, in its order.
fn targets(table: &TableObject, columns: &[Ident]) -> Result<Vec<usize>> {
    let writable = table.writable();
    if columns.is_empty() {
        return Ok(writable);
    }
    let mut targets = Vec::new();
    for ident in columns {
        let span = Span::from_parser(ident.span);
        let found = writable.iter().copied().find(|&at| table.columns[at].name == ident.value);
        let Some(number) = found else {
            let names = writable.iter().map(|&at| table.columns[at].name.as_str());
            let message =
                format!("there is no column `{}` to write in `{}`", ident.value, table.name.name);
            return Err(SqlError::new(ErrorCode::UnknownColumn, message)
                .at(span)
                .with_hint(suggest::did_you_mean(&ident.value, names)));
        };
        if targets.contains(&number) {
            let message = format!("column `{}` stands twice", ident.value);
            return Err(SqlError::new(ErrorCode::InvalidArgument, message).at(span));
        }
        targets.push(number);
    }
    Ok(targets)
}

fn wrong_count(rel: &Rel, table: &TableObject, targets: &[usize]) -> SqlError {
    let query: Vec<String> =
        rel.columns.iter().map(|column| format!("{} {}", column.name, column.sql_type)).collect();
    let sink: Vec<String> = targets
        .iter()
        .map(|&at| format!("{} {}", table.columns[at].name, table.columns[at].sql_type))
        .collect();
    SqlError::new(
        ErrorCode::SinkMismatch,
        format!(
            "the query gives {} columns, but `{}` takes {}",
            query.len(),
            table.name.name,
            sink.len()
        ),
    )
    .with_hint(format!("query: [{}]; table: [{}]", query.join(", "), sink.join(", ")))
}

/// Whether the sink can take the changes of the query; `update_before` says whether it
/// wants both halves of an update.
///
/// # Errors
/// It cannot.
pub(crate) fn changelog(
    rel: &Rel,
    table: &TableObject,
    connectors: &dyn Connectors,
    span: Option<Span>,
) -> Result<bool> {
    if !rel.updating {
        return Ok(true);
    }
    let spec = table.sink_spec();
    if !connectors.accepts_updates(&spec)? {
        let message = format!(
            "the query updates its results, but table `{}` ('connector' = '{}') only takes inserts",
            table.name.name,
            spec.connector(),
        );
        return Err(SqlError::new(ErrorCode::SinkMismatch, message).at(span).with_hint(
            "group by a window, or write to an upsert table or a materialized view".to_owned(),
        ));
    }
    let by_key = !spec.primary_key.is_empty() && rel.key.as_ref() == Some(&spec.primary_key);
    Ok(!by_key)
}
