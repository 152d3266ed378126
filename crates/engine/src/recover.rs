//! Starting a job: out of nothing, or out of what its journal and snapshots say.
//!
//! The steps are those of `docs/spec/epochs.md`, section 4.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use thalweg_core::env::Env;
use thalweg_core::ids::{Epoch, Incarnation, Offset, ProducerId};
use thalweg_core::partition_log::{PartitionLog, Waker, Watch};
use thalweg_state::{Snapshot, SnapshotStore};
use thalweg_stream::graph::{NodeId, Operator};
use thalweg_stream::sink::SinkRef;
use thalweg_stream::source::SourceRef;
use thalweg_stream::view::ViewRef;

use crate::clock::EpochClock;
use crate::commit::Committer;
use crate::driver::{Driver, LiveDriver, Replay, SourceFeed};
use crate::error::{JobError, Result};
use crate::exchange::{EdgeBudget, SpillDir};
use crate::job::{JobId, JobServices, JobSpec};
use crate::journal::{
    self, EndState, EpochEntry, Header, JournalReader, JournalWriter, Progress, RESULT_VERSION,
    Record, SinkPin,
};
use crate::ledger::{Ledger, PinPoint};
use crate::plan::{OutputKind, Plan};
use crate::publish::Publisher;
use crate::schedule::{Core, CoreParts, State, StateParts};
use crate::snapshot::{SnapshotMeta, SnapshotPolicy, restore_views};
use crate::staging::{self, Staging};
use crate::task::{Restored, TaskBuilder};
use crate::watermark::ChannelEnd;

/// Internal producer ids start here; those given to clients are below.
const PRODUCER_BASE: i64 = 1 << 62;

/// Opens a job and gives its core, ready to run.
pub(crate) fn open(spec: JobSpec, services: JobServices) -> Result<Arc<Core>> {
    let JobServices { env, log, dir, .. } = &services;
    let late: Vec<_> = services.late.keys().copied().collect();
    let bad: Vec<_> = services.bad.keys().copied().collect();
    let plan = Plan::new(spec.graph.clone(), spec.parallelism, &spec.options, &late, &bad)?;
    let plan = Arc::new(plan);
    let parts = Connected::new(&plan, &services)?;

    let store = SnapshotStore::new(env.clone(), dir.join("snapshots"));
    let mut alarms = Vec::new();
    let (snapshot, meta) = newest_snapshot(&store, &mut alarms)?;
    let journal = journal::open(&**log, spec.id)?;
    let start = meta.as_ref().map_or(0, |meta| meta.ledger.journal);
    let mut found = Found::new(meta.as_ref());
    let mut reader = JournalReader::new(Arc::clone(&journal), start);
    found.check_start(start, reader.offset())?;
    found.read(&mut reader)?;

    let header = new_header(&spec, &plan, &parts.sinks, found.header.as_ref(), env)?;
    if let Some(saved) = &found.header {
        saved.check(&header, found.last == found.restored)?;
    }
    let now = env.clock.wall_ms();
    let record = Record::Header(Box::new(header.clone()));
    let writer = JournalWriter::take_over(Arc::clone(&journal), header.incarnation, &record, now)?;
    // What an older incarnation appended in between counts.
    let end = writer.next_offset() - 1;
    found.read(&mut JournalReader::until(Arc::clone(&journal), reader.offset(), end))?;

    let mut publisher = parts.publisher(&header)?;
    let writer = publish_the_rest(env, dir, &header, &found, writer, &mut publisher)?;
    restore_views(snapshot.as_ref(), &header.views, &parts.views)?;

    let ledger = restored_ledger(&plan, &header, meta);
    let opening = Opening {
        spec,
        env: env.clone(),
        dir: dir.clone(),
        plan,
        parts,
        header,
        ledger,
        journal,
        journal_start: start,
        found,
        store,
        snapshot,
        alarms,
    };
    opening.finish(writer, publisher)
}

/// Pins what a job needs that does not run.
pub(crate) fn pin(spec: &JobSpec, services: &JobServices) -> Result<()> {
    if services.log.topic(&journal::topic_name(spec.id)).is_none() {
        return Ok(());
    }
    let plan = Plan::new(spec.graph.clone(), spec.parallelism, &spec.options, &[], &[])?;
    let store = SnapshotStore::new(services.env.clone(), services.dir.join("snapshots"));
    let (_, meta) = newest_snapshot(&store, &mut Vec::new())?;
    let journal = journal::open(&*services.log, spec.id)?;
    let (ledger, point) = match meta {
        Some(SnapshotMeta { ledger, .. }) => {
            let point = ledger.pins.first().cloned().unwrap_or_else(|| ledger.pin_point());
            (ledger, point)
        }
        None => (fold(Arc::clone(&journal))?, PinPoint::start()),
    };
    let holder = holder(spec.id);
    journal.pin(&holder, Some(point.journal));
    for (number, split) in ledger.splits.iter().enumerate() {
        let node = *plan.sources.get(split.source).ok_or_else(|| {
            JobError::Incompatible("the journal has more sources than the query".into())
        })?;
        let from = point.positions.get(number).copied().unwrap_or(split.info.start);
        find(&plan, &services.sources, node)?.pin(&split.info, &holder, Some(from));
    }
    Ok(())
}

/// The decisions of a whole journal.
fn fold(journal: Arc<dyn PartitionLog>) -> Result<Ledger> {
    let mut ledger = Ledger::new(&[]);
    let mut reader = JournalReader::new(journal, 0);
    while let Some((_, record)) = reader.next()? {
        if let Record::Epoch(entry) = record {
            ledger.apply(&entry.input)?;
        }
    }
    Ok(ledger)
}

/// Name under which a job pins what it needs.
pub(crate) fn holder(job: JobId) -> String {
    format!("job {job}")
}

/// The newest good snapshot and its meta. Damaged ones are told.
fn newest_snapshot(
    store: &SnapshotStore,
    alarms: &mut Vec<String>,
) -> Result<(Option<Snapshot>, Option<SnapshotMeta>)> {
    let (snapshot, rejected) = store.open_newest()?;
    for rejected in rejected {
        let said = format!("snapshot {} is not used: {}", rejected.id, rejected.error);
        tracing::warn!("{said}");
        alarms.push(said);
    }
    let meta = snapshot.as_ref().map(|snapshot| SnapshotMeta::decode(snapshot.meta()));
    Ok((snapshot, meta.transpose()?))
}

/// The plan's sources, sinks and views, by number.
struct Connected {
    sources: Vec<SourceRef>,
    sinks: Vec<SinkRef>,
    views: Vec<ViewRef>,
}

impl Connected {
    fn new(plan: &Plan, services: &JobServices) -> Result<Self> {
        let sources = plan.sources.iter().map(|&node| find(plan, &services.sources, node));
        let sinks = plan.outputs.iter().map(|output| {
            let from = match output.kind {
                OutputKind::Sink => &services.sinks,
                OutputKind::Late => &services.late,
                OutputKind::Bad => &services.bad,
            };
            find(plan, from, output.node)
        });
        let views = plan.views.iter().map(|&node| find(plan, &services.views, node));
        Ok(Self {
            sources: sources.collect::<Result<_>>()?,
            sinks: sinks.collect::<Result<_>>()?,
            views: views.collect::<Result<_>>()?,
        })
    }

    fn publisher(&self, header: &Header) -> Result<Publisher> {
        let sinks: Result<Vec<_>, _> = self.sinks.iter().map(|sink| sink.publisher()).collect();
        Ok(Publisher { sinks: sinks?, pins: header.sinks.clone(), views: self.views.clone() })
    }
}

fn find<T: Clone>(plan: &Plan, from: &BTreeMap<NodeId, T>, node: NodeId) -> Result<T> {
    from.get(&node).cloned().ok_or_else(|| {
        let name = &plan.graph.nodes[node].name;
        JobError::Invalid(format!("'{name}' is connected to nothing"))
    })
}

/// What the journal says.
struct Found {
    /// The last header.
    header: Option<Header>,
    /// Highest incarnation.
    incarnation: Option<Incarnation>,
    /// Last epoch of the snapshot, and of the journal.
    restored: Epoch,
    last: Epoch,
    published: Epoch,
    /// Entries that may not be published, oldest first.
    unpublished: Vec<EpochEntry>,
}

impl Found {
    fn new(meta: Option<&SnapshotMeta>) -> Self {
        let restored = meta.map_or(Epoch(0), |meta| meta.ledger.epoch);
        Self {
            header: meta.map(|meta| meta.header.clone()),
            incarnation: meta.map(|meta| meta.header.incarnation),
            restored,
            last: restored,
            // A snapshot is taken of what is published.
            published: restored,
            unpublished: Vec::new(),
        }
    }

    /// Refuses a journal whose beginning is gone.
    fn check_start(&self, wanted: Offset, there: Offset) -> Result<()> {
        if there > wanted {
            return Err(JobError::Incompatible(format!(
                "the journal starts at offset {there}, but its entries from {wanted} on are \
                 needed: something deleted them"
            )));
        }
        Ok(())
    }

    fn read(&mut self, reader: &mut JournalReader) -> Result<()> {
        while let Some((offset, record)) = reader.next()? {
            match record {
                Record::Header(header) => {
                    self.incarnation = self.incarnation.max(Some(header.incarnation));
                    self.header = Some(*header);
                }
                Record::Fence(incarnation) => {
                    self.incarnation = self.incarnation.max(Some(incarnation));
                }
                Record::Progress(progress) => self.publish_through(progress.published_through),
                Record::Epoch(entry) => self.entry(offset, *entry)?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, offset: Offset, entry: EpochEntry) -> Result<()> {
        if entry.input.epoch != self.last.next() {
            return Err(JobError::Corrupt(format!(
                "journal at offset {offset}: epoch {} follows epoch {}",
                entry.input.epoch, self.last
            )));
        }
        self.last = entry.input.epoch;
        self.publish_through(entry.published_through);
        self.unpublished.push(entry);
        Ok(())
    }

    fn publish_through(&mut self, epoch: Epoch) {
        self.published = self.published.max(epoch);
        self.unpublished.retain(|entry| entry.input.epoch > self.published);
    }
}

/// The header of this incarnation. Producer ids stay those of the first.
fn new_header(
    spec: &JobSpec,
    plan: &Plan,
    sinks: &[SinkRef],
    saved: Option<&Header>,
    env: &Env,
) -> Result<Header> {
    let pins = plan.outputs.iter().zip(sinks).map(|(output, sink)| {
        let known = saved.into_iter().flat_map(|header| &header.sinks);
        let producer = known.into_iter().find(|pin| pin.key == output.key).map_or_else(
            || ProducerId(PRODUCER_BASE | (env.random.next_u64() >> 2) as i64),
            |pin| pin.producer,
        );
        SinkPin { key: output.key.clone(), partitions: sink.partitions(), producer }
    });
    let incarnation =
        match saved {
            None => Incarnation(0),
            Some(header) => {
                Incarnation(header.incarnation.0.checked_add(1).ok_or_else(|| {
                    JobError::Internal("the job has no further incarnations".into())
                })?)
            }
        };
    let uid = |node: &NodeId| plan.graph.nodes[*node].uid.clone();
    Ok(Header {
        incarnation,
        result_version: RESULT_VERSION,
        plan_fingerprint: plan.fingerprint,
        plan: plan.text.clone(),
        parallelism: spec.parallelism,
        key_groups: spec.options.key_groups,
        time_zone_version: spec.options.time_zone_version.clone(),
        sinks: pins.collect(),
        views: (0..plan.views.len()).map(|view| plan.view_name(view).to_owned()).collect(),
        sources: plan.sources.iter().map(uid).collect(),
        started_at: env.clock.wall_ms(),
        job: spec.name.clone(),
    })
}

/// Publishes what stands behind `published_through`, writes that down, and then removes
/// all staged files: nothing needs them any more.
fn publish_the_rest(
    env: &Env,
    dir: &std::path::Path,
    header: &Header,
    found: &Found,
    mut writer: JournalWriter,
    publisher: &mut Publisher,
) -> Result<JournalWriter> {
    let staging = dir.join(STAGED);
    for entry in &found.unpublished {
        publisher.publish_entry(env, &staging, entry)?;
    }
    if !found.unpublished.is_empty() {
        let progress = Progress {
            incarnation: header.incarnation,
            epoch: found.last,
            published_through: found.last,
            end: EndState::Running,
        };
        writer.append_durably(&Record::Progress(progress), env.clock.wall_ms())?;
    }
    staging::clear(env, &staging)?;
    Ok(writer)
}

const STAGED: &str = "staged";

/// The ledger of the snapshot, or an empty one.
fn restored_ledger(plan: &Plan, header: &Header, meta: Option<SnapshotMeta>) -> Ledger {
    let subtasks: Vec<_> = plan
        .stages
        .iter()
        .map(|stage| if stage.source.is_some() { 0 } else { stage.parallelism })
        .collect();
    let fresh = Ledger::new(&subtasks);
    let Some(SnapshotMeta { header: saved, mut ledger }) = meta else { return fresh };
    let own = ledger.pin_point();
    if ledger.pins.last() != Some(&own) {
        ledger.pins.push(own);
    }
    for (ends, &number) in ledger.subtasks.iter_mut().zip(&subtasks) {
        // After a change of parallelism all start at the lowest.
        if let Some(lowest) = ends.iter().map(|end| end.watermark).min()
            && ends.len() != number
        {
            let idle = ends.iter().all(|end| end.idle);
            *ends = vec![ChannelEnd { watermark: lowest, idle }; number];
        }
    }
    // Sink numbers may have changed with the plan's options; keys have not.
    let sequences = ledger.sequences.iter().filter_map(|(&(sink, partition), &next)| {
        let key = &saved.sinks.get(sink)?.key;
        let sink = header.sinks.iter().position(|pin| pin.key == *key)?;
        Some(((sink, partition), next))
    });
    ledger.sequences = sequences.collect();
    ledger
}

/// A job that has taken its journal over.
struct Opening {
    spec: JobSpec,
    env: Env,
    dir: PathBuf,
    plan: Arc<Plan>,
    parts: Connected,
    header: Header,
    ledger: Ledger,
    journal: Arc<dyn PartitionLog>,
    journal_start: Offset,
    found: Found,
    store: SnapshotStore,
    snapshot: Option<Snapshot>,
    alarms: Vec<String>,
}

impl Opening {
    /// Builds tasks, driver and committer, and starts to listen to the sources.
    fn finish(mut self, journal: JournalWriter, publisher: Publisher) -> Result<Arc<Core>> {
        let options = self.spec.options.clone();
        let staging = Arc::new(Staging::new(
            self.env.clone(),
            self.dir.join(STAGED),
            self.header.incarnation,
            options.output_bytes,
        ));
        let tasks = self.tasks(&staging)?;
        let (feeds, listeners) = self.feeds();
        let live = LiveDriver::new(self.env.clone(), feeds, &options);
        let replay = (self.found.last > self.found.restored).then(|| {
            let reader = JournalReader::new(Arc::clone(&self.journal), self.journal_start);
            Replay::new(reader, self.found.last)
        });
        let driver = Driver::new(self.ledger.clone(), replay, live);
        let clock = EpochClock::new(Arc::clone(&self.env.clock), self.ledger.now);
        let policy = SnapshotPolicy::new(&options, self.env.clock.monotonic_ns());
        let cut_now = self.ledger.now;
        // Until there are as many as are kept, the job's start is needed.
        let enough = self.ledger.pins.len() >= options.snapshots_kept.max(1);
        let oldest = self.ledger.pins.first().filter(|_| enough).cloned();
        let ledger = Arc::new(Mutex::new(self.ledger));
        let published = Arc::new(AtomicU64::new(self.found.last.0));
        let committer = Committer {
            journal,
            header: self.header.clone(),
            staging: Arc::clone(&staging),
            inline_bytes: options.inline_bytes,
            ledger: Arc::clone(&ledger),
            published: Arc::clone(&published),
            view_count: self.plan.views.len(),
        };
        let state = State::new(StateParts {
            driver,
            tasks,
            committer,
            publisher,
            clock,
            cut_now,
            policy,
            restored: self.found.restored,
            last: self.found.last,
            alarms: std::mem::take(&mut self.alarms),
            snapshot: self.snapshot.as_ref().map(Snapshot::epoch),
        });
        let core = Core::new(
            CoreParts {
                env: self.env,
                id: self.spec.id,
                name: self.spec.name,
                incarnation: self.header.incarnation,
                plan: self.plan,
                options,
                sources: self.parts.sources,
                journal: self.journal,
                ledger,
                published,
                staging,
                snapshots: self.store,
            },
            state,
        );
        core.pin(&oldest.unwrap_or_else(PinPoint::start));
        listeners.listen(&core);
        Ok(core)
    }

    fn tasks(&self, staging: &Arc<Staging>) -> Result<Vec<Vec<crate::task::Task>>> {
        let spill = SpillDir::new(self.env.clone(), self.dir.join("spill"))?;
        let builder = TaskBuilder {
            plan: &self.plan,
            options: &self.spec.options,
            sources: &self.parts.sources,
            sinks: &self.parts.sinks,
            budget: EdgeBudget::new(self.spec.options.edge_bytes, spill),
            staging: Arc::clone(staging),
            restored: Restored { ledger: &self.ledger, snapshot: self.snapshot.as_ref() },
        };
        builder.build()
    }

    /// The sources as the driver sees them, and what calls it.
    fn feeds(&self) -> (Vec<SourceFeed>, Listeners) {
        let listeners = Listeners::default();
        let mut feeds = Vec::new();
        for (source, &node) in self.parts.sources.iter().zip(&self.plan.sources) {
            let idle_timeout = match &self.plan.graph.nodes[node].operator {
                Operator::Source(node) => {
                    node.watermark.as_ref().and_then(|watermark| watermark.idle_timeout)
                }
                _ => None,
            };
            let watch = source.watch(listeners.waker());
            let calls = watch.is_some();
            listeners.watches.lock().extend(watch);
            feeds.push(SourceFeed { source: Arc::clone(source), idle_timeout, calls });
        }
        (feeds, listeners)
    }
}

/// Calls from sources, before and after there is a core to call.
#[derive(Default)]
struct Listeners {
    core: Arc<Mutex<std::sync::Weak<Core>>>,
    watches: Mutex<Vec<Watch>>,
}

impl Listeners {
    fn waker(&self) -> Waker {
        let core = Arc::clone(&self.core);
        Arc::new(move || {
            let core = core.lock().upgrade();
            if let Some(core) = core {
                core.call_driver();
            }
        })
    }

    /// From here on calls reach the core. Those that came before are no loss: the driver
    /// looks at all sources at its start.
    fn listen(self, core: &Arc<Core>) {
        *self.core.lock() = Arc::downgrade(core);
        core.keep_watches(std::mem::take(&mut *self.watches.lock()));
    }
}
