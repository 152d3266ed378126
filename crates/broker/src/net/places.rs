//! Places for connections: so many for all, and so many for each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Why there is no place, and where to allow more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NoPlace {
    /// `max.connections`
    #[error("{0} connections are open, as many as allowed (max.connections)")]
    Total(usize),
    /// `max.connections.per.ip`
    #[error("the address has {0} connections, as many as allowed (max.connections.per.ip)")]
    OfAddress(usize),
}

/// The connections that are open.
pub(crate) struct Places {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    total_max: usize,
    per_address_max: usize,
    total: usize,
    of_address: HashMap<IpAddr, usize>,
}

impl Places {
    /// None, until some are allowed.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { open: Mutex::default() })
    }

    /// So many may be taken from now on: in all, and of one address. Those that are taken
    /// stay.
    pub(crate) fn allow(&self, total_max: usize, per_address_max: usize) {
        let mut open = self.open.lock();
        (open.total_max, open.per_address_max) = (total_max, per_address_max);
    }

    /// A place for a connection from an address.
    ///
    /// # Errors
    /// All that it may have are taken.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, NoPlace> {
        // The same machine, whichever way it came.
        let address = address.to_canonical();
        let mut open = self.open.lock();
        if open.total >= open.total_max {
            return Err(NoPlace::Total(open.total_max));
        }
        if open.of_address.get(&address).copied().unwrap_or(0) >= open.per_address_max {
            return Err(NoPlace::OfAddress(open.per_address_max));
        }
        open.total += 1;
        *open.of_address.entry(address).or_default() += 1;
        Ok(Place { places: self.clone(), address })
    }
}

/// A place that is taken until this is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open.lock();
        open.total -= 1;
        if let Some(count) = open.of_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.of_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections: usize, connections_per_ip: usize) -> Arc<Places> {
        let places = Places::new();
        places.allow(connections, connections_per_ip);
        places
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_address_has_its_own_and_all_share_the_total() {
        let places = places(3, 2);
        let (here, there) = (address("10.0.0.1"), address("10.0.0.2"));
        let one = places.take(here).expect("a place");
        let _two = places.take(here).expect("a place");
        assert_eq!(places.take(here).err(), Some(NoPlace::OfAddress(2)));
        let _three = places.take(there).expect("others are not concerned");
        assert_eq!(places.take(there).err(), Some(NoPlace::Total(3)));
        drop(one);
        let _again = places.take(here).expect("free again");
        assert_eq!(places.take(there).err(), Some(NoPlace::Total(3)));
        places.allow(4, 1);
        assert_eq!(places.take(here).err(), Some(NoPlace::OfAddress(1)));
        assert_eq!(places.take(there).err(), Some(NoPlace::OfAddress(1)));
        let _other = places.take(address("10.0.0.3")).expect("allowed now");
    }

    #[test]
    fn an_address_in_either_form_is_one_and_is_forgotten_at_the_end() {
        let places = places(10, 1);
        let place = places.take(address("::ffff:10.0.0.1")).expect("a place");
        assert_eq!(places.take(address("10.0.0.1")).err(), Some(NoPlace::OfAddress(1)));
        drop(place);
        assert!(places.open.lock().of_address.is_empty());
        assert!(places.take(address("10.0.0.1")).is_ok());
    }
}
