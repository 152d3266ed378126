//! The start of a connection: negotiation, the start-up message, and the greeting.

use std::sync::Arc;

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{GssEncResponse, SslResponse};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey,
};
use thalweg_core::authorizer::{Authorizer, Operation, Principal, Resource};

use super::error::{PgError, Result, sqlstate};
use super::frame::{Failure, Inbox, Outbox};
use super::frontend::Body;
use super::settings::Settings;

const SSL_REQUEST: i32 = 80_877_103;
const GSS_REQUEST: i32 = 80_877_104;
const CANCEL_REQUEST: i32 = 80_877_102;
/// Version 3.0, the one that is spoken.
const VERSION: i32 = 3 << 16;

/// What a client wants when it connects.
pub(super) enum Opening {
    /// A session.
    Session(Startup),
    /// The end of what another connection is doing.
    Cancel { pid: i32, secret: i32 },
}

/// A start-up message.
pub(super) struct Startup {
    pub(super) user: String,
    pub(super) database: String,
    settings: Vec<(String, String)>,
    minor_version: i32,
    unknown_options: Vec<String>,
}

/// Reads up to the start-up message. Encryption is declined, as there is none yet.
pub(super) async fn open(inbox: &mut Inbox, outbox: &mut Outbox) -> Result<Opening, Failure> {
    // Each request for encryption may come once.
    for _ in 0..3 {
        let mut body = Body(inbox.next_untyped().await?);
        match body.i32()? {
            SSL_REQUEST => {
                outbox.put(PgWireBackendMessage::SslResponse(SslResponse::Refuse))?;
                outbox.flush().await?;
            }
            GSS_REQUEST => {
                outbox.put(PgWireBackendMessage::GssEncResponse(GssEncResponse::Refuse))?;
                outbox.flush().await?;
            }
            CANCEL_REQUEST => {
                return Ok(Opening::Cancel { pid: body.i32()?, secret: body.i32()? });
            }
            version if version >> 16 == 3 => {
                return Ok(Opening::Session(Startup::read(version & 0xffff, &mut body)?));
            }
            version => {
                let (major, minor) = (version >> 16, version & 0xffff);
                let text = format!("unsupported frontend protocol {major}.{minor}");
                return Err(PgError::not_supported(text).fatal().into());
            }
        }
    }
    Err(PgError::protocol("the start-up message does not come").into())
}

impl Startup {
    fn read(minor_version: i32, body: &mut Body) -> Result<Self> {
        let (mut user, mut database) = (String::new(), String::new());
        let (mut settings, mut unknown_options) = (Vec::new(), Vec::new());
        loop {
            let name = body.string()?;
            if name.is_empty() {
                break;
            }
            let value = body.string()?;
            match name.as_str() {
                "user" => user = value,
                "database" => database = value,
                "options" => settings.extend(command_line(&value)?),
                "replication" if !matches!(value.as_str(), "false" | "off" | "no" | "0") => {
                    return Err(PgError::not_supported("replication is not supported").fatal());
                }
                "replication" => {}
                _ if name.starts_with("_pq_.") => unknown_options.push(name),
                _ => settings.push((name, value)),
            }
        }
        if user.is_empty() {
            let text = "no PostgreSQL user name specified in startup packet";
            return Err(PgError::new(sqlstate::NOT_AUTHORIZED, text).fatal());
        }
        if database.is_empty() {
            database.clone_from(&user);
        }
        Ok(Self { user, database, settings, minor_version, unknown_options })
    }

    /// Lets the user in, or not.
    pub(super) fn authenticate(&self, authorizer: &Arc<dyn Authorizer>) -> Result<Principal> {
        let principal = Principal::user(&self.user);
        if authorizer.authorize(&principal, Operation::Describe, Resource::Cluster) {
            return Ok(principal);
        }
        let text = format!("user \"{}\" may not connect", self.user);
        Err(PgError::new(sqlstate::NOT_AUTHORIZED, text).fatal())
    }

    /// The settings that the client asked for.
    pub(super) fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::new(&self.user);
        for (name, value) in &self.settings {
            settings.set(name, Some(value)).map_err(PgError::fatal)?;
        }
        Ok(settings)
    }

    /// Says everything that comes before the first "ready".
    pub(super) fn greet(
        &self,
        settings: &Settings,
        (pid, secret): (i32, i32),
        outbox: &mut Outbox,
    ) -> Result<()> {
        if self.minor_version > 0 || !self.unknown_options.is_empty() {
            let options = self.unknown_options.clone();
            let message = NegotiateProtocolVersion::new(VERSION, options);
            outbox.put(PgWireBackendMessage::NegotiateProtocolVersion(message))?;
        }
        outbox.put(PgWireBackendMessage::Authentication(Authentication::Ok))?;
        for (name, value) in settings.reported() {
            let status = ParameterStatus::new(name.to_owned(), value.to_owned());
            outbox.put(PgWireBackendMessage::ParameterStatus(status))?;
        }
        let key = BackendKeyData::new(pid, SecretKey::I32(secret));
        outbox.put(PgWireBackendMessage::BackendKeyData(key))
    }
}

/// Settings in the form of a command line: `-c name=value` and `--name=value`, where a
/// backslash takes the next character as it is.
fn command_line(options: &str) -> Result<Vec<(String, String)>> {
    let mut words = vec![String::new()];
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => words.iter_mut().last().into_iter().for_each(|word| {
                word.extend(characters.next());
            }),
            c if c.is_whitespace() => words.push(String::new()),
            c => words.iter_mut().last().into_iter().for_each(|word| word.push(c)),
        }
    }
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let assignment = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next().unwrap_or_default(),
            Some(assignment) => assignment.to_owned(),
            None => String::new(),
        };
        let (name, value) = assignment.split_once('=').ok_or_else(|| {
            PgError::new(sqlstate::SYNTAX, format!("invalid option \"{word}\" at connect")).fatal()
        })?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_like_a_command_line() {
        let settings = command_line("-c statement_timeout=5s  --application-name=a\\ b -cjit=off");
        let pairs = settings.expect("valid");
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [("statement_timeout", "5s"), ("application_name", "a b"), ("jit", "off")]
        );
        assert!(command_line("-x").is_err() && command_line("-c").is_err());
    }
}
