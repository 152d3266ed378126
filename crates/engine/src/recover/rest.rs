//! A job that does not run: what it needs stays, and its views show what they showed last.

use std::fmt;
use std::sync::Arc;

use thalweg_core::ids::{Epoch, Offset};
use thalweg_core::partition_log::PartitionLog;
use thalweg_state::SnapshotStore;
use thalweg_stream::source::{SourceRef, SplitInfo};

use super::found::check_start;
use super::{find, holder, needed_from, newest_snapshot};
use crate::error::{JobError, Result};
use crate::job::{JobServices, JobSpec};
use crate::journal::{self, Header, JournalReader, Record};
use crate::ledger::{Ledger, PinPoint};
use crate::plan::Plan;
use crate::snapshot::{SnapshotMeta, restore_views};
use crate::status::{JobState, JobStatus, SplitStatus};

/// A job that does not run. What it needs to be started again is pinned until
/// [`RestingJob::unpin`] or the end of the process.
pub struct RestingJob {
    status: JobStatus,
    views_restored: bool,
    holder: String,
    journal: Option<Arc<dyn PartitionLog>>,
    splits: Vec<(SourceRef, SplitInfo)>,
}

impl RestingJob {
    /// The job as it stopped.
    pub fn status(&self) -> &JobStatus {
        &self.status
    }

    /// Whether its views show all that it committed. Otherwise its newest good snapshot is
    /// older than its journal, and only running the job brings them back; they are empty.
    pub fn views_restored(&self) -> bool {
        self.views_restored
    }

    /// Lets go of everything that is pinned: the job will not be started again.
    pub fn unpin(&self) {
        if let Some(journal) = &self.journal {
            journal.pin(&self.holder, None);
        }
        for (source, split) in &self.splits {
            source.pin(split, &self.holder, None);
        }
    }

    fn pin(&self, from: &PinPoint) {
        if let Some(journal) = &self.journal {
            journal.pin(&self.holder, Some(from.journal));
        }
        for (number, (source, split)) in self.splits.iter().enumerate() {
            let position = from.positions.get(number).copied().unwrap_or(split.start);
            source.pin(split, &self.holder, Some(position));
        }
    }
}

impl fmt::Debug for RestingJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RestingJob").field(&self.status).finish()
    }
}

/// See [`crate::Job::rest`].
pub(crate) fn rest(spec: &JobSpec, services: &JobServices) -> Result<RestingJob> {
    let plan = Plan::new(spec.graph.clone(), spec.parallelism, &spec.options, &[], &[])?;
    let mut job = RestingJob {
        status: JobStatus { state: JobState::Stopped, ..JobStatus::default() },
        views_restored: false,
        holder: holder(spec.id),
        journal: None,
        splits: Vec::new(),
    };
    if services.log.topic(&journal::topic_name(spec.id)).is_none() {
        return Ok(job);
    }
    let store = SnapshotStore::new(services.env.clone(), services.dir.join("snapshots"));
    let (snapshot, meta) = newest_snapshot(&store, &mut job.status.alarms)?;
    let journal = journal::open(&*services.log, spec.id)?;
    let (header, mut ledger, start) = match meta {
        Some(SnapshotMeta { header, mut ledger }) => {
            ledger.add_own_pin();
            let start = ledger.journal;
            (Some(header), ledger, start)
        }
        None => (None, Ledger::new(&[]), 0),
    };
    let needed = needed_from(&ledger, spec.options.snapshots_kept);
    let header = fold(Arc::clone(&journal), start, header, &mut ledger)?;

    job.journal = Some(journal);
    for split in &ledger.splits {
        let node = plan.sources.get(split.source).ok_or_else(|| {
            JobError::Incompatible("the journal has more sources than the query".into())
        })?;
        let uid = &plan.graph.nodes[*node].uid;
        job.splits.push((find(&plan, &services.sources, *node)?, split.info.clone()));
        job.status.splits.push(SplitStatus {
            source: uid.clone(),
            split: split.info.id.clone(),
            position: split.position,
            available: split.position,
            watermark: split.watermark,
            idle: split.idle,
            finished: split.finished,
        });
    }
    job.pin(&needed);
    job.status.epoch = ledger.epoch;
    job.status.published = ledger.epoch;
    job.status.snapshot = snapshot.as_ref().map(thalweg_state::Snapshot::epoch);
    job.status.totals = ledger.totals;
    job.status.watermark = ledger.watermark();

    let restored = job.status.snapshot.unwrap_or(Epoch(0));
    if let Some(header) = header.filter(|_| restored == ledger.epoch) {
        job.status.incarnation = header.incarnation;
        let views = plan.views.iter().map(|&node| find(&plan, &services.views, node));
        let views = views.collect::<Result<Vec<_>>>()?;
        restore_views(snapshot.as_ref(), &header.views, &views)?;
        job.views_restored = true;
    }
    Ok(job)
}

/// Adds what the journal says from `start` on to a ledger; gives the last header.
fn fold(
    journal: Arc<dyn PartitionLog>,
    start: Offset,
    mut header: Option<Header>,
    ledger: &mut Ledger,
) -> Result<Option<Header>> {
    let mut reader = JournalReader::new(journal, start);
    check_start(start, reader.offset())?;
    while let Some((_, record)) = reader.next()? {
        match record {
            Record::Header(newer) => header = Some(*newer),
            Record::Epoch(entry) => {
                ledger.apply(&entry.input)?;
                ledger.totals.add(&entry.totals);
            }
            Record::Progress(_) | Record::Fence(_) => {}
        }
    }
    Ok(header)
}
