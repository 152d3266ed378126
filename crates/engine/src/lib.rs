//! The epoch engine: runs dataflow graphs as deterministic functions of their journals.
//!
//! The protocol is specified in `docs/spec/epochs.md`. In the order in which an epoch
//! passes through:
//!
//! - [`job`]: what starts a job, and its handle; `recover` opens it;
//! - `driver`: cuts the epoch; `clock` says when "now" is;
//! - `plan`: the graph cut into stages; `task`: one subtask of one, with its chain of
//!   [`operator`]s; `exchange` and `watermark` between them;
//! - `schedule`: which unit, on which thread;
//! - `commit`: the journal entry; `staging`, `journal`, `digest`, `ledger`;
//! - `publish`: sinks and views; `snapshot`: state on disk.
//!
//! What is not here: no SQL, no connector, no socket; rows arrive through
//! `thalweg_stream::source` and leave through `thalweg_stream::sink`.

mod clock;
mod commit;
mod digest;
mod driver;
mod epoch;
mod error;
mod exchange;
pub mod inspect;
pub mod job;
mod journal;
pub mod key;
mod ledger;
pub mod operator;
mod options;
mod plan;
mod publish;
mod recover;
mod schedule;
mod snapshot;
mod staging;
mod status;
mod task;
mod watermark;

pub use error::{JobError, Result};
pub use job::{Job, JobHandle, JobId, JobOutcome, JobServices, JobSpec, ManualJob};
pub use options::JobOptions;
pub use recover::RestingJob;
pub use schedule::Step;
pub use status::{JobState, JobStatus, SplitStatus, Totals};
pub use task::{bad_schema, late_schema};
