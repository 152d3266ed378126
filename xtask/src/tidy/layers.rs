//! Crates depend downwards only: the real edges against the list of the allowed ones.
//!
//! ```text
//! L4  thalweg
//! L3  serve
//! L2  broker  engine  sql  connect
//! L1  log     state   stream   testkit (for tests only)
//! L0  core
//! ```

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use super::Problem;

/// What a crate may use: in the product, and besides that in its tests (crates of lower
/// layers or of its own).
struct Allowed {
    name: &'static str,
    normal: &'static [&'static str],
    tests: &'static [&'static str],
}

const ALLOWED: [Allowed; 12] = [
    Allowed { name: "core", normal: &[], tests: &[] },
    Allowed { name: "testkit", normal: &["core"], tests: &[] },
    Allowed { name: "log", normal: &["core"], tests: &["testkit"] },
    Allowed { name: "state", normal: &["core"], tests: &[] },
    Allowed { name: "stream", normal: &["core"], tests: &[] },
    Allowed { name: "broker", normal: &["log", "core"], tests: &["testkit"] },
    Allowed { name: "engine", normal: &["stream", "state", "core"], tests: &["log", "connect"] },
    Allowed { name: "sql", normal: &["stream", "core"], tests: &["connect"] },
    Allowed { name: "connect", normal: &["stream", "core"], tests: &["log"] },
    Allowed { name: "serve", normal: &["sql", "stream", "core"], tests: &["log", "testkit"] },
    Allowed {
        name: "thalweg",
        normal: &["serve", "broker", "engine", "sql", "connect", "log", "state", "stream", "core"],
        tests: &[],
    },
    Allowed { name: "xtask", normal: &[], tests: &[] },
];

/// Whether a dependency ships or is for tests only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Normal,
    Dev,
}

/// A crate of the workspace with what it depends on. Ours have no prefix here.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) dependencies: Vec<(String, Kind)>,
}

/// Asks cargo for the crates of the workspace.
pub(super) fn packages(root: &Path) -> anyhow::Result<Vec<Package>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    parse(&serde_json::from_slice(&output.stdout)?).context("cargo metadata: unknown shape")
}

fn parse(metadata: &Value) -> Option<Vec<Package>> {
    let package = |package: &Value| {
        let dependency = |dependency: &Value| {
            let is_dev = dependency["kind"].as_str() == Some("dev");
            let kind = if is_dev { Kind::Dev } else { Kind::Normal };
            Some((short(dependency["name"].as_str()?), kind))
        };
        Some(Package {
            name: short(package["name"].as_str()?),
            dependencies: package["dependencies"]
                .as_array()?
                .iter()
                .map(dependency)
                .collect::<Option<_>>()?,
        })
    };
    metadata["packages"].as_array()?.iter().map(package).collect()
}

fn short(name: &str) -> String {
    name.strip_prefix("thalweg-").unwrap_or(name).to_owned()
}

pub(super) fn check(packages: &[Package]) -> Vec<Problem> {
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut problems = Vec::new();
    for package in packages {
        let mut add = |what: String| problems.push(Problem { place: place(&package.name), what });
        let Some(allowed) = ALLOWED.iter().find(|allowed| allowed.name == package.name) else {
            add("a new crate: give it its layer in ARCHITECTURE.md and in tidy/layers.rs".into());
            continue;
        };
        for (used, kind) in &package.dependencies {
            let is_normal = allowed.normal.contains(&used.as_str());
            let is_test = *kind == Kind::Dev && allowed.tests.contains(&used.as_str());
            if ours.contains(used.as_str()) && !is_normal && !is_test {
                add(format!(
                    "{} may not use {used}: crates use those of lower layers, and only the ones \
                     that ARCHITECTURE.md names; let them meet in a trait of `stream` or `core`, \
                     and join them in `thalweg`",
                    package.name
                ));
            }
        }
    }
    problems
}

/// The manifest of a crate.
pub(super) fn place(name: &str) -> String {
    match name {
        "xtask" => "xtask/Cargo.toml".into(),
        name => format!("crates/{name}/Cargo.toml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Kind)]) -> Package {
        let dependencies = dependencies.iter().map(|(name, kind)| (short(name), *kind)).collect();
        Package { name: name.into(), dependencies }
    }

    fn problems(package: Package) -> usize {
        let others = ALLOWED.iter().filter(|allowed| allowed.name != package.name);
        let mut packages: Vec<_> = others.map(|a| self::package(a.name, &[])).collect();
        packages.push(package);
        check(&packages).len()
    }

    #[test]
    fn downwards_only() {
        use Kind::{Dev, Normal};
        assert_eq!(problems(package("log", &[("thalweg-core", Normal), ("bytes", Normal)])), 0);
        assert_eq!(problems(package("core", &[("thalweg-log", Normal)])), 1);
        assert_eq!(problems(package("engine", &[("thalweg-sql", Normal)])), 1);
        assert_eq!(problems(package("engine", &[("thalweg-log", Normal)])), 1);
        assert_eq!(problems(package("engine", &[("thalweg-log", Dev)])), 0);
        assert_eq!(problems(package("engine", &[("thalweg-sql", Dev)])), 1);
        assert_eq!(problems(package("thalweg", &[("thalweg-serve", Normal)])), 0);
    }

    #[test]
    fn new_crates_must_be_listed() {
        assert_eq!(problems(package("utils", &[])), 1);
    }

    /// The list itself keeps to the layers that it draws.
    #[test]
    fn the_list_has_no_edge_upwards() {
        let layer = |name: &str| match name {
            "core" => 0,
            "log" | "state" | "stream" | "testkit" => 1,
            "broker" | "engine" | "sql" | "connect" => 2,
            "serve" => 3,
            _ => 4,
        };
        for allowed in &ALLOWED {
            let own = layer(allowed.name);
            assert!(allowed.normal.iter().all(|name| layer(name) < own), "{}", allowed.name);
            assert!(allowed.tests.iter().all(|name| layer(name) <= own), "{}", allowed.name);
        }
    }

    #[test]
    fn cargos_answer_is_understood() {
        let metadata = serde_json::json!({ "packages": [{
            "name": "thalweg-log",
            "dependencies": [
                { "name": "thalweg-core", "kind": null },
                { "name": "proptest", "kind": "dev" },
            ],
        }]});
        let packages = parse(&metadata).expect("shape");
        assert_eq!(packages[0].name, "log");
        let expected = [("core".to_owned(), Kind::Normal), ("proptest".to_owned(), Kind::Dev)];
        assert_eq!(packages[0].dependencies, expected);
        assert!(parse(&serde_json::json!({})).is_none());
    }
}
