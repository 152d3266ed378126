//! Nothing unfinished: no stubs, no notes to oneself, no tests that do not run.

use super::source::has_word;
use super::{Problem, source::Source};

/// Written in two halves, so that this file does not trip over itself.
const LEFTOVERS: [(&str, &str); 6] = [
    (concat!("to", "do!"), "write it, or return a clear error"),
    (concat!("unimpl", "emented!"), "return a clear error that says what is not supported"),
    (concat!("#[ig", "nore"), "a test runs or is deleted; long ones are time-boxed"),
    (concat!("FIX", "ME"), "fix it, or open an issue"),
    (concat!("TO", "DO"), "do it, or open an issue"),
    (concat!("XX", "X"), "settle it, or open an issue"),
];

/// Text of others that is kept as it was published, remarks and all.
const OTHERS: [&str; 1] = ["tests/flink/nexmark/"];

pub(super) fn check(source: &Source) -> Vec<Problem> {
    let of_others = OTHERS.iter().any(|folder| source.path.starts_with(folder));
    if of_others || !source.is(&["rs", "py", "sh", "sql", "toml"]) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (line, text) in source.lines() {
        for (word, help) in LEFTOVERS {
            if has_word(text, word) {
                problems.push(Problem::at_line(source, line, format!("`{word}`: {help}")));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found() {
        for (word, _) in LEFTOVERS {
            let found = check(&Source::new("a.rs", &format!("//! A.\n  {word} later\n")));
            assert_eq!(found.len(), 1, "{word}");
            assert_eq!(found[0].place, "a.rs:2");
        }
    }

    #[test]
    fn longer_names_and_other_files_are_not() {
        let longer = format!("{}S mas{}()", LEFTOVERS[4].0, LEFTOVERS[0].0);
        assert!(check(&Source::new("a.rs", &longer)).is_empty());
        assert!(check(&Source::new("a.md", LEFTOVERS[3].0)).is_empty());
        assert!(check(&Source::new("a.toml", "todo = \"warn\"\n")).is_empty());
    }
}
