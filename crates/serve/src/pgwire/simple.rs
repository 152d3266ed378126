//! The simple query protocol: a text of statements, all executed in turn.

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::EmptyQueryResponse;

use super::error::{PgError, Result};
use super::frame::Failure;
use super::lexer::split;
use super::session::{Plan, Session};

impl Session {
    /// Answers a Query message.
    pub(super) async fn simple_query(&mut self, text: &str) -> Result<(), Failure> {
        self.statements.remove("");
        self.portals.remove("");
        let statements = split(text);
        if statements.is_empty() {
            self.outbox.put(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))?;
        }
        for range in statements {
            let before = text[..range.start].chars().count() as u32;
            self.simple_statement(&text[range]).await.map_err(|failure| shift(failure, before))?;
        }
        self.put_ready()?;
        self.outbox.flush().await
    }

    async fn simple_statement(&mut self, sql: &str) -> Result<(), Failure> {
        let plan = self.plan(sql)?;
        self.check_transaction(&plan)?;
        match plan {
            Plan::Empty => Ok(()),
            Plan::Own(own) => match self.execute_own(sql, &own, &[]).await? {
                Some(response) => self.send_described(response).await,
                None => Ok(()),
            },
            Plan::Catalog(query) => {
                let response = self.execute_catalog(sql, &query, &[])?;
                self.send_described(response).await
            }
            Plan::Sql => {
                for response in self.execute_sql(sql, &[]).await? {
                    self.send_described(response).await?;
                }
                Ok(())
            }
        }
    }
}

/// Counts an error's place in the whole text rather than in its statement.
fn shift(failure: Failure, before: u32) -> Failure {
    match failure {
        Failure::Refused(error) => Failure::Refused(PgError {
            position: error.position.map(|position| position.saturating_add(before)),
            ..error
        }),
        Failure::Gone => Failure::Gone,
    }
}
