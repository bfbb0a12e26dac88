//! How many connections are taken: in all, from one address, in a second (`spec/websocket.md` 13).

use crate::ws::{options::Settings, pace::now};
use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tremor_connector::config::ConfigError;
use tremor_ws::{Bucket, LargeMessages};

/// What is admitted at once.
pub(super) struct Caps {
    pub(super) connections: Arc<Semaphore>,
    pub(super) handshakes: Arc<Semaphore>,
    /// Of one address.
    addresses: Option<Arc<Counted<IpAddr>>>,
    /// Of one identity.
    people: Option<Arc<Counted<Person>>>,
    rate: Option<Mutex<Bucket>>,
    /// Connections of HTTP/2, which are none themselves but could be as many.
    carriers: Arc<Semaphore>,
    /// Those of one address.
    carriers_of: Option<Arc<Counted<IpAddr>>>,
    /// What large messages of all connections take.
    pub(super) large: Option<Arc<LargeMessages>>,
}

/// What large messages may take together unless a single one may be larger.
const LARGE_BYTES: usize = 1 << 30;

/// The place of a connection of HTTP/2 among all of them, and among those of its address.
pub(super) type Carried = (OwnedSemaphorePermit, Option<Place<IpAddr>>);

/// Whom a guard, or the flow where the name is empty, has found to be somebody of that identity.
pub(super) type Person = (Arc<str>, String);

/// What a connection takes up as long as it lives: its place among all, among those of its address, and among those of
/// its identity.
pub(super) struct Slot {
    pub(super) _of_all: OwnedSemaphorePermit,
    pub(super) of_address: Option<Box<Place<IpAddr>>>,
    pub(super) of_identity: Option<Box<Place<Person>>>,
}

/// What large messages of all connections may take, if that has a bound: room for a message there is unless somebody says
/// otherwise.
fn large(
    settings: &mut Settings<'_>,
    max_message: Option<usize>,
) -> Result<Option<Arc<LargeMessages>>, ConfigError> {
    let default = max_message.map_or(0, |max| max.max(LARGE_BYTES));
    let most = settings.or("max_large_messages_size", default)?;
    if let Some(max) = max_message.filter(|max| (1..*max).contains(&most)) {
        settings.warn(&format!(
            "`max_large_messages_size` is {most}: it has no room for a message that is as long as `max_message_size` allows, {max}"
        ));
    }
    Ok((most > 0).then(|| Arc::new(LargeMessages::new(most))))
}

impl Caps {
    /// `knows_identities`: somebody says who clients are. No message has more than `max_message` bytes, unless that is `None`.
    pub(super) fn read(
        settings: &mut Settings<'_>,
        knows_identities: bool,
        max_message: Option<usize>,
    ) -> Result<Self, ConfigError> {
        let of_address = settings.or("max_connections_per_ip", 0)?;
        let of_identity = of_identity(settings, knows_identities)?;
        let most = settings.or("max_connections", 65_536)?;
        for (key, of_one) in
            [("max_connections_per_ip", of_address), ("max_connections_per_identity", of_identity)]
        {
            if (1..of_one).contains(&most) {
                settings.warn(&format!("`{key}` has no effect: `max_connections` is less, {most}"));
            }
        }
        let rate = NonZeroU64::new(settings.or("accept_rate", 0)?);
        Ok(Self {
            connections: cap(most),
            carriers: cap(most),
            carriers_of: Counted::at_most(of_address),
            handshakes: cap(settings.or("max_pending_handshakes", 1024)?),
            addresses: Counted::at_most(of_address),
            people: Counted::at_most(of_identity),
            rate: rate.map(|rate| Mutex::new(Bucket::new(rate, now()))),
            large: large(settings, max_message)?,
        })
    }

    /// A place for a connection of HTTP/2; `client` if those of its address are counted.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub(super) fn carried(&self, client: Option<IpAddr>) -> Result<Carried, Full> {
        let place = self.carriers.clone().try_acquire_owned().map_err(|_| Full)?;
        let of_client = self.carriers_of.as_ref().zip(client);
        Ok((place, of_client.map(|(all, client)| all.place(holder(client))).transpose()?))
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
    pub(super) fn place(&self, client: IpAddr) -> Result<Option<Box<Place<IpAddr>>>, Full> {
        self.addresses.as_ref().map(|addresses| addresses.place(holder(client)).map(Box::new)).transpose()
    }

    /// The same among the connections of `person`, if anybody knows who it is.
    ///
    /// # Errors
    /// It has as many as it may have.
    pub(super) fn place_of(&self, person: Option<Person>) -> Result<Option<Box<Place<Person>>>, Full> {
        let Some((people, person)) = self.people.as_ref().zip(person) else { return Ok(None) };
        people.place(person).map(|place| Some(Box::new(place)))
    }
}

/// `max_connections_per_identity`.
fn of_identity(settings: &mut Settings<'_>, knows_identities: bool) -> Result<usize, ConfigError> {
    let Some(entry) = settings.entry("max_connections_per_identity")? else { return Ok(0) };
    let most = entry.read()?;
    if most > 0 && !knows_identities {
        let problem =
            "can have no effect: nothing says who clients are (`guards`, `authorize` and `cookie` do)";
        return Err(entry.conflict(problem));
    }
    Ok(most)
}

/// Somebody has as many connections as they may have.
#[derive(Debug)]
pub(in crate::ws) struct Full;

/// Connections, or whatever else has to end before there may be more, by whose they are.
pub(in crate::ws) struct Counted<K> {
    most: usize,
    /// Only of those who have any.
    open: Mutex<HashMap<K, usize>>,
}

impl<K: Eq + Hash + Clone> Counted<K> {
    pub(in crate::ws) fn at_most(most: usize) -> Option<Arc<Self>> {
        (most > 0).then(|| Arc::new(Self { most, open: Mutex::default() }))
    }

    /// One more of theirs.
    ///
    /// # Errors
    /// They have as many as they may have.
    pub(in crate::ws) fn place(self: &Arc<Self>, whose: K) -> Result<Place<K>, Full> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&whose) {
            Some(count) if *count >= self.most => return Err(Full),
            Some(count) => *count += 1,
            None => {
                open.insert(whose.clone(), 1);
            }
        }
        Ok(Place { among: self.clone(), whose })
    }
}

/// A place among the connections of somebody; free again when dropped.
pub(in crate::ws) struct Place<K: Eq + Hash> {
    among: Arc<Counted<K>>,
    whose: K,
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut open = self.among.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.whose);
            }
        }
    }
}

/// Who has an address: whoever has one of IPv6 has all of its /64.
pub(in crate::ws) fn holder(address: IpAddr) -> IpAddr {
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
        let addresses = Counted::at_most(2).unwrap();
        let place = |address: &str| addresses.place(holder(address.parse().unwrap()));
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
