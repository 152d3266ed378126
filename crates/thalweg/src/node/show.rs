//! What `SHOW JOBS` and `SHOW JOB` answer.

use std::sync::Arc;

use thalweg_sql::error::{ErrorCode, SqlError};

use super::rows::text_rows;
use super::session::Answer;
use super::{Job, Node};

/// A job by id or name.
///
/// # Errors
/// There is none.
pub(super) fn find_job(node: &Node, id_or_name: &str) -> Result<Arc<Job>, SqlError> {
    node.jobs.find(id_or_name).ok_or_else(|| {
        let message = format!("there is no job '{id_or_name}'");
        SqlError::new(ErrorCode::UnknownObject, message)
            .with_hint("SHOW JOBS lists them".to_owned())
    })
}

/// The answer of `SHOW JOBS`.
pub(super) fn jobs(node: &Node) -> Answer {
    let rows: Vec<Vec<String>> = node
        .jobs
        .list()
        .iter()
        .map(|job| {
            let status = job.status();
            vec![
                job.id().to_string(),
                job.name().to_owned(),
                status.state.as_str().to_owned(),
                status.epoch.to_string(),
                status.totals.rows_in.to_string(),
                status.totals.rows_out.to_string(),
                status.totals.late.to_string(),
                status.totals.bad.to_string(),
                status.error.unwrap_or_default(),
            ]
        })
        .collect();
    let headings = ["id", "name", "state", "epoch", "rows_in", "rows_out", "late", "bad", "error"];
    let (schema, batch) = text_rows(&headings, &rows);
    Answer::Rows { schema, batches: vec![batch] }
}

/// The answer of `SHOW JOB`: everything that is known of one.
///
/// # Errors
/// There is none of that name.
pub(super) fn job(node: &Node, id_or_name: &str) -> Result<Answer, SqlError> {
    let job = find_job(node, id_or_name)?;
    let status = job.status();
    let mut rows = vec![
        vec!["id".to_owned(), job.id().to_string()],
        vec!["name".to_owned(), job.name().to_owned()],
        vec!["state".to_owned(), status.state.as_str().to_owned()],
        vec!["parallelism".to_owned(), job.parallelism().to_string()],
        vec!["epoch".to_owned(), status.epoch.to_string()],
        vec!["rows_in".to_owned(), status.totals.rows_in.to_string()],
        vec!["rows_out".to_owned(), status.totals.rows_out.to_string()],
        vec!["late".to_owned(), status.totals.late.to_string()],
        vec!["bad".to_owned(), status.totals.bad.to_string()],
        vec!["watermark".to_owned(), watermark_text(status.watermark)],
        vec!["snapshot".to_owned(), status.snapshot.map(|e| e.to_string()).unwrap_or_default()],
    ];
    for split in &status.splits {
        let idle = if split.idle { ", idle" } else { "" };
        rows.push(vec![
            format!("split {} {}", split.source, split.split),
            format!(
                "position {} of {}, watermark {}{idle}",
                split.position,
                split.available,
                watermark_text(split.watermark)
            ),
        ]);
    }
    rows.extend(status.alarms.iter().map(|alarm| vec!["alarm".to_owned(), alarm.clone()]));
    let disk = node.log.disk_space().alarm;
    rows.extend(disk.map(|alarm| vec!["alarm".to_owned(), alarm]));
    rows.extend(status.error.iter().map(|error| vec!["error".to_owned(), error.clone()]));
    rows.push(vec!["sql".to_owned(), job.sql().to_owned()]);
    let (schema, batch) = text_rows(&["property", "value"], &rows);
    Ok(Answer::Rows { schema, batches: vec![batch] })
}

fn watermark_text(watermark: i64) -> String {
    match watermark {
        thalweg_core::time::MIN_WATERMARK => "none".to_owned(),
        thalweg_core::time::MAX_WATERMARK => "end of input".to_owned(),
        millis => crate::quickstart::sql_timestamp(millis),
    }
}
