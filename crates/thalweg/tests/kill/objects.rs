//! Topics and materialized views that are made and deleted all the time: what was
//! answered stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use krafka::admin::{CreateTopicsOptions, DeleteTopicsOptions, NewTopic};
use parking_lot::Mutex;
use thalweg_core::env::{Random, SeededRandom};
use tokio::sync::watch;

use crate::server::Addresses;
use crate::{kafka, sql};

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Topics, over the Kafka protocol.
    Topic,
    /// Materialized views, over the PostgreSQL protocol.
    View,
}

impl Kind {
    /// All names made here begin so.
    fn prefix(self) -> &'static str {
        match self {
            Self::Topic => "made-",
            Self::View => "made_",
        }
    }

    /// How many exist at once.
    fn kept(self) -> usize {
        match self {
            Self::Topic => 20,
            // Each is a job that reads the whole input.
            Self::View => 2,
        }
    }

    /// Mean time between two changes.
    fn pause_ms(self) -> u64 {
        match self {
            Self::Topic => 200,
            Self::View => 600,
        }
    }
}

/// What is known about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It exists, as the server said.
    Made,
    /// It was asked to be made, or to be deleted, without an answer.
    Unknown,
    /// It does not exist, as the server said.
    Deleted,
}

/// Every object of a kind that was asked for.
pub(crate) struct Made {
    kind: Kind,
    fates: Mutex<BTreeMap<String, Fate>>,
}

impl Made {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, fates: Mutex::default() }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn fates(&self) -> BTreeMap<String, Fate> {
        self.fates.lock().clone()
    }

    /// What holds since `before`: a fate that changed in between counts as unknown.
    pub(crate) fn fates_since(&self, before: &BTreeMap<String, Fate>) -> BTreeMap<String, Fate> {
        let mut fates = self.fates();
        for (name, fate) in &mut fates {
            if before.get(name) != Some(fate) {
                *fate = Fate::Unknown;
            }
        }
        fates
    }

    fn set(&self, name: &str, fate: Fate) {
        self.fates.lock().insert(name.to_owned(), fate);
    }

    /// Objects that can be deleted.
    fn existing(&self) -> Vec<String> {
        let fates = self.fates.lock();
        let existing = fates.iter().filter(|(_, fate)| match self.kind {
            Kind::Topic => **fate == Fate::Made,
            // `IF EXISTS` is right for those that may not be there, too.
            Kind::View => **fate != Fate::Deleted,
        });
        existing.map(|(name, _)| name.clone()).collect()
    }
}

/// Makes and deletes objects until told to stop.
pub(crate) async fn make(
    made: Arc<Made>,
    addresses: Addresses,
    random: SeededRandom,
    mut stop: watch::Receiver<bool>,
) {
    let kind = made.kind;
    let work = async {
        for number in 0_u32.. {
            let existing = made.existing();
            let delete = existing.len() >= kind.kept();
            let name = match delete {
                true => existing[random.below(existing.len() as u64) as usize].clone(),
                false => format!("{}{number}", kind.prefix()),
            };
            made.set(&name, Fate::Unknown);
            let change = async {
                match kind {
                    Kind::Topic => change_topic(&addresses.kafka, &name, delete).await,
                    Kind::View => change_view(&addresses.sql, &name, delete).await,
                }
            };
            if let Ok(fate) = change.await {
                made.set(&name, fate);
            }
            let pause = kind.pause_ms() / 2 + random.below(kind.pause_ms());
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    };
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn change_topic(address: &str, topic: &str, delete: bool) -> anyhow::Result<Fate> {
    let admin = kafka::connect(address, Duration::from_secs(2)).await?.admin();
    // A second attempt is told something that depends on whether the first one worked;
    // then it is an error, and the fate stays unknown.
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

async fn change_view(address: &str, view: &str, delete: bool) -> anyhow::Result<Fate> {
    let client = sql::connect(address).await?;
    let (statement, fate) = match delete {
        true => (format!("DROP MATERIALIZED VIEW IF EXISTS {view}"), Fate::Deleted),
        false => (sql::extra_view(view), Fate::Made),
    };
    client.simple_query(&statement).await?;
    Ok(fate)
}

/// The objects made here that the server has.
pub(crate) async fn listed(kind: Kind, addresses: &Addresses) -> anyhow::Result<BTreeSet<String>> {
    let names = match kind {
        Kind::Topic => kafka::topics(&addresses.kafka).await?,
        Kind::View => sql::views(&sql::connect(&addresses.sql).await?).await?,
    };
    Ok(names.into_iter().filter(|name| name.starts_with(kind.prefix())).collect())
}
