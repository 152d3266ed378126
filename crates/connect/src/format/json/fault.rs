//! Why a record is bad: what was found, where, and in which field.

use std::fmt;

/// Result of decoding.
pub(super) type Outcome<T> = Result<T, Fault>;

/// What kind of fault it is, by what the decoder does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FaultKind {
    /// Not JSON: nothing after it can be read.
    Syntax,
    /// A value of another type than its column; the cursor stands behind it.
    Value,
    /// Values that a record must not have together, or not lack.
    Record,
    /// No fault of the record: a key came twice, and the record must be read with care.
    DuplicateKey,
}

/// A fault; boxed, since good records should not pay for it.
#[derive(Clone, Debug)]
pub(super) struct Fault(Box<Detail>);

#[derive(Clone, Debug)]
struct Detail {
    kind: FaultKind,
    at: usize,
    what: String,
    /// Names of the fields around it, from the inside out.
    path: Vec<String>,
}

impl Fault {
    #[cold]
    fn new(kind: FaultKind, at: usize, what: String) -> Self {
        Self(Box::new(Detail { kind, at, what, path: Vec::new() }))
    }

    pub(super) fn syntax(at: usize, what: String) -> Self {
        Self::new(FaultKind::Syntax, at, what)
    }

    pub(super) fn value(at: usize, what: String) -> Self {
        Self::new(FaultKind::Value, at, what)
    }

    pub(super) fn record(at: usize, what: String) -> Self {
        Self::new(FaultKind::Record, at, what)
    }

    pub(super) fn duplicate_key(at: usize) -> Self {
        Self::new(FaultKind::DuplicateKey, at, String::new())
    }

    pub(super) fn kind(&self) -> FaultKind {
        self.0.kind
    }

    /// Names the field that it stands in.
    #[cold]
    pub(super) fn within(mut self, field: &str) -> Self {
        self.0.path.push(field.to_owned());
        self
    }

    /// Counts its place from `start`.
    pub(super) fn relative_to(mut self, start: usize) -> Self {
        self.0.at = self.0.at.saturating_sub(start);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = &self.0;
        if detail.kind == FaultKind::Syntax {
            f.write_str("invalid JSON: ")?;
        }
        if !detail.path.is_empty() {
            let path: Vec<_> = detail.path.iter().rev().map(String::as_str).collect();
            write!(f, "field '{}': ", path.join("."))?;
        }
        write!(f, "{} (byte {})", detail.what, detail.at)
    }
}
