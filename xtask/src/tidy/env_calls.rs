//! Time, randomness, threads, files and listening sockets come from `core::env` only:
//! that is what makes simulation and replay true. Clippy bans the same calls; this
//! check also sees what is imported, aliased or behind a feature.

use super::source::has_word;
use super::{Problem, source::Source};

/// What is banned and what takes its place.
const BANNED: [(&str, &str); 15] = [
    ("SystemTime::now", "take the time from core::env::Clock"),
    ("Instant::now", "take the time from core::env::Clock"),
    ("thread::spawn", "spawn through core::env::Spawn"),
    ("thread::scope", "spawn through core::env::Spawn"),
    ("thread::Builder", "spawn through core::env::Spawn"),
    ("thread::sleep", "wait for an event, or through core::env::Clock"),
    ("std::fs", "go through core::env::Disk"),
    ("tokio::fs", "go through core::env::Disk"),
    ("File::open", "go through core::env::Disk"),
    ("File::create", "go through core::env::Disk"),
    ("File::options", "go through core::env::Disk"),
    ("OpenOptions", "go through core::env::Disk"),
    ("rand::", "draw from core::env::Random"),
    ("RandomState", "hash with a fixed seed"),
    ("TcpListener::bind", "open doors with core::env::bind_listener"),
];

/// Calls that are right where they are: file, call, reason. One that is no longer there
/// is an error, so that the list stays true.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

pub(super) fn check(source: &Source) -> Vec<Problem> {
    if !source.is(&["rs"]) || is_free(&source.path) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (line, text) in product_lines(source) {
        for (call, help) in BANNED {
            if has_word(text, call) && !is_exception(&source.path, call) {
                problems.push(Problem::at_line(source, line, format!("`{call}`: {help}")));
            }
        }
    }
    problems
}

/// Exceptions that nothing needs any more.
pub(super) fn check_exceptions(sources: &[Source]) -> Vec<Problem> {
    let is_used = |path: &str, call: &str| {
        let source = sources.iter().find(|source| source.path == path);
        source.is_some_and(|source| product_lines(source).any(|(_, text)| has_word(text, call)))
    };
    let unused = EXCEPTIONS.iter().filter(|(path, call, _)| !is_used(path, call));
    let problem = |(path, call, _): &(&str, &str, &str)| Problem {
        place: (*path).to_owned(),
        what: format!("has no `{call}` any more: remove it from EXCEPTIONS in tidy/env_calls.rs"),
    };
    unused.map(problem).collect()
}

fn is_exception(path: &str, call: &str) -> bool {
    EXCEPTIONS.iter().any(|(file, of, _)| *file == path && *of == call)
}

/// Whether a file is the environment itself, or not part of the product.
fn is_free(path: &str) -> bool {
    path.starts_with("crates/core/src/env/")
        || path.starts_with("xtask/")
        || path.starts_with("bench/")
        || path.split('/').any(|part| ["tests", "benches", "examples", "tests.rs"].contains(&part))
}

/// Lines of code that ship: without comments and without items under `#[cfg(test)]`.
/// Such an item ends with its first line where that is all of it, else with the first
/// closing brace at its own indentation, which is where rustfmt puts it.
fn product_lines(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let mut end_of_item: Option<String> = None;
    let mut item_follows = false;
    source.lines().filter(move |(_, line)| {
        if let Some(end) = &end_of_item {
            if line == end {
                end_of_item = None;
            }
            return false;
        }
        let trimmed = line.trim_start();
        if trimmed == "#[cfg(test)]" {
            item_follows = true;
            return false;
        }
        if item_follows && !trimmed.starts_with("#[") && !trimmed.starts_with("//") {
            item_follows = false;
            if trimmed.ends_with('{') {
                let indent = &line[..line.len() - trimmed.len()];
                end_of_item = Some(format!("{indent}}}"));
            }
            return false;
        }
        !item_follows && !trimmed.starts_with("//")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Source::new(path, text)).into_iter().map(|problem| problem.place).collect()
    }

    #[test]
    fn every_call_is_found_in_product_code_only() {
        for (call, _) in BANNED {
            let text = format!("//! A.\nfn f() {{\n    let x = {call}();\n}}\n");
            assert_eq!(found("crates/log/src/a.rs", &text), ["crates/log/src/a.rs:3"], "{call}");
            for free in [
                "crates/core/src/env/real.rs",
                "crates/log/tests/it/main.rs",
                "crates/log/benches/append.rs",
                "crates/core/src/record_batch/tests.rs",
                "xtask/src/main.rs",
            ] {
                assert_eq!(found(free, &text), [""; 0], "{free}");
            }
        }
    }

    #[test]
    fn comments_and_tests_may_name_them() {
        let text = "//! A.\n// not Instant::now\n#[cfg(test)]\nmod tests {\n    #[test]\n    \
                    fn a() {\n        Instant::now();\n    }\n}\n";
        assert_eq!(found("crates/log/src/a.rs", text), [""; 0]);
    }

    #[test]
    fn code_after_a_test_item_is_looked_at() {
        let after = "fn f() {\n    Instant::now();\n}\n";
        for item in [
            "#[cfg(test)]\nmod tests;\n",
            "#[cfg(test)]\n#[allow(x)]\nuse std::fs::File;\n",
            "#[cfg(test)]\nfn g() {\n    if x {\n    }\n    Instant::now();\n}\n",
        ] {
            let lines = item.lines().count();
            let text = format!("{item}{after}");
            assert_eq!(
                found("crates/a/src/b.rs", &text),
                [format!("crates/a/src/b.rs:{}", lines + 2)]
            );
        }
    }
}
