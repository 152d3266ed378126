//! The world of the model: logs that may lose their ends, markers on their way, clients that
//! send again, and the real coordinator in the middle.

mod check;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use thalweg_core::ids::{ProducerId, TopicPartition};
use thalweg_core::record_batch::ControlKind;

use super::super::coordinator::Coordinator;
use super::super::messages::{
    Change, Effect, End, Event, Init, Markers, Now, Refusal, Reply, Token,
};
use super::super::record;
use super::super::state::{Producer, Protocol, State, Transaction};
use crate::error_code::ErrorCode;
use crate::options::TransactionOptions;

const ID: &str = "tx";
const PARTITIONS: usize = 2;
const TIMEOUT_MS: i32 = 1_000;
/// Together they are as long as a timeout.
const WAITS_MAX: usize = 2;

/// What a client does, in order. Each is sent again until it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Op {
    Init,
    /// Adds the partition, where its protocol wants that, and appends a record to it.
    Produce(usize),
    /// As `Produce`, but nobody waits for it: it arrives at any later time, if at all.
    Lose(usize),
    End(ControlKind),
}

/// A record of a client: which, in its which transaction, and where.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Tag {
    client: usize,
    transaction: usize,
    at: usize,
}

/// What a client is told of its transactions.
#[derive(Clone, Default, Hash, Debug)]
struct Promises {
    acknowledged: BTreeSet<Tag>,
    ended: BTreeMap<(usize, usize), bool>,
}

#[derive(Clone, Hash, Debug)]
struct Client {
    next: usize,
    phase: Phase,
    producer: Option<(i64, i16)>,
    transaction: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Ready,
    /// Its partition is in the transaction.
    Admitted,
    /// A request is at the coordinator.
    Asking,
    /// Its record is in the partition and not durable.
    Appended,
    /// It gave up.
    Dead,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Entry {
    Data { producer: (i64, i16), tag: Tag, is_zombies: bool },
    Marker { producer: (i64, i16), commit: bool },
}

#[derive(Clone, Default, Hash, Debug)]
struct Partition {
    entries: Vec<Entry>,
    durable: usize,
}

impl Partition {
    /// Newest epoch of a producer; markers raise it.
    fn epoch(&self, id: i64) -> i16 {
        let of = |entry: &Entry| match *entry {
            Entry::Data { producer, .. } | Entry::Marker { producer, .. } => producer,
        };
        let newest = self.entries.iter().rev().map(of).find(|(of, _)| *of == id);
        newest.map_or(-1, |(_, epoch)| epoch)
    }
}

/// An end whose markers are being written.
#[derive(Clone, Debug)]
struct Job {
    markers: Markers,
    written: usize,
}

#[derive(Clone)]
pub(super) struct World {
    script: &'static [&'static [Op]],
    protocol: Protocol,
    coordinator: Coordinator,
    now_ms: u64,
    next_id: i64,
    state: Vec<(Vec<u8>, Vec<u8>)>,
    state_durable: usize,
    /// Effects, and how much of the state has to be durable before.
    held: Vec<(usize, Effect)>,
    jobs: Vec<Job>,
    partitions: [Partition; PARTITIONS],
    clients: Vec<Client>,
    lost: Vec<(Tag, (i64, i16))>,
    promises: Promises,
    /// Clients that were initialised, and as which producer.
    initialised: Vec<(usize, (i64, i16))>,
    /// Markers that a log did not take, for their epoch is one of before.
    stale_markers: usize,
    crashes: usize,
    crashes_max: usize,
    waits: usize,
    /// When the server started: its monotonic clock begins then.
    booted_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Client(usize),
    ArriveLate(usize),
    SyncState,
    SyncPartition(usize),
    WriteMarker(usize),
    Marked(usize),
    /// Time passes: half a timeout.
    Wait,
    /// Which unsynced ends are lost: bit 0 of the state, the others of the partitions.
    Crash(u8),
}

fn at(partition: usize) -> TopicPartition {
    TopicPartition::new("t", partition as i32)
}

impl World {
    pub(super) fn new(script: &'static [&'static [Op]], protocol: Protocol, epoch: i16) -> Self {
        let client = Client { next: 0, phase: Phase::Ready, producer: None, transaction: 0 };
        let mut world = Self {
            script,
            protocol,
            coordinator: Coordinator::new(TransactionOptions::default()),
            now_ms: 0,
            next_id: 100,
            state: Vec::new(),
            state_durable: 0,
            held: Vec::new(),
            jobs: Vec::new(),
            partitions: Default::default(),
            clients: vec![client; script.len()],
            lost: Vec::new(),
            promises: Promises::default(),
            initialised: Vec::new(),
            stale_markers: 0,
            crashes: 0,
            crashes_max: 1,
            waits: 0,
            booted_ms: 0,
        };
        if epoch >= 0 {
            let known = Transaction {
                producer: Producer::new(7, epoch),
                timeout_ms: TIMEOUT_MS,
                updated_at: 0,
                ..Transaction::new(ID, ProducerId(7))
            };
            world.store(Change::Put(Box::new(known)));
            world.state_durable = 1;
        }
        world
    }

    /// With so many crashes at most, instead of one.
    pub(super) fn with_crashes(mut self, most: usize) -> Self {
        self.crashes_max = most;
        self
    }

    fn now(&self) -> Now {
        Now { monotonic_ms: self.now_ms - self.booted_ms, wall_ms: self.now_ms as i64 }
    }

    fn store(&mut self, change: Change) {
        let Change::Put(transaction) = &change else { panic!("nothing expires here") };
        self.state.push((record::encode_key(ID), record::encode_value(transaction)));
        self.coordinator.apply(change, self.now(), self.state.len() as i64);
    }

    /// Gives the coordinator an event, as the service does.
    fn step(&mut self, token: Token, mut event: Event) {
        let mut decision = self.coordinator.decide(self.now(), token, event.clone());
        let needs_id = Effect::Reply(token, Err(Refusal::NeedsProducerId));
        if decision.now.contains(&needs_id) {
            match &mut event {
                Event::Init(Init { fresh, .. }) | Event::End(End { fresh, .. }) => {
                    *fresh = Some(ProducerId(self.next_id));
                }
                other => panic!("{other:?} asks for a producer id"),
            }
            self.next_id += 1;
            decision = self.coordinator.decide(self.now(), token, event);
        }
        self.hold(decision.now);
        if let Some(change) = decision.change {
            self.store(change);
        }
        self.hold(decision.then);
    }

    fn hold(&mut self, effects: Vec<Effect>) {
        let after = self.coordinator.written_to(ID) as usize;
        for effect in effects {
            match effect {
                Effect::Again(token, event) => self.step(token, event),
                effect => self.held.push((after, effect)),
            }
        }
        self.release();
    }

    /// Lets effects come about whose time has come.
    fn release(&mut self) {
        let durable = self.state_durable;
        let held = std::mem::take(&mut self.held);
        let (ready, rest) = held.into_iter().partition(|(after, _)| *after <= durable);
        self.held = rest;
        let ready: Vec<(usize, Effect)> = ready;
        for (_, effect) in ready {
            match effect {
                Effect::Reply(token, reply) => self.answer(token as usize - 1, reply),
                Effect::WriteMarkers(markers) => self.jobs.push(Job { markers, written: 0 }),
                Effect::Again(..) => panic!("not held back"),
            }
        }
    }

    fn answer(&mut self, client: usize, reply: Reply) {
        if self.clients[client].phase != Phase::Asking {
            return;
        }
        let op = self.script[client][self.clients[client].next];
        let (protocol, next) = (self.protocol, &mut self.clients[client]);
        match reply {
            Err(Refusal::Code(ErrorCode::ConcurrentTransactions)) => next.phase = Phase::Ready,
            Err(_) => next.phase = Phase::Dead,
            Ok(producer) => match op {
                Op::Produce(_) | Op::Lose(_) => next.phase = Phase::Admitted,
                Op::Init => {
                    next.producer = Some((producer.id.0, producer.epoch));
                    (next.next, next.phase) = (next.next + 1, Phase::Ready);
                    self.initialised.push((client, (producer.id.0, producer.epoch)));
                }
                Op::End(outcome) => {
                    if protocol == Protocol::EpochBump {
                        next.producer = Some((producer.id.0, producer.epoch));
                    }
                    let committed = outcome == ControlKind::Commit;
                    self.promises.ended.insert((client, next.transaction), committed);
                    next.transaction += 1;
                    (next.next, next.phase) = (next.next + 1, Phase::Ready);
                }
            },
        }
    }

    /// All that may happen next.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (number, client) in self.clients.iter().enumerate() {
            let has_more = client.next < self.script[number].len();
            let is_free = matches!(client.phase, Phase::Ready | Phase::Admitted);
            // As the service: a record waits until its transaction is durable.
            let is_settled = self.coordinator.written_to(ID) as usize <= self.state_durable;
            if has_more && is_free && (client.phase == Phase::Ready || is_settled) {
                steps.push(Step::Client(number));
            }
        }
        let settled = self.coordinator.written_to(ID) as usize <= self.state_durable;
        if settled {
            steps.extend((0..self.lost.len()).map(Step::ArriveLate));
        }
        if self.state_durable < self.state.len() {
            steps.push(Step::SyncState);
        }
        for (number, partition) in self.partitions.iter().enumerate() {
            if partition.durable < partition.entries.len() {
                steps.push(Step::SyncPartition(number));
            }
        }
        for (number, job) in self.jobs.iter().enumerate() {
            let partitions = &job.markers.partitions;
            if job.written < partitions.len() {
                steps.push(Step::WriteMarker(number));
            } else if partitions.iter().all(|at| self.is_synced(at.partition as usize)) {
                steps.push(Step::Marked(number));
            }
        }
        if self.waits < WAITS_MAX && self.state_of(State::Ongoing) {
            steps.push(Step::Wait);
        }
        if self.crashes < self.crashes_max {
            steps.extend(
                (0..1 << (1 + PARTITIONS)).filter(|bits| self.loses(*bits)).map(Step::Crash),
            );
        }
        steps
    }

    fn is_synced(&self, partition: usize) -> bool {
        self.partitions[partition].durable == self.partitions[partition].entries.len()
    }

    fn state_of(&self, state: State) -> bool {
        self.coordinator.get(ID).is_some_and(|known| known.state == state)
    }

    /// Whether there is an end to lose for each bit.
    fn loses(&self, bits: u8) -> bool {
        let of_state = bits & 1 == 0 || self.state_durable < self.state.len();
        of_state && (0..PARTITIONS).all(|p| bits & (2 << p) == 0 || !self.is_synced(p))
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Client(number) => self.client(number),
            Step::ArriveLate(number) => {
                let (tag, producer) = self.lost.remove(number);
                self.append_late(tag, producer);
            }
            Step::SyncState => {
                self.state_durable = self.state.len();
                self.release();
            }
            Step::SyncPartition(number) => self.sync_partition(number),
            Step::WriteMarker(number) => self.write_marker(number),
            Step::Marked(number) => {
                let Markers { id, producer, .. } = self.jobs.remove(number).markers;
                self.step(0, Event::Marked { id, producer });
            }
            Step::Wait => {
                self.waits += 1;
                self.now_ms += TIMEOUT_MS as u64 / 2;
                self.fire_timers();
            }
            Step::Crash(bits) => self.crash(bits),
        }
    }

    fn fire_timers(&mut self) {
        while let Some(id) = self.coordinator.overdue(self.now()).map(str::to_owned) {
            self.step(0, Event::Due { id });
        }
    }

    fn client(&mut self, number: usize) {
        let client = self.clients[number].clone();
        let token = number as Token + 1;
        let producer = client.producer.map(|(id, epoch)| Producer::new(id, epoch));
        self.clients[number].phase = Phase::Asking;
        match self.script[number][client.next] {
            Op::Init => {
                let (id, fresh) = (ID.to_owned(), None);
                let init = Init { id, timeout_ms: TIMEOUT_MS, expected: None, fresh };
                self.step(token, Event::Init(init));
            }
            Op::End(outcome) => {
                let producer = producer.expect("initialised");
                let (id, protocol) = (ID.to_owned(), self.protocol);
                let end = End { id, producer, outcome, protocol, fresh: None };
                self.step(token, Event::End(end));
            }
            Op::Produce(partition) | Op::Lose(partition) if client.phase == Phase::Ready => {
                let producer = producer.expect("initialised");
                let (id, partitions) = (ID.to_owned(), BTreeSet::from([at(partition)]));
                let protocol = self.protocol;
                self.step(token, Event::Add { id, producer, partitions, protocol });
            }
            Op::Lose(partition) => {
                let tag = Tag { client: number, transaction: client.transaction, at: partition };
                self.lost.push((tag, client.producer.expect("initialised")));
                self.clients[number].next += 1;
                self.clients[number].phase = Phase::Ready;
            }
            Op::Produce(partition) => {
                let tag = Tag { client: number, transaction: client.transaction, at: partition };
                let producer = client.producer.expect("initialised");
                self.clients[number].phase = match self.append(tag, producer) {
                    Ok(()) => Phase::Appended,
                    Err(ErrorCode::ConcurrentTransactions) => Phase::Ready,
                    Err(_) => Phase::Dead,
                };
                self.acknowledge(number);
            }
        }
    }

    /// A lost request arrives. In the protocol that adds partitions by producing it does
    /// so, like any other.
    fn append_late(&mut self, tag: Tag, producer: (i64, i16)) {
        let _ = self.append(tag, producer);
    }

    fn append(&mut self, tag: Tag, (id, epoch): (i64, i16)) -> Result<(), ErrorCode> {
        self.coordinator.admits(ID, Producer::new(id, epoch), &at(tag.at))?;
        let partition = &mut self.partitions[tag.at];
        if epoch < partition.epoch(id) {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        let known = |entry: &Entry| matches!(entry, Entry::Data { tag: of, .. } if *of == tag);
        if !partition.entries.iter().any(known) {
            // Ids and epochs only grow.
            let successor =
                |(client, other): &(usize, _)| *client != tag.client && *other > (id, epoch);
            let is_zombies = self.initialised.iter().any(successor);
            partition.entries.push(Entry::Data { producer: (id, epoch), tag, is_zombies });
        }
        Ok(())
    }

    fn sync_partition(&mut self, number: usize) {
        self.partitions[number].durable = self.partitions[number].entries.len();
        (0..self.clients.len()).for_each(|client| self.acknowledge(client));
    }

    /// Answers a produce request whose record is durable.
    fn acknowledge(&mut self, number: usize) {
        let client = &self.clients[number];
        let Some(Op::Produce(partition)) = self.script[number].get(client.next).copied() else {
            return;
        };
        if client.phase == Phase::Appended && self.is_synced(partition) {
            let tag = Tag { client: number, transaction: client.transaction, at: partition };
            self.promises.acknowledged.insert(tag);
            self.clients[number].next += 1;
            self.clients[number].phase = Phase::Ready;
        }
    }

    fn write_marker(&mut self, number: usize) {
        let Job { markers, written } = self.jobs[number].clone();
        self.jobs[number].written += 1;
        let partition = markers.partitions[written].partition as usize;
        let producer = (markers.producer.id.0, markers.producer.epoch);
        if producer.1 >= self.partitions[partition].epoch(producer.0) {
            let commit = markers.outcome == ControlKind::Commit;
            self.partitions[partition].entries.push(Entry::Marker { producer, commit });
        } else {
            self.stale_markers += 1;
        }
    }

    /// Power fails; the server starts again and the clients send again.
    fn crash(&mut self, bits: u8) {
        self.crashes += 1;
        let keep = if bits & 1 == 0 { self.state.len() } else { self.state_durable };
        self.state.truncate(keep);
        self.state_durable = keep;
        for (number, partition) in self.partitions.iter_mut().enumerate() {
            if bits & (2 << number) != 0 {
                partition.entries.truncate(partition.durable);
            }
            partition.durable = partition.entries.len();
        }
        self.coordinator = Coordinator::new(TransactionOptions::default());
        self.booted_ms = self.now_ms;
        let now = self.now();
        for (offset, (key, value)) in self.state.iter().enumerate() {
            let id = record::decode_key(key).expect("own key");
            let known = record::decode_value(id, value).expect("own value");
            self.coordinator.restore(known, now, offset as i64 + 1);
        }
        let under_way = self.coordinator.ends_under_way();
        self.jobs = under_way.into_iter().map(|markers| Job { markers, written: 0 }).collect();
        self.held.clear();
        for client in &mut self.clients {
            if client.phase != Phase::Dead {
                client.phase = Phase::Ready;
            }
        }
    }

    /// Tells apart worlds that may go on differently.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let waiting = format!("{:?}{:?}{:?}", self.coordinator, self.held, self.jobs);
        (waiting, &self.state, self.state_durable, self.next_id).hash(&mut hasher);
        (self.now_ms, self.booted_ms, self.waits, self.crashes, self.stale_markers)
            .hash(&mut hasher);
        (&self.partitions, &self.clients, &self.lost).hash(&mut hasher);
        (&self.promises, &self.initialised).hash(&mut hasher);
        hasher.finish()
    }
}
