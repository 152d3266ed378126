//! One member of a group.

use bytes::Bytes;

use super::messages::{JoinInput, Now, Token};

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout_ms: u64,
    pub(super) rebalance_timeout_ms: u64,
    /// Names and subscriptions, the preferred first.
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    /// Its join that waits for the others.
    pub(super) joining: Option<Token>,
    /// Its sync that waits for the leader.
    pub(super) syncing: Option<Token>,
    /// Whether it has asked for its assignment in this generation.
    pub(super) has_synced: bool,
    /// Monotonic time at which it is taken for dead, unless it is waiting for us.
    pub(super) expires_at: u64,
    /// Order of arrival: the oldest leads.
    pub(super) order: u64,
}

impl Member {
    pub(super) fn new(join: JoinInput, order: u64, now: Now) -> Self {
        let mut member = Self {
            instance_id: join.instance_id.clone(),
            client_id: String::new(),
            client_host: String::new(),
            session_timeout_ms: 0,
            rebalance_timeout_ms: 0,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
            has_synced: false,
            expires_at: 0,
            order,
        };
        member.update(join, now);
        member
    }

    /// Takes over what a join says.
    pub(super) fn update(&mut self, join: JoinInput, now: Now) {
        self.client_id = join.client_id;
        self.client_host = join.client_host;
        self.session_timeout_ms = join.session_timeout_ms.max(0) as u64;
        self.rebalance_timeout_ms = join.rebalance_timeout_ms.max(0) as u64;
        self.protocols = join.protocols;
        self.keep_alive(now);
    }

    /// The member was heard of.
    pub(super) fn keep_alive(&mut self, now: Now) {
        self.expires_at = now.monotonic_ms.saturating_add(self.session_timeout_ms);
    }

    /// Monotonic time at which it is taken for dead. Who waits for an answer of ours
    /// need not send heartbeats.
    pub(super) fn deadline(&self) -> Option<u64> {
        (self.joining.is_none() && self.syncing.is_none()).then_some(self.expires_at)
    }

    /// The subscription under a protocol.
    pub(super) fn subscription(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, subscription)| subscription.clone()).unwrap_or_default()
    }

    /// Whether the member supports a protocol.
    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Bytes held for it.
    pub(super) fn bytes(&self) -> usize {
        let instance = self.instance_id.as_ref().map_or(0, String::len);
        held(&self.protocols, instance + self.client_id.len()) + self.assignment.len()
    }
}

/// Bytes held for what a member sends: its protocols, and names of so many bytes, which
/// are kept in several places.
fn held(protocols: &[(String, Bytes)], names: usize) -> usize {
    const FIXED: usize = 256;
    const PLACES: usize = 4;
    let protocols = protocols.iter().map(|(name, bytes)| name.len() + bytes.len());
    FIXED + PLACES * names + protocols.sum::<usize>()
}

impl JoinInput {
    /// Bytes that the member would be held in.
    pub(super) fn bytes(&self) -> usize {
        let instance = self.instance_id.as_ref().map_or(0, String::len);
        held(&self.protocols, instance + self.client_id.len())
    }
}
