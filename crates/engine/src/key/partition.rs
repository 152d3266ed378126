//! Splitting a batch by the subtasks that own its keys.

use thalweg_core::key_group::owner;
use thalweg_stream::ChangeBatch;
use thalweg_stream::error::Result;

use super::canonical::{key_groups, select};

/// The rows of a batch for each of `parallelism` subtasks, in order, by the key group of
/// these columns. Every part carries all marks; `None` where there is neither row nor mark.
///
/// # Errors
/// [`thalweg_stream::StreamError::Invalid`] for types that cannot be keys.
pub fn partition_batch(
    batch: &ChangeBatch,
    key_columns: &[usize],
    key_groups_total: u16,
    parallelism: usize,
) -> Result<Vec<Option<ChangeBatch>>> {
    let wanted = |batch: &ChangeBatch| batch.num_rows() > 0 || !batch.marks.is_empty();
    if parallelism == 1 {
        return Ok(vec![wanted(batch).then(|| batch.clone())]);
    }
    let columns = select(batch.rows.columns(), key_columns);
    let mut parts = vec![Vec::new(); parallelism];
    let groups = key_groups(&columns, batch.num_rows(), key_groups_total)?;
    for (row, group) in groups.into_iter().enumerate() {
        parts[owner(group, key_groups_total, parallelism)].push(row as u32);
    }
    let parts = parts.into_iter().map(|rows| {
        let part = if rows.len() == batch.num_rows() { batch.clone() } else { batch.take(rows)? };
        Ok(wanted(&part).then_some(part))
    });
    parts.collect()
}
