//! Every Rust file opens with a line that says what it is.

use super::{Problem, source::Source};

pub(super) fn check(source: &Source) -> Vec<Problem> {
    let first = source.text.lines().next().unwrap_or("");
    let says_something = first.strip_prefix("//! ").is_some_and(|rest| !rest.trim().is_empty());
    if !source.is(&["rs"]) || says_something {
        return Vec::new();
    }
    vec![Problem::at_line(source, 1, "the first line must be `//! ` and say what this file is")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts() {
        let ok = |path, text| check(&Source::new(path, text)).is_empty();
        assert!(ok("a.rs", "//! What it is.\nfn main() {}\n"));
        assert!(ok("a.md", "# no Rust\n"));
        assert!(!ok("a.rs", "\n//! Too late.\n"));
        assert!(!ok("a.rs", "#![allow(x)]\n//! Too late.\n"));
        assert!(!ok("a.rs", "//!\n"));
        assert!(!ok("a.rs", ""));
    }
}
