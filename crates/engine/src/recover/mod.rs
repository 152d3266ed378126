//! Starting a job: out of nothing, or out of what its journal and snapshots say.
//!
//! The steps are those of `docs/spec/epochs.md`, section 4.

mod found;
mod opening;
mod rest;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use thalweg_core::env::Env;
use thalweg_core::ids::{Incarnation, ProducerId};
use thalweg_state::{Snapshot, SnapshotStore};
use thalweg_stream::graph::NodeId;
use thalweg_stream::sink::SinkRef;
use thalweg_stream::source::SourceRef;
use thalweg_stream::view::ViewRef;

use crate::error::{JobError, Result};
use crate::job::{JobId, JobServices, JobSpec};
use crate::journal::{
    self, EndState, Header, JournalReader, JournalWriter, Progress, RESULT_VERSION, Record, SinkPin,
};
use crate::ledger::{Ledger, PinPoint};
use crate::plan::{OutputKind, Plan};
use crate::publish::Publisher;
use crate::schedule::Core;
use crate::snapshot::{SnapshotMeta, restore_views};
use crate::staging;
use crate::watermark::ChannelEnd;
use found::{Found, check_start};
use opening::Opening;
pub use rest::RestingJob;
pub(crate) use rest::rest;

/// Directory of staged files in that of the job.
const STAGED: &str = "staged";

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
    check_start(start, reader.offset())?;
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

/// Name under which a job pins what it needs.
pub(crate) fn holder(job: JobId) -> String {
    format!("job {job}")
}

/// From where on a job's input and journal are needed, with the snapshots in its ledger.
/// Until there are as many as are kept, its start is.
fn needed_from(ledger: &Ledger, snapshots_kept: usize) -> PinPoint {
    let enough = ledger.pins.len() >= snapshots_kept.max(1);
    ledger.pins.first().filter(|_| enough).cloned().unwrap_or_else(PinPoint::start)
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
    dir: &Path,
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

/// The ledger of the snapshot, or an empty one.
fn restored_ledger(plan: &Plan, header: &Header, meta: Option<SnapshotMeta>) -> Ledger {
    let subtasks: Vec<_> = plan
        .stages
        .iter()
        .map(|stage| if stage.source.is_some() { 0 } else { stage.parallelism })
        .collect();
    let fresh = Ledger::new(&subtasks);
    let Some(SnapshotMeta { header: saved, mut ledger }) = meta else { return fresh };
    ledger.add_own_pin();
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
