//! One member of a group.

use bytes::Bytes;

use crate::group::messages::{JoinInput, Now, Token};

/// A member.
#[derive(Clone, Debug)]
pub(in crate::group) struct Member {
    pub(in crate::group) instance_id: Option<String>,
    pub(in crate::group) client_id: String,
    pub(in crate::group) client_host: String,
    pub(in crate::group) session_timeout_ms: u64,
    pub(in crate::group) rebalance_timeout_ms: u64,
    /// Names and subscriptions, the preferred first.
    pub(in crate::group) protocols: Vec<(String, Bytes)>,
    pub(in crate::group) assignment: Bytes,
    /// Its join that waits for the others.
    pub(in crate::group) joining: Option<Token>,
    /// Its sync that waits for the leader.
    pub(in crate::group) syncing: Option<Token>,
    /// Whether it has asked for its assignment in this generation.
    pub(in crate::group) has_synced: bool,
    /// Monotonic time at which it is taken for dead, unless it is waiting for us.
    pub(in crate::group) expires_at: u64,
    /// Order of arrival: the oldest leads.
    pub(in crate::group) order: u64,
}

impl Member {
    pub(in crate::group) fn new(join: JoinInput, order: u64, now: Now) -> Self {
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
    pub(in crate::group) fn update(&mut self, join: JoinInput, now: Now) {
        self.client_id = join.client_id;
        self.client_host = join.client_host;
        self.session_timeout_ms = join.session_timeout_ms.max(0) as u64;
        self.rebalance_timeout_ms = join.rebalance_timeout_ms.max(0) as u64;
        self.protocols = join.protocols;
        self.keep_alive(now);
    }

    /// The member was heard of.
    pub(in crate::group) fn keep_alive(&mut self, now: Now) {
        self.expires_at = now.monotonic_ms.saturating_add(self.session_timeout_ms);
    }

    /// Monotonic time at which it is taken for dead. Who waits for an answer of ours
    /// need not send heartbeats.
    pub(in crate::group) fn deadline(&self) -> Option<u64> {
        (self.joining.is_none() && self.syncing.is_none()).then_some(self.expires_at)
    }

    /// The subscription under a protocol.
    pub(in crate::group) fn subscription(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, subscription)| subscription.clone()).unwrap_or_default()
    }

    /// Whether the member supports a protocol.
    pub(in crate::group) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Bytes held for it.
    pub(in crate::group) fn bytes(&self) -> usize {
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
    pub(in crate::group) fn bytes(&self) -> usize {
        let instance = self.instance_id.as_ref().map_or(0, String::len);
        held(&self.protocols, instance + self.client_id.len())
    }
}
