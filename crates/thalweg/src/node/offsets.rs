//! Committed offsets of consumer groups: jobs' positions are shown as such, and a table can
//! be read from where a group stands.

use std::sync::Arc;

use thalweg_broker::GroupOffsets;
use thalweg_connect::{CommittedOffsets, PositionPublisher};

/// What connectors call with a group and its positions. Best effort: a job's true positions
/// are in its journal.
pub(super) fn publisher(offsets: GroupOffsets) -> PositionPublisher {
    Arc::new(move |group, positions| {
        let positions = positions.iter().map(|(at, offset)| (at.clone(), *offset, String::new()));
        offsets.commit_soon(group, positions.collect());
    })
}

/// What connectors call for `scan.startup.mode = group-offsets`.
pub(super) fn finder(offsets: GroupOffsets) -> CommittedOffsets {
    Arc::new(move |group, at| Ok(offsets.committed(group, at)?))
}
