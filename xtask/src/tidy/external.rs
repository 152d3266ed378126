//! Heavy libraries have one home, so that the light crates build, fuzz and simulate in
//! seconds.

use super::Problem;
use super::layers::{Kind, Package, place};

/// A family of libraries and the crates that may use it.
struct Home {
    /// What the names of the libraries start with.
    prefix: &'static str,
    /// The crates that may use it in the product.
    normal: fn(&str) -> bool,
    /// The crates that may use it in tests.
    tests: fn(&str) -> bool,
    /// What to do instead.
    instead: &'static str,
}

const HOMES: [Home; 5] = [
    Home {
        prefix: "datafusion",
        normal: may_plan,
        tests: may_plan,
        instead: "expressions cross the traits of `stream`; planning belongs in sql",
    },
    Home {
        prefix: "sqlparser",
        normal: may_plan,
        tests: may_plan,
        instead: "parsing belongs in sql",
    },
    Home {
        prefix: "kafka-protocol",
        normal: |name| name == "broker",
        tests: |_| true,
        instead: "the Kafka protocol belongs in broker",
    },
    Home {
        prefix: "pgwire",
        normal: |name| name == "serve",
        tests: |_| true,
        instead: "the PostgreSQL protocol belongs in serve",
    },
    Home {
        prefix: "arrow",
        normal: |name| !["core", "log", "broker"].contains(&name),
        tests: |name| !["core", "log", "broker"].contains(&name),
        instead: "records are bytes here; columns begin in stream",
    },
];

fn may_plan(name: &str) -> bool {
    ["sql", "serve", "thalweg"].contains(&name)
}

pub(super) fn check(packages: &[Package]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in packages {
        for (used, kind) in &package.dependencies {
            let Some(home) = HOMES.iter().find(|home| used.starts_with(home.prefix)) else {
                continue;
            };
            let is_allowed = if *kind == Kind::Dev { home.tests } else { home.normal };
            if !is_allowed(&package.name) {
                let what = format!("{} may not use {used}: {}", package.name, home.instead);
                problems.push(Problem { place: place(&package.name), what });
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(name: &str, used: &str, kind: Kind) -> usize {
        let dependencies = vec![(used.into(), kind), ("bytes".into(), Kind::Normal)];
        check(&[Package { name: name.into(), dependencies }]).len()
    }

    #[test]
    fn libraries_stay_at_home() {
        for (home, stranger, used) in [
            ("sql", "engine", "datafusion"),
            ("serve", "stream", "datafusion-expr"),
            ("sql", "connect", "sqlparser"),
            ("broker", "log", "kafka-protocol"),
            ("serve", "thalweg", "pgwire"),
            ("stream", "log", "arrow-array"),
            ("engine", "broker", "arrow-ipc"),
        ] {
            assert_eq!(problems(home, used, Kind::Normal), 0, "{used} in {home}");
            assert_eq!(problems(stranger, used, Kind::Normal), 1, "{used} in {stranger}");
        }
    }

    #[test]
    fn tests_may_speak_protocols() {
        assert_eq!(problems("thalweg", "kafka-protocol", Kind::Dev), 0);
        assert_eq!(problems("core", "arrow-array", Kind::Dev), 1);
        assert_eq!(problems("engine", "datafusion", Kind::Dev), 1);
    }
}
