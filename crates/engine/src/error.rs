//! Why a job does not start, or stopped.

use thalweg_core::ids::Epoch;
use thalweg_core::partition_log::LogError;
use thalweg_state::StateError;
use thalweg_stream::StreamError;

/// An error that ends a job. The variants are what the caller does about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JobError {
    /// The job cannot run as it was described.
    #[error("{0}")]
    Invalid(String),
    /// What is stored does not fit what is to run: other plan, other parallelism, input
    /// that is gone. Starting again changes nothing; exit code 4.
    #[error("{0}")]
    Incompatible(String),
    /// Replay gave something else than the journal says: a defect, damaged state, or an
    /// input that changed. Nothing was published.
    #[error(
        "replay of epoch {epoch} gave another output for {output} (subtask {subtask}, partition {partition}): \
         the journal has {recorded}, replay has {replayed}; the job stops, its output so far is intact"
    )]
    Diverged {
        /// The epoch.
        epoch: Epoch,
        /// Sink or view.
        output: String,
        /// Subtask that gave the chunk.
        subtask: usize,
        /// Partition of the sink.
        partition: i32,
        /// What the journal has, in words.
        recorded: String,
        /// What came out, in words.
        replayed: String,
    },
    /// A newer incarnation of the job has taken over; this one is to end quietly.
    #[error("a newer incarnation of the job has taken over: {0}")]
    Fenced(String),
    /// It was told to stop at once.
    #[error("the job was told to stop at once")]
    Aborted,
    /// What is stored is damaged.
    #[error("{0}")]
    Corrupt(String),
    /// A source, a sink or an operator failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The log refused.
    #[error(transparent)]
    Log(LogError),
    /// The disk failed under staged files, spill files or snapshots.
    #[error("{at}: {detail}")]
    Disk {
        /// File or directory, or what was being done.
        at: String,
        /// What the system said.
        detail: String,
        /// After a failed sync nobody knows what is durable: the process has to end.
        fatal: bool,
    },
    /// A defect of Thalweg.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

impl JobError {
    /// Whether trying again with the same input may help, after a while.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Stream(StreamError::External(_)) => true,
            Self::Log(error) | Self::Stream(StreamError::Log(error)) => {
                matches!(error, LogError::StorageFull { .. })
            }
            _ => false,
        }
    }

    /// Whether nothing can be promised any more: the process has to end.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Log(error) | Self::Stream(StreamError::Log(error)) => {
                matches!(error, LogError::Disk { .. })
            }
            Self::Disk { fatal, .. } => *fatal,
            _ => false,
        }
    }

    /// Whether saved state does not fit the query (exit code 4).
    pub fn is_incompatible(&self) -> bool {
        matches!(self, Self::Incompatible(_) | Self::Stream(StreamError::Incompatible(_)))
    }

    /// The disk's error on a file.
    pub(crate) fn disk(path: &std::path::Path, error: &std::io::Error, fatal: bool) -> Self {
        Self::Disk { at: path.display().to_string(), detail: error.to_string(), fatal }
    }
}

impl From<LogError> for JobError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Fenced { .. } => Self::Fenced(error.to_string()),
            other => Self::Log(other),
        }
    }
}

impl From<StateError> for JobError {
    fn from(error: StateError) -> Self {
        let detail = error.to_string();
        match error {
            StateError::NewerVersion { .. } => Self::Incompatible(detail),
            StateError::Io { action, path, source } => Self::Disk {
                at: format!("{action} {}", path.display()),
                detail: source.to_string(),
                fatal: action == "sync",
            },
            StateError::Corrupt { .. } => Self::Corrupt(detail),
            _ => Self::Internal(detail),
        }
    }
}

/// Shorthand of the engine.
pub type Result<T, E = JobError> = std::result::Result<T, E>;
