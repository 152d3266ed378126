//! The threads of a job.

use std::sync::Arc;

use thalweg_core::env::JoinHandle;

use super::{Core, Lane};
use crate::error::{JobError, Result};

/// Starts as many workers as the job has subtasks of a stage, and a thread for each of the
/// other lanes, which wait for disks. They end with the job.
pub(crate) fn start_threads(core: &Arc<Core>, workers: usize) -> Result<Vec<JoinHandle>> {
    let workers = (0..workers).map(|number| (Lane::Work, format!("work-{number}")));
    let others =
        [(Lane::Commit, "commit"), (Lane::Publish, "publish"), (Lane::Snapshot, "snapshot")];
    let others = others.map(|(lane, name)| (lane, name.to_owned()));
    let mut threads = Vec::new();
    for (lane, name) in workers.chain(others) {
        let own = Arc::clone(core);
        let body = move || {
            while let Some(action) = own.next_action(lane) {
                own.run(action);
            }
        };
        let name = format!("job-{}-{name}", core.id);
        match core.env.spawn.spawn(&name, Box::new(body)) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                core.abort();
                return Err(JobError::Invalid(format!("cannot start a thread: {error}")));
            }
        }
    }
    Ok(threads)
}
