//! No tabs, no blanks at the end of a line, one line end at the end of a file.

use super::{Problem, source::Source};

pub(super) fn check(source: &Source) -> Vec<Problem> {
    if !source.is(&["rs", "md", "toml"]) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (line, text) in source.lines() {
        if text.contains('\t') {
            problems.push(Problem::at_line(source, line, "a tab: indent with blanks"));
        }
        if text.ends_with(char::is_whitespace) {
            problems.push(Problem::at_line(source, line, "blanks at the end: remove them"));
        }
    }
    if !source.text.is_empty() && (!source.text.ends_with('\n') || source.text.ends_with("\n\n")) {
        problems.push(Problem::in_file(source, "end the file with exactly one line end"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_found() {
        let count = |path, text| check(&Source::new(path, text)).len();
        assert_eq!(count("a.rs", "fn main() {}\n"), 0);
        assert_eq!(count("a.rs", "\tfn main() {}\n"), 1);
        assert_eq!(count("a.md", "text \n"), 1);
        assert_eq!(count("a.toml", "[a]\r\n"), 1);
        assert_eq!(count("a.toml", "[a]"), 1);
        assert_eq!(count("a.toml", "[a]\n\n"), 1);
        assert_eq!(count("Makefile", "\trule"), 0);
    }
}
