//! The `filesystem` connector: lines of files.
//!
//! A bounded source lists its files once and reads each to the end that it had then. With
//! `source.monitor-interval` files that appear become splits, and a file is read as far as
//! its last line break, however it grows.
//!
//! A file is one split, and its rows stay in order. `'source.file-splits' = 'n'` deals large
//! files of bounded sources out to n splits (see `stripes.rs`), for more parallelism where
//! the order of rows does not matter.

mod lines;
mod listing;
mod reader;
mod records;
mod stripes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow_schema::SchemaRef;
use thalweg_core::env::{DiskFile, Env, OpenMode};
use thalweg_core::partition_log::{Waker, Watch};
use thalweg_core::time::Millis;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::source::{Source, SourceRef, SplitInfo, SplitReader};
use thalweg_stream::table::TableSpec;

use crate::format::Format;
use crate::options::{Known, Options};
use lines::LineBuffer;
use listing::{FoundFile, external, list, parse_path};
use reader::FileReader;
use records::FileLines;
use stripes::Stripes;

/// Files from this length on are dealt out to several splits, where that is asked for.
const SPLIT_FILE_BYTES: u64 = 8 << 20;
/// Bytes of a file that its fingerprint looks at.
const FINGERPRINT_BYTES: u64 = 4096;

/// The connector's options, besides `connector` and the format's.
pub(crate) const OPTIONS: &[Known] = &[
    Known::required("path"),
    Known::required("format"),
    Known::new("source.monitor-interval"),
    Known::new("source.file-splits"),
];

/// What the options say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileOptions {
    path: PathBuf,
    monitor_interval_ms: Option<i64>,
    file_splits: Option<u64>,
}

impl FileOptions {
    pub(crate) fn new(options: &Options<'_>) -> Result<Self> {
        let interval = options.duration_ms("source.monitor-interval")?;
        if interval == Some(0) {
            return Err(options.wrong("source.monitor-interval", "more than 0"));
        }
        let file_splits = options.number("source.file-splits")?;
        if file_splits.is_some_and(|splits| !(1..=1024).contains(&splits)) {
            return Err(options.wrong("source.file-splits", "a number from 1 to 1024"));
        }
        Ok(Self {
            path: parse_path(options.required("path")?)?,
            monitor_interval_ms: interval.map(|ms| ms.min(i64::MAX as u64) as i64),
            file_splits,
        })
    }

    /// Whether reading ends by itself.
    pub(crate) fn is_bounded(&self) -> bool {
        self.monitor_interval_ms.is_none()
    }
}

/// Makes the source of a table.
pub(crate) fn source(
    env: &Env,
    table: &TableSpec,
    columns: &[usize],
    options: FileOptions,
    format: Format,
) -> Result<SourceRef> {
    let wanted = Arc::new(table.schema.project(columns)?);
    // Fails now, not in the middle of a job, where a column's type cannot be read.
    format.decoder(&table.schema, columns)?;
    let source = FileSource {
        env: env.clone(),
        fields: table.schema.clone(),
        columns: columns.to_vec(),
        wanted,
        options,
        format,
        listed_at: AtomicI64::new(Millis::MIN),
    };
    Ok(Arc::new(source))
}

/// Lines of files as rows.
struct FileSource {
    env: Env,
    fields: SchemaRef,
    columns: Vec<usize>,
    wanted: SchemaRef,
    options: FileOptions,
    format: Format,
    /// When the files were listed last.
    listed_at: AtomicI64,
}

impl FileSource {
    fn open_file(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        self.env.disk.open(path, OpenMode::Read).map_err(|error| external(path, &error))
    }

    /// The splits of one file; none where it has nothing to read yet.
    fn splits_of(&self, found: &FoundFile, splits: &mut Vec<SplitInfo>) -> Result<()> {
        let file = self.open_file(&found.path)?;
        let path = found.path.to_string_lossy();
        let read_error = |error| external(&found.path, &error);
        if !self.options.is_bounded() {
            let fingerprint = first_line_fingerprint(&*file, found.len).map_err(read_error)?;
            if let Some(fingerprint) = fingerprint {
                splits.push(SplitInfo { id: path.into_owned(), fingerprint, start: 0, end: None });
            }
            return Ok(());
        }
        if found.len == 0 {
            return Ok(());
        }
        let fingerprint = fixed_fingerprint(&*file, found.len).map_err(read_error)?;
        let of = match self.options.file_splits {
            Some(splits) if found.len >= SPLIT_FILE_BYTES => splits,
            _ => 1,
        };
        for index in 0..of {
            splits.push(SplitInfo {
                id: format!("{path}{}", Stripes { index, of }.suffix()),
                fingerprint: fingerprint.clone(),
                start: 0,
                end: Some(found.len),
            });
        }
        Ok(())
    }

    fn check_fingerprint(&self, file: &dyn DiskFile, split: &SplitInfo) -> std::io::Result<bool> {
        let len = file.len()?;
        match split.end {
            // What was appended since does not matter: it is not read.
            Some(end) => Ok(len >= end && fixed_fingerprint(file, end)? == split.fingerprint),
            None => Ok(first_line_fingerprint(file, len)?.as_ref() == Some(&split.fingerprint)),
        }
    }
}

/// Of a file whose length counts: its first bytes and its length.
fn fixed_fingerprint(file: &dyn DiskFile, len: u64) -> std::io::Result<String> {
    let head = head(file, len)?;
    Ok(format!("{:016x}-{len}", xxhash_rust::xxh3::xxh3_64(&head)))
}

/// Of a file that grows: its first line, or as much as the fingerprint looks at. `None`
/// where there is no whole line yet.
fn first_line_fingerprint(file: &dyn DiskFile, len: u64) -> std::io::Result<Option<String>> {
    let mut head = head(file, len)?;
    match memchr::memchr(b'\n', &head) {
        Some(end) => head.truncate(end),
        None if (head.len() as u64) < FINGERPRINT_BYTES => return Ok(None),
        None => {}
    }
    Ok(Some(format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&head))))
}

fn head(file: &dyn DiskFile, len: u64) -> std::io::Result<Vec<u8>> {
    let mut head = vec![0; len.min(FINGERPRINT_BYTES) as usize];
    file.read_exact_at(&mut head, 0)?;
    Ok(head)
}

impl Source for FileSource {
    fn splits(&self) -> Result<Vec<SplitInfo>> {
        self.listed_at.store(self.env.clock.wall_ms(), Ordering::Relaxed);
        let mut splits = Vec::new();
        for found in list(&*self.env.disk, &self.options.path)? {
            self.splits_of(&found, &mut splits)?;
        }
        splits.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(splits)
    }

    fn open(&self, split: &SplitInfo) -> Result<Box<dyn SplitReader>> {
        let (path, stripes) = Stripes::parse(&split.id);
        let path = PathBuf::from(path);
        let file = self.open_file(&path)?;
        let same = self.check_fingerprint(&*file, split);
        if !same.map_err(|error| external(&path, &error))? {
            return Err(StreamError::Incompatible(format!(
                "file '{}' is not the one that the job has read: its first bytes or its \
                 length changed",
                path.display()
            )));
        }
        let decoder = self.format.decoder(&self.fields, &self.columns)?;
        Ok(Box::new(FileReader {
            lines: Arc::new(FileLines { file, path, stripes, blank: decoder.blank_lines() }),
            split_id: split.id.clone(),
            fixed_end: split.end,
            known_end: split.end.unwrap_or(0),
            schema: self.wanted.clone(),
            decoder,
            buffer: LineBuffer::default(),
        }))
    }

    fn is_bounded(&self) -> bool {
        self.options.is_bounded()
    }

    fn watch(&self, _waker: Waker) -> Option<Watch> {
        None
    }

    fn next_due(&self, _now: Millis) -> Option<Millis> {
        let interval = self.options.monitor_interval_ms?;
        Some(self.listed_at.load(Ordering::Relaxed).saturating_add(interval))
    }
}
