//! Who may do what: the one question that every handler of every door asks.
//!
//! The names follow Kafka's access control lists (KIP-11, KIP-140), because those are
//! the finest grained of the doors; the PostgreSQL door maps its privileges to them.

use std::fmt;
use std::sync::Arc;

/// Who is asking, as the door authenticated them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Principal {
    name: Arc<str>,
}

impl Principal {
    /// A user of this name.
    pub fn user(name: &str) -> Self {
        Self { name: name.into() }
    }

    /// Somebody who did not say who they are.
    pub fn anonymous() -> Self {
        Self::user("ANONYMOUS")
    }

    /// The name, without a type prefix.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User:{}", self.name)
    }
}

/// What is to be done. Discriminants are Kafka's ACL operation codes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Operation {
    /// Read records, rows, or committed offsets.
    Read = 3,
    /// Append records or rows.
    Write = 4,
    /// Bring a resource into being.
    Create = 5,
    /// Remove a resource.
    Delete = 6,
    /// Change a resource's shape.
    Alter = 7,
    /// See that a resource exists, and its shape.
    Describe = 8,
    /// Act as a part of the cluster itself.
    ClusterAction = 9,
    /// See a resource's settings.
    DescribeConfigs = 10,
    /// Change a resource's settings.
    AlterConfigs = 11,
    /// Take a producer id.
    IdempotentWrite = 12,
}

/// What it is to be done to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Resource<'a> {
    /// The server as a whole.
    Cluster,
    /// A topic, by name.
    Topic(&'a str),
    /// A consumer group, by name.
    Group(&'a str),
    /// A transactional id.
    TransactionalId(&'a str),
    /// A table, view or function of the catalog, by its full name.
    CatalogObject(&'a str),
    /// A streaming job, by name.
    Job(&'a str),
}

/// Decides. Called on the path of every request, so it must be quick and not block.
pub trait Authorizer: Send + Sync {
    /// Whether the principal may do this.
    fn authorize(
        &self,
        principal: &Principal,
        operation: Operation,
        resource: Resource<'_>,
    ) -> bool;
}

/// Lets everybody do everything: the rule on a loopback address until users are set up.
#[derive(Clone, Copy, Default, Debug)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn authorize(&self, _: &Principal, _: Operation, _: Resource<'_>) -> bool {
        true
    }
}
