//! Versions and features stand in the root manifest and nowhere else, so that building
//! one crate and building all of them share the same compiled dependencies.

use super::{Problem, source::Source};

pub(super) fn check(source: &Source) -> Vec<Problem> {
    let is_root = source.path == "Cargo.toml";
    // What lies below `bench/` is no member: each program there is a workspace of its own.
    if !source.path.ends_with("Cargo.toml") || source.path.starts_with("bench/") {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let mut section = "";
    for (line, text) in source.lines() {
        let text = text.trim();
        if text.starts_with('[') {
            section = text;
            if !is_root && is_dependencies(section) && section.matches("dependencies.").count() > 0
            {
                let what = "write dependencies as `name.workspace = true`, not as tables";
                problems.push(Problem::at_line(source, line, what));
            }
        } else if is_root && section == "[workspace.dependencies]" {
            problems.extend(check_root(text).map(|what| Problem::at_line(source, line, what)));
        } else if !is_root && is_dependencies(section) && !text.is_empty() && !text.starts_with('#')
        {
            problems.extend(check_member(text).map(|what| Problem::at_line(source, line, what)));
        }
    }
    if !is_root && !source.text.contains("[lints]\nworkspace = true") {
        problems.push(Problem::in_file(source, "add `[lints]` with `workspace = true`"));
    }
    problems
}

fn is_dependencies(section: &str) -> bool {
    section.trim_matches(['[', ']']).split('.').any(|part| part.ends_with("dependencies"))
}

/// A crate takes a dependency from the workspace; whether it is optional is its own
/// affair.
fn check_member(line: &str) -> Option<String> {
    let compact: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    let plain = compact.ends_with(".workspace=true");
    let optional = compact.ends_with("={workspace=true,optional=true}");
    (!plain && !optional).then(|| {
        format!(
            "`{line}`: write `.workspace = true`, and version and features in the root manifest"
        )
    })
}

/// The root gives versions without the default features where it says more than one.
fn check_root(line: &str) -> Option<String> {
    (line.contains("features = [") && !line.contains("default-features = false"))
        .then(|| format!("`{line}`: add `default-features = false` and list what is needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn members_take_everything_from_the_workspace() {
        let manifest =
            |line: &str| format!("[dependencies]\n{line}\n\n[lints]\nworkspace = true\n");
        let member = |line: &str| count("crates/a/Cargo.toml", &manifest(line));
        assert_eq!(member("bytes.workspace = true"), 0);
        assert_eq!(member("bytes = { workspace = true, optional = true }"), 0);
        assert_eq!(member("bytes = \"1\""), 1);
        assert_eq!(member("bytes = { workspace = true, features = [\"serde\"] }"), 1);
        assert_eq!(member("[dependencies.bytes]\nversion = \"1\""), 2);
        assert_eq!(count("crates/a/Cargo.toml", "[dev-dependencies]\nx = \"1\"\n"), 2);
        assert_eq!(count("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"), 1);
    }

    #[test]
    fn the_root_trims_default_features() {
        let root = |line: &str| count("Cargo.toml", &format!("[workspace.dependencies]\n{line}\n"));
        assert_eq!(root("snap = \"1\""), 0);
        assert_eq!(
            root("a = { version = \"1\", default-features = false, features = [\"b\"] }"),
            0
        );
        assert_eq!(root("a = { version = \"1\", features = [\"b\"] }"), 1);
    }
}
