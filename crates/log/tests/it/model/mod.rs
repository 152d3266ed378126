//! The log against a plain list of batches, under a disk that loses power, fails and
//! runs full as a seed decides.
//!
//! What must hold after any history:
//! - every acknowledged batch is there, at its offset, with its bytes;
//! - the log is a prefix of what was appended: no hole, no invention, nothing changed;
//! - what a reader could see stays;
//! - a retry of a remembered batch gets the offsets of the first time;
//! - readers of committed records see no record of an open or aborted transaction;
//! - compaction removes nothing but what it may, and in the end all that it may;
//! - deleted records stay deleted;
//! - a created topic stays, a deleted one is gone for good;
//! - after a failed sync nothing is acknowledged any more.

mod check;
mod partition;
mod steps;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use thalweg_core::env::sim::{FaultPlan, OpKind, SimEnv, SimRandom};
use thalweg_core::env::{Disk, Random};
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{Isolation, LogError, LogStore, PartitionLog};
use thalweg_core::record_batch::{self, BatchBuilder, BatchHeader, Compression};
use thalweg_log::{Log, LogOptions};

use crate::support::{manual, read_from};
use check::{Compacted, check_contents, check_opened, check_transactions, contents};
use partition::{PartitionModel, push};

const ROOT: &str = "/data/log";

#[derive(Default)]
struct TopicModel {
    partitions: Vec<PartitionModel>,
    compacted: Option<Compacted>,
    /// Creation or deletion was under way when the power failed.
    uncertain: bool,
}

type Acks = Arc<Mutex<Vec<(String, i32, Offset, bool)>>>;

struct World {
    sim: SimEnv,
    random: SimRandom,
    options: LogOptions,
    fatal: Arc<AtomicBool>,
    topics: BTreeMap<String, TopicModel>,
    acks: Acks,
    log: Option<Arc<Log>>,
    /// Batches of an append whose outcome nobody knows.
    unknown: Option<(String, i32, Vec<Bytes>)>,
    full: bool,
    /// Power is to fail at one of the next operations, perhaps one of a check.
    doomed: bool,
    topics_made: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let sim = SimEnv::new(seed);
        let random = SimRandom::for_part(seed, 99);
        let fatal = Arc::new(AtomicBool::new(false));
        let flag = fatal.clone();
        let options = LogOptions {
            on_fatal: Arc::new(move |_| flag.store(true, Ordering::SeqCst)),
            max_open_files: 1 + random.below(8) as usize,
            index_interval_bytes: 64 << random.below(6),
            snapshot_interval_bytes: 1000 << random.below(5),
            compaction_map_bytes: [0, 3_000, 1 << 20][random.below(3) as usize],
            ..manual()
        };
        Self {
            sim,
            random,
            options,
            fatal,
            topics: BTreeMap::new(),
            acks: Acks::default(),
            log: None,
            unknown: None,
            full: false,
            doomed: false,
            topics_made: 0,
        }
    }

    fn pick(&self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    fn now(&self) -> i64 {
        self.sim.env().clock.wall_ms()
    }

    /// Whether whatever is looked at can be read.
    fn calm(&self) -> bool {
        !self.full && !self.doomed && self.powered()
    }

    fn powered(&self) -> bool {
        self.sim.disk.exists(Path::new("/"))
    }

    fn log(&self) -> Arc<Log> {
        self.log.clone().expect("the log is open")
    }

    /// Opens the log, through further power losses, and checks what it holds.
    fn open(&mut self) {
        self.log = None;
        self.full = false;
        self.doomed = false;
        self.sim.disk.faults(FaultPlan::default());
        if self.random.chance(200_000) {
            let power_off_at = Some(1 + self.random.below(60));
            self.sim.disk.faults(FaultPlan { power_off_at, ..FaultPlan::default() });
        }
        let mut tries = 0;
        let log = loop {
            self.fatal.store(false, Ordering::SeqCst);
            match Log::open(self.sim.env(), Path::new(ROOT), self.options.clone()) {
                Ok(log) => break log,
                Err(error) => {
                    tries += 1;
                    assert!(tries < 4, "cannot open: {error}");
                    self.sim.crash();
                    self.sim.disk.faults(FaultPlan::default());
                }
            }
        };
        self.sim.disk.faults(FaultPlan::default());
        assert_eq!(log.alarms(), [], "damage without a cause");
        self.log = Some(log);
        self.acks.lock().unwrap().clear();
        self.check_topics();
        self.check_partitions();
    }

    fn check_topics(&mut self) {
        let log = self.log();
        self.topics.retain(|name, model| {
            let found = log.topic(name);
            if !model.uncertain {
                assert!(found.is_some(), "topic {name} is gone");
            }
            if let Some(meta) = &found {
                model.partitions.resize_with(meta.partitions as usize, PartitionModel::default);
            }
            model.uncertain = false;
            found.is_some()
        });
        for meta in log.topics() {
            assert!(self.topics.contains_key(&meta.name), "topic {} came back", meta.name);
        }
    }

    fn check_partitions(&mut self) {
        let log = self.log();
        let unknown = self.unknown.take();
        let max_bytes = 1 + self.random.below(5000) as usize;
        let now = self.now();
        for (name, topic) in &mut self.topics {
            for (number, model) in topic.partitions.iter_mut().enumerate() {
                let number = number as i32;
                if let Some((topic, partition, batches)) = &unknown
                    && topic == name
                    && *partition == number
                {
                    batches.iter().for_each(|bytes| push(model, bytes, now));
                }
                let partition = log.partition(name, number).unwrap();
                check_opened(&*partition, model, topic.compacted, max_bytes, now);
            }
        }
    }

    /// Any outcome of an operation: an error of the disk means that the process ends.
    fn settle<T>(&self, result: Result<T, LogError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(LogError::Disk { .. }) => {
                assert!(self.fatal.load(Ordering::SeqCst), "nobody was told");
                None
            }
            Err(LogError::StorageFull { .. }) => {
                assert!(self.full, "full without a cause");
                None
            }
            Err(error) => panic!("unexpected: {error}"),
        }
    }

    fn take_acks(&mut self) {
        for (topic, partition, offset, durable) in self.acks.lock().unwrap().drain(..) {
            if !durable {
                continue;
            }
            if let Some(topic) = self.topics.get_mut(&topic) {
                let model = &mut topic.partitions[partition as usize];
                model.acked = model.acked.max(offset);
            }
        }
    }

    fn create_topic(&mut self) {
        let name = format!("topic-{}", self.topics_made);
        self.topics_made += 1;
        let partitions = 1 + self.pick(3) as i32;
        let mut config = vec![("segment.bytes".to_owned(), (1024 << self.pick(5)).to_string())];
        if self.random.chance(400_000) {
            config.push(("retention.bytes".to_owned(), (2000 << self.pick(3)).to_string()));
        }
        let compacted = self.random.chance(400_000).then(|| self.compaction_settings(&mut config));
        let created = self.log().create_topic(&name, partitions, &config);
        let uncertain = created.is_err();
        let full = matches!(created, Err(LogError::StorageFull { .. }));
        self.settle(created);
        if full {
            return;
        }
        let mut model = TopicModel { uncertain, compacted, ..TopicModel::default() };
        model.partitions.resize_with(partitions as usize, PartitionModel::default);
        self.topics.insert(name, model);
    }

    fn delete_topic(&mut self) {
        let Some(name) = self.some_topic() else { return };
        match self.log().delete_topic(&name) {
            Ok(()) => {
                self.topics.remove(&name);
            }
            Err(LogError::StorageFull { .. }) => assert!(self.full),
            Err(_) => {
                if let Some(topic) = self.topics.get_mut(&name) {
                    topic.uncertain = true;
                }
            }
        }
    }

    fn some_topic(&self) -> Option<String> {
        let index = self.pick(self.topics.len());
        self.topics.keys().nth(index).cloned()
    }

    fn append(&mut self) {
        let Some(name) = self.some_topic() else { return };
        let number = self.pick(self.topics[&name].partitions.len()) as i32;
        let partition = self.log().partition(&name, number).unwrap();
        if self.random.chance(150_000) {
            self.retry(&name, number, &*partition);
            return;
        }
        let count = if self.random.chance(150_000) { 2 + self.pick(3) } else { 1 };
        let mut batches = Vec::new();
        for _ in 0..count {
            let topic = &self.topics[&name];
            let model = &topic.partitions[number as usize];
            batches.push(self.new_batch(model, topic.compacted.is_some(), count == 1));
        }
        self.append_batches(name, number, batches);
    }

    fn append_batches(&mut self, name: String, number: i32, batches: Vec<Bytes>) {
        let partition = self.log().partition(&name, number).unwrap();
        let now = self.now();
        let joined: Vec<u8> = batches.iter().flat_map(|batch| batch.to_vec()).collect();
        let end = self.topics[&name].partitions[number as usize].end();
        match partition.append(joined.into()) {
            Ok(appended) => {
                assert_eq!(appended.base_offset, end);
                assert!(!appended.duplicate);
                let model = &mut self.topics.get_mut(&name).unwrap().partitions[number as usize];
                batches.iter().for_each(|bytes| push(model, bytes, now));
                assert_eq!(appended.next_offset, model.end());
                self.ask_ack(&name, number, &*partition, appended.next_offset);
            }
            Err(LogError::Disk { .. }) => self.unknown = Some((name, number, batches)),
            other => {
                self.settle(other);
                assert_eq!(partition.offsets().end, end, "a refused append moved the end");
            }
        }
    }

    fn ask_ack(&self, name: &str, number: i32, partition: &dyn PartitionLog, offset: Offset) {
        let (acks, name) = (self.acks.clone(), name.to_owned());
        let done = Box::new(move |outcome: Result<(), LogError>| {
            acks.lock().unwrap().push((name, number, offset, outcome.is_ok()));
        });
        partition.when_durable(offset, done);
    }

    fn new_batch(&self, model: &PartitionModel, keyed: bool, may_be_idempotent: bool) -> Bytes {
        let codec = if self.random.chance(100_000) { Compression::Lz4 } else { Compression::None };
        let mut builder = BatchBuilder::new(codec);
        if may_be_idempotent && self.random.chance(500_000) {
            let producer = self.random.below(4) as i64;
            let first = i32::MAX - self.pick(40) as i32;
            let (mut epoch, mut sequence) =
                model.sequences.get(&producer).copied().unwrap_or((0, first));
            if self.random.chance(50_000) {
                (epoch, sequence) = (epoch + 1, 0);
            }
            builder = builder.producer(producer, epoch, sequence);
        }
        self.fill(builder, keyed)
    }

    /// Sends a remembered batch again, or one that cannot come now.
    fn retry(&mut self, name: &str, number: i32, partition: &dyn PartitionLog) {
        let model = &self.topics[name].partitions[number as usize];
        let producer = self.random.below(4) as i64;
        let remembered = model.last_of(producer);
        let Some(newest) = remembered.first() else { return };
        if newest.header.base_offset < model.start {
            return; // Retention may have made the log forget it, by way of a rebuild.
        }
        let end = model.end();
        if self.random.chance(300_000) {
            let (epoch, next) = model.sequences[&producer];
            let gap = record_batch::last_sequence_of(next, 7);
            let builder =
                |epoch| BatchBuilder::new(Compression::None).producer(producer, epoch, gap);
            let keyed = self.topics[name].compacted.is_some();
            let early = partition.append(self.fill(builder(epoch), keyed));
            assert!(matches!(early, Err(LogError::OutOfOrderSequence { .. })), "{early:?}");
            if epoch > 0 {
                let zombie = partition.append(self.fill(builder(epoch - 1), keyed));
                assert!(matches!(zombie, Err(LogError::Fenced { .. })), "{zombie:?}");
            }
            assert_eq!(partition.offsets().end, end);
            return;
        }
        // Compaction may have left but the newest to tell the producer's state from.
        let compacted = self.topics[name].compacted.is_some();
        let again = remembered[if compacted { 0 } else { self.pick(remembered.len()) }];
        let (header, bytes) = (again.header, again.bytes.clone());
        if header.base_offset < model.start {
            return;
        }
        let appended = partition.append(bytes).expect("a retry");
        assert!(appended.duplicate, "a retry was appended");
        assert_eq!(appended.base_offset, header.base_offset);
        assert_eq!(appended.next_offset, header.next_offset());
        assert_eq!(partition.offsets().end, end);
        self.ask_ack(name, number, partition, appended.next_offset);
    }

    fn commit(&mut self) {
        self.log().commit_step();
        self.take_acks();
        if self.fatal.load(Ordering::SeqCst) {
            return;
        }
        for (name, topic) in &self.topics {
            for (number, model) in topic.partitions.iter().enumerate() {
                let partition = self.log().partition(name, number as i32).unwrap();
                assert_eq!(partition.offsets().high_watermark, model.end());
                assert_eq!(model.acked, model.end(), "someone was not told");
                if self.calm() && self.random.chance(100_000) {
                    check_transactions(&*partition, model);
                }
            }
        }
    }

    fn read(&mut self) {
        let Some(name) = self.some_topic() else { return };
        let number = self.pick(self.topics[&name].partitions.len());
        let model = &self.topics[&name].partitions[number];
        let partition = self.log().partition(&name, number as i32).unwrap();
        let offsets = partition.offsets();
        assert!(offsets.start <= offsets.last_stable);
        assert!(offsets.last_stable <= offsets.high_watermark);
        assert!(offsets.high_watermark <= offsets.end);
        let span = (offsets.high_watermark - offsets.start) as usize + 1;
        let from = offsets.start + self.pick(span) as i64;
        let max_bytes = self.pick(4000);
        let read = partition.read(from, max_bytes, Isolation::ReadUncommitted);
        if !self.powered() {
            return;
        }
        let bytes = read.unwrap();
        let mut next = from;
        let topic = &self.topics[&name];
        for (index, batch) in record_batch::split(&bytes).enumerate() {
            let batch = batch.unwrap();
            let offset = batch.header().base_offset;
            if topic.compacted.is_none() {
                let place = model.batches.partition_point(|b| b.header.base_offset < offset);
                assert_eq!(model.batches[place].bytes, batch.bytes());
                assert!(if index == 0 { offset <= next } else { offset == next });
            }
            assert!(batch.header().next_offset() > next);
            next = batch.header().next_offset();
        }
        assert_eq!(bytes.is_empty(), from == offsets.high_watermark);
        if self.calm() && topic.compacted.is_some() && self.random.chance(300_000) {
            check_contents(&*partition, model, topic.compacted, 1 + max_bytes, self.now());
        }
        self.look_up_time(&*partition);
    }

    fn look_up_time(&self, partition: &dyn PartitionLog) {
        if !self.calm() || !self.random.chance(300_000) {
            return;
        }
        let offsets = partition.offsets();
        let time = self.random.below(1_000_010) as i64;
        let batches = read_from(partition, offsets.start, 5000).unwrap();
        let data = batches
            .iter()
            .filter(|(_, bytes)| !BatchHeader::parse(bytes).unwrap().attributes.is_control());
        let mut records: Vec<(Offset, i64)> = Vec::new();
        for (_, bytes) in data {
            records.extend(contents(bytes).iter().map(|(offset, record)| (*offset, record.2)));
        }
        records.retain(|(offset, _)| (offsets.start..offsets.high_watermark).contains(offset));
        let expected = records.iter().find(|(_, timestamp)| *timestamp >= time).copied();
        let found = partition.offset_for_time(time);
        if !self.powered() {
            return;
        }
        assert_eq!(found.unwrap(), expected, "time {time}");
        let newest = records.iter().map(|(_, timestamp)| *timestamp).max();
        let first = newest.and_then(|newest| records.iter().find(|r| r.1 == newest).copied());
        let found = partition.max_timestamp();
        if self.powered() {
            assert_eq!(found.unwrap(), first);
        }
    }

    fn retention(&mut self) {
        self.log().retention_step(self.sim.env().clock.wall_ms());
        if self.fatal.load(Ordering::SeqCst) {
            return;
        }
        for (name, topic) in &mut self.topics {
            for (number, model) in topic.partitions.iter_mut().enumerate() {
                let partition = self.log.as_ref().unwrap().partition(name, number as i32).unwrap();
                let start = partition.offsets().start;
                assert!(start >= model.start && start <= model.acked);
                model.start = start;
            }
        }
    }

    /// Lets something go wrong from now on.
    fn plan_faults(&mut self) {
        let plan = FaultPlan::default();
        let soon = 1 + self.random.below(40);
        let plan = match self.pick(4) {
            0 => FaultPlan { fail_nth: vec![(OpKind::Sync, 1 + soon / 8)], ..plan },
            1 => {
                self.full = true;
                let used: usize = self.sim.disk.dump().values().flatten().map(Vec::len).sum();
                let capacity_bytes = used as u64 + 100 * soon;
                let copy_on_write = self.random.chance(500_000);
                FaultPlan { capacity_bytes, copy_on_write, ..plan }
            }
            2 => FaultPlan { short_read_per_million: 300_000, ..plan },
            _ => {
                self.doomed = true;
                FaultPlan { power_off_at: Some(soon), ..plan }
            }
        };
        self.sim.disk.faults(plan);
    }

    fn heal(&mut self) {
        self.full = false;
        self.doomed = false;
        self.sim.disk.faults(FaultPlan::default());
    }

    /// The process ends, one way or another, and begins again.
    fn restart(&mut self) {
        match self.pick(4) {
            0 if !self.fatal.load(Ordering::SeqCst) && self.powered() => {
                let closed = self.log().close();
                self.take_acks();
                self.settle(closed);
            }
            1 => {
                self.take_acks();
                self.sim.disk.kill();
            }
            _ => {}
        }
        self.take_acks();
        self.log = None;
        // Power may fail while the disk was full or failing; with the process gone, what
        // is pending is lost, kept or torn.
        if self.random.chance(700_000) || !self.powered() {
            self.sim.crash();
        } else {
            self.sim.disk.kill();
        }
        self.open();
    }

    fn step(&mut self) {
        if self.fatal.load(Ordering::SeqCst) || !self.powered() {
            self.restart();
            return;
        }
        match self.random.below(1000) {
            0..450 => self.append(),
            450..600 => self.transact(),
            600..750 => self.commit(),
            750..850 => self.read(),
            850..870 => self.log().mark_step(),
            870..890 => self.retention(),
            890..895 => self.log().producers_step(),
            895..900 => self.delete_records(),
            900..920 => self.sim.clock.advance(std::time::Duration::from_secs(3600)),
            970..978 => self.compact(),
            920..930 => self.create_topic(),
            930..933 => self.delete_topic(),
            933..950 => self.plan_faults(),
            950..970 => self.heal(),
            _ => self.restart(),
        }
    }
}

/// Runs one history; returns the disk's trace.
fn history(seed: u64) -> u64 {
    let mut world = World::new(seed);
    world.open();
    world.create_topic();
    let steps = 50 + world.random.below(350);
    for _ in 0..steps {
        world.step();
    }
    // Liveness: healed, everything is acknowledged and readable.
    world.heal();
    if world.fatal.load(Ordering::SeqCst) || !world.powered() {
        world.restart();
    }
    world.append();
    world.commit();
    world.compact_all();
    world.restart();
    world.sim.disk.trace_hash()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn crash_histories() {
    if let Some(seed) = number("THALWEG_SIM_SEED") {
        history(seed);
        return;
    }
    let seeds = number("THALWEG_SIM_SEEDS").unwrap_or(600);
    let threads = 2;
    let run = |thread: u64| {
        for seed in (thread..seeds).step_by(threads) {
            let trace = catch_unwind(AssertUnwindSafe(|| history(seed)));
            let Ok(trace) = trace else {
                panic!(
                    "history {seed} failed; replay it: THALWEG_SIM_SEED={seed} \
                     cargo test -p thalweg-log --test it crash_histories"
                );
            };
            if seed % 100 == 0 {
                assert_eq!(history(seed), trace, "history {seed} is not deterministic");
            }
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..threads as u64 {
            scope.spawn(move || run(thread));
        }
    });
}
