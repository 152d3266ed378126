//! The version lattice: one copy of each library whose types cross crates, and none of
//! the libraries that would bring a C toolchain with them.

use std::collections::BTreeMap;

use super::Problem;

/// Two copies of one of these compile, and then their types do not fit together.
const ONE_COPY: [&str; 10] = [
    "arrow-array",
    "arrow-schema",
    "datafusion",
    "object_store",
    "prost",
    "pyo3",
    "rustls",
    "sqlparser",
    "tokio",
    "tonic",
];

/// What must not be linked, and what to use.
const NONE: [(&str, &str); 2] =
    [("aws-lc-sys", "rustls with the ring provider"), ("openssl-sys", "rustls")];

pub(super) fn check(lock: &str) -> Vec<Problem> {
    let versions = versions(lock);
    let mut problems = Vec::new();
    let mut add = |what: String| problems.push(Problem { place: "Cargo.lock".into(), what });
    for name in ONE_COPY {
        if let Some(found) = versions.get(name).filter(|found| found.len() > 1) {
            let found = found.join(" and ");
            add(format!(
                "{name} is there as {found}: choose versions that share one, `cargo tree -i {name}@VERSION` \
                 shows who asks"
            ));
        }
    }
    for (name, instead) in NONE {
        if versions.contains_key(name) {
            add(format!("{name} came in: use {instead}; `cargo tree -i {name}` shows who asks"));
        }
    }
    problems
}

/// Versions of each package in a lock file.
fn versions(lock: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut versions = BTreeMap::<_, Vec<_>>::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(value) = value(line, "name = ") {
            name = value;
        } else if let Some(version) = value(line, "version = ").filter(|_| !name.is_empty()) {
            versions.entry(name).or_default().push(version);
            name = "";
        }
    }
    versions
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key).map(|value| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &[(&str, &str)]) -> String {
        let package = |(name, version): &(&str, &str)| {
            format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n")
        };
        format!("version = 4\n\n{}", packages.iter().map(package).collect::<String>())
    }

    #[test]
    fn one_copy_or_none_is_fine() {
        assert_eq!(check(&lock(&[("tokio", "1.50.0"), ("syn", "1.0.0"), ("syn", "2.0.0")])), []);
    }

    #[test]
    fn each_second_copy_is_found() {
        for name in ONE_COPY {
            let found = check(&lock(&[(name, "1.0.0"), ("other", "1.0.0"), (name, "2.0.0")]));
            assert_eq!(found.len(), 1, "{name}");
            assert!(found[0].what.contains("1.0.0 and 2.0.0"), "{}", found[0].what);
        }
    }

    #[test]
    fn unwanted_packages_are_found() {
        for (name, _) in NONE {
            assert_eq!(check(&lock(&[(name, "0.1.0")])).len(), 1, "{name}");
        }
    }
}
