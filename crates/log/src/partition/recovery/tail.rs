//! The end of the log: cutting what is torn, making durable what is left.

use std::io;

use thalweg_core::env::{DiskFile, OpenMode};
use thalweg_core::ids::Offset;

use super::super::commit::full_mark;
use super::{Found, Recovery};
use crate::mark::{self, Mark};
use crate::segment::scan::{Scan, Step, find_valid};
use crate::segment::{IndexState, LOG_SUFFIX, MAGIC, MaxTime, Segment, file_path};

/// Cut bytes among which valid batches were found are kept up to this many.
const MAX_KEPT_CUT_BYTES: u64 = 16 << 20;

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
            let stopped = match (&walked.bad, next_base) {
                (Some(detail), _) => Some(detail.clone()),
                (None, Some(next)) if walked.state.end != next => {
                    Some(format!("the segment ends before offset {next}"))
                }
                _ => None,
            };
            tail.end = walked.state.end;
            if let Some(detail) = stopped {
                if durable > walked.state.end {
                    return Ok(Err(format!(
                        "bad bytes at offset {} in segment {} ({detail}), but everything before \
                         offset {durable} was durable",
                        walked.state.end, segment.base
                    )));
                }
                self.cut(found, index, &walked, &detail)?;
            }
            tail.segments.push(walked.state);
            index += 1;
        }
        self.settle(found, &mut tail, log_start)?;
        Ok(Ok(tail))
    }

    /// Cuts the log behind the last good batch of segment `index`. Later segments go
    /// first, newest first, so that a crash on the way leaves the same question.
    fn cut(
        &self,
        found: &mut Vec<Found>,
        index: usize,
        walked: &Walked,
        detail: &str,
    ) -> io::Result<()> {
        let end = walked.state.written;
        let lost = found[index].len - end;
        let valid_behind = found.len() > index + 1
            || find_valid(
                &*found[index].file,
                end,
                found[index].len,
                walked.state.end,
                Offset::MAX,
            )?
            .is_some();
        tracing::warn!(
            partition = %self.name, segment = found[index].base, offset = walked.state.end,
            bytes = lost, later_segments = found.len() - index - 1, valid_behind, detail,
            "cut a torn tail that nobody was promised"
        );
        if valid_behind {
            self.keep_cut_bytes(&found[index], walked);
        }
        while found.len() > index + 1 {
            if let Some(later) = found.pop() {
                self.disk.remove_file(&file_path(self.dir, later.base, LOG_SUFFIX))?;
                self.remove_derived(later.base)?;
                self.disk.sync_dir(self.dir)?;
            }
        }
        found[index].file.set_len(end)?;
        found[index].file.sync_data()?;
        found[index].len = end;
        Ok(())
    }

    /// Puts cut bytes aside for a human, as good as it goes.
    fn keep_cut_bytes(&self, segment: &Found, walked: &Walked) {
        let from = walked.state.written;
        let len = (segment.len - from).min(MAX_KEPT_CUT_BYTES);
        let path = file_path(self.dir, walked.state.end, ".cut");
        let kept = || -> io::Result<()> {
            let mut bytes = vec![0; len as usize];
            segment.file.read_exact_at(&mut bytes, from)?;
            let file = self.disk.open(&path, OpenMode::Create)?;
            file.set_len(0)?;
            file.write_at(&bytes, 0)
        };
        match kept() {
            Ok(()) => tracing::warn!(path = %path.display(), len, "kept the cut bytes"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "cut bytes not kept"),
        }
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
            segment.file.sync_data()?;
            let full = Mark { sealed: !is_last, ..full_mark(&mark, state, log_start) };
            mark::write(&*segment.file, &MAGIC, &full)?;
            segment.file.sync_data()?;
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
                state.max_written.add(header.max_timestamp, header.base_offset);
            }
            Step::End => break None,
            Step::Bad(detail) => break Some(detail),
        }
    };
    state.end = scan.expected();
    state.written = scan.position();
    Ok(Walked { state, bad })
}
