//! Merging the watermarks of several channels into that of a stage.
//!
//! The rules are those of `docs/spec/epochs.md`, section 1: while a channel is read, the
//! others count as they were at the epoch's start; at its end all move at once. So the
//! result does not depend on which thread read what first.

use thalweg_core::time::{MAX_WATERMARK, MIN_WATERMARK, Millis};
use thalweg_stream::Marks;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Channel {
    watermark: Millis,
    idle: bool,
}

/// Where a channel stands at the end of an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ChannelEnd {
    /// Its watermark; ignored where it is lower than before.
    pub watermark: Millis,
    /// Whether it no longer holds the others back.
    pub idle: bool,
}

/// The merged watermark of one subtask.
#[derive(Clone, Debug)]
pub(crate) struct ChannelMerge {
    channels: Vec<Channel>,
    /// In force now.
    current: Millis,
    /// The two smallest watermarks of channels that are not idle, with the place of the
    /// first: what the others of a channel have at the epoch's start.
    lowest: [Millis; 2],
    lowest_channel: usize,
    /// While a channel is read: its watermark at the start, and the cap of the others.
    base: Millis,
    cap: Millis,
}

impl ChannelMerge {
    /// Without channels, at a watermark.
    pub(crate) fn new(current: Millis) -> Self {
        Self {
            channels: Vec::new(),
            current,
            lowest: [MAX_WATERMARK; 2],
            lowest_channel: 0,
            base: MIN_WATERMARK,
            cap: MAX_WATERMARK,
        }
    }

    /// Number of channels.
    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }

    /// Adds a channel behind the others.
    pub(crate) fn add(&mut self, watermark: Millis, idle: bool) {
        self.channels.push(Channel { watermark, idle });
    }

    /// Says, at the start of an epoch, whether a channel holds the others back.
    pub(crate) fn set_idle(&mut self, channel: usize, idle: bool) {
        self.channels[channel].idle = idle;
    }

    /// The watermark in force.
    pub(crate) fn current(&self) -> Millis {
        self.current
    }

    /// Starts an epoch: from here on the channels' watermarks stand still.
    pub(crate) fn start_epoch(&mut self) {
        self.lowest = [MAX_WATERMARK; 2];
        self.lowest_channel = usize::MAX;
        for (number, channel) in self.channels.iter().enumerate().filter(|(_, c)| !c.idle) {
            if channel.watermark < self.lowest[0] {
                self.lowest = [channel.watermark, self.lowest[0]];
                self.lowest_channel = number;
            } else if channel.watermark < self.lowest[1] {
                self.lowest[1] = channel.watermark;
            }
        }
    }

    /// Starts reading a channel.
    pub(crate) fn start_channel(&mut self, channel: usize) {
        self.base = self.channels[channel].watermark;
        self.cap = self.lowest[usize::from(channel == self.lowest_channel)];
        self.current = self.current.max(self.base.min(self.cap));
    }

    /// The marks of the stage for a batch of the channel that is being read, out of the
    /// channel's own.
    pub(crate) fn merge(&mut self, marks: &Marks) -> Marks {
        let mut merged = Marks::none();
        for (row, watermark) in marks.iter() {
            let effective = watermark.max(self.base).min(self.cap);
            if effective > self.current {
                self.current = effective;
                merged.push(row, effective);
            }
        }
        merged
    }

    /// Ends the epoch: moves every channel of `ends`, then the merged watermark. Says
    /// whether all channels are idle.
    pub(crate) fn finish_epoch(
        &mut self,
        ends: impl IntoIterator<Item = (usize, ChannelEnd)>,
        last: bool,
    ) -> bool {
        for (number, end) in ends {
            let channel = &mut self.channels[number];
            channel.watermark = channel.watermark.max(end.watermark);
            channel.idle = end.idle;
        }
        let active = self.channels.iter().filter(|channel| !channel.idle);
        let all_idle = active.clone().next().is_none();
        let merged = if last {
            MAX_WATERMARK
        } else if all_idle {
            let all = self.channels.iter().map(|channel| channel.watermark);
            all.max().unwrap_or(MIN_WATERMARK)
        } else {
            active.map(|channel| channel.watermark).min().unwrap_or(MIN_WATERMARK)
        };
        self.current = self.current.max(merged);
        all_idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(list: &[(usize, Millis)]) -> Marks {
        let mut marks = Marks::none();
        list.iter().for_each(|&(row, watermark)| marks.push(row, watermark));
        marks
    }

    fn merged(merge: &mut ChannelMerge, list: &[(usize, Millis)]) -> Vec<(usize, Millis)> {
        merge.merge(&marks(list)).iter().collect()
    }

    fn end(watermark: Millis) -> ChannelEnd {
        ChannelEnd { watermark, idle: false }
    }

    #[test]
    fn one_channel_passes_its_marks_on() {
        let mut merge = ChannelMerge::new(MIN_WATERMARK);
        merge.add(MIN_WATERMARK, false);
        merge.start_epoch();
        merge.start_channel(0);
        assert_eq!(merged(&mut merge, &[(1, 10), (4, 20)]), [(1, 10), (4, 20)]);
        assert_eq!(merged(&mut merge, &[(0, 15), (2, 30)]), [(2, 30)]);
        merge.finish_epoch([(0, end(30))], false);
        assert_eq!(merge.current(), 30);
    }

    #[test]
    fn others_count_as_of_the_start() {
        let mut merge = ChannelMerge::new(10);
        merge.add(10, false);
        merge.add(50, false);
        merge.start_epoch();
        merge.start_channel(0);
        assert_eq!(merged(&mut merge, &[(1, 40), (2, 100)]), [(1, 40), (2, 50)]);
        merge.start_channel(1);
        assert_eq!(merged(&mut merge, &[(1, 200)]), []);
        merge.finish_epoch([(0, end(100)), (1, end(200))], false);
        assert_eq!(merge.current(), 100);
    }

    #[test]
    fn idle_channels_hold_nothing_back_and_equal_ones_do() {
        let mut merge = ChannelMerge::new(MIN_WATERMARK);
        merge.add(5, false);
        merge.add(5, false);
        merge.add(MIN_WATERMARK, true);
        merge.start_epoch();
        merge.start_channel(0);
        assert_eq!(merge.current(), 5);
        assert_eq!(merged(&mut merge, &[(1, 9)]), []);
        let idle = |watermark| ChannelEnd { watermark, idle: true };
        assert!(!merge.finish_epoch([(0, end(9)), (1, idle(5))], false));
        assert_eq!(merge.current(), 9);
        assert!(merge.finish_epoch([(0, idle(0)), (1, idle(30))], false));
        assert_eq!(merge.current(), 30, "all idle: the furthest of them");
    }

    #[test]
    fn it_never_falls_and_ends_at_the_top() {
        let mut merge = ChannelMerge::new(70);
        merge.add(MIN_WATERMARK, false);
        merge.start_epoch();
        merge.start_channel(0);
        assert_eq!(merged(&mut merge, &[(0, 60), (1, 71)]), [(1, 71)]);
        merge.finish_epoch([(0, end(71))], true);
        assert_eq!(merge.current(), MAX_WATERMARK);
    }
}
