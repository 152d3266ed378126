//! Relative links in the pages lead somewhere.

use std::collections::BTreeSet;

use super::{Problem, source::Source};

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let mut known = BTreeSet::new();
    for source in sources {
        let mut path = source.path.as_str();
        while known.insert(path) {
            match path.rsplit_once('/') {
                Some((folder, _)) => path = folder,
                None => break,
            }
        }
    }
    let mut problems = Vec::new();
    for source in sources.iter().filter(|source| source.is(&["md"])) {
        for (line, target) in links(source) {
            let found = resolve(&source.path, target)
                .is_some_and(|path| path.is_empty() || known.contains(path.as_str()));
            if !found {
                let what = format!("the link to `{target}` leads nowhere: correct or remove it");
                problems.push(Problem::at_line(source, line, what));
            }
        }
    }
    problems
}

/// Targets of `[text](target)` outside code, with their lines; not those with a scheme
/// and not those inside the page.
fn links(source: &Source) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (line, text) in source.lines() {
        if text.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let mut rest = text;
        while let Some((_, after)) = rest.split_once("](") {
            let end = after.find([')', ' ']).unwrap_or(after.len());
            let target = after[..end].split('#').next().unwrap_or("");
            if !target.is_empty() && !target.contains(':') {
                found.push((line, target));
            }
            rest = &after[end..];
        }
    }
    found
}

/// The path that a link means, from the workspace's folder; `None` where it leads out.
fn resolve(page: &str, target: &str) -> Option<String> {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    if target.starts_with('/') {
        return None;
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(page: &str, text: &str) -> usize {
        let files = ["README.md", "docs/spec/epochs.md", "crates/core/src/lib.rs"];
        let mut sources: Vec<_> = files.map(|path| Source::new(path, "")).into();
        sources.push(Source::new(page, text));
        check(&sources).len()
    }

    #[test]
    fn living_links_pass() {
        let text = "[a](spec/epochs.md) [b](../README.md#top) [c](spec/) [d](../crates/core)\n\
                    [e](https://example.com) [f](#here) [g](mailto:a@b.c) [`h`](spec/epochs.md)";
        assert_eq!(dead("docs/page.md", text), 0);
        assert_eq!(dead("page.md", "```\n[a](none.md)\n```\n[b](docs)"), 0);
    }

    #[test]
    fn dead_links_are_found() {
        assert_eq!(dead("docs/page.md", "[a](epochs.md) and [b](spec/epochs.md)"), 1);
        assert_eq!(dead("docs/page.md", "[a](../../README.md)"), 1);
        assert_eq!(dead("page.md", "[a](/README.md) [b](crates/core/src/none.rs)"), 2);
        assert_eq!(dead("page.md", "```\n```\n[a](none.md)"), 1);
    }
}
