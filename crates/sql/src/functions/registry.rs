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
