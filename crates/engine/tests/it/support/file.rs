//! A source over one file whose lines are `key,value,event time`; positions are bytes.

use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::sync::Arc;

use thalweg_core::env::sim::SimEnv;
use thalweg_core::env::{Disk, DiskFile, OpenMode};
use thalweg_core::partition_log::{Waker, Watch};
use thalweg_stream::error::Result;
use thalweg_stream::record::{RawRecord, RawRecords, RawRecordsRef, RecordVisitor};
use thalweg_stream::source::{Available, BatchSink, Cut, Position, Source, SplitInfo, SplitReader};

use super::source::Rows;

/// A file on the simulated disk, written and synced.
pub(crate) struct LineFile {
    sim: SimEnv,
    path: PathBuf,
    len: u64,
}

impl LineFile {
    pub(crate) fn write(sim: &SimEnv, path: &str, lines: &[&str]) -> Arc<Self> {
        let path = PathBuf::from(path);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let folder = path.parent().unwrap();
        sim.disk.create_dir_all(folder).unwrap();
        let file = sim.disk.open(&path, OpenMode::Create).unwrap();
        file.write_at(text.as_bytes(), 0).unwrap();
        file.sync_data().unwrap();
        sim.disk.sync_dir(folder).unwrap();
        sim.disk.sync_dir(folder.parent().unwrap()).unwrap();
        Arc::new(Self { sim: sim.clone(), path, len: text.len() as u64 })
    }
}

impl Source for LineFile {
    fn splits(&self) -> Result<Vec<SplitInfo>> {
        let id = self.path.to_string_lossy().into_owned();
        Ok(vec![SplitInfo { id, fingerprint: String::new(), start: 0, end: Some(self.len) }])
    }

    fn open(&self, split: &SplitInfo) -> Result<Box<dyn SplitReader>> {
        let file = self.sim.disk.open(&self.path, OpenMode::Read).unwrap();
        Ok(Box::new(FileReader { lines: Arc::new(FileLines(file)), split: split.clone() }))
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn watch(&self, _: Waker) -> Option<Watch> {
        None
    }
}

/// The lines of a file.
struct FileLines(Box<dyn DiskFile>);

impl RawRecords for FileLines {
    fn visit(&self, range: Range<Position>, visitor: &mut RecordVisitor<'_>) -> Result<()> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.0.read_exact_at(&mut bytes, range.start).unwrap();
        let mut position = range.start;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let value = Some(&line[..line.len() - 1]);
            if visitor(&RawRecord { position, key: None, value, headers: None }).is_break() {
                break;
            }
            position += line.len() as u64;
        }
        Ok(())
    }
}

struct FileReader {
    lines: Arc<FileLines>,
    split: SplitInfo,
}

impl SplitReader for FileReader {
    fn available(&mut self) -> Result<Available> {
        Ok(Available { end: self.split.end.unwrap(), finished: true })
    }

    fn cut(&mut self, from: Position, max_bytes: u64) -> Result<Cut> {
        let mut end = from;
        self.lines.visit(from..self.split.end.unwrap(), &mut |record| {
            if end > from && record.position >= from + max_bytes {
                return ControlFlow::Break(());
            }
            end = record.position + record.value.unwrap().len() as u64 + 1;
            ControlFlow::Continue(())
        })?;
        Ok(Cut { end, bytes: end - from })
    }

    fn read(
        &mut self,
        from: Position,
        to: Position,
        batch_rows: usize,
        sink: &mut BatchSink<'_>,
    ) -> Result<()> {
        let records: RawRecordsRef = self.lines.clone();
        let mut rows = Rows::starting_at(from);
        let mut outcome = Ok(());
        records.visit(from..to, &mut |record| {
            if rows.len() == batch_rows {
                rows.end = record.position;
                outcome = sink(rows.take(&records));
            }
            rows.add(&self.split.id, record);
            if outcome.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        outcome?;
        rows.end = to;
        if rows.len() > 0 { sink(rows.take(&records)) } else { Ok(()) }
    }
}
