//! The end of the log: finding what is torn, making durable what is left.

use std::io;

use thalweg_core::env::DiskFile;
use thalweg_core::ids::Offset;

use super::super::commit::full_mark;
use super::{Found, Recovery};
use crate::mark::{self, Mark};
use crate::segment::scan::{Scan, Step};
use crate::segment::{IndexState, MAGIC, MaxTime, Segment};
use crate::shared::{failed_sync, is_storage_full};

/// The log with its torn end cut off.
pub(super) struct Tail {
    pub(super) segments: Vec<Segment>,
    pub(super) end: Offset,
}

/// A walk from a segment's mark to its end.
struct Walked {
    state: Segment,
    bad: Option<String>,
}

impl Recovery<'_> {
    /// Finds the end of the log behind the durable marks, cuts what is torn, and makes
    /// durable what is left. The inner error is damage.
    pub(super) fn recover_tail(
        &self,
        found: &mut Vec<Found>,
        log_start: Offset,
    ) -> io::Result<Result<Tail, String>> {
        let durable =
            found.iter().filter_map(|f| f.mark).map(|mark| mark.durable).max().unwrap_or(0);
        let mut tail = Tail { segments: Vec::new(), end: 0 };
        let mut index = 0;
        while index < found.len() {
            let segment = &found[index];
            let Some(mark) = segment.mark else { break };
            let walked = walk_tail(segment, &mark)?;
            let next_base = found.get(index + 1).map(|next| next.base);
            let stopped = match (walked.bad, next_base) {
                (Some(detail), _) => Some(detail),
                (None, Some(next)) if walked.state.end != next => {
                    Some(format!("the segment ends where offset {next} must follow"))
                }
                _ => None,
            };
            tail.end = walked.state.end;
            if let Some(detail) = stopped {
                if let Err(why_not) = self.may_cut(found, index, &walked.state, durable)? {
                    // What is shown of it must be durable all the same.
                    let synced = found[index..].iter().try_for_each(|f| f.file.sync_data());
                    synced.map_err(failed_sync)?;
                    return Ok(Err(format!(
                        "bad bytes at offset {} in segment {} ({detail}), {why_not}",
                        walked.state.end, found[index].base
                    )));
                }
                self.cut(found, index, &walked.state, &detail)?;
            }
            tail.segments.push(walked.state);
            index += 1;
        }
        self.settle(found, &mut tail, log_start)?;
        Ok(Ok(tail))
    }

    /// Makes everything that was found durable, and says so in the marks.
    fn settle(&self, found: &mut [Found], tail: &mut Tail, log_start: Offset) -> io::Result<()> {
        let count = found.len();
        for (index, (segment, state)) in found.iter_mut().zip(&mut tail.segments).enumerate() {
            let Some(mark) = segment.mark else { continue };
            state.committed = state.written;
            state.max_committed = state.max_written;
            let is_last = index + 1 == count;
            if mark.sealed || (is_last && mark.durable == state.end) {
                continue;
            }
            write_again(&*segment.file, mark.position, state.written)?;
            segment.file.sync_data().map_err(failed_sync)?;
            let full = Mark { sealed: !is_last, ..full_mark(&mark, state, log_start) };
            match mark::write(&*segment.file, &MAGIC, &full) {
                // The mark before stays in force, as after a commit.
                Err(error) if is_storage_full(&error) => continue,
                written => written?,
            }
            segment.file.sync_data().map_err(failed_sync)?;
            segment.mark = Some(full);
        }
        Ok(())
    }
}

/// Writes bytes back as they are read. After a failed sync the page cache may show bytes
/// that are not on the disk and that no further sync would write, unless they are
/// written to again (PostgreSQL's fsync lesson).
fn write_again(file: &dyn DiskFile, mut from: u64, to: u64) -> io::Result<()> {
    let mut chunk = vec![0; to.saturating_sub(from).min(1 << 20) as usize];
    while from < to {
        let len = (to - from).min(chunk.len() as u64) as usize;
        file.read_exact_at(&mut chunk[..len], from)?;
        file.write_at(&chunk[..len], from)?;
        from += len as u64;
    }
    Ok(())
}

fn walk_tail(segment: &Found, mark: &Mark) -> io::Result<Walked> {
    let mut state = Segment::begun(mark);
    state.max_written = MaxTime::of(mark);
    // The first mark of a segment tells of the time before it.
    state.end = mark.durable.max(segment.base);
    state.aborted = IndexState::Lost; // Until the producers are replayed.
    state.written = mark.position;
    if mark.sealed {
        state.index = IndexState::marked(mark.index_entries);
        state.aborted = IndexState::marked(mark.aborted_entries);
        return Ok(Walked { state, bad: None });
    }
    let mut scan = Scan::new(&*segment.file, state.written, segment.len, state.end);
    let bad = loop {
        match scan.next(true)? {
            Step::Batch { header, .. } => {
                state.max_written.add(&header);
            }
            Step::End => break None,
            Step::Bad(detail) => break Some(detail),
        }
    };
    state.end = scan.expected();
    state.written = scan.position();
    Ok(Walked { state, bad })
}
