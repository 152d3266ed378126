//! The files to check: all text that git tracks, or would add.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// A text file of the project.
#[derive(Debug)]
pub(super) struct Source {
    /// Path from the workspace's folder, with `/`.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
}

impl Source {
    /// Whether the file's name ends in one of these.
    pub(super) fn is(&self, extensions: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
    }

    /// Lines with their numbers, counted from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.split('\n').enumerate().map(|(index, line)| (index + 1, line))
    }

    #[cfg(test)]
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// Reads the files. What is not UTF-8 (fixtures) is left out.
pub(super) fn all(root: &Path) -> anyhow::Result<Vec<Source>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git is missing: tidy asks it which files belong to the project")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let mut sources = Vec::new();
    for path in String::from_utf8(output.stdout)?.split_terminator('\0') {
        // A file that is deleted but still in the index is not there to read.
        let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources.dedup_by(|a, b| a.path == b.path);
    Ok(sources)
}

/// Whether `text` has `word` with nothing before or after it that would make it part
/// of a longer name.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let opens = word.starts_with(is_name);
    let closes = word.ends_with(is_name);
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].ends_with(is_name);
        let after = text[at + word.len()..].starts_with(is_name);
        !(opens && before || closes && after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert!(has_word("rand::random()", "rand::"));
        assert!(has_word("use rand::Rng", "rand::"));
        assert!(!has_word("operand::left()", "rand::"));
        assert!(!has_word("SOONER", "SOON"));
        assert!(has_word("SOONER SOON", "SOON"));
    }

    #[test]
    fn extensions() {
        let source = Source::new("a/b.rs", "");
        assert!(source.is(&["md", "rs"]) && !source.is(&["md"]));
        assert!(!Source::new("LICENSE", "").is(&["rs"]));
    }
}
