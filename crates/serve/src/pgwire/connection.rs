//! A connection from its first byte to its last.

use std::collections::HashMap;
use std::sync::Arc;

use thalweg_core::authorizer::Authorizer;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::backend::error_response;
use super::cancel::{Cancellable, Cancellations};
use super::error::{PgError, Result, sqlstate};
use super::frame::{Failure, Inbox, Outbox};
use super::frontend::FrontendMessage;
use super::server::PgLimits;
use super::service::SqlService;
use super::session::{Session, Transaction};
use super::startup::{Opening, open};

/// What every connection of a door shares.
pub(super) struct Shared {
    pub(super) service: Arc<dyn SqlService>,
    pub(super) authorizer: Arc<dyn Authorizer>,
    pub(super) limits: PgLimits,
    pub(super) cancellations: Arc<Cancellations>,
    pub(super) shutdown: watch::Receiver<bool>,
}

/// Serves a client until it leaves. `has_room` is false where the door is full already.
pub(super) async fn serve(socket: TcpStream, shared: Arc<Shared>, has_room: bool) {
    let limits = shared.limits;
    // Without it small answers wait for the acknowledgement of the ones before.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let (reader, writer) = socket.into_split();
    let mut inbox = Inbox::new(reader, limits.message_bytes);
    let mut outbox = Outbox::new(writer, limits.write_timeout);
    let opening = tokio::select! {
        opening = tokio::time::timeout(limits.startup_timeout, open(&mut inbox, &mut outbox)) => {
            opening.unwrap_or(Err(Failure::Gone))
        }
        () = shutting_down(shared.shutdown.clone()) => Err(Failure::Gone),
    };
    let startup = match opening {
        Ok(Opening::Session(startup)) => startup,
        Ok(Opening::Cancel { pid, secret }) => return shared.cancellations.cancel(pid, secret),
        Err(Failure::Refused(error)) => return refuse(outbox, &error).await,
        Err(Failure::Gone) => return,
    };
    if !has_room {
        let text = "sorry, too many clients already";
        let error = PgError::new(sqlstate::TOO_MANY_CONNECTIONS, text).fatal();
        return refuse(outbox, &error).await;
    }
    let begin = async {
        let principal = startup.authenticate(&shared.authorizer)?;
        let settings = startup.settings()?;
        let sql = shared.service.session(&principal, &startup.database).await;
        Ok((principal, settings, sql.map_err(PgError::fatal)?))
    };
    let (principal, settings, sql) = match begin.await {
        Ok(begun) => begun,
        Err(error) => return refuse(outbox, &error).await,
    };
    let cancellable = shared.cancellations.register();
    let key = (cancellable.pid, cancellable.secret);
    if let Err(error) = startup.greet(&settings, key, &mut outbox) {
        return refuse(outbox, &error).await;
    }
    let session = Session {
        outbox,
        sql,
        principal,
        pid: cancellable.pid,
        authorizer: Arc::clone(&shared.authorizer),
        settings,
        limits,
        transaction: Transaction::Idle,
        statements: HashMap::new(),
        portals: HashMap::new(),
        skips_to_sync: false,
    };
    let connection = Connection { inbox, session, cancellable };
    connection.run(shared.shutdown.clone()).await;
}

async fn refuse(mut outbox: Outbox, error: &PgError) {
    if outbox.put(error_response(error)).is_ok() {
        outbox.close().await;
    }
}

async fn shutting_down(mut shutdown: watch::Receiver<bool>) {
    // An error means that the server is gone.
    let _ = shutdown.wait_for(|stops| *stops).await;
}

fn shutdown_error() -> PgError {
    let text = "terminating connection because the server stops";
    PgError::new(sqlstate::SHUTDOWN, text).fatal()
}

struct Connection {
    inbox: Inbox,
    session: Session,
    cancellable: Cancellable,
}

impl Connection {
    async fn run(mut self, shutdown: watch::Receiver<bool>) {
        let ready = self.session.put_ready();
        if ready.is_err() || self.session.outbox.flush().await.is_err() {
            return;
        }
        loop {
            let message = tokio::select! {
                message = self.inbox.next() => message,
                () = shutting_down(shutdown.clone()) => Err(shutdown_error().into()),
            };
            let message = match message {
                Ok((message_type, body)) => {
                    (message_type == b'Q', FrontendMessage::decode(message_type, body))
                }
                Err(Failure::Refused(error)) => (false, Err(error)),
                Err(Failure::Gone) => return,
            };
            let (is_simple, outcome) = match message {
                (_, Ok(FrontendMessage::Terminate)) => return,
                (is_simple, Ok(message)) => {
                    (is_simple, self.answer(message, shutdown.clone()).await)
                }
                (is_simple, Err(error)) => (is_simple, Err(Failure::Refused(error))),
            };
            match outcome {
                Ok(()) => {}
                Err(Failure::Gone) => return,
                Err(Failure::Refused(error)) if error.fatal => {
                    return refuse(self.session.outbox, &error).await;
                }
                Err(Failure::Refused(error)) => {
                    if self.report(&error, is_simple).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Handles a message; given up where the client cancels or leaves, where it takes
    /// too long, and where the server stops.
    async fn answer(
        &mut self,
        message: FrontendMessage,
        shutdown: watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        // Made before the work begins: a cancel request at any time from now on counts.
        let cancelled = self.cancellable.signal.notified();
        let timeout = self.session.settings.statement_timeout();
        let expired = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let canceled = |why: &str| {
            let text = format!("canceling statement due to {why}");
            Err(Failure::Refused(PgError::new(sqlstate::CANCELED, text)))
        };
        tokio::select! {
            outcome = Box::pin(self.session.handle(message)) => outcome,
            () = cancelled => canceled("user request"),
            () = expired => canceled("statement timeout"),
            () = self.inbox.closed() => Err(Failure::Gone),
            () = shutting_down(shutdown) => Err(shutdown_error().into()),
        }
    }

    async fn report(&mut self, error: &PgError, is_simple: bool) -> Result<(), Failure> {
        let session = &mut self.session;
        session.outbox.put(error_response(error))?;
        session.fail_transaction();
        if is_simple {
            session.put_ready()?;
        } else {
            session.skips_to_sync = true;
        }
        session.outbox.flush().await
    }
}

impl Session {
    /// Answers one message.
    async fn handle(&mut self, message: FrontendMessage) -> Result<(), Failure> {
        if self.skips_to_sync && message != FrontendMessage::Sync {
            return Ok(());
        }
        match message {
            FrontendMessage::Query(text) => self.simple_query(&text).await,
            FrontendMessage::Parse { statement, sql, param_types } => {
                Ok(self.parse(statement, sql, param_types).await?)
            }
            FrontendMessage::Bind(bind) => Ok(self.bind(bind)?),
            FrontendMessage::Describe(target) => Ok(self.describe(&target)?),
            FrontendMessage::Execute { portal, max_rows } => self.execute(&portal, max_rows).await,
            FrontendMessage::Close(target) => Ok(self.close(&target)?),
            FrontendMessage::Flush => self.outbox.flush().await,
            FrontendMessage::Sync => self.sync().await,
            FrontendMessage::CopyRemains | FrontendMessage::Terminate => Ok(()),
        }
    }
}
