//! Topics that are made and deleted all the time: what was answered stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use krafka::admin::{CreateTopicsOptions, DeleteTopicsOptions, ListTopicsOptions, NewTopic};
use parking_lot::Mutex;
use thalweg_core::env::{Random, SeededRandom};
use tokio::sync::watch;

use crate::kafka;

/// All topics made here begin so.
const PREFIX: &str = "made-";
/// Topics that exist at once.
const KEPT: usize = 20;

/// What is known about a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It exists, as the server said.
    Made,
    /// It was asked to be made, or to be deleted, without an answer.
    Unknown,
    /// It does not exist, as the server said.
    Deleted,
}

/// Every topic that was asked for.
#[derive(Default)]
pub(crate) struct Made(Mutex<BTreeMap<String, Fate>>);

impl Made {
    pub(crate) fn fates(&self) -> BTreeMap<String, Fate> {
        self.0.lock().clone()
    }

    /// What holds since `before`: a fate that changed in between counts as unknown.
    pub(crate) fn fates_since(&self, before: &BTreeMap<String, Fate>) -> BTreeMap<String, Fate> {
        let mut fates = self.fates();
        for (topic, fate) in &mut fates {
            if before.get(topic) != Some(fate) {
                *fate = Fate::Unknown;
            }
        }
        fates
    }

    fn set(&self, topic: &str, fate: Fate) {
        self.0.lock().insert(topic.to_owned(), fate);
    }

    fn existing(&self) -> Vec<String> {
        let fates = self.0.lock();
        let made = fates.iter().filter(|(_, fate)| **fate == Fate::Made);
        made.map(|(topic, _)| topic.clone()).collect()
    }
}

/// Makes and deletes topics until told to stop.
pub(crate) async fn make(
    made: Arc<Made>,
    address: String,
    random: SeededRandom,
    mut stop: watch::Receiver<bool>,
) {
    let work = async {
        for number in 0_u32.. {
            let existing = made.existing();
            let (topic, delete) = match existing.len() {
                KEPT.. => (existing[random.below(KEPT as u64) as usize].clone(), true),
                _ => (format!("{PREFIX}{number}"), false),
            };
            made.set(&topic, Fate::Unknown);
            if let Ok(fate) = change(&address, &topic, delete).await {
                made.set(&topic, fate);
            }
            tokio::time::sleep(Duration::from_millis(100 + random.below(200))).await;
        }
    };
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn change(address: &str, topic: &str, delete: bool) -> krafka::Result<Fate> {
    let admin = kafka::connect(address, Duration::from_secs(2)).await?.admin();
    // One attempt: what a second one is told depends on whether the first one worked.
    let timeout = Duration::from_secs(2);
    if delete {
        let options = DeleteTopicsOptions::default().timeout(timeout);
        let deleted = admin.delete_topics([topic], options).await?;
        deleted.into_values().try_for_each(|result| result)?;
        return Ok(Fate::Deleted);
    }
    let options = CreateTopicsOptions::default().timeout(timeout);
    let created = admin.create_topics([NewTopic::new(topic, 2, 1)?], options).await?;
    created.into_values().try_for_each(|result| result)?;
    Ok(Fate::Made)
}

/// The topics made here that the server has.
pub(crate) async fn listed(address: &str) -> anyhow::Result<BTreeSet<String>> {
    let admin = kafka::connect(address, Duration::from_secs(10)).await?.admin();
    let topics = admin.list_topics(ListTopicsOptions::default()).await?;
    Ok(topics.into_iter().filter(|topic| topic.starts_with(PREFIX)).collect())
}
