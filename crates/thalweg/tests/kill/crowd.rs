//! Everybody who talks to the server while it is killed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use krafka::consumer::IsolationLevel;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::checker;
use crate::group::{self, Group};
use crate::objects::{self, Fate, Kind, Made};
use crate::observer::{self, Seen};
use crate::server::Addresses;
use crate::settings::Settings;
use crate::transactor::{self, TRANSACTORS, TRANSFERS, Transfers};
use crate::workload::{self, STYLES, Shared};

/// Parts of the run's randomness.
const PRODUCERS: u64 = 100;
const READERS: u64 = 200;
const OBJECTS: u64 = 300;
const TRANSACTIONS: u64 = 400;

/// Producers, readers and those who make topics and views, each a task.
pub(crate) struct Crowd {
    pub(crate) shared: Arc<Shared>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) group: Arc<Group>,
    pub(crate) transfers: Arc<Transfers>,
    made: Vec<Arc<Made>>,
    changers: (JoinSet<()>, watch::Sender<bool>),
    readers: (JoinSet<()>, watch::Sender<bool>),
}

/// What was acknowledged at one moment.
pub(crate) struct Promised {
    committed: BTreeMap<i32, i64>,
    fates: Vec<BTreeMap<String, Fate>>,
}

impl Crowd {
    /// Starts them all.
    pub(crate) fn start(settings: &Settings, addresses: &Addresses, topics: &[String]) -> Self {
        let kinds: &[Kind] = if settings.sql { &[Kind::Topic, Kind::View] } else { &[Kind::Topic] };
        let mut crowd = Self {
            shared: Arc::new(Shared::new(addresses.kafka.clone(), settings.rate)),
            seen: Arc::default(),
            group: Arc::default(),
            transfers: Arc::default(),
            made: kinds.iter().map(|kind| Arc::new(Made::new(*kind))).collect(),
            changers: (JoinSet::new(), watch::Sender::new(false)),
            readers: (JoinSet::new(), watch::Sender::new(false)),
        };
        crowd.start_changers(settings, addresses);
        crowd.start_readers(settings, addresses, topics);
        crowd
    }

    fn start_changers(&mut self, settings: &Settings, addresses: &Addresses) {
        let (tasks, stop) = &mut self.changers;
        for (number, style) in STYLES.into_iter().enumerate() {
            let random = settings.random(PRODUCERS + number as u64);
            let shared = Arc::clone(&self.shared);
            tasks.spawn(workload::produce(shared, style, random, stop.subscribe()));
        }
        for number in 0..TRANSACTORS {
            let (transfers, address) = (Arc::clone(&self.transfers), addresses.kafka.clone());
            let random = settings.random(TRANSACTIONS + number);
            tasks.spawn(transactor::transact(transfers, number, address, random, stop.subscribe()));
        }
        for (number, made) in self.made.iter().enumerate() {
            let random = settings.random(OBJECTS + number as u64);
            let made = Arc::clone(made);
            tasks.spawn(objects::make(made, addresses.clone(), random, stop.subscribe()));
        }
    }

    fn start_readers(&mut self, settings: &Settings, addresses: &Addresses, topics: &[String]) {
        let (tasks, stop) = &mut self.readers;
        // Of transactions, only what is committed has to stay.
        let all = [topics, &[TRANSFERS.to_owned()]].concat();
        let views = [
            (IsolationLevel::ReadCommitted, all),
            (IsolationLevel::ReadUncommitted, topics.to_vec()),
        ];
        for (number, (isolation, topics)) in views.into_iter().enumerate() {
            tasks.spawn(observer::consume(
                Arc::clone(&self.seen),
                addresses.kafka.clone(),
                topics,
                isolation,
                settings.random(READERS + number as u64),
                stop.subscribe(),
            ));
        }
        for _ in 0..2 {
            let group = Arc::clone(&self.group);
            tasks.spawn(group::consume(group, addresses.kafka.clone(), stop.subscribe()));
        }
        if settings.sql {
            let seen = Arc::clone(&self.seen);
            tasks.spawn(observer::poll_views(seen, addresses.sql.clone(), stop.subscribe()));
        }
    }

    /// What was acknowledged up to now.
    pub(crate) fn promised(&self) -> Promised {
        Promised {
            committed: self.group.committed(),
            fates: self.made.iter().map(|made| made.fates()).collect(),
        }
    }

    /// Looks whether the server has what was acknowledged; what is missing is written down.
    pub(crate) async fn check_promised(
        &self,
        promised: &Promised,
        addresses: &Addresses,
    ) -> anyhow::Result<()> {
        let stored = group::stored(&addresses.kafka).await.context("stored offsets")?;
        self.seen.violate(checker::commits_stay(&promised.committed, &stored));
        for (made, fates) in self.made.iter().zip(&promised.fates) {
            let kind = made.kind();
            let listed = objects::listed(kind, addresses).await;
            let listed = listed.with_context(|| format!("listing every {kind:?}"))?;
            self.seen.violate(checker::objects_stay(&made.fates_since(fates), &listed));
        }
        Ok(())
    }

    /// Stops those who change something, and sends the last records.
    pub(crate) async fn stop_changes(&mut self, deadline: Duration) -> anyhow::Result<()> {
        let (tasks, stop) = &mut self.changers;
        stop.send_replace(true);
        let stopped = async { while tasks.join_next().await.is_some() {} };
        let stopped = tokio::time::timeout(deadline, stopped).await;
        stopped.context("producers still wait for answers")?;
        workload::close(&self.shared).await.context("the closing records")
    }

    /// Stops those who look.
    pub(crate) async fn stop_readers(&mut self) {
        let (tasks, stop) = &mut self.readers;
        stop.send_replace(true);
        while tasks.join_next().await.is_some() {}
    }
}
