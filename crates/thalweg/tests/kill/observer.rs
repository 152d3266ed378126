//! Readers that look at everything while the server is killed under them: consumers of
//! all topics, and a poller of the views. They write down what they saw.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use krafka::consumer::{Consumer, IsolationLevel};
use parking_lot::Mutex;
use thalweg_core::env::{Random, SeededRandom};
use tokio::sync::watch;

use crate::checker::Violation;
use crate::sql::{self, TotalsView, ViewError, WindowsView};
use crate::{kafka, model};

/// Everything that readers saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// Which life of the server this is; readers jump back when it changes.
    pub(crate) life: AtomicU32,
    records: Mutex<Records>,
    totals: Mutex<Vec<TotalsView>>,
    windows: Mutex<WindowsView>,
    violations: Mutex<Vec<Violation>>,
    answers: AtomicU32,
}

/// (topic, partition) to the value at each offset.
pub(crate) type Records = HashMap<(String, usize), BTreeMap<i64, Bytes>>;

impl Seen {
    fn record(&self, topic: &str, partition: usize, record: model::Stored) {
        let mut records = self.records.lock();
        let of_partition = records.entry((topic.to_owned(), partition)).or_default();
        let model::Stored { offset, value, .. } = record;
        match of_partition.insert(offset, value.clone()) {
            Some(before) if before != value => self.violation(
                "an offset keeps its record",
                format!(
                    "{topic}-{partition}@{offset} in life {}: {} was {}",
                    self.life.load(Ordering::Relaxed),
                    String::from_utf8_lossy(&value),
                    String::from_utf8_lossy(&before)
                ),
            ),
            _ => {}
        }
    }

    pub(crate) fn violation(&self, rule: &'static str, detail: String) {
        self.violations.lock().push(Violation { rule, detail });
    }

    pub(crate) fn violate(&self, violations: Vec<Violation>) {
        self.violations.lock().extend(violations);
    }

    pub(crate) fn records(&self) -> Records {
        self.records.lock().clone()
    }

    /// Answers of view `totals` in the order of asking, without repetitions.
    pub(crate) fn totals(&self) -> Vec<TotalsView> {
        self.totals.lock().clone()
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.violations.lock().clone()
    }

    /// How many records and answers were looked at.
    pub(crate) fn summary(&self) -> String {
        let records: usize = self.records.lock().values().map(BTreeMap::len).sum();
        format!("{records} records and {} answers", self.answers.load(Ordering::Relaxed))
    }

    fn totals_answer(&self, answer: TotalsView) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.totals.lock();
        if answers.last() != Some(&answer) {
            answers.push(answer);
        }
    }

    /// A window that was shown stays as it was shown.
    pub(crate) fn windows_answer(&self, answer: WindowsView) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let mut known = self.windows.lock();
        for (key, value) in known.iter() {
            if answer.get(key) != Some(value) {
                let now = answer.get(key);
                let detail = format!("{key:?} in per_second: {now:?} was {value:?}");
                self.violation("a window is shown once and for all", detail);
            }
        }
        *known = answer;
    }
}

/// Consumes topics from the beginning until told to stop. After each restart of the server
/// it jumps back to a random earlier offset of each partition and reads on from there.
pub(crate) async fn consume(
    seen: Arc<Seen>,
    address: String,
    topics: Vec<String>,
    isolation: IsolationLevel,
    random: SeededRandom,
    mut stop: watch::Receiver<bool>,
) {
    let work = async {
        let mut life = seen.life.load(Ordering::Relaxed);
        let mut positions: HashMap<(String, i32), i64> = HashMap::new();
        let mut consumer = None;
        loop {
            let Some(reader) = &consumer else {
                consumer = reconnect(&address, isolation, &topics).await;
                continue;
            };
            let now = seen.life.load(Ordering::Relaxed);
            if now != life {
                life = now;
                jump_back(reader, &positions, &random).await;
            }
            // The server may be down: what counts is what is read once it is up again.
            let Ok(records) = reader.poll(Duration::from_millis(200)).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            for record in records {
                let topic = record.topic.to_string();
                let (partition, offset) = (record.partition, record.offset);
                let value = record.value.unwrap_or_default();
                seen.record(&topic, partition as usize, model::Stored::new(offset, value));
                positions.insert((topic, partition), offset + 1);
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn reconnect(
    address: &str,
    isolation: IsolationLevel,
    topics: &[String],
) -> Option<Consumer> {
    let kafka = kafka::connect(address, Duration::from_secs(2)).await;
    let consumer = match kafka {
        Ok(kafka) => kafka::consumer(&kafka, isolation, topics).await,
        Err(error) => Err(error),
    };
    if consumer.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    consumer.ok()
}

async fn jump_back(
    consumer: &Consumer,
    positions: &HashMap<(String, i32), i64>,
    random: &SeededRandom,
) {
    for ((topic, partition), &position) in positions {
        // Mostly not far: what was written last is what a crash could change.
        let back = match random.below(4) {
            0 => random.below(position as u64 + 1),
            _ => random.below(position.min(300) as u64 + 1),
        };
        // A partition that is not assigned yet has no position to change.
        let _ = consumer.seek(topic, *partition, position - back as i64).await;
    }
}

/// Asks the views, again and again, until told to stop.
pub(crate) async fn poll_views(seen: Arc<Seen>, address: String, mut stop: watch::Receiver<bool>) {
    let work = async {
        loop {
            if let Ok(client) = sql::connect(&address).await {
                ask_until_broken(&seen, &client).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn ask_until_broken(seen: &Seen, client: &tokio_postgres::Client) {
    for round in 0_u32.. {
        // The other view grows without end, and does not change once it is shown.
        let asked = match round % 10 {
            // The same over the other protocol.
            4 => sql::totals_prepared(client).await.map(|answer| seen.totals_answer(answer)),
            9 => sql::per_second(client).await.map(|answer| seen.windows_answer(answer)),
            _ => sql::totals(client).await.map(|answer| seen.totals_answer(answer)),
        };
        match asked {
            Ok(()) => {}
            Err(ViewError::Door(error)) => {
                // Class 57 is a server that comes or goes; any other error is an answer.
                if error.code().is_some_and(|code| !code.code().starts_with("57")) {
                    seen.violation("views answer", error.to_string());
                }
                return;
            }
            Err(ViewError::Answer(detail)) => return seen.violation("views answer", detail),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
