//! How a command fails: a message and an exit code.

use std::fmt::Display;

/// What a command ends with when it does not succeed.
#[derive(Debug)]
pub enum Failure {
    /// Something went wrong while running: 1.
    Running(String),
    /// Wrong usage, or the server cannot be reached: 2.
    Usage(String),
    /// A script stopped on an error: 3.
    Script(String),
    /// Saved state does not fit the query: 4.
    Incompatible(String),
    /// Whoever reads stdout has gone: nothing to say, 0.
    BrokenPipe,
}

impl Failure {
    pub(crate) fn running(error: impl Display) -> Self {
        Self::Running(error.to_string())
    }

    pub(crate) fn usage(error: impl Display) -> Self {
        Self::Usage(error.to_string())
    }

    /// The process's exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::BrokenPipe => 0,
            Self::Running(_) => 1,
            Self::Usage(_) => 2,
            Self::Script(_) => 3,
            Self::Incompatible(_) => 4,
        }
    }

    /// Says it on stderr.
    pub(crate) fn print(&self) {
        match self {
            Self::BrokenPipe => {}
            Self::Running(message) | Self::Usage(message) | Self::Incompatible(message) => {
                eprintln!("error: {message}");
            }
            // A script's errors come rendered, with their place in the text.
            Self::Script(message) => eprintln!("{message}"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Self::running(error)
        }
    }
}

impl From<thalweg_sql::error::SqlError> for Failure {
    fn from(error: thalweg_sql::error::SqlError) -> Self {
        if error.code == thalweg_sql::error::ErrorCode::InvalidDefinition {
            Self::Incompatible(error.message)
        } else {
            Self::Running(error.message)
        }
    }
}

impl From<krafka::KrafkaError> for Failure {
    fn from(error: krafka::KrafkaError) -> Self {
        Self::Running(super::kafka_error::sentence(&error))
    }
}

impl From<super::record_format::FormatError> for Failure {
    fn from(error: super::record_format::FormatError) -> Self {
        Self::usage(error)
    }
}

impl From<thalweg_core::env::BindError> for Failure {
    fn from(error: thalweg_core::env::BindError) -> Self {
        Self::running(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        if let Some(job) = error.downcast_ref::<thalweg_engine::JobError>()
            && job.is_incompatible()
        {
            return Self::Incompatible(format!("{error:#}"));
        }
        Self::Running(format!("{error:#}"))
    }
}
