//! No path of somebody's machine in a file that others get.

use super::{Problem, source::Source};

/// Written in two halves, so that this file does not trip over itself.
const ROOTS: [&str; 4] =
    [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

pub(super) fn check(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (line, text) in source.lines() {
        if let Some(root) = ROOTS.into_iter().find(|root| begins_a_path(text, root)) {
            let what = format!("`{root}...` is a path of one machine: write it relative");
            problems.push(Problem::at_line(source, line, what));
        }
    }
    problems
}

/// Whether `root` stands where a path begins, and not inside a longer path or URL.
fn begins_a_path(text: &str, root: &str) -> bool {
    text.match_indices(root)
        .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.~})".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_are_found_and_longer_ones_are_not() {
        for root in ROOTS {
            for text in [format!("{root}a"), format!("\"{root}a\""), format!("x = {root}a")] {
                assert_eq!(check(&Source::new("a.md", &text)).len(), 1, "{text}");
            }
            for text in
                [format!("example.com{root}a"), format!("docs{root}a"), format!("${{X}}{root}")]
            {
                assert_eq!(check(&Source::new("a.md", &text)), [], "{text}");
            }
        }
    }
}
