//! Which quotas are set, and which one holds for a client.

use std::collections::BTreeMap;

use super::entity::{Entity, Kind, Who};

/// Whose use is counted together.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Counted {
    user: Option<String>,
    client: Option<String>,
}

/// All quotas that are set.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Table(BTreeMap<Entity, BTreeMap<Kind, f64>>);

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of entities.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Entity, &BTreeMap<Kind, f64>)> {
        self.0.iter()
    }

    /// The quotas of an entity.
    pub(super) fn of(&self, entity: &Entity) -> BTreeMap<Kind, f64> {
        self.0.get(entity).cloned().unwrap_or_default()
    }

    /// Replaces the quotas of an entity.
    pub(super) fn set(&mut self, entity: Entity, quotas: BTreeMap<Kind, f64>) {
        if quotas.is_empty() {
            self.0.remove(&entity);
        } else {
            self.0.insert(entity, quotas);
        }
    }

    /// The quota that holds for a client, and whose use counts against it. The more it
    /// says of whom it is for, the more it counts, and a user more than a client id
    /// (KIP-55).
    pub(super) fn find(&self, kind: Kind, user: &str, client: &str) -> Option<(f64, Counted)> {
        let user_named = || Some(Who::Named(user.to_owned()));
        let client_named = || Some(Who::Named(client.to_owned()));
        let default = || Some(Who::Default);
        let order = [
            Entity { user: user_named(), client: client_named() },
            Entity { user: user_named(), client: default() },
            Entity { user: user_named(), client: None },
            Entity { user: default(), client: client_named() },
            Entity { user: default(), client: default() },
            Entity { user: default(), client: None },
            Entity { user: None, client: client_named() },
            Entity { user: None, client: default() },
        ];
        order.into_iter().find_map(|entity| {
            let value = *self.0.get(&entity)?.get(&kind)?;
            let counted = Counted {
                user: entity.user.map(|_| user.to_owned()),
                client: entity.client.map(|_| client.to_owned()),
            };
            Some((value, counted))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(user: Option<&str>, client: Option<&str>) -> Entity {
        let who = |name: &str| match name {
            "*" => Who::Default,
            name => Who::Named(name.to_owned()),
        };
        Entity { user: user.map(who), client: client.map(who) }
    }

    #[test]
    fn the_most_particular_quota_holds() {
        let mut table = Table::default();
        let mut expected = None;
        // From the least to the most particular.
        for (value, (user, client)) in (1..).zip([
            (None, Some("*")),
            (None, Some("c")),
            (Some("*"), None),
            (Some("*"), Some("*")),
            (Some("*"), Some("c")),
            (Some("u"), None),
            (Some("u"), Some("*")),
            (Some("u"), Some("c")),
        ]) {
            assert_eq!(table.find(Kind::Produce, "u", "c"), expected);
            table.set(entity(user, client), BTreeMap::from([(Kind::Produce, f64::from(value))]));
            let counted = Counted {
                user: user.map(|_| "u".to_owned()),
                client: client.map(|_| "c".to_owned()),
            };
            expected = Some((f64::from(value), counted));
        }
        assert_eq!(table.find(Kind::Produce, "u", "c"), expected);
        assert_eq!(table.find(Kind::Fetch, "u", "c"), None, "each kind by itself");
        let other = table.find(Kind::Produce, "other", "c").map(|(value, _)| value);
        assert_eq!(other, Some(5.0));
    }
}
