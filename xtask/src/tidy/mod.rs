//! What a compiler does not check. One small file a check; each one says what is
//! wrong, where, and what to do about it.

mod env_calls;
mod external;
mod header;
mod lattice;
mod layers;
mod leftovers;
mod length;
mod links;
mod machine_paths;
mod manifests;
mod source;
mod whitespace;

use std::path::Path;

use anyhow::Context;
use source::Source;

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    /// Path, with a line number where there is one.
    place: String,
    /// What is wrong and what to do.
    what: String,
}

impl Problem {
    fn in_file(source: &Source, what: impl Into<String>) -> Self {
        Self { place: source.path.clone(), what: what.into() }
    }

    fn at_line(source: &Source, line: usize, what: impl Into<String>) -> Self {
        Self { place: format!("{}:{line}", source.path), what: what.into() }
    }
}

/// Looks at one file.
type FileCheck = fn(&Source) -> Vec<Problem>;

/// Checks of one file, by name.
const FILE_CHECKS: [(&str, FileCheck); 7] = [
    ("header", header::check),
    ("env-calls", env_calls::check),
    ("leftovers", leftovers::check),
    ("whitespace", whitespace::check),
    ("machine-paths", machine_paths::check),
    ("manifests", manifests::check),
    ("length", length::check),
];

/// Runs every check over the files that git knows, or would add; true where all is well.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let sources = source::all(root)?;
    let packages = layers::packages(root)?;
    let lock = std::fs::read_to_string(root.join("Cargo.lock"))
        .context("Cargo.lock: run `cargo generate-lockfile`")?;

    let mut found = Vec::new();
    let mut add = |check: &'static str, problems: Vec<Problem>| {
        found.extend(problems.into_iter().map(|problem| (check, problem)));
    };
    for source in &sources {
        for (name, check) in FILE_CHECKS {
            add(name, check(source));
        }
    }
    add("env-calls", env_calls::check_exceptions(&sources));
    add("links", links::check(&sources));
    add("layers", layers::check(&packages));
    add("external", external::check(&packages));
    add("lattice", lattice::check(&lock));

    found.sort_by(|a, b| (&a.1.place, a.0).cmp(&(&b.1.place, b.0)));
    for (check, problem) in &found {
        println!("{}: [{check}] {}", problem.place, problem.what);
    }
    for warning in sources.iter().filter_map(length::warning) {
        println!("{}: [length] warning: {}", warning.place, warning.what);
    }
    println!("tidy: {} files, {} problems", sources.len(), found.len());
    Ok(found.is_empty())
}
