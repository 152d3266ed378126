//! All scalar functions, family by family. A new function is one line in its family's
//! list; a new family one line here.

use super::signature::FunctionDef;
use super::{arithmetic, scalar};

/// The families with their headings in the docs.
pub(crate) const FAMILIES: &[(&str, &[FunctionDef])] = &[
    ("Operators", arithmetic::FUNCTIONS),
    ("Operators on text and nested values", scalar::operators::FUNCTIONS),
    ("Mathematics", scalar::math::FUNCTIONS),
    ("Text", scalar::text::FUNCTIONS),
    ("Patterns in text", scalar::pattern::FUNCTIONS),
    ("Dates and times", scalar::temporal::FUNCTIONS),
    ("The epoch's time", scalar::now::FUNCTIONS),
    ("Group windows", scalar::window::FUNCTIONS),
    ("Conditions", scalar::condition::FUNCTIONS),
    ("Hashes and encodings", scalar::hash::FUNCTIONS),
    ("Collections", scalar::collection::FUNCTIONS),
    ("JSON", scalar::json::FUNCTIONS),
    ("Session", scalar::session::FUNCTIONS),
];

/// A function by one of its names, in any case.
pub(crate) fn find(name: &str) -> Option<&'static FunctionDef> {
    let name = name.to_ascii_lowercase();
    all().find(|def| def.name == name || def.aliases.contains(&name.as_str()))
}

/// All functions.
pub(crate) fn all() -> impl Iterator<Item = &'static FunctionDef> {
    FAMILIES.iter().flat_map(|(_, functions)| functions.iter())
}

/// All names that a user can write, for suggestions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    all()
        .flat_map(|def| std::iter::once(def.name).chain(def.aliases.iter().copied()))
        .filter(|name| !name.starts_with('$'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page that lists the functions for users.
    const PAGE: &str = include_str!("../../../../docs/sql-functions.md");

    #[test]
    fn the_page_lists_every_function() {
        let words: Vec<&str> =
            PAGE.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let aggregates = crate::functions::aggregate::names();
        let missing: Vec<String> = names()
            .chain(aggregates)
            .map(str::to_uppercase)
            .filter(|name| !words.contains(&name.as_str()))
            .collect();
        assert!(missing.is_empty(), "docs/sql-functions.md misses {missing:?}");
    }

    #[test]
    fn what_the_page_denies_is_not_there() {
        let denied = PAGE.lines().filter_map(|line| line.strip_suffix("` | no |"));
        let denied = denied.filter_map(|line| line.strip_prefix("| `"));
        let there: Vec<&str> = denied.filter(|name| find(name).is_some()).collect();
        assert!(there.is_empty(), "docs/sql-functions.md denies {there:?}");
    }

    #[test]
    fn names_are_unique_and_in_lower_case() {
        let mut names: Vec<&str> = all()
            .flat_map(|def| std::iter::once(def.name).chain(def.aliases.iter().copied()))
            .chain(crate::functions::aggregate::names())
            .collect();
        assert!(names.iter().all(|name| *name == name.to_lowercase()));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
