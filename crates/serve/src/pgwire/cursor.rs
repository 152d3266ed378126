//! Sending rows: all of them, or as many as a portal is asked for.

use bytes::BytesMut;
use chrono_tz::Tz;
use futures::StreamExt;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::CopyOutResponse;
use pgwire::messages::data::{FieldDescription, RowDescription};

use arrow_schema::Schema;

use super::encode::{Format, RowEncoder};
use super::error::{PgError, Result};
use super::frame::{Failure, Outbox};
use super::service::{RowStream, SqlResponse};
use super::types::PgColumn;

/// Rows on their way to the client.
pub(super) struct Cursor {
    pub(super) columns: Vec<PgColumn>,
    formats: Vec<Format>,
    zone: Tz,
    rows: RowStream,
    /// The batch that is being sent: its rows, and the next of them.
    current: Option<(RowEncoder, std::ops::Range<usize>)>,
    sent: u64,
    /// Whether each batch goes out as it comes.
    live: bool,
    tag: String,
}

/// How rows are wrapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// As data rows.
    DataRow,
    /// As the lines of a COPY.
    Copy,
}

impl Cursor {
    /// A cursor over a response; what has no rows comes back as its tag.
    pub(super) fn new(
        response: SqlResponse,
        format_codes: &[i16],
        zone: Tz,
    ) -> Result<std::result::Result<Self, String>> {
        let (schema, rows, live, tag) = match response {
            SqlResponse::Rows { schema, rows, tag } => (schema, rows, false, tag),
            SqlResponse::Subscription { schema, rows } => (schema, rows, true, "SELECT".into()),
            SqlResponse::Command { tag } => return Ok(Err(tag)),
        };
        let columns = columns_of(&schema);
        let formats = formats(format_codes, columns.len())?;
        Ok(Ok(Self { columns, formats, zone, rows, current: None, sent: 0, live, tag }))
    }

    /// Sends rows, at most `limit` of them. Returns whether all are sent.
    pub(super) async fn send(
        &mut self,
        outbox: &mut Outbox,
        limit: Option<u64>,
        wrapping: Wrapping,
    ) -> Result<bool, Failure> {
        let mut left = limit.unwrap_or(u64::MAX);
        loop {
            if let Some((encoder, rows)) = &mut self.current {
                while left > 0 {
                    let Some(row) = rows.next() else { break };
                    put_row(encoder, row, wrapping, outbox.buffer())?;
                    (self.sent, left) = (self.sent + 1, left - 1);
                    outbox.relieve().await?;
                }
            }
            if left == 0 {
                return Ok(false);
            }
            self.current = None;
            if self.live {
                outbox.flush().await?;
            }
            let Some(batch) = self.rows.next().await else { return Ok(true) };
            let batch = batch?;
            let encoder = RowEncoder::new(&batch, &self.columns, &self.formats, self.zone)?;
            self.current = Some((encoder, 0..batch.num_rows()));
        }
    }

    /// The command tag after the last row.
    pub(super) fn tag(&self, wrapping: Wrapping) -> String {
        match wrapping {
            Wrapping::DataRow => format!("{} {}", self.tag, self.sent),
            Wrapping::Copy => format!("COPY {}", self.sent),
        }
    }
}

fn put_row(encoder: &RowEncoder, row: usize, wrapping: Wrapping, out: &mut BytesMut) -> Result<()> {
    match wrapping {
        Wrapping::DataRow => encoder.data_row(row, out),
        Wrapping::Copy => {
            encoder.copy_row(row, out);
            Ok(())
        }
    }
}

/// The forms in which a schema's columns are sent.
pub(super) fn columns_of(schema: &Schema) -> Vec<PgColumn> {
    schema.fields().iter().map(|field| PgColumn::of(field.data_type())).collect()
}

/// Format codes as Bind gives them: none for all text, one for all, or one for each.
pub(super) fn formats(codes: &[i16], columns: usize) -> Result<Vec<Format>> {
    let format = |code: &i16| match code {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        other => Err(PgError::new("22023", format!("unsupported format code: {other}"))),
    };
    match codes {
        [] => Ok(vec![Format::Text; columns]),
        [all] => Ok(vec![format(all)?; columns]),
        each if each.len() == columns => each.iter().map(format).collect(),
        other => Err(PgError::new(
            super::error::sqlstate::PROTOCOL_VIOLATION,
            format!("bind message has {} format codes for {columns} values", other.len()),
        )),
    }
}

/// The message that describes rows.
pub(super) fn row_description(schema: &Schema, formats: &[Format]) -> PgWireBackendMessage {
    let fields = schema.fields().iter().zip(columns_of(schema)).zip(formats);
    let fields = fields.map(|((field, column), format)| {
        FieldDescription::new(
            field.name().clone(),
            0,
            0,
            column.pg_type.oid(),
            column.length(),
            column.modifier(),
            i16::from(*format == Format::Binary),
        )
    });
    PgWireBackendMessage::RowDescription(RowDescription::new(fields.collect()))
}

/// The message that begins a COPY of so many columns.
pub(super) fn copy_out_response(columns: usize) -> PgWireBackendMessage {
    PgWireBackendMessage::CopyOutResponse(CopyOutResponse::new(0, columns as i16, vec![0; columns]))
}
