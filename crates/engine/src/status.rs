//! What can be seen of a job from outside.

use thalweg_core::ids::{Epoch, Incarnation};
use thalweg_core::time::{MIN_WATERMARK, Millis};
use thalweg_stream::source::Position;

/// Where a job is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum JobState {
    /// Replays its journal.
    #[default]
    Recovering,
    /// Takes new input.
    Running,
    /// Finishes what was cut, then stops.
    Stopping,
    /// Was stopped; can be started again.
    Stopped,
    /// Read all of a bounded input.
    Finished,
    /// Stopped by an error.
    Failed,
}

impl JobState {
    /// Whether nothing runs any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Stopped | Self::Finished | Self::Failed)
    }

    /// As shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recovering => "recovering",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

/// Rows over the whole life of a job, restarts included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Records read, the bad ones included.
    pub rows_in: u64,
    /// Rows that went to sinks and changes that went to views.
    pub rows_out: u64,
    /// Rows that came too late for every window.
    pub late: u64,
    /// Records that could not be turned into a row.
    pub bad: u64,
    /// Bytes of input.
    pub bytes_in: u64,
}

impl Totals {
    /// Adds those of an epoch.
    pub fn add(&mut self, other: &Self) {
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        self.late += other.late;
        self.bad += other.bad;
        self.bytes_in += other.bytes_in;
    }
}

/// One split of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SplitStatus {
    /// Uid of the source's node.
    pub source: String,
    /// The split.
    pub split: String,
    /// Up to where its input is committed.
    pub position: Position,
    /// Up to where it could be read when last looked at.
    pub available: Position,
    /// Its watermark.
    pub watermark: Millis,
    /// It no longer holds the watermark back.
    pub idle: bool,
    /// It is read to its end.
    pub finished: bool,
}

impl SplitStatus {
    /// Distance between what is committed and what is there, in positions.
    pub fn lag(&self) -> u64 {
        self.available.saturating_sub(self.position)
    }
}

/// A job as of now.
#[derive(Clone, PartialEq, Debug)]
pub struct JobStatus {
    /// Where it is in its life.
    pub state: JobState,
    /// The run on the journal.
    pub incarnation: Incarnation,
    /// Last committed epoch; 0 before the first.
    pub epoch: Epoch,
    /// Last published epoch.
    pub published: Epoch,
    /// Epochs cut and not yet published.
    pub in_flight: usize,
    /// Epochs replayed at this start.
    pub replayed: u64,
    /// Epoch of the newest snapshot.
    pub snapshot: Option<Epoch>,
    /// Rows over its life.
    pub totals: Totals,
    /// Every split, by source and id.
    pub splits: Vec<SplitStatus>,
    /// The smallest watermark of all subtasks.
    pub watermark: Millis,
    /// Why it failed.
    pub error: Option<String>,
    /// Seconds since it was started, up to its end.
    pub seconds: f64,
    /// Odd things that people should know, oldest first: damaged snapshots, clock jumps.
    pub alarms: Vec<String>,
}

impl Default for JobStatus {
    fn default() -> Self {
        Self {
            state: JobState::Recovering,
            incarnation: Incarnation(0),
            epoch: Epoch(0),
            published: Epoch(0),
            in_flight: 0,
            replayed: 0,
            snapshot: None,
            totals: Totals::default(),
            splits: Vec::new(),
            watermark: MIN_WATERMARK,
            error: None,
            seconds: 0.0,
            alarms: Vec::new(),
        }
    }
}
