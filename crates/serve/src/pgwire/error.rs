//! Errors as a PostgreSQL client sees them.

use std::fmt;

/// Codes of five characters (PostgreSQL documentation, appendix A) that the door itself
/// uses. A session may use any other.
pub mod sqlstate {
    /// `feature_not_supported`
    pub const NOT_SUPPORTED: &str = "0A000";
    /// `protocol_violation`
    pub const PROTOCOL_VIOLATION: &str = "08P01";
    /// `connection_failure`
    pub const CONNECTION_FAILURE: &str = "08006";
    /// `invalid_parameter_value`
    pub const INVALID_PARAMETER: &str = "22023";
    /// `invalid_text_representation`
    pub const INVALID_TEXT: &str = "22P02";
    /// `invalid_binary_representation`
    pub const INVALID_BINARY: &str = "22P03";
    /// `in_failed_sql_transaction`
    pub const FAILED_TRANSACTION: &str = "25P02";
    /// `invalid_sql_statement_name`
    pub const NO_STATEMENT: &str = "26000";
    /// `invalid_authorization_specification`
    pub const NOT_AUTHORIZED: &str = "28000";
    /// `invalid_cursor_name`
    pub const NO_PORTAL: &str = "34000";
    /// `insufficient_privilege`
    pub const NO_PRIVILEGE: &str = "42501";
    /// `syntax_error`
    pub const SYNTAX: &str = "42601";
    /// `undefined_parameter`
    pub const UNDEFINED_PARAMETER: &str = "42P02";
    /// `duplicate_prepared_statement`
    pub const DUPLICATE_STATEMENT: &str = "42P05";
    /// `too_many_connections`
    pub const TOO_MANY_CONNECTIONS: &str = "53300";
    /// `configuration_limit_exceeded`
    pub const LIMIT_EXCEEDED: &str = "53400";
    /// `program_limit_exceeded`
    pub const TOO_LARGE: &str = "54000";
    /// `query_canceled`
    pub const CANCELED: &str = "57014";
    /// `admin_shutdown`
    pub const SHUTDOWN: &str = "57P01";
    /// `internal_error`
    pub const INTERNAL: &str = "XX000";
}

/// An error with what PostgreSQL's protocol can say of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PgError {
    /// Code of five characters.
    pub sqlstate: String,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Place in the statement that was executed, in characters from 1.
    pub position: Option<u32>,
    /// Whether the connection ends with it.
    pub fatal: bool,
}

impl PgError {
    /// An error without details.
    pub fn new(sqlstate: &str, message: impl Into<String>) -> Self {
        Self {
            sqlstate: sqlstate.to_owned(),
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            fatal: false,
        }
    }

    /// A defect of Thalweg.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new(sqlstate::INTERNAL, format!("internal error: {message}; please report it"))
    }

    /// Something that is understood but not supported.
    pub fn not_supported(message: impl Into<String>) -> Self {
        Self::new(sqlstate::NOT_SUPPORTED, message)
    }

    /// A message that the protocol does not allow here; ends the connection.
    pub(super) fn protocol(message: impl Into<String>) -> Self {
        Self::new(sqlstate::PROTOCOL_VIOLATION, message).fatal()
    }

    /// With more about it.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a place in the statement, in characters from 1.
    #[must_use]
    pub fn at(mut self, position: u32) -> Self {
        self.position = Some(position);
        self
    }

    /// As the last word on a connection.
    #[must_use]
    pub(super) fn fatal(mut self) -> Self {
        self.fatal = true;
        self
    }
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.sqlstate)
    }
}

impl std::error::Error for PgError {}

impl From<thalweg_stream::StreamError> for PgError {
    fn from(error: thalweg_stream::StreamError) -> Self {
        use thalweg_stream::StreamError;
        let code = match &error {
            StreamError::Invalid(_) => sqlstate::INVALID_PARAMETER,
            StreamError::Evaluation { .. } => "22000",
            StreamError::External(_) => "58000",
            StreamError::Incompatible(_) => "55000",
            StreamError::OverBudget { .. } => "53200",
            StreamError::Log(_) => "58030",
            StreamError::Internal(_) => sqlstate::INTERNAL,
        };
        Self::new(code, error.to_string())
    }
}

impl From<arrow_schema::ArrowError> for PgError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::new("22000", error.to_string())
    }
}

/// Shorthand of this module.
pub type Result<T, E = PgError> = std::result::Result<T, E>;
