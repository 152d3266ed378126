//! Two consumers that share the input as a group and commit as they go: what was
//! committed stays, and nobody leaves a record out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use krafka::admin::ListConsumerGroupOffsetsOptions;
use krafka::consumer::{AutoOffsetReset, Consumer, OffsetAndMetadata, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::kafka;
use crate::workload::TOPIC;

/// The group's name.
const GROUP: &str = "kill-readers";

/// What the group's members know.
#[derive(Default)]
pub(crate) struct Group(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Offsets that some member was given.
    read: BTreeMap<i32, BTreeSet<i64>>,
    /// Highest commit that was acknowledged.
    committed: BTreeMap<i32, i64>,
}

impl Group {
    /// Offsets that some member was given.
    pub(crate) fn read(&self) -> BTreeMap<usize, BTreeSet<i64>> {
        let known = self.0.lock();
        known.read.iter().map(|(partition, read)| (*partition as usize, read.clone())).collect()
    }

    /// Highest commit that was acknowledged.
    pub(crate) fn committed(&self) -> BTreeMap<i32, i64> {
        self.0.lock().committed.clone()
    }
}

/// A member of the group until told to stop.
pub(crate) async fn consume(group: Arc<Group>, address: String, mut stop: watch::Receiver<bool>) {
    let work = async {
        loop {
            match join(&address).await {
                Ok(consumer) => read_until_broken(&group, &consumer).await,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn join(address: &str) -> krafka::Result<Consumer> {
    let kafka = kafka::connect(address, Duration::from_secs(7)).await?;
    let consumer = kafka
        .consumer(GROUP)
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .enable_auto_commit(false)
        .session_timeout(Duration::from_secs(6))
        .heartbeat_interval(Duration::from_millis(200))
        .max_poll_records(200)
        .fetch_max_wait(Duration::from_millis(100))
        .metrics_push(false)
        .build()
        .await?;
    consumer.subscribe([TOPIC]).await?;
    Ok(consumer)
}

/// Stays a member through restarts of the server; leaves after many errors in a row.
async fn read_until_broken(group: &Group, consumer: &Consumer) {
    let mut errors = 0;
    while errors < 20 {
        let Ok(records) = consumer.poll(Duration::from_millis(200)).await else {
            errors += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        errors = 0;
        let mut next: BTreeMap<i32, i64> = BTreeMap::new();
        for record in records {
            group.0.lock().read.entry(record.partition).or_default().insert(record.offset);
            next.insert(record.partition, record.offset + 1);
        }
        let offsets = next.iter().map(|(partition, offset)| {
            (TopicPartition::new(TOPIC, *partition), OffsetAndMetadata::new(*offset))
        });
        if !next.is_empty() && consumer.commit_offsets(offsets).await.is_ok() {
            let mut known = group.0.lock();
            for (partition, offset) in next {
                let highest = known.committed.entry(partition).or_insert(offset);
                *highest = offset.max(*highest);
            }
        }
    }
    let _ = consumer.close().await;
}

/// The offsets that the server has for the group.
pub(crate) async fn stored(address: &str) -> anyhow::Result<BTreeMap<i32, i64>> {
    let kafka = kafka::connect(address, Duration::from_secs(10)).await?;
    let options = ListConsumerGroupOffsetsOptions::default();
    let listed = kafka.admin().list_consumer_group_offsets(GROUP, options).await?;
    let mut stored = BTreeMap::new();
    for (partition, offset) in listed {
        if let Some(offset) = offset?.offset {
            stored.insert(partition.partition(), offset);
        }
    }
    Ok(stored)
}
