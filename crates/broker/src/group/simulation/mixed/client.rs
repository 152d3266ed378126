//! Clients that follow their protocol as stock clients do.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::world::World;
use crate::error_code::{ErrorCode, NONE};
use crate::group::embedded;
use crate::group::messages::*;
use crate::group::partitions::Partitions;
use crate::group::topics::TopicsImage;

const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 20_000;
const HEARTBEAT_MS: u64 = 1_000;

/// Which protocol a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// KIP-848.
    Consumer,
    /// Eager or cooperative, as the world has it.
    Classic,
}

#[derive(Clone, Debug)]
enum Doing {
    Joining,
    /// To ask for the assignment, or to bring it.
    Syncing(Vec<(String, Bytes)>),
    Consuming,
}

/// A client.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) kind: Kind,
    pub(super) instance_id: Option<String>,
    pub(super) member_id: String,
    /// Member epoch or generation.
    pub(super) epoch: i32,
    /// What it reads at this moment.
    pub(super) owned: Partitions,
    /// What it was told to have, and has not brought about yet.
    told: Option<Partitions>,
    doing: Doing,
    pub(super) waiting: Option<Token>,
    /// The next heartbeat says everything, for an answer was lost.
    full: bool,
    /// The next heartbeat says what it has.
    tells_owned: bool,
    heartbeat_at: u64,
    /// The topics for which it led, if it did: it joins again when there are others.
    led_for: Option<Arc<TopicsImage>>,
    /// The group was without it since it was last told what it has.
    pub(super) was_out: bool,
}

impl Client {
    pub(super) fn new(kind: Kind, instance_id: Option<String>, member_id: String) -> Self {
        Self {
            kind,
            instance_id,
            member_id,
            epoch: 0,
            owned: Partitions::default(),
            told: None,
            doing: Doing::Joining,
            waiting: None,
            full: false,
            tells_owned: false,
            heartbeat_at: 0,
            led_for: None,
            was_out: false,
        }
    }

    /// Gives up all that it has, and joins as if for the first time.
    fn begin_anew(&mut self) {
        self.owned = Partitions::default();
        self.told = None;
        self.epoch = 0;
        self.doing = Doing::Joining;
        self.was_out = false;
    }

    /// Whether it would commit now: between JoinGroup and SyncGroup stock clients do not.
    pub(super) fn commits(&self) -> bool {
        self.epoch > 0 && !self.owned.is_empty() && matches!(self.doing, Doing::Consuming)
    }

    pub(super) fn is_settled(&self) -> bool {
        matches!(self.doing, Doing::Consuming) && self.told.is_none()
    }

    pub(super) fn as_member(&self) -> MemberRef {
        MemberRef {
            group: "g".into(),
            generation: self.epoch,
            member_id: self.member_id.clone(),
            instance_id: self.instance_id.clone(),
        }
    }

    /// An answer that was on its way will never come.
    pub(super) fn lose_answer(&mut self) {
        if self.waiting.take().is_none() {
            return;
        }
        self.full = true;
        if self.kind == Kind::Classic && matches!(self.doing, Doing::Syncing(_)) {
            self.doing = Doing::Joining;
        }
    }

    pub(super) fn heartbeat(&self, epoch: i32) -> HeartbeatInput {
        HeartbeatInput {
            group: "g".into(),
            member_id: self.member_id.clone(),
            instance_id: self.instance_id.clone(),
            epoch,
            ..HeartbeatInput::default()
        }
    }

    fn consumer_receives(&mut self, reply: ConsumerReply, now: Now) {
        if reply.error_code == NONE {
            self.full = false;
            self.epoch = reply.epoch;
            self.told = reply.assignment.or(self.told.take());
            self.doing = Doing::Consuming;
        } else if reply.error_code == ErrorCode::UnreleasedInstanceId.code() {
            self.heartbeat_at = now.monotonic_ms + HEARTBEAT_MS;
        } else {
            let fenced = [ErrorCode::FencedMemberEpoch, ErrorCode::UnknownMemberId];
            assert!(fenced.iter().any(|code| code.code() == reply.error_code), "{reply:?}");
            self.begin_anew();
        }
    }

    fn joined(&mut self, reply: JoinReply, world: &WorldView) {
        if reply.error_code == ErrorCode::MemberIdRequired.code() {
            self.member_id = reply.member_id;
            return;
        }
        if reply.error_code != NONE {
            self.refused(reply.error_code);
            return;
        }
        self.epoch = reply.generation;
        self.member_id = reply.member_id;
        let leads = reply.leader == self.member_id;
        let assignments = if leads { world.assign(&reply.members) } else { Vec::new() };
        self.led_for = leads.then(|| world.topics.clone());
        self.doing = Doing::Syncing(assignments);
    }

    fn refused(&mut self, code: i16) {
        self.doing = Doing::Joining;
        if code == ErrorCode::UnknownMemberId.code() {
            self.begin_anew();
            self.member_id.clear();
        } else if code == ErrorCode::IllegalGeneration.code() {
            self.begin_anew();
        } else {
            assert_eq!(code, ErrorCode::RebalanceInProgress.code());
        }
    }

    fn synced(&mut self, reply: SyncReply, topics: &TopicsImage, cooperative: bool) {
        if reply.error_code != NONE {
            self.refused(reply.error_code);
            return;
        }
        let assigned = embedded::assignment(&reply.assignment).expect("an assignment");
        let assigned = topics.ids_of(&assigned);
        self.was_out = false;
        let gives_away = !self.owned.is_subset(&assigned);
        self.owned = assigned;
        // A cooperative member says at once what it gave away.
        let again = cooperative && gives_away;
        self.doing = if again { Doing::Joining } else { Doing::Consuming };
    }
}

/// What clients know of the world.
pub(super) struct WorldView {
    pub(super) topics: Arc<TopicsImage>,
    pub(super) cooperative: bool,
}

impl WorldView {
    pub(super) fn all(&self) -> Partitions {
        let topics = self.topics.names().filter_map(|name| self.topics.topic(name));
        topics.flat_map(|topic| (0..topic.partitions).map(move |at| (topic.id, at))).collect()
    }

    /// What the leader of a classic group hands out: equal shares. A cooperative leader
    /// gives nobody what another one still has.
    fn assign(&self, members: &[(String, Option<String>, Bytes)]) -> Vec<(String, Bytes)> {
        let (all, mut claimed) = (self.all(), Partitions::default());
        let share = all.len().div_ceil(members.len());
        let mut shares: BTreeMap<&str, Partitions> = BTreeMap::new();
        for (id, _, subscription) in members {
            let read = embedded::subscription(subscription).expect("a subscription");
            let owned = self.topics.ids_of(&read.owned).intersection(&all);
            let owned = owned.difference(&claimed);
            claimed.extend(owned.iter());
            shares.insert(id, owned.iter().take(share).collect());
        }
        for (topic, partition) in all.difference(&claimed).iter() {
            let least = shares.values_mut().min_by_key(|share| share.len()).expect("a member");
            least.insert(topic, partition);
        }
        let encode =
            |share: &Partitions| embedded::encode_assignment(0, &self.topics.names_of(share));
        shares.iter().map(|(id, share)| ((*id).to_owned(), encode(share))).collect()
    }
}

impl World {
    /// A client's next step, if it is not waiting for an answer.
    pub(super) fn run(&mut self, id: usize) {
        let client = self.clients[&id].clone();
        if client.waiting.is_some() {
            return;
        }
        match client.kind {
            Kind::Consumer => self.run_consumer(id, client),
            Kind::Classic => self.run_classic(id, client),
        }
    }

    fn run_consumer(&mut self, id: usize, mut client: Client) {
        let at = self.now.monotonic_ms;
        if let Some(told) = client.told.take() {
            client.owned = told;
            client.tells_owned = true;
            self.clients.insert(id, client);
            return;
        }
        if client.heartbeat_at > at && !client.tells_owned {
            return;
        }
        client.heartbeat_at = at + HEARTBEAT_MS;
        let mut beat = client.heartbeat(client.epoch);
        if client.epoch == 0 || client.full {
            beat.rebalance_timeout_ms = Some(REBALANCE_MS);
            beat.regex = Some(".*".into());
            beat.owned = Some(client.owned.clone());
        }
        if client.tells_owned {
            beat.owned = Some(client.owned.clone());
        }
        client.tells_owned = false;
        self.clients.insert(id, client);
        self.send(Some(id), Input::ConsumerHeartbeat(Box::new(beat)));
    }

    fn run_classic(&mut self, id: usize, mut client: Client) {
        let at = self.now.monotonic_ms;
        let view = self.view();
        let settled = matches!(client.doing, Doing::Consuming);
        if settled && client.led_for.as_ref().is_some_and(|topics| *topics != view.topics) {
            client.doing = Doing::Joining;
        }
        let input = match &client.doing {
            Doing::Joining => {
                if !view.cooperative {
                    client.owned = Partitions::default();
                }
                self.next_id += 1;
                Input::Join(join(&client, &view, self.next_id))
            }
            Doing::Syncing(assignments) => Input::Sync(SyncInput {
                member: client.as_member(),
                protocol_type: Some("consumer".into()),
                protocol: Some("own".into()),
                assignments: assignments.clone(),
            }),
            Doing::Consuming if client.heartbeat_at > at => return,
            Doing::Consuming => {
                client.heartbeat_at = at + HEARTBEAT_MS;
                Input::Heartbeat(client.as_member())
            }
        };
        self.clients.insert(id, client);
        self.send(Some(id), input);
    }

    /// An answer arrives that was given when there were these topics.
    pub(super) fn receive(&mut self, id: usize, reply: Reply, topics: Arc<TopicsImage>) {
        let (view, now) = (self.view(), self.now);
        let Some(client) = self.clients.get_mut(&id) else { return };
        match reply {
            Reply::Consumer(reply) => client.consumer_receives(reply, now),
            Reply::Join(reply) => client.joined(reply, &view),
            Reply::Sync(reply) => client.synced(reply, &topics, view.cooperative),
            Reply::Code(NONE) | Reply::Codes(_) => {}
            Reply::Code(code) => client.refused(code),
        }
    }
}

fn join(client: &Client, view: &WorldView, fresh: usize) -> JoinInput {
    let topics: Vec<_> = view.topics.names().collect();
    let named = view.topics.names_of(&client.owned);
    let owned: Vec<_> = named
        .iter()
        .flat_map(|(topic, of)| of.iter().map(move |partition| (topic.as_str(), *partition)))
        .collect();
    let subscription = embedded::encode_subscription(&topics, Some(&owned));
    JoinInput {
        group: "g".into(),
        member_id: client.member_id.clone(),
        instance_id: client.instance_id.clone(),
        client_id: "client".into(),
        client_host: "127.0.0.1".into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".into(),
        protocols: vec![("own".into(), subscription)],
        requires_known_id: true,
        can_skip_assignment: true,
        fresh_id: format!("classic-{fresh}"),
    }
}
