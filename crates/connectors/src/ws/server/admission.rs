//! How many connections are taken: in all, from one address, in a second (`spec/websocket.md` 13).

use crate::ws::{options::Settings, pace::now};
use std::{
    collections::HashMap,
    net::IpAddr,
    num::{NonZeroU64, NonZeroUsize},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tremor_connector::config::ConfigError;
use tremor_ws::Bucket;

/// What is admitted at once.
pub(super) struct Caps {
    pub(super) connections: Arc<Semaphore>,
    pub(super) handshakes: Arc<Semaphore>,
    /// Of one address.
    addresses: Option<Arc<Addresses>>,
    rate: Option<Mutex<Bucket>>,
}

/// What a connection takes up as long as it lives: its place among all, and among those of its address.
pub(super) type Slot = (OwnedSemaphorePermit, Option<Box<Place>>);

impl Caps {
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let most = NonZeroUsize::new(settings.or("max_connections_per_ip", 0)?);
        let rate = NonZeroU64::new(settings.or("accept_rate", 0)?);
        Ok(Self {
            connections: cap(settings.or("max_connections", 65_536)?),
            handshakes: cap(settings.or("max_pending_handshakes", 1024)?),
            addresses: most.map(|most| Arc::new(Addresses { most: most.get(), open: Mutex::default() })),
            rate: rate.map(|rate| Mutex::new(Bucket::new(rate, now()))),
        })
    }

    /// Whether one more connection may be taken now.
    pub(super) fn is_in_time(&self) -> bool {
        self.rate.as_ref().is_none_or(|rate| {
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.take(1, now())
        })
    }

    /// A place among the connections of this client; `None` inside if they are not counted.
    ///
    /// # Errors
    /// It has as many as it may have.
    pub(super) fn place(&self, client: IpAddr) -> Result<Option<Box<Place>>, Full> {
        self.addresses.as_ref().map(|addresses| addresses.place(client).map(Box::new)).transpose()
    }
}

/// One address has as many connections as it may have.
#[derive(Debug)]
pub(super) struct Full;

/// Connections by the address they come from.
struct Addresses {
    most: usize,
    /// Only addresses that have any.
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Addresses {
    fn place(self: &Arc<Self>, client: IpAddr) -> Result<Place, Full> {
        let client = holder(client);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(client).or_default();
        if *count >= self.most {
            return Err(Full);
        }
        *count += 1;
        Ok(Place { addresses: self.clone(), client })
    }
}

/// A place among the connections of one address; free again when dropped.
pub(super) struct Place {
    addresses: Arc<Addresses>,
    client: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}

/// Who has an address: whoever has one of IPv6 has all of its /64.
fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A semaphore of `most` permits, 0 meaning as many as there can be.
fn cap(most: usize) -> Arc<Semaphore> {
    let permits = if most == 0 { Semaphore::MAX_PERMITS } else { most.min(Semaphore::MAX_PERMITS) };
    Arc::new(Semaphore::new(permits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let addresses = Arc::new(Addresses { most: 2, open: Mutex::default() });
        let place = |address: &str| addresses.place(address.parse().unwrap());
        let (first, second) = (place("10.0.0.1").unwrap(), place("::ffff:10.0.0.1").unwrap());
        assert!(place("10.0.0.1").is_err(), "however it is written");
        let others = ["10.0.0.2", "2001:db8::1", "2001:db8::2:0:0:1", "2001:db8:0:1::1"].map(place);
        assert!(others.iter().all(Result::is_ok));
        assert!(place("2001:db8::9:9:9:9").is_err(), "the same /64");
        drop((first, others));
        assert!(place("10.0.0.1").is_ok() && place("2001:db8::9:9:9:9").is_ok());
        drop(second);
        assert!(addresses.open.lock().unwrap().is_empty(), "nothing is kept of those that are gone");
    }
}
