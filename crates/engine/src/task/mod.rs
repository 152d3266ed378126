//! Subtasks: what runs a unit of work.
//!
//! A task owns the operators, writers and readers of one subtask of one stage. It is
//! handed a unit's input and gives its output; it knows no thread and no other task.

mod bad;
mod build;
mod chain;
mod inputs;
mod isolate;
mod lineage;
mod output;
mod source;
mod writer;

use thalweg_core::time::{MIN_WATERMARK, Millis};

use crate::epoch::EpochPlan;
use crate::error::Result;
use crate::exchange::EdgeBuffer;
use crate::watermark::ChannelEnd;

pub(crate) use build::{Restored, TaskBuilder};
use chain::Chain;
use inputs::Inputs;
pub(crate) use output::{ChunkBody, StateBatch, UnitChunk, UnitOutput};
pub use output::{bad_schema, late_schema};
use source::SourceTask;

/// What one channel moved to one subtask in one epoch.
#[derive(Debug)]
pub(crate) struct InputRun {
    /// The split of a source, else the upstream subtask.
    pub channel: usize,
    /// Its batches.
    pub buffer: EdgeBuffer,
}

/// What a unit reads over one of its in edges.
#[derive(Debug, Default)]
pub(crate) struct EdgeInput {
    /// By channel, ascending.
    pub runs: Vec<InputRun>,
    /// Where channels stand at the end of the epoch; those that did not move are left out.
    pub ends: Vec<(usize, ChannelEnd)>,
}

/// One subtask of a stage.
pub(crate) struct Task {
    chain: Chain,
    head: Head,
}

enum Head {
    Source(Box<SourceTask>),
    Inputs(Inputs),
}

impl Task {
    /// Runs the unit of an epoch.
    pub(crate) fn run(&mut self, plan: &EpochPlan, inputs: Vec<EdgeInput>) -> Result<UnitOutput> {
        self.chain.start_epoch(plan);
        let mut output = match &mut self.head {
            Head::Source(source) => {
                let splits = source.run(plan, &mut self.chain)?;
                let mut output = self.chain.finish_epoch(MIN_WATERMARK)?;
                output.splits = splits;
                output
            }
            Head::Inputs(head) => {
                let end = head.run(plan, inputs, &mut self.chain)?;
                let mut output = self.chain.finish_epoch(end.watermark)?;
                output.end = Some(end);
                output
            }
        };
        if plan.snapshot {
            output.state = self.chain.snapshot()?;
        }
        Ok(output)
    }

    /// The state, outside of an epoch.
    pub(crate) fn snapshot(&self) -> Result<Vec<StateBatch>> {
        self.chain.snapshot()
    }

    /// The earliest processing-time timer.
    pub(crate) fn next_timer(&self) -> Option<Millis> {
        self.chain.next_timer()
    }
}
