//! The merged input of a stage: its in edges, channel by channel, in a fixed order.

use thalweg_core::time::{MAX_WATERMARK, MIN_WATERMARK, Millis};

use super::EdgeInput;
use super::chain::Chain;
use crate::epoch::{EpochPlan, Event, SplitIndex};
use crate::error::{JobError, Result};
use crate::watermark::{ChannelEnd, ChannelMerge};

/// What feeds an in edge.
#[derive(Clone, Debug)]
enum Feed {
    /// The splits of a source, by its number.
    Splits(usize),
    /// The subtasks of a stage.
    Subtasks,
}

#[derive(Clone, Debug)]
struct Edge {
    feed: Feed,
    /// Which input of the head it feeds.
    input: usize,
    /// Where each channel of the edge stands in the merge; a split of another source
    /// stands nowhere.
    places: Vec<Option<usize>>,
}

/// The head of a stage that is no source.
pub(super) struct Inputs {
    edges: Vec<Edge>,
    merge: ChannelMerge,
}

impl Inputs {
    /// Without edges, at a watermark.
    pub(super) fn new(watermark: Millis) -> Self {
        Self { edges: Vec::new(), merge: ChannelMerge::new(watermark) }
    }

    /// Adds an edge from a source. Its channels come with [`Inputs::add_split`].
    pub(super) fn add_source(&mut self, source: usize, input: usize) {
        self.edges.push(Edge { feed: Feed::Splits(source), input, places: Vec::new() });
    }

    /// Adds an edge from the subtasks of a stage, each where it stands.
    pub(super) fn add_stage(&mut self, subtasks: &[ChannelEnd], input: usize) {
        let mut places = Vec::with_capacity(subtasks.len());
        for end in subtasks {
            places.push(Some(self.merge.len()));
            self.merge.add(end.watermark, end.idle);
        }
        self.edges.push(Edge { feed: Feed::Subtasks, input, places });
    }

    /// Adds the next split of the job.
    pub(super) fn add_split(&mut self, source: usize, watermark: Millis, idle: bool) {
        for edge in &mut self.edges {
            let Feed::Splits(of) = edge.feed else { continue };
            edge.places.push((of == source).then_some(self.merge.len()));
            if of == source {
                self.merge.add(watermark, idle);
            }
        }
    }

    /// Reads an epoch, and says where the merged watermark stands at its end.
    pub(super) fn run(
        &mut self,
        plan: &EpochPlan,
        inputs: Vec<EdgeInput>,
        chain: &mut Chain,
    ) -> Result<ChannelEnd> {
        self.start_epoch(plan);
        let mut ends = Vec::new();
        for (edge, moved) in inputs.into_iter().enumerate() {
            let input = self.edges.get(edge).map_or(0, |edge| edge.input);
            for mut run in moved.runs {
                self.merge.start_channel(self.place(edge, run.channel)?);
                while let Some(mut batch) = run.buffer.pop()? {
                    let before = self.merge.current();
                    batch.marks = self.merge.merge(&batch.marks);
                    chain.accept_first(input, &batch, before)?;
                }
            }
            for (channel, end) in moved.ends {
                ends.push((self.place(edge, channel)?, end));
            }
        }
        let finished = ChannelEnd { watermark: MAX_WATERMARK, idle: false };
        for event in &plan.input.events {
            if let Event::EndOfSplit(split) = event {
                ends.extend(self.split_places(*split).map(|place| (place, finished)));
            }
        }
        let idle = self.merge.finish_epoch(ends, plan.input.last);
        Ok(ChannelEnd { watermark: self.merge.current(), idle })
    }

    fn place(&self, edge: usize, channel: usize) -> Result<usize> {
        let place = self.edges.get(edge).and_then(|edge| edge.places.get(channel).copied());
        place.flatten().ok_or_else(|| {
            JobError::Internal(format!("channel {channel} of in edge {edge} is not known"))
        })
    }

    /// Lets the events of an epoch take effect.
    fn start_epoch(&mut self, plan: &EpochPlan) {
        for event in &plan.input.events {
            match event {
                Event::NewSplit { source, .. } => self.add_split(*source, MIN_WATERMARK, false),
                Event::Idle(split) => self.set_idle(*split, true),
                Event::EndOfSplit(_) | Event::Skip { .. } => {}
            }
        }
        for range in &plan.input.ranges {
            self.set_idle(range.split, false);
        }
        self.merge.start_epoch();
    }

    /// Where a split stands in the merge, for each edge from its source.
    fn split_places(&self, split: SplitIndex) -> impl Iterator<Item = usize> + '_ {
        let fed = self.edges.iter().filter(|edge| matches!(edge.feed, Feed::Splits(_)));
        fed.filter_map(move |edge| edge.places.get(split).copied().flatten())
    }

    fn set_idle(&mut self, split: SplitIndex, idle: bool) {
        let places: Vec<_> = self.split_places(split).collect();
        places.into_iter().for_each(|place| self.merge.set_idle(place, idle));
    }
}
