//! Functions about the session.

use super::special;
use crate::functions::signature::{FunctionDef, Special};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    special(
        "current_database",
        &["current_schema"],
        "CURRENT_DATABASE()",
        Special::CurrentDatabase,
    ),
    special("version", &[], "VERSION()", Special::Version),
];
