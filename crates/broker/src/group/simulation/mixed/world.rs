//! The coordinator, its log, its clients, and what must hold of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use thalweg_core::ids::{Offset, ProducerId, TopicId, TopicPartition};
use thalweg_core::record_batch::ControlKind;

use super::client::{Client, Kind, WorldView};
use super::{Action, Index};
use crate::error_code::NONE;
use crate::group::classic::Phase;
use crate::group::coordinator::{Coordinator, Group};
use crate::group::describe::GroupState;
use crate::group::embedded;
use crate::group::messages::*;
use crate::group::partitions::Partitions;
use crate::group::record::Entry;
use crate::group::replay::Replay;
use crate::group::topics::{Topic, TopicsImage};
use crate::options::GroupOptions;

/// A record of the internal topic.
#[derive(Clone, Debug)]
enum Logged {
    Entry(Entry),
    InTransaction(TransactionRef, Entry),
    Marker(i64, ControlKind),
    Forgotten,
}

/// A commit that was written.
#[derive(Clone, Debug)]
struct Commit {
    record: usize,
    partition: TopicPartition,
    offset: i64,
    /// Producer of its transaction, and how and where that ended.
    transaction: Option<(i64, Option<(ControlKind, usize)>)>,
}

/// An answer on its way.
struct Answer {
    token: Token,
    reply: Reply,
    /// The topics as of it: classic members are told names, which may be other topics' by
    /// the time they hear of it.
    topics: Arc<TopicsImage>,
    /// The group has been without the member since.
    outdated: bool,
}

pub(super) struct World {
    coordinator: Coordinator,
    pub(super) now: Now,
    topics: BTreeMap<String, Topic>,
    image: Arc<TopicsImage>,
    cooperative: bool,
    token: Token,
    waiting: HashMap<Token, usize>,
    log: Vec<Logged>,
    /// Records that no crash takes away.
    durable: usize,
    /// Where the log may end after a crash: what is written together is there as a whole.
    ends: BTreeSet<usize>,
    /// Answers that wait to be durable.
    ready: Vec<Answer>,
    pub(super) clients: BTreeMap<usize, Client>,
    next_client: usize,
    pub(super) next_id: usize,
    commits: Vec<Commit>,
    next_offset: i64,
}

impl World {
    pub(super) fn new(cooperative: bool) -> Self {
        let options = GroupOptions { initial_rebalance_delay_ms: 0, ..GroupOptions::default() };
        let mut world = Self {
            coordinator: Coordinator::new(options),
            now: Now { monotonic_ms: 0, wall_ms: 0 },
            topics: BTreeMap::new(),
            image: Arc::default(),
            cooperative,
            token: 0,
            waiting: HashMap::new(),
            log: Vec::new(),
            durable: 0,
            ends: BTreeSet::new(),
            ready: Vec::new(),
            clients: BTreeMap::new(),
            next_client: 0,
            next_id: 0,
            commits: Vec::new(),
            next_offset: 0,
        };
        world.topics.insert("t0".into(), Topic { id: TopicId(1), partitions: 4 });
        world.tell_topics();
        world
    }

    pub(super) fn view(&self) -> WorldView {
        WorldView { topics: self.image.clone(), cooperative: self.cooperative }
    }

    fn tell_topics(&mut self) {
        let mut image = TopicsImage::default();
        self.topics.iter().for_each(|(name, topic)| image.add(name, *topic));
        self.image = Arc::new(image);
        self.send(None, Input::Topics(self.image.clone()));
    }

    fn pick(&self, index: &Index) -> Option<usize> {
        let ids: Vec<_> = self.clients.keys().copied().collect();
        (!ids.is_empty()).then(|| ids[index.index(ids.len())])
    }

    pub(super) fn act(&mut self, action: &Action) {
        match action {
            Action::Start { kind, is_static } => {
                // Classic static members are the other simulation's.
                let is_static = *is_static && *kind == Kind::Consumer;
                self.start(*kind, is_static.then(|| format!("instance-{}", self.next_client)));
            }
            Action::Leave(index) => {
                if let Some(client) = self.pick(index).and_then(|id| self.clients.remove(&id)) {
                    self.leave(&client, -1);
                }
            }
            Action::Crash(index) => {
                self.pick(index).map(|id| self.clients.remove(&id));
            }
            Action::Restart { client, tells } => self.restart_client(client, *tells),
            Action::Run(index) => {
                if let Some(id) = self.pick(index) {
                    self.run(id);
                }
            }
            Action::RunAll(rounds) => (0..*rounds).for_each(|_| self.run_all()),
            Action::Lose(index) => {
                if let Some(id) = self.pick(index) {
                    let client = self.clients.get_mut(&id).expect("picked");
                    let lost = client.waiting;
                    client.lose_answer();
                    self.waiting.retain(|token, _| Some(*token) != lost);
                }
            }
            Action::Commit(index) => self.commit(index, false),
            Action::CommitInTransaction(index) => self.commit(index, true),
            Action::EndTransaction { client, commits } => self.end_transaction(client, *commits),
            Action::Advance(ms) => self.advance(*ms),
            Action::MorePartitions(index) => {
                if let Some(topic) = self.pick_topic(index).and_then(|n| self.topics.get_mut(&n)) {
                    topic.partitions = (topic.partitions + 2).min(9);
                }
                self.tell_topics();
            }
            Action::MoreTopics => {
                self.next_id += 1;
                let topic = Topic { id: TopicId(100 + self.next_id as u128), partitions: 2 };
                self.topics.insert(format!("t{}", self.next_id % 3), topic);
                self.tell_topics();
            }
            Action::DropTopic(index) => {
                if let Some(name) = self.pick_topic(index) {
                    self.topics.remove(&name);
                }
                self.tell_topics();
            }
            Action::Sync => self.sync(),
            Action::Die(index) => self.die(index),
            Action::Rewrite => self.rewrite(),
        }
    }

    fn pick_topic(&self, index: &Index) -> Option<String> {
        (!self.topics.is_empty())
            .then(|| self.topics.keys().nth(index.index(self.topics.len())).cloned())?
    }

    fn start(&mut self, kind: Kind, instance_id: Option<String>) {
        self.next_client += 1;
        self.next_id += 1;
        let member_id = match kind {
            Kind::Consumer => format!("consumer-{}", self.next_id),
            Kind::Classic => String::new(),
        };
        self.clients.insert(self.next_client, Client::new(kind, instance_id, member_id));
    }

    fn leave(&mut self, client: &Client, epoch: i32) {
        match client.kind {
            Kind::Consumer if client.epoch > 0 => {
                let beat = client.heartbeat(epoch);
                self.send(None, Input::ConsumerHeartbeat(Box::new(beat)));
            }
            Kind::Classic if !client.member_id.is_empty() => {
                let members = vec![(client.member_id.clone(), client.instance_id.clone())];
                self.send(None, Input::Leave(LeaveInput { group: "g".into(), members }));
            }
            _ => {}
        }
    }

    fn restart_client(&mut self, index: &Index, tells: bool) {
        let Some(id) = self.pick(index) else { return };
        if self.clients[&id].instance_id.is_none() {
            return;
        }
        let client = self.clients.remove(&id).expect("picked");
        if tells {
            self.leave(&client, -2);
        }
        self.start(client.kind, client.instance_id);
    }

    pub(super) fn run_all(&mut self) {
        for id in self.clients.keys().copied().collect::<Vec<_>>() {
            self.run(id);
        }
        self.sync();
    }

    fn advance(&mut self, ms: u64) {
        self.now.monotonic_ms += ms;
        self.now.wall_ms += ms as i64;
        self.send(None, Input::Tick);
    }

    fn commit(&mut self, index: &Index, in_transaction: bool) {
        let Some(id) = self.pick(index) else { return };
        let client = self.clients[&id].clone();
        let named = self.image.names_of(&client.owned);
        let Some((topic, partitions)) = named.first_key_value().filter(|_| client.commits()) else {
            return;
        };
        let partition = TopicPartition::new(topic, *partitions.first().expect("not empty"));
        self.next_offset += 1;
        let offset = CommitOffset {
            partition: partition.clone(),
            offset: self.next_offset,
            leader_epoch: -1,
            metadata: String::new(),
            retention_ms: None,
        };
        let transaction = TransactionRef { producer_id: id as i64, producer_epoch: 0 };
        let input = Input::Commit(CommitInput {
            member: client.as_member(),
            offsets: vec![offset],
            version: 9,
            transaction: in_transaction.then_some(transaction),
        });
        let record = self.log.len();
        self.send(None, input);
        if self.log.len() == record {
            return;
        }
        let transaction = in_transaction.then_some((id as i64, None));
        self.commits.push(Commit {
            record,
            partition: partition.clone(),
            offset: self.next_offset,
            transaction,
        });
        let id_of = self.image.topic(&partition.topic).expect("just named").id;
        for (other, of) in &self.clients {
            let has = of.owned.contains(id_of, partition.partition) && self.counts(of);
            assert!(*other == id || !has, "{partition} is committed by one and read by another");
        }
    }

    fn end_transaction(&mut self, index: &Index, commits: bool) {
        let open = |commit: &&mut Commit| matches!(commit.transaction, Some((_, None)));
        let mut open: Vec<_> = self.commits.iter_mut().filter(open).collect();
        if open.is_empty() {
            return;
        }
        let chosen = index.index(open.len());
        let producer = open[chosen].transaction.expect("a transaction").0;
        let outcome = if commits { ControlKind::Commit } else { ControlKind::Abort };
        let marker = self.log.len();
        for commit in &mut open {
            if commit.transaction == Some((producer, None)) {
                commit.transaction = Some((producer, Some((outcome, marker))));
            }
        }
        self.log.push(Logged::Marker(producer, outcome));
        self.ends.insert(self.log.len());
        let (producer, marker) = (ProducerId(producer), marker as Offset);
        self.send(None, Input::TransactionEnded { producer, outcome, marker });
    }

    pub(super) fn send(&mut self, from: Option<usize>, input: Input) {
        self.token += 1;
        if let Some(id) = from {
            self.waiting.insert(self.token, id);
            self.clients.get_mut(&id).expect("alive").waiting = Some(self.token);
        }
        for output in self.coordinator.step(self.token, input, self.now) {
            match output {
                Output::Persist(entries) => {
                    for entry in entries {
                        self.coordinator.apply(&entry, self.log.len() as Offset, self.now);
                        self.log.push(Logged::Entry(entry));
                    }
                }
                Output::PersistIn(of, entries) => {
                    for entry in entries {
                        self.coordinator.apply_in(of, &entry, self.log.len() as Offset);
                        self.log.push(Logged::InTransaction(of, entry));
                    }
                }
                Output::Reply(token, reply) => {
                    let topics = self.image.clone();
                    self.ready.push(Answer { token, reply, topics, outdated: false });
                }
            }
            self.ends.insert(self.log.len());
        }
        self.note_who_is_out();
    }

    /// Clients whose time is over may join again under their former ids before they hear
    /// of it. What they had is lost all the same.
    fn note_who_is_out(&mut self) {
        let group = self.coordinator.groups.get("g");
        for (id, client) in &mut self.clients {
            let is_out = match group {
                None => true,
                Some(Group::Classic(group)) => !group.members.contains_key(&client.member_id),
                Some(Group::Consumer(group)) => !group.members.contains_key(&client.member_id),
            };
            client.was_out |= is_out;
            // What it is yet to hear was said before that.
            for answer in self.ready.iter_mut().filter(|_| is_out) {
                answer.outdated |= self.waiting.get(&answer.token) == Some(id);
            }
        }
    }

    /// Makes everything durable, and answers.
    fn sync(&mut self) {
        self.durable = self.log.len();
        for Answer { token, reply, topics, outdated } in std::mem::take(&mut self.ready) {
            let Some(id) = self.waiting.remove(&token) else { continue };
            if let Some(client) = self.clients.get_mut(&id) {
                client.waiting = None;
            }
            self.receive(id, reply, topics);
            if let Some(client) = self.clients.get_mut(&id) {
                client.was_out |= outdated;
            }
        }
    }

    fn die(&mut self, index: &Index) {
        let mut ends: Vec<_> = self.ends.range(self.durable..).copied().collect();
        ends.push(self.durable);
        let keep = ends[index.index(ends.len())];
        self.ends.retain(|end| *end <= keep);
        self.log.truncate(keep);
        self.durable = keep;
        self.commits.retain(|commit| commit.record < keep);
        for commit in &mut self.commits {
            if let Some((_, ended)) = &mut commit.transaction {
                *ended = ended.filter(|(_, marker)| *marker < keep);
            }
        }
        self.ready.clear();
        self.waiting.clear();
        self.clients.values_mut().for_each(Client::lose_answer);
        self.coordinator = self.rebuilt();
        self.send(None, Input::Topics(self.image.clone()));
    }

    fn rebuilt(&self) -> Coordinator {
        let mut replay = Replay::new(self.coordinator.options.clone(), self.now);
        for (record, logged) in (0..).zip(&self.log) {
            match logged {
                Logged::Entry(entry) => replay.take(entry, record),
                Logged::InTransaction(of, entry) => replay.take_in(*of, entry, record),
                Logged::Marker(producer, outcome) => {
                    replay.end_transaction(ProducerId(*producer), *outcome, record);
                }
                Logged::Forgotten => {}
            }
        }
        replay.finish(self.coordinator.settings.clone())
    }

    fn rewrite(&mut self) {
        let begin = self.log.len();
        let unsettled = self.coordinator.oldest_unsettled().map_or(begin, |at| at as usize);
        let entries = self.coordinator.entries(self.now);
        self.log.extend(entries.into_iter().map(Logged::Entry));
        self.sync();
        self.log[..begin.min(unsettled)].fill(Logged::Forgotten);
    }

    /// Whether the coordinator would take the client for a member in good standing.
    fn counts(&self, client: &Client) -> bool {
        match self.coordinator.groups.get("g") {
            None => false,
            Some(Group::Classic(group)) => {
                group.members.contains_key(&client.member_id) && group.generation == client.epoch
            }
            Some(Group::Consumer(group)) => {
                let is_member = group.members.contains_key(&client.member_id);
                is_member && (client.kind == Kind::Consumer || !client.was_out)
            }
        }
    }

    /// That a restart would find the same.
    pub(super) fn check_rebuilt(&self) {
        let rebuilt = self.rebuilt();
        self.check_offsets(&rebuilt);
        if let Some(Group::Consumer(group)) = self.coordinator.groups.get("g") {
            let Some(Group::Consumer(again)) = rebuilt.groups.get("g") else {
                panic!("a restart would find no consumer group")
            };
            assert_eq!(group, again);
        }
    }

    /// What holds at any time.
    pub(super) fn check(&self) {
        self.check_offsets(&self.coordinator);
        let Some(group) = self.coordinator.groups.get("g") else { return };
        if let Group::Consumer(group) = group {
            let mut held = Partitions::default();
            for member in group.members.values() {
                let current = &member.current;
                for (topic, partition) in current.assigned.iter().chain(current.revoking.iter()) {
                    assert!(held.insert(topic, partition), "{partition} of {topic} twice");
                }
            }
            assert!(self.coordinator.deadline().is_some());
        }
        let (mut read, all) = (Partitions::default(), self.view().all());
        for client in self.clients.values().filter(|client| self.counts(client)) {
            // Of topics that are gone nobody reads anything.
            let owned = client.owned.intersection(&all);
            if let Group::Consumer(group) = group {
                let current = &group.members[&client.member_id].current;
                let mut has = current.assigned.clone();
                has.extend(current.revoking.iter());
                assert!(owned.is_subset(&has), "{client:?} against {current:?}");
            }
            for (topic, partition) in owned.iter() {
                assert!(read.insert(topic, partition), "{partition} of {topic} is read twice");
            }
        }
    }

    fn check_offsets(&self, coordinator: &Coordinator) {
        let mut expected: BTreeMap<&TopicPartition, &Commit> = BTreeMap::new();
        for commit in &self.commits {
            match commit.transaction {
                None | Some((_, Some((ControlKind::Commit, _)))) => {
                    let last = expected.entry(&commit.partition).or_insert(commit);
                    if last.record < commit.record {
                        *last = commit;
                    }
                }
                Some(_) => {}
            }
        }
        for commit in &self.commits {
            let found = coordinator.offset("g", &commit.partition).map(|offset| offset.offset);
            let wanted = expected.get(&commit.partition).map(|commit| commit.offset);
            assert_eq!(found, wanted, "{}", commit.partition);
        }
    }

    /// Lets all clients run and time go on, long enough for every timeout.
    pub(super) fn settle(&mut self) {
        for _ in 0..260 {
            (0..6).for_each(|_| self.run_all());
            self.advance(500);
            self.check();
        }
    }

    /// What holds when nothing happened for long.
    pub(super) fn check_settled(&self) {
        let Some(group) = self.coordinator.describe("g") else {
            assert!(self.clients.is_empty());
            return;
        };
        if self.clients.is_empty() {
            assert_eq!(group.summary.state, GroupState::Empty);
            return;
        }
        assert_eq!(group.summary.state, GroupState::Stable, "{group:?} {:?}", self.clients);
        assert_eq!(group.members.len(), self.clients.len());
        let mut read = Partitions::default();
        for client in self.clients.values() {
            assert!(client.is_settled() && self.counts(client), "{client:?}");
            read.extend(client.owned.iter());
        }
        assert_eq!(read, self.view().all(), "each partition has an owner");
        let only_classic = self.clients.values().all(|client| client.kind == Kind::Classic);
        let is_classic = matches!(self.coordinator.groups.get("g"), Some(Group::Classic(_)));
        assert_eq!(is_classic, only_classic, "the protocol that its members speak");
        if let Some(Group::Classic(group)) = self.coordinator.groups.get("g") {
            assert_eq!(group.phase, Phase::Stable);
            let assigned = group.members.values().map(|member| &member.assignment);
            assert!(assigned.clone().all(|bytes| embedded::assignment(bytes).is_some()));
        }
        assert!(!self.ready.iter().any(|answer| matches!(answer.reply, Reply::Code(NONE))));
    }
}
