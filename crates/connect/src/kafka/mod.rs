//! The `kafka` and `upsert-kafka` connectors, on Thalweg's own log.
//!
//! A topic that is not there yet is created, by a source as by a sink. Writing to
//! `upsert-kafka` is supported, reading it as a changelog is not yet.

pub(crate) mod chunk;
mod columns;
mod fetch;
mod metadata;
mod options;
mod partitioner;
pub(crate) mod publisher;
mod reader;
mod records;
pub(crate) mod sink;
mod source;
pub(crate) mod topic;
mod watchers;

use std::sync::Arc;

use thalweg_core::env::Env;
use thalweg_core::partition_log::LogStore;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::sink::SinkRef;
use thalweg_stream::source::SourceRef;
use thalweg_stream::table::{METADATA_KEY, TableSpec};

use crate::options::Options;
use crate::registry::{CommittedOffsets, PositionPublisher};
use columns::Layout;
use options::{KafkaOptions, Partitioner};
pub(crate) use options::{OPTIONS, UPSERT_OPTIONS};
use sink::KafkaSink;
use source::KafkaSource;

/// What both connectors work on.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) env: Env,
    pub(crate) log: Arc<dyn LogStore>,
    pub(crate) default_partitions: i32,
    pub(crate) positions: Option<PositionPublisher>,
    pub(crate) committed: Option<CommittedOffsets>,
}

/// Checks a table; says whether reading it ends by itself.
pub(crate) fn check(table: &TableSpec, upsert: bool) -> Result<bool> {
    let all = Options::new(&table.options);
    let options = KafkaOptions::new(&all)?;
    let layout = if upsert { Layout::upsert(table, &all)? } else { Layout::new(table, &all)? };
    // Types that no decoder or encoder knows are found here.
    layout.value.format.encoder(&layout.value.fields)?;
    let columns: Vec<usize> = (0..table.schema.fields().len()).collect();
    layout.decoder(&columns)?;
    Ok(options.end.is_some())
}

/// The source of a `kafka` table.
pub(crate) fn source(cluster: &Cluster, table: &TableSpec, columns: &[usize]) -> Result<SourceRef> {
    let all = Options::new(&table.options);
    let layout = Layout::new(table, &all)?;
    layout.decoder(columns)?;
    Ok(Arc::new(KafkaSource {
        log: cluster.log.clone(),
        options: KafkaOptions::new(&all)?,
        layout,
        columns: columns.to_vec(),
        schema: Arc::new(table.schema.project(columns)?),
        default_partitions: cluster.default_partitions,
        positions: cluster.positions.clone(),
        committed: cluster.committed.clone(),
        clock: cluster.env.clock.clone(),
        state: Default::default(),
        watchers: Default::default(),
    }))
}

/// The sink of a `kafka` or `upsert-kafka` table. Creates the topic where it is missing.
pub(crate) fn sink(cluster: &Cluster, table: &TableSpec, upsert: bool) -> Result<SinkRef> {
    let all = Options::new(&table.options);
    let options = KafkaOptions::new(&all)?;
    let layout = if upsert { Layout::upsert(table, &all)? } else { Layout::new(table, &all)? };
    layout.value.format.encoder(&layout.value.fields)?;
    let config =
        if upsert { vec![("cleanup.policy".to_owned(), "compact".to_owned())] } else { Vec::new() };
    let partitions = cluster.default_partitions;
    let meta = topic::open_or_create(&*cluster.log, &options.topic, partitions, &config)?;
    let timestamp = table.schema.fields().iter().position(|field| {
        field.metadata().get(METADATA_KEY).is_some_and(|name| name == "timestamp")
    });
    Ok(Arc::new(KafkaSink {
        log: cluster.log.clone(),
        topic: options.topic,
        partitions: meta.partitions,
        layout,
        partitioner: if upsert { Partitioner::ByKey } else { options.partitioner },
        compression: options.compression,
        upsert,
        timestamp,
        max_message_bytes: topic::max_message_bytes(&*cluster.log, &meta),
        clock: cluster.env.clock.clone(),
    }))
}

/// Why an `upsert-kafka` table cannot be read.
pub(crate) fn upsert_source() -> StreamError {
    StreamError::Invalid(
        "reading from 'upsert-kafka' is not supported yet; read the topic's records with \
         'connector' = 'kafka' instead"
            .into(),
    )
}
