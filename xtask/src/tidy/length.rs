//! A file holds one concept: long ones are looked at, very long ones refused.

use super::{Problem, source::Source};

/// Lines from which tidy warns.
const LONG: usize = 600;
/// Lines from which tidy fails.
const TOO_LONG: usize = 900;

pub(super) fn check(source: &Source) -> Vec<Problem> {
    let lines = source.text.lines().count();
    if !source.is(&["rs"]) || lines <= TOO_LONG {
        return Vec::new();
    }
    let what = format!("{lines} lines, at most {TOO_LONG}: split it by concept");
    vec![Problem::in_file(source, what)]
}

pub(super) fn warning(source: &Source) -> Option<Problem> {
    let lines = source.text.lines().count();
    (source.is(&["rs"]) && (LONG + 1..=TOO_LONG).contains(&lines))
        .then(|| Problem::in_file(source, format!("{lines} lines: is this still one concept?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let of = |lines: usize| Source::new("a.rs", &"x\n".repeat(lines));
        assert!(warning(&of(600)).is_none() && check(&of(600)).is_empty());
        assert!(warning(&of(601)).is_some() && check(&of(601)).is_empty());
        assert!(warning(&of(900)).is_some() && check(&of(900)).is_empty());
        assert!(warning(&of(901)).is_none() && check(&of(901)).len() == 1);
        assert!(check(&Source::new("a.md", &"x\n".repeat(2000))).is_empty());
    }
}
