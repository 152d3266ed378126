//! Which files a path means.

use std::io;
use std::path::{Path, PathBuf};

use thalweg_core::env::{Disk, Entry, OpenMode};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

/// How deep folders are followed; a link that leads back ends here.
const MAX_DEPTH: usize = 32;

/// A file to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FoundFile {
    pub(super) path: PathBuf,
    pub(super) len: u64,
}

/// The path that an option's value means: a path or a `file:` URL.
pub(super) fn parse_path(value: &str) -> Result<PathBuf> {
    let path = match value.strip_prefix("file:") {
        None => value,
        // `file:///a`, `file:/a`; an authority other than this machine is not ours to reach.
        Some(rest) => match rest.strip_prefix("//") {
            None => rest,
            Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        },
    };
    if let Some((scheme, _)) = value.split_once("://")
        && scheme != "file"
    {
        return Err(StreamError::Invalid(format!(
            "option 'path' = '{value}': only local files are supported, not '{scheme}'"
        )));
    }
    if path.is_empty() || (value.starts_with("file:") && !path.starts_with('/')) {
        return Err(StreamError::Invalid(format!(
            "option 'path' = '{value}': expected a path or file:///path"
        )));
    }
    Ok(PathBuf::from(path))
}

/// An error of the file system, as those above see it.
pub(super) fn external(path: &Path, error: &io::Error) -> StreamError {
    StreamError::External(format!("{}: {error}", path.display()))
}

/// The files of `root`, sorted by path: itself where it is one, else all below it except
/// those whose names start with `.` or `_`.
pub(super) fn list(disk: &dyn Disk, root: &Path) -> Result<Vec<FoundFile>> {
    if !disk.exists(root) {
        return Err(StreamError::Invalid(format!(
            "option 'path': '{}' does not exist",
            root.display()
        )));
    }
    let mut files = Vec::new();
    match disk.list(root) {
        Ok(entries) => collect(disk, root, entries, 0, &mut files)?,
        // Not a folder.
        Err(_) => {
            let file = disk.open(root, OpenMode::Read).map_err(|error| external(root, &error))?;
            let len = file.len().map_err(|error| external(root, &error))?;
            files.push(FoundFile { path: root.to_owned(), len });
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

fn collect(
    disk: &dyn Disk,
    folder: &Path,
    entries: Vec<Entry>,
    depth: usize,
    files: &mut Vec<FoundFile>,
) -> Result<()> {
    for entry in entries {
        if entry.name.starts_with(['.', '_']) {
            continue;
        }
        let path = folder.join(&entry.name);
        if !entry.is_dir {
            files.push(FoundFile { path, len: entry.len });
        } else if depth < MAX_DEPTH {
            let entries = disk.list(&path).map_err(|error| external(&path, &error))?;
            collect(disk, &path, entries, depth + 1, files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls() {
        let check =
            |value, expected: &str| assert_eq!(parse_path(value).unwrap(), Path::new(expected));
        check("data/in.json", "data/in.json");
        check("/data/in.json", "/data/in.json");
        check("file:///data/in.json", "/data/in.json");
        check("file:/data/in.json", "/data/in.json");
        check("file://localhost/data", "/data");
        for bad in ["", "s3://bucket/x", "file://host/x", "file:x"] {
            assert!(parse_path(bad).is_err(), "{bad}");
        }
    }
}
