//! Range: of each topic every reader gets a run of neighbouring partitions; the first
//! ones get one more where it does not come out even. Readers keep their order, so topics
//! of the same size that the same members read are cut alike, which joins need.

use super::Spec;
use crate::group::partitions::Partitions;

pub(super) fn assign(spec: &Spec<'_>) -> Vec<Partitions> {
    let mut assigned = vec![Partitions::default(); spec.members.len()];
    for (topic, count) in &spec.topics {
        let readers: Vec<usize> = (0..spec.members.len())
            .filter(|at| spec.members[*at].subscribed.contains(topic))
            .collect();
        let total = usize::try_from(*count).unwrap_or(0);
        let Some(share) = total.checked_div(readers.len()) else { continue };
        let more = total % readers.len();
        let mut next = 0;
        for (place, reader) in readers.into_iter().enumerate() {
            let end = next + share as i32 + i32::from(place < more);
            assigned[reader].extend((next..end).map(|partition| (*topic, partition)));
            next = end;
        }
    }
    assigned
}
