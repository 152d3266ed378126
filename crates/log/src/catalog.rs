//! The catalog of topics: an append-only file of events under a durable mark.
//!
//! Behind the events lie zeros: room for more when the disk is full, since deleting a
//! topic must be possible then.
//!
//! Each event is written, synced, then covered by the mark, which is synced as well:
//! catalog changes are rare, so here nothing acknowledged is behind the mark, unless space
//! ran out even for overwriting it; then the next event's mark covers both. What is behind
//! the mark after a crash is kept where it is whole. Since an event is only written once
//! the one before is durable, bad bytes with a whole event behind them are damage.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thalweg_core::env::{Disk, DiskFile, OpenMode, read_file};
use thalweg_core::ids::TopicId;
use thalweg_core::partition_log::TopicMeta;
use thalweg_core::time::Millis;

use crate::format::{self, ENVELOPE_BYTES, Fields, FormatError, Magic, put_text};
use crate::mark::{self, DATA_START, Mark};
use crate::shared::{failed_sync, is_storage_full};

/// Name of the file.
pub(crate) const FILE_NAME: &str = "catalog";

const MAGIC: Magic = *b"thwl-cat";
const EVENT_MAGIC: Magic = *b"thwl-evt";
const MAX_BYTES: u64 = 1 << 30;
/// Zeros that are added at once, and below how many that happens.
const ROOM_BYTES: u64 = 64 << 10;
const LEAST_ROOM_BYTES: u64 = 16 << 10;
/// The file is written anew when it has this many events more than twice the topics.
const SLACK_EVENTS: usize = 256;

/// A change of the catalog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Created { meta: TopicMeta, at: Millis },
    PartitionsAdded { id: TopicId, total: i32 },
    ConfigChanged { id: TopicId, config: Vec<(String, String)> },
    Deleted { id: TopicId, at: Millis },
}

/// Why the catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the catalog is missing, but there are topics; restore it from a copy")]
    Missing,
    #[error("the catalog is damaged at byte {at}: {error}; restore it from a copy")]
    Damaged { at: u64, error: FormatError },
}

/// The topics and the file that tells of them.
pub(crate) struct Catalog {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    /// As it is on disk.
    mark: Mark,
    events: usize,
    /// Where the events end; behind it is room, up to the file's length.
    end: u64,
    len: u64,
    topics: BTreeMap<TopicId, (TopicMeta, Millis)>,
    deleted: Vec<TopicId>,
}

impl Catalog {
    /// Reads the catalog, or begins one where there is none.
    pub(crate) fn open(disk: Arc<dyn Disk>, root: &Path) -> Result<Self, CatalogError> {
        let path = root.join(FILE_NAME);
        let bytes = match read_file(&*disk, &path, MAX_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if disk.list(root)?.iter().any(|entry| entry.is_dir) {
                    return Err(CatalogError::Missing);
                }
                write_anew(&*disk, &path, &BTreeMap::new())?;
                read_file(&*disk, &path, MAX_BYTES)?
            }
            bytes => bytes?,
        };
        let file = disk.open(&path, OpenMode::Write)?;
        let mark =
            mark::read(&*file, &MAGIC)?.map_err(|error| CatalogError::Damaged { at: 0, error })?;
        let (topics, len, end) = (BTreeMap::new(), bytes.len() as u64, mark.position);
        let mut catalog =
            Self { disk, path, file, mark, events: 0, end, len, topics, deleted: vec![] };
        let end = catalog.replay(&bytes)?;
        catalog.end = end;
        let torn = bytes.get(end as usize..).unwrap_or(&[]).iter().any(|&byte| byte != 0);
        if torn {
            tracing::warn!(at = end, "cut a torn event off the catalog");
            catalog.file.set_len(end)?;
            catalog.len = end;
        }
        if end != mark.position || torn {
            // Written again, since a sync that failed before a restart may have left
            // bytes in the page cache that no other sync would write.
            if let Some(unmarked) = bytes.get(mark.position as usize..end as usize) {
                catalog.file.write_at(unmarked, mark.position)?;
            }
            catalog.sync()?;
            catalog.write_mark()?;
        }
        catalog.make_room()?;
        Ok(catalog)
    }

    /// Sees to room behind the events; without space for it there is none.
    fn make_room(&mut self) -> io::Result<()> {
        if self.len >= self.end + LEAST_ROOM_BYTES {
            return Ok(());
        }
        let room = vec![0; ROOM_BYTES as usize];
        match self.file.write_at(&room, self.len) {
            Ok(()) => self.len += ROOM_BYTES,
            Err(error) if is_storage_full(&error) => self.len = self.file.len()?,
            Err(error) => return Err(error),
        }
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data().map_err(failed_sync)
    }

    /// Takes in all whole events; returns where they end.
    fn replay(&mut self, bytes: &[u8]) -> Result<u64, CatalogError> {
        let mut at = DATA_START;
        loop {
            let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or(&[]);
            if rest.is_empty() && at >= self.mark.position {
                return Ok(at);
            }
            let payload = format::open(&EVENT_MAGIC, rest);
            let decoded = payload.and_then(|payload| Ok((decode(payload)?, payload.len())));
            match decoded {
                Ok((event, len)) => {
                    self.take_in(event);
                    at += (ENVELOPE_BYTES + len) as u64;
                }
                Err(error @ FormatError::Newer { .. }) => {
                    return Err(CatalogError::Damaged { at, error });
                }
                Err(error) if at < self.mark.position => {
                    return Err(CatalogError::Damaged { at, error });
                }
                Err(error) if holds_event(rest) => {
                    return Err(CatalogError::Damaged { at, error });
                }
                Err(_) => return Ok(at),
            }
        }
    }

    fn take_in(&mut self, event: Event) {
        self.events += 1;
        match event {
            Event::Created { meta, at } => {
                self.topics.insert(meta.id, (meta, at));
            }
            Event::PartitionsAdded { id, total } => {
                if let Some((meta, _)) = self.topics.get_mut(&id) {
                    meta.partitions = total;
                }
            }
            Event::ConfigChanged { id, config } => {
                if let Some((meta, _)) = self.topics.get_mut(&id) {
                    meta.config = config;
                }
            }
            Event::Deleted { id, .. } => {
                self.topics.remove(&id);
                self.deleted.push(id);
            }
        }
    }

    /// All topics.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &TopicMeta> {
        self.topics.values().map(|(meta, _)| meta)
    }

    /// Topics whose deletion is on record; their directories may still be there.
    pub(crate) fn deleted(&self) -> &[TopicId] {
        &self.deleted
    }

    /// Makes an event durable and takes it in. On an error of space nothing happened;
    /// after any other nobody knows, and the log must stop.
    pub(crate) fn append(&mut self, event: Event) -> io::Result<()> {
        let sealed = format::seal(&EVENT_MAGIC, &encode(&event));
        self.make_room()?;
        let end = self.end + sealed.len() as u64;
        if end > self.len {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_at(&sealed, self.end)?;
        self.sync()?;
        self.end = end;
        self.take_in(event);
        self.write_mark()
    }

    /// Covers all events. Without space even to overwrite, the mark before stays in force:
    /// the events are durable all the same.
    fn write_mark(&mut self) -> io::Result<()> {
        let (sequence, position) = (self.mark.sequence + 1, self.end);
        let mark = Mark { sequence, position, durable: self.events as i64, ..self.mark };
        match mark::write(&*self.file, &MAGIC, &mark) {
            Err(error) if is_storage_full(&error) => {
                tracing::warn!(%error, "the catalog's mark waits for space");
                return Ok(());
            }
            written => written?,
        }
        self.sync()?;
        self.mark = mark;
        Ok(())
    }

    /// Writes the file anew where most of it is past. Only once the directories of
    /// deleted topics are gone.
    pub(crate) fn tidy(&mut self) -> io::Result<()> {
        if self.events <= 2 * self.topics.len() + SLACK_EVENTS {
            return Ok(());
        }
        match write_anew(&*self.disk, &self.path, &self.topics) {
            Err(error) if is_storage_full(&error) => return Ok(()), // Another time.
            written => written?,
        }
        self.file = self.disk.open(&self.path, OpenMode::Write)?;
        let mark = mark::read(&*self.file, &MAGIC)?;
        self.mark = mark.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        self.events = self.topics.len();
        self.end = self.mark.position;
        self.len = self.file.len()?;
        self.deleted.clear();
        self.make_room()
    }
}

/// Whether there is a whole event somewhere in these bytes.
fn holds_event(bytes: &[u8]) -> bool {
    let magic = EVENT_MAGIC.len();
    let starts = bytes.windows(magic).enumerate().filter(|(_, window)| *window == EVENT_MAGIC);
    starts.map(|(at, _)| at).any(|at| format::open(&EVENT_MAGIC, &bytes[at..]).is_ok())
}

/// Replaces the file by one that tells of these topics alone.
fn write_anew(
    disk: &dyn Disk,
    path: &Path,
    topics: &BTreeMap<TopicId, (TopicMeta, Millis)>,
) -> io::Result<()> {
    let mut events = Vec::new();
    for (meta, at) in topics.values() {
        let event = Event::Created { meta: meta.clone(), at: *at };
        events.extend_from_slice(&format::seal(&EVENT_MAGIC, &encode(&event)));
    }
    let position = DATA_START + events.len() as u64;
    let mark = Mark { position, durable: topics.len() as i64, ..Mark::default() };
    let mut contents = mark::head(&MAGIC, &mark);
    contents.extend_from_slice(&events);
    thalweg_core::env::replace_file(disk, path, &contents)
}

fn encode(event: &Event) -> Vec<u8> {
    let mut out = Vec::new();
    let head = |out: &mut Vec<u8>, kind: u8, id: TopicId| {
        out.push(kind);
        out.extend_from_slice(&id.0.to_be_bytes());
    };
    match event {
        Event::Created { meta, at } => {
            head(&mut out, 1, meta.id);
            out.extend_from_slice(&at.to_be_bytes());
            put_text(&mut out, &meta.name);
            out.extend_from_slice(&meta.partitions.to_be_bytes());
            put_config(&mut out, &meta.config);
        }
        Event::PartitionsAdded { id, total } => {
            head(&mut out, 2, *id);
            out.extend_from_slice(&total.to_be_bytes());
        }
        Event::ConfigChanged { id, config } => {
            head(&mut out, 3, *id);
            put_config(&mut out, config);
        }
        Event::Deleted { id, at } => {
            head(&mut out, 4, *id);
            out.extend_from_slice(&at.to_be_bytes());
        }
    }
    out
}

fn put_config(out: &mut Vec<u8>, config: &[(String, String)]) {
    out.extend_from_slice(&(config.len() as u32).to_be_bytes());
    for (name, value) in config {
        put_text(out, name);
        put_text(out, value);
    }
}

fn decode(payload: &[u8]) -> Result<Event, FormatError> {
    let mut fields = Fields(payload);
    let kind = fields.u8()?;
    let id = TopicId(fields.u128()?);
    let event = match kind {
        1 => {
            let at = fields.i64()?;
            let name = fields.text()?;
            let partitions = fields.i32()?;
            let config = take_config(&mut fields)?;
            Event::Created { meta: TopicMeta { id, name, partitions, config }, at }
        }
        2 => Event::PartitionsAdded { id, total: fields.i32()? },
        3 => Event::ConfigChanged { id, config: take_config(&mut fields)? },
        4 => Event::Deleted { id, at: fields.i64()? },
        _ => return Err(FormatError::Malformed("an event of an unknown kind")),
    };
    fields.end()?;
    Ok(event)
}

fn take_config(fields: &mut Fields<'_>) -> Result<Vec<(String, String)>, FormatError> {
    let mut config = Vec::new();
    for _ in 0..fields.u32()? {
        config.push((fields.text()?, fields.text()?));
    }
    Ok(config)
}
