//! Messages of the server that are made in several places.

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{
    CommandComplete, ErrorResponse, NoticeResponse, ReadyForQuery, TransactionStatus,
};

use super::error::PgError;

/// The message that ends a statement.
pub(super) fn command_complete(tag: impl Into<String>) -> PgWireBackendMessage {
    PgWireBackendMessage::CommandComplete(CommandComplete::new(tag.into()))
}

/// The message that asks for the next one.
pub(super) fn ready_for_query(status: TransactionStatus) -> PgWireBackendMessage {
    PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(status))
}

/// An error, with its fields (PostgreSQL documentation, 55.8).
pub(super) fn error_response(error: &PgError) -> PgWireBackendMessage {
    let severity = if error.fatal { "FATAL" } else { "ERROR" };
    PgWireBackendMessage::ErrorResponse(ErrorResponse::new(fields(severity, error)))
}

/// A warning.
pub(super) fn warning(sqlstate: &str, text: &str) -> PgWireBackendMessage {
    let warning = PgError::new(sqlstate, text);
    PgWireBackendMessage::NoticeResponse(NoticeResponse::new(fields("WARNING", &warning)))
}

fn fields(severity: &str, error: &PgError) -> Vec<(u8, String)> {
    // A zero byte would end the field, and with it the client's trust.
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', clean(&error.sqlstate)),
        (b'M', clean(&error.message)),
    ];
    fields.extend(error.detail.as_deref().map(|detail| (b'D', clean(detail))));
    fields.extend(error.hint.as_deref().map(|hint| (b'H', clean(hint))));
    fields.extend(error.position.map(|position| (b'P', position.to_string())));
    fields
}
