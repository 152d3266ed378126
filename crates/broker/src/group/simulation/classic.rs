//! Random histories of a group: members that join, leave, crash, come back, and time
//! that goes on, against a coordinator whose promises are checked at each step.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use proptest::prelude::*;

use crate::error_code::{ErrorCode, NONE};
use crate::group::coordinator::{Coordinator, Group};
use crate::group::describe::GroupState;
use crate::group::messages::*;
use crate::group::record::Entry;
use crate::group::replay::Replay;
use crate::options::GroupOptions;

const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 20_000;
const HEARTBEAT_MS: u64 = 1_000;

/// What a client does next, or waits for.
#[derive(Clone, PartialEq, Debug)]
enum Doing {
    Joining,
    WaitingToJoin,
    Syncing { leader_of: Option<Vec<String>> },
    WaitingToSync,
    Consuming,
}

/// A client that follows the protocol as stock clients do.
#[derive(Clone, Debug)]
struct Client {
    instance_id: Option<String>,
    member_id: String,
    generation: i32,
    doing: Doing,
    heartbeat_at: u64,
    assignment: Option<(i32, Bytes)>,
}

#[derive(Clone, Debug)]
enum Action {
    Start {
        is_static: bool,
    },
    Leave(prop::sample::Index),
    Crash(prop::sample::Index),
    /// A static member's process ends and starts again.
    Restart(prop::sample::Index),
    /// Subscribes anew, which takes a rebalance.
    Resubscribe(prop::sample::Index),
    Advance(u64),
    /// Lets one client, chosen at random, do its next thing.
    Run(prop::sample::Index),
}

struct World {
    coordinator: Coordinator,
    now: Now,
    token: Token,
    clients: BTreeMap<usize, Client>,
    waiting: HashMap<Token, usize>,
    next_client: usize,
    next_id: usize,
    subscriptions: usize,
    /// Leader, and what it assigned, by generation.
    leaders: HashMap<i32, String>,
    assigned: HashMap<i32, HashMap<String, Bytes>>,
    remembered: Vec<Entry>,
}

impl World {
    fn new() -> Self {
        Self {
            coordinator: Coordinator::new(GroupOptions::default()),
            now: Now { monotonic_ms: 0, wall_ms: 0 },
            token: 0,
            clients: BTreeMap::new(),
            waiting: HashMap::new(),
            next_client: 0,
            next_id: 0,
            subscriptions: 0,
            leaders: HashMap::new(),
            assigned: HashMap::new(),
            remembered: Vec::new(),
        }
    }

    fn pick(&self, index: &prop::sample::Index) -> Option<usize> {
        let ids: Vec<_> = self.clients.keys().copied().collect();
        (!ids.is_empty()).then(|| ids[index.index(ids.len())])
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Start { is_static } => {
                self.next_client += 1;
                let id = self.next_client;
                let instance_id = is_static.then(|| format!("instance-{id}"));
                let client = Client {
                    instance_id,
                    member_id: String::new(),
                    generation: -1,
                    doing: Doing::Joining,
                    heartbeat_at: 0,
                    assignment: None,
                };
                self.clients.insert(id, client);
            }
            Action::Leave(index) => self.leave(index),
            Action::Crash(index) => {
                if let Some(id) = self.pick(index) {
                    self.clients.remove(&id);
                }
            }
            Action::Restart(index) => {
                let Some(client) = self.pick(index).and_then(|id| self.clients.get_mut(&id)) else {
                    return;
                };
                client.member_id.clear();
                client.doing = Doing::Joining;
                client.assignment = None;
                let id = self.pick(index).expect("just found");
                self.waiting.retain(|_, waiting| *waiting != id);
            }
            Action::Resubscribe(index) => {
                self.subscriptions += 1;
                let Some(client) = self.pick(index).and_then(|id| self.clients.get_mut(&id)) else {
                    return;
                };
                if client.doing == Doing::Consuming {
                    client.doing = Doing::Joining;
                }
            }
            Action::Advance(ms) => self.advance(*ms),
            Action::Run(index) => {
                if let Some(id) = self.pick(index) {
                    self.run(id);
                }
            }
        }
        self.check();
    }

    fn advance(&mut self, ms: u64) {
        self.now.monotonic_ms += ms;
        self.now.wall_ms += ms as i64;
        self.send(None, Input::Tick);
    }

    fn leave(&mut self, index: &prop::sample::Index) {
        let Some(id) = self.pick(index) else { return };
        let client = self.clients.remove(&id).expect("picked");
        let members = vec![(client.member_id, client.instance_id)];
        self.send(None, Input::Leave(LeaveInput { group: "g".into(), members }));
    }

    /// A client's next step, if it is not waiting for an answer.
    fn run(&mut self, id: usize) {
        let client = self.clients[&id].clone();
        let member = MemberRef {
            group: "g".into(),
            generation: client.generation,
            member_id: client.member_id.clone(),
            instance_id: client.instance_id.clone(),
        };
        match client.doing {
            Doing::WaitingToJoin | Doing::WaitingToSync => {}
            Doing::Joining => {
                self.clients.get_mut(&id).expect("alive").doing = Doing::WaitingToJoin;
                self.next_id += 1;
                let join = JoinInput {
                    group: "g".into(),
                    member_id: client.member_id,
                    requires_known_id: client.instance_id.is_none(),
                    instance_id: client.instance_id,
                    client_id: format!("client-{id}"),
                    client_host: String::new(),
                    session_timeout_ms: SESSION_MS,
                    rebalance_timeout_ms: REBALANCE_MS,
                    protocol_type: "consumer".into(),
                    protocols: vec![("range".into(), format!("{}", self.subscriptions).into())],
                    can_skip_assignment: false,
                    fresh_id: format!("member-{}", self.next_id),
                };
                self.send(Some(id), Input::Join(join));
            }
            Doing::Syncing { leader_of } => {
                self.clients.get_mut(&id).expect("alive").doing = Doing::WaitingToSync;
                let share = |to: String| {
                    let share = Bytes::from(format!("{} for {to}", client.generation));
                    (to, share)
                };
                let assignments: Vec<_> = leader_of.into_iter().flatten().map(share).collect();
                if !assignments.is_empty() {
                    self.assigned.insert(client.generation, assignments.iter().cloned().collect());
                }
                let (protocol_type, protocol) = (Some("consumer".into()), Some("range".into()));
                let input = SyncInput { member, protocol_type, protocol, assignments };
                self.send(Some(id), Input::Sync(input));
            }
            Doing::Consuming if client.heartbeat_at <= self.now.monotonic_ms => {
                let at = self.now.monotonic_ms + HEARTBEAT_MS;
                self.clients.get_mut(&id).expect("alive").heartbeat_at = at;
                self.send(Some(id), Input::Heartbeat(member));
            }
            Doing::Consuming => {}
        }
    }

    fn send(&mut self, from: Option<usize>, input: Input) {
        self.token += 1;
        if let Some(client) = from {
            self.waiting.insert(self.token, client);
        }
        for output in self.coordinator.step(self.token, input, self.now) {
            match output {
                Output::Persist(entries) => {
                    for entry in entries {
                        let record = self.remembered.len() as i64;
                        self.coordinator.apply(&entry, record, self.now);
                        self.remembered.push(entry);
                    }
                }
                Output::PersistIn(..) => panic!("no transaction here"),
                Output::Reply(token, reply) => {
                    if let Some(client) = self.waiting.remove(&token) {
                        self.receive(client, reply);
                    }
                }
            }
        }
    }

    fn receive(&mut self, id: usize, reply: Reply) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let code = match &reply {
            Reply::Join(reply) => reply.error_code,
            Reply::Sync(reply) => reply.error_code,
            Reply::Code(code) => *code,
            Reply::Codes(_) | Reply::Consumer(_) => NONE,
        };
        if code != NONE {
            client.doing = Doing::Joining;
            client.assignment = None;
            if code == ErrorCode::UnknownMemberId.code()
                || code == ErrorCode::FencedInstanceId.code()
            {
                client.member_id.clear();
            }
            if let Reply::Join(reply) = reply
                && code == ErrorCode::MemberIdRequired.code()
            {
                client.member_id = reply.member_id;
            }
            return;
        }
        match reply {
            Reply::Join(reply) => {
                client.generation = reply.generation;
                client.member_id = reply.member_id.clone();
                let leads = reply.leader == reply.member_id;
                assert_eq!(leads, !reply.members.is_empty(), "the leader gets the members");
                let ids = reply.members.iter().map(|(id, ..)| id.clone()).collect();
                client.doing = Doing::Syncing { leader_of: leads.then_some(ids) };
                if leads {
                    let leader = self.leaders.entry(reply.generation).or_insert(reply.leader);
                    assert_eq!(*leader, reply.member_id, "one leader in a generation");
                }
            }
            Reply::Sync(reply) => {
                let sent = self.assigned.get(&client.generation).expect("the leader has synced");
                // A static member that came back has another id than the leader assigned to.
                if client.instance_id.is_none() {
                    assert_eq!(sent.get(&client.member_id), Some(&reply.assignment));
                }
                client.assignment = Some((client.generation, reply.assignment));
                client.doing = Doing::Consuming;
            }
            Reply::Code(_) | Reply::Codes(_) | Reply::Consumer(_) => {}
        }
    }

    /// What holds at any time.
    fn check(&self) {
        let Some(group) = self.coordinator.describe("g") else { return };
        let due = self.coordinator.deadline();
        if group.summary.state != GroupState::Empty {
            assert!(due.is_some(), "a group with members always has a deadline");
            assert!(!group.members.is_empty());
        }
        if group.summary.state == GroupState::Stable {
            let Group::Classic(classic) = &self.coordinator.groups["g"] else { panic!("classic") };
            let leader = classic.leader.as_ref().expect("a leader");
            assert!(group.members.iter().any(|member| member.member_id == *leader));
        }
    }

    /// Lets all clients run and time go on, long enough for every timeout.
    fn settle(&mut self) {
        for _ in 0..200 {
            for _ in 0..4 {
                for id in self.clients.keys().copied().collect::<Vec<_>>() {
                    self.run(id);
                }
            }
            self.advance(HEARTBEAT_MS / 2);
            self.check();
        }
    }
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let index = || any::<prop::sample::Index>();
    let action = prop_oneof![
        3 => any::<bool>().prop_map(|is_static| Action::Start { is_static }),
        1 => index().prop_map(Action::Leave),
        1 => index().prop_map(Action::Crash),
        1 => index().prop_map(Action::Restart),
        1 => index().prop_map(Action::Resubscribe),
        2 => (0..3_000_u64).prop_map(Action::Advance),
        1 => (0..30_000_u64).prop_map(Action::Advance),
        20 => index().prop_map(Action::Run),
    ];
    prop::collection::vec(action, 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn groups_become_stable_whatever_happened(actions in actions()) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
        }
        world.settle();
        let Some(group) = world.coordinator.describe("g") else {
            prop_assert!(world.clients.is_empty());
            return Ok(());
        };
        if world.clients.is_empty() {
            prop_assert_eq!(group.summary.state, GroupState::Empty);
            return Ok(());
        }
        prop_assert_eq!(group.summary.state, GroupState::Stable);
        let members: Vec<_> = group.members.iter().map(|member| &member.member_id).collect();
        prop_assert_eq!(members.len(), world.clients.len());
        for client in world.clients.values() {
            prop_assert!(members.contains(&&client.member_id));
            prop_assert_eq!(&client.doing, &Doing::Consuming);
            let (generation, _) = client.assignment.as_ref().expect("an assignment");
            prop_assert_eq!(*generation, group.generation);
        }
        // A restart now finds the group as it is.
        let mut replay = Replay::new(GroupOptions::default(), world.now);
        (0..).zip(&world.remembered).for_each(|(at, entry)| replay.take(entry, at));
        prop_assert_eq!(replay.finish(Default::default()).describe("g"), Some(group));
    }
}
