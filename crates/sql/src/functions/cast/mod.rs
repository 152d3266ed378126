//! `CAST`: which types turn into which, and how. Follows Flink's rules (its
//! documentation, "Data Types", section on casting).

mod nested;
mod numeric;
pub(crate) mod temporal;
mod text;

use datafusion::arrow::array::new_null_array;

use super::values::Kernel;
use crate::expr::zone::SessionZone;
use crate::types::SqlType;

pub(crate) use text::writer;

/// A cast between two types.
#[derive(Debug)]
pub(crate) struct Cast {
    /// What does it.
    pub(crate) kernel: Kernel,
    /// Whether it can fail on a value.
    pub(crate) fallible: bool,
}

impl Cast {
    fn sure(kernel: Kernel) -> Option<Self> {
        Some(Self { kernel, fallible: false })
    }
}

/// The cast from one type to another; `None` where there is none. `lenient` gives null
/// for a value that cannot be cast (`TRY_CAST`).
pub(crate) fn bind(from: &SqlType, to: &SqlType, lenient: bool, zone: SessionZone) -> Option<Cast> {
    if *from == SqlType::Null {
        let target = to.to_arrow();
        return Cast::sure(Kernel::new(move |_, rows| Ok(new_null_array(&target, rows))));
    }
    if to.is_string() {
        return text::to_text(from, to, zone);
    }
    if from.is_string() {
        return text::from_text(to, lenient, zone);
    }
    let numeric = |kind: &SqlType| kind.is_numeric() || *kind == SqlType::Boolean;
    if numeric(from) && numeric(to) {
        return numeric::bind(from, to);
    }
    if from.is_binary() && to.is_binary() {
        return text::between_bytes(to);
    }
    match (from, to) {
        (SqlType::Row(_) | SqlType::Array(_) | SqlType::Map(..), _) => {
            nested::bind(from, to, lenient, zone)
        }
        _ => temporal::bind(from, to, zone),
    }
}
