//! A history: what happens is drawn from a seed, step by step.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use thalweg_core::env::sim::{FaultPlan, OpKind, SimEnv, SimRandom};
use thalweg_core::env::{Disk, Random};
use thalweg_core::partition_log::LogStore;
use thalweg_core::record_batch::ControlKind;
use thalweg_log::{Log, LogOptions};

use super::check;
use super::client::{Client, Job, Services, Shared, TOPIC, commit_input, is_taken, poll};
use super::history::Key;
use crate::broker::BrokerError;
use crate::group::GroupService;
use crate::options::{GroupOptions, TransactionOptions};
use crate::producer_ids::ProducerIds;
use crate::transaction::{Protocol, TransactionService};

const ROOT: &str = "/data/log";
const PARTITIONS: i32 = 2;
const GROUPS: usize = 2;
const CLIENTS: usize = 3;
const TIMEOUT_MS_MAX: u64 = 20_000;
/// Rounds after which whatever can end on a disk without faults has ended.
const ROUNDS: usize = 12;

pub(super) struct World {
    sim: SimEnv,
    random: SimRandom,
    log_options: LogOptions,
    groups: GroupOptions,
    transactions: TransactionOptions,
    segment_bytes: u64,
    fatal: Arc<AtomicBool>,
    services: Option<Services>,
    clients: Vec<Client>,
    /// Commits of groups without members.
    commits: Vec<Job<Option<(Key, i64)>>>,
    /// Markers on their way.
    ends: Vec<Job<()>>,
    history: Shared,
    /// Something may go wrong with the disk.
    faulty: bool,
}

impl World {
    /// Runs one history; returns the disk's trace.
    pub(super) fn run(seed: u64) -> u64 {
        let mut world = Self::new(seed);
        world.open();
        for _ in 0..40 + world.random.below(260) {
            world.step();
        }
        world.heal();
        if world.is_down() {
            world.restart();
        }
        world.settle();
        world.sim.clock.advance(Duration::from_millis(2 * TIMEOUT_MS_MAX));
        world.settle();
        check::check_closed(world.services());
        world.check();
        world.restart();
        world.settle();
        check::check_closed(world.services());
        let trace = world.sim.disk.trace_hash();
        let _ = world.services().log.close();
        trace
    }

    fn new(seed: u64) -> Self {
        let sim = SimEnv::new(seed);
        let random = SimRandom::for_part(seed, 98);
        let fatal = Arc::new(AtomicBool::new(false));
        let flag = fatal.clone();
        let log_options = LogOptions {
            background: false,
            reserve_bytes: 0,
            on_fatal: Arc::new(move |_| flag.store(true, Ordering::SeqCst)),
            snapshot_interval_bytes: 1_000 << random.below(5),
            ..LogOptions::default()
        };
        let rewrite_bytes = || 300 << random.below(7);
        let groups = GroupOptions { rewrite_bytes: rewrite_bytes(), ..GroupOptions::default() };
        let transactions =
            TransactionOptions { rewrite_bytes: rewrite_bytes(), ..TransactionOptions::default() };
        let client = |number| {
            let protocol = [Protocol::Classic, Protocol::EpochBump][random.below(2) as usize];
            Client::new(format!("tx-{number}"), protocol)
        };
        let clients = (0..CLIENTS).map(client).collect();
        let segment_bytes = 1024 << random.below(4);
        Self {
            sim,
            random,
            log_options,
            groups,
            transactions,
            segment_bytes,
            fatal,
            services: None,
            clients,
            commits: Vec::new(),
            ends: Vec::new(),
            history: Shared::default(),
            faulty: false,
        }
    }

    fn pick(&self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    fn services(&self) -> &Services {
        self.services.as_ref().expect("open")
    }

    fn is_down(&self) -> bool {
        self.fatal.load(Ordering::SeqCst) || !self.sim.disk.exists(Path::new("/"))
    }

    /// Opens log and coordinators, through further power losses, and checks what they hold.
    fn open(&mut self) {
        self.heal();
        if self.random.chance(300_000) {
            let power_off_at = Some(1 + self.random.below(80));
            self.sim.disk.faults(FaultPlan { power_off_at, ..FaultPlan::default() });
        }
        let mut tries = 0;
        self.services = loop {
            self.fatal.store(false, Ordering::SeqCst);
            match self.try_open() {
                Ok(services) if !self.is_down() => break Some(services),
                outcome => {
                    tries += 1;
                    let error = outcome.err().map(|error| error.to_string());
                    assert!(tries < 3, "cannot open: {error:?}");
                    self.sim.crash();
                    self.heal();
                }
            }
        };
        self.heal();
        self.settle();
        check::forget_lost(self.services(), &mut self.history.borrow_mut());
    }

    fn try_open(&self) -> Result<Services, BrokerError> {
        let env = self.sim.env();
        let log = Log::open(env.clone(), Path::new(ROOT), self.log_options.clone())?;
        let small = ("segment.bytes".to_owned(), self.segment_bytes.to_string());
        if log.topic(TOPIC).is_none() {
            let kept = ("retention.ms".to_owned(), "-1".to_owned());
            log.create_topic(TOPIC, PARTITIONS, &[small.clone(), kept])?;
        }
        let groups =
            GroupService::open(env.clone(), log.clone(), self.groups.clone(), Default::default())?;
        let groups = Arc::new(groups);
        let ids = Arc::new(ProducerIds::open(env.clone(), &*log)?);
        let (store, options) = (log.clone(), self.transactions.clone());
        let transactions = TransactionService::open(env, store, groups.clone(), ids, options)?;
        // Small segments, so that there are some to let go.
        for topic in log.topics().into_iter().filter(|topic| topic.name.starts_with("__")) {
            log.alter_topic(&topic.name, &[(small.0.clone(), Some(small.1.clone()))])?;
        }
        Ok(Services { log, groups, transactions: Arc::new(transactions) })
    }

    fn step(&mut self) {
        if self.is_down() {
            self.restart();
            return;
        }
        match self.random.below(1000) {
            0..500 => self.use_client(),
            500..600 => self.commit(),
            600..780 => {
                self.services().log.commit_step();
            }
            780..830 => self.tend(),
            830..870 => self.advance(),
            870..895 => self.plan_faults(),
            895..935 => self.heal(),
            935..965 if !self.faulty => self.settle(),
            _ => self.restart(),
        }
        if !self.is_down() {
            self.go_on();
        }
    }

    /// Has a client that waits for nothing do something.
    fn use_client(&mut self) {
        let services = self.services().clone();
        let (what, number) = (self.random.below(100), self.pick(CLIENTS));
        let partition = self.pick(PARTITIONS as usize) as i32;
        let key = (self.pick(GROUPS), partition);
        let timeout_ms = 1_000 + self.random.below(TIMEOUT_MS_MAX - 1_000) as i32;
        let client = &mut self.clients[number];
        let history = &self.history;
        if client.job.is_some() {
            return;
        }
        let has_asked = client.has_asked(history);
        match (client.producer, what) {
            (None, _) | (Some(_), 0..4) => client.initialise(&services, timeout_ms),
            // It asked before, and the answer was lost.
            _ if has_asked => client.end(&services, history, ControlKind::Commit),
            (_, 4..50) => client.produce(&services, history, partition),
            (_, 50..75) => client.commit(&services, history, key),
            (_, 75..92) => client.end(&services, history, ControlKind::Commit),
            _ => client.end(&services, history, ControlKind::Abort),
        }
    }

    /// Commits an offset for a group without members.
    fn commit(&mut self) {
        let key = (self.pick(GROUPS), self.pick(PARTITIONS as usize) as i32);
        let value = self.history.borrow_mut().fresh();
        self.history.borrow_mut().wrote(key, value, None);
        let reply = self.services().groups.submit(commit_input(key, value, None));
        self.commits.push(Box::pin(async move { is_taken(reply.await).then_some((key, value)) }));
    }

    /// What the log does in the background.
    fn tend(&mut self) {
        let (log, now) = (&self.services().log, self.services().transactions.wall_ms());
        match self.pick(3) {
            0 => log.mark_step(),
            1 => log.producers_step(),
            _ => {
                log.retention_step(now);
            }
        }
    }

    /// Time passes; timeouts come true at once.
    fn advance(&mut self) {
        self.sim.clock.advance(Duration::from_millis(self.random.below(8_000)));
        self.services().transactions.tick();
        if !self.faulty && !self.is_down() {
            check::check_timeouts(self.services());
        }
    }

    /// Lets everything go on that waited for something.
    fn go_on(&mut self) {
        let services = self.services().clone();
        for markers in services.transactions.decided() {
            let transactions = services.transactions.clone();
            self.ends.push(Box::pin(async move {
                let mut left = Some(markers);
                while let Some(markers) = left {
                    left = transactions.clone().carry_out_once(markers).await;
                    next_poll().await;
                }
            }));
        }
        self.ends.retain_mut(|end| poll(end).is_none());
        self.commits.retain_mut(|commit| match poll(commit) {
            None => true,
            Some(taken) => {
                let mut history = self.history.borrow_mut();
                taken.into_iter().for_each(|(key, value)| history.acknowledge(key, value));
                false
            }
        });
        self.clients.iter_mut().for_each(|client| client.go_on(&self.history));
    }

    /// Goes on until nothing is left to be done, and checks what is there.
    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            self.services().log.commit_step();
            self.services().transactions.tick();
            self.go_on();
        }
        self.check();
    }

    fn check(&mut self) {
        assert!(!self.is_down(), "the disk is well");
        let history = &mut self.history.borrow_mut();
        check::check_timeouts(self.services());
        check::check_records(self.services(), history);
        check::check_offsets(self.services(), history);
    }

    /// Lets something go wrong from now on.
    fn plan_faults(&mut self) {
        self.faulty = true;
        let (plan, soon) = (FaultPlan::default(), 1 + self.random.below(40));
        self.sim.disk.faults(match self.pick(5) {
            0 => FaultPlan { fail_nth: vec![(OpKind::Sync, 1 + soon / 8)], ..plan },
            1 => {
                let used: usize = self.sim.disk.dump().values().flatten().map(Vec::len).sum();
                FaultPlan { capacity_bytes: used as u64 + 100 * soon, ..plan }
            }
            _ => FaultPlan { power_off_at: Some(soon), ..plan },
        });
    }

    fn heal(&mut self) {
        self.faulty = false;
        self.sim.disk.faults(FaultPlan::default());
    }

    /// The process ends, one way or another, and begins again.
    fn restart(&mut self) {
        let orderly = !self.faulty && !self.is_down() && self.random.chance(300_000);
        let before = orderly.then(|| {
            self.settle();
            self.state()
        });
        if orderly {
            self.services().log.close().expect("an orderly end");
        }
        // Clients and markers on their way are cut off.
        self.ends.clear();
        self.commits.clear();
        for client in &mut self.clients {
            let cut_off = client.job.take().is_some() && !client.has_asked(&self.history);
            // Nobody ends a transaction of which something was not answered.
            if cut_off || self.random.chance(400_000) {
                (client.producer, client.transaction) = (None, None);
            }
        }
        let gone = self.services.take();
        match self.random.chance(700_000) || !self.sim.disk.exists(Path::new("/")) {
            true => self.sim.crash(),
            false => self.sim.disk.kill(),
        }
        // What the dead process held goes: callbacks of its log hold its coordinators.
        if let Some(gone) = gone {
            let _ = gone.log.close();
        }
        self.open();
        if let Some(before) = before {
            assert_eq!(self.state(), before, "not what was there before");
        }
    }

    /// All that a rebuild has to bring back.
    fn state(&self) -> String {
        let services = self.services();
        let offsets: Vec<_> = (0..GROUPS).map(|group| check::offsets(services, group)).collect();
        let known = services.transactions.list(|known| {
            Some((known.id.clone(), known.producer, known.state, known.partitions.clone()))
        });
        format!("{offsets:?}\n{known:?}")
    }
}

/// Waits until it is polled again.
async fn next_poll() {
    let mut polled = false;
    std::future::poll_fn(move |_| match std::mem::replace(&mut polled, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}
