//! Whom a quota is for, and what it bounds.

/// A part of whom a quota is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Who {
    /// All that have no quota of their own, each for itself.
    Default,
    /// The one of this name.
    Named(String),
}

impl Who {
    /// The name; `None` for the default.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Default => None,
            Self::Named(name) => Some(name),
        }
    }
}

impl From<Option<String>> for Who {
    fn from(name: Option<String>) -> Self {
        name.map_or(Self::Default, Self::Named)
    }
}

/// Whom a quota is for: a user, a client id, or a user's clients of an id. At least one of
/// the two is given.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Entity {
    pub(crate) user: Option<Who>,
    pub(crate) client: Option<Who>,
}

impl Entity {
    /// Kafka's names of the types of entities.
    pub(crate) const USER: &str = "user";
    pub(crate) const CLIENT: &str = "client-id";

    /// The part of a type.
    pub(crate) fn part(&self, of_type: &str) -> Option<&Who> {
        match of_type {
            Self::USER => self.user.as_ref(),
            Self::CLIENT => self.client.as_ref(),
            _ => None,
        }
    }

    /// The parts that are given, with their types.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&'static str, &Who)> {
        let user = self.user.iter().map(|who| (Self::USER, who));
        user.chain(self.client.iter().map(|who| (Self::CLIENT, who)))
    }
}

/// What a quota bounds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    /// Bytes of produce requests a second.
    Produce,
    /// Bytes of fetched records a second.
    Fetch,
    /// Hundredths of one thread's time.
    Request,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Produce, Self::Fetch, Self::Request];

    /// Kafka's name of the quota.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
            Self::Request => "request_percentage",
        }
    }

    /// The quota of this name.
    pub(crate) fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.key() == key)
    }

    /// How much may be used in a second, in bytes or seconds.
    pub(super) fn per_second(self, value: f64) -> f64 {
        match self {
            Self::Produce | Self::Fetch => value,
            Self::Request => value / 100.0,
        }
    }

    /// Longest wait that a client is told at a time, in seconds. What it used beyond its
    /// quota is not forgotten: it waits again after the next request.
    pub(super) fn longest_wait(self) -> f64 {
        match self {
            Self::Produce | Self::Fetch => 10.0,
            Self::Request => 1.0,
        }
    }
}
