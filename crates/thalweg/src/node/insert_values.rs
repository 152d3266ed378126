//! `INSERT INTO t VALUES ...`: given rows, written at once, without a job.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use thalweg_core::env::Env;
use thalweg_core::ids::{Epoch, ProducerId};
use thalweg_stream::ChangeBatch;
use thalweg_stream::connector::Connectors;
use thalweg_stream::error::Result;
use thalweg_stream::sink::Publication;
use thalweg_stream::table::TableSpec;

/// Producer ids from here on are drawn at random by this process and never given to
/// clients.
const OWN_PRODUCERS: i64 = 1 << 62;

/// Writes rows, which have the sink's columns; they are durable when this returns. The
/// number of rows.
///
/// # Errors
/// A row that the sink cannot take; what keeps it from being written.
pub(crate) fn insert_values(
    env: &Env,
    connectors: &dyn Connectors,
    table: &TableSpec,
    rows: &[RecordBatch],
) -> Result<usize> {
    let sink = connectors.sink(table)?;
    let mut writer = sink.writer(0, 1)?;
    for batch in rows {
        writer.write(&ChangeBatch::inserts(batch.clone()))?;
    }
    let chunks = writer.finish_epoch()?;
    let mut publisher = sink.publisher()?;
    let producer = ProducerId(OWN_PRODUCERS | (env.random.next_u64() >> 2) as i64);
    let mut written = BTreeMap::<i32, u64>::new();
    for chunk in &chunks {
        let first_sequence = written.entry(chunk.partition).or_default();
        let publication =
            Publication { producer, epoch: Epoch(1), first_sequence: *first_sequence };
        publisher.publish(publication, chunk)?;
        *first_sequence += u64::from(chunk.count);
    }
    publisher.finish_epoch(Epoch(1))?;
    Ok(rows.iter().map(RecordBatch::num_rows).sum())
}
