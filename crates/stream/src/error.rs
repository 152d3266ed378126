//! What can go wrong on the data path, by what the caller does about it.

use thalweg_core::partition_log::LogError;

/// An error of a source, sink, expression or operator.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    /// The user wrote something that cannot work; say it and stop.
    #[error("{0}")]
    Invalid(String),
    /// An expression failed on rows.
    #[error("{expression}: {detail}")]
    Evaluation {
        /// The expression, as the user would write it.
        expression: String,
        /// What is wrong with the value, with the first where there are several.
        detail: String,
        /// All rows on which it fails. Empty where they are not known, or where it fails on
        /// none alone: all results together may have been too large.
        rows: Vec<FailedRow>,
    },
    /// Something outside failed; trying again may help.
    #[error("{0}")]
    External(String),
    /// What is stored does not fit what is running.
    #[error("{0}")]
    Incompatible(String),
    /// A byte budget is used up and there is nowhere to spill.
    #[error("{what} needs more than its {budget_bytes} bytes")]
    OverBudget {
        /// What wanted the memory.
        what: String,
        /// What it was allowed.
        budget_bytes: usize,
    },
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A defect of Thalweg.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

/// A row on which an expression fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailedRow {
    /// Its number in the batch.
    pub row: usize,
    /// What is wrong with the value.
    pub detail: String,
}

impl From<arrow_schema::ArrowError> for StreamError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// Shorthand of this crate's traits.
pub type Result<T, E = StreamError> = std::result::Result<T, E>;
