//! Which ids are known.

use crate::ws::protocol::Revocation;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
    time::Duration,
};
use tremor_ws::guard::Session;

/// Most ids that are known at once. Beyond that the oldest are forgotten that stand for nobody, and those that do only when
/// there are no others: anybody can have an id made by opening a connection.
const MOST_IDS: usize = 1 << 18;

/// What is known of an id; times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: Box<str>,
    pub(super) created_s: u64,
    pub(super) used_s: u64,
}

/// What is noted of an id.
struct Noted {
    /// Its place among those that came before and after it.
    number: u64,
    created_s: u64,
    used_s: u64,
    /// Whom it stands for; in memory only.
    sessions: Option<Arc<[Session]>>,
}

/// Who has shown an id.
struct Carrier {
    id: Box<str>,
    /// It is known by that.
    is_own: bool,
    forgotten: Weak<Revocation>,
}

/// Ids that are known.
#[derive(Default)]
pub(super) struct Jar {
    known: HashMap<Box<str>, Noted>,
    /// Those that stand for nobody, and when they expire, by number: the oldest first.
    unbound: BTreeMap<u64, (u64, Box<str>)>,
    /// Those that stand for somebody.
    bound: BTreeMap<u64, (u64, Box<str>)>,
    next_number: u64,
    /// Those who have shown an id, which hear that it was forgotten.
    carriers: Vec<Carrier>,
    /// When to look for those that are over.
    look_at: usize,
}

impl Jar {
    /// Takes over what was known before, in whatever order.
    pub(super) fn fill(&mut self, mut found: Vec<Entry>, max_age: Duration, now: u64) {
        found.sort_by_key(|entry| entry.created_s);
        for Entry { id, created_s, used_s } in found {
            self.add(id.clone(), created_s, created_s.saturating_add(max_age.as_secs()), None);
            if let Some(noted) = self.known.get_mut(&id) {
                noted.used_s = used_s;
            }
        }
        self.expire(now);
    }

    /// Adds an id, the last one to expire, that stands for these if it stands for anybody.
    pub(super) fn add(&mut self, id: Box<str>, created: u64, ends: u64, sessions: Option<Arc<[Session]>>) {
        self.remove(&id);
        let number = self.next_number;
        self.next_number += 1;
        let queue = if sessions.is_some() { &mut self.bound } else { &mut self.unbound };
        queue.insert(number, (ends, id.clone()));
        self.known.insert(id, Noted { number, created_s: created, used_s: created, sessions });
        while self.known.len() > MOST_IDS {
            let oldest = self.unbound.pop_first().or_else(|| self.bound.pop_first());
            let Some((_, (_, id))) = oldest else { return };
            self.known.remove(&id);
        }
    }

    /// Forgets what has expired.
    pub(super) fn expire(&mut self, now: u64) {
        let Self { known, unbound, bound, .. } = self;
        for queue in [unbound, bound] {
            while let Some(first) = queue.first_entry().filter(|first| first.get().0 <= now) {
                let (_, id) = first.remove();
                known.remove(&id);
            }
        }
    }

    /// Takes an id out; whether it was there.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let Some(Noted { number, .. }) = self.known.remove(id) else { return false };
        self.unbound.remove(&number).or_else(|| self.bound.remove(&number)).is_some()
    }

    /// Whether an id is known.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.known.contains_key(id)
    }

    /// Whether an id is known, which is noted then.
    pub(super) fn use_again(&mut self, id: &str, now: u64) -> bool {
        let known = self.known.get_mut(id);
        known.map(|noted| noted.used_s = now).is_some()
    }

    /// Whom an id stands for, if it is known and stands for anybody.
    pub(super) fn bound(&self, id: &str) -> Option<Arc<[Session]>> {
        self.known.get(id)?.sessions.clone()
    }

    /// An id stands for somebody from now on.
    pub(super) fn bind(&mut self, id: &str, sessions: Arc<[Session]>) {
        let Some(noted) = self.known.get_mut(id) else { return };
        noted.sessions = Some(sessions);
        if let Some(entry) = self.unbound.remove(&noted.number) {
            self.bound.insert(noted.number, entry);
        }
    }

    /// Somebody has shown this id, perhaps as one of several; `is_own`: it is known by that. `forgotten` hears of it as long
    /// as anybody else holds that.
    pub(super) fn carried(&mut self, id: &str, is_own: bool, forgotten: &Arc<Revocation>) {
        if self.carriers.len() >= self.look_at {
            self.carriers.retain(|carrier| carrier.forgotten.strong_count() > 0);
            self.look_at = 2 * self.carriers.len() + 64;
        }
        self.carriers.push(Carrier { id: id.into(), is_own, forgotten: Arc::downgrade(forgotten) });
    }

    /// Forgets an id; whether anybody had it, in a handshake at least.
    pub(super) fn forget(&mut self, id: &str) -> bool {
        let mut was_there = self.remove(id);
        for carrier in self.carriers.iter().filter(|carrier| &*carrier.id == id) {
            let Some(forgotten) = carrier.forgotten.upgrade() else { continue };
            if carrier.is_own {
                forgotten.revoke();
            } else {
                forgotten.doubt();
            }
            was_there = true;
        }
        was_there
    }

    pub(super) fn get(&self, id: &str) -> Option<Entry> {
        let &Noted { created_s, used_s, .. } = self.known.get(id)?;
        Some(Entry { id: id.into(), created_s, used_s })
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(self.known.len());
        for (id, &Noted { created_s, used_s, .. }) in &self.known {
            entries.push(Entry { id: id.clone(), created_s, used_s });
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_until_they_expire_however_often_they_are_used() {
        let mut jar = Jar::default();
        jar.add("a".into(), 100, 110, None);
        jar.add("b".into(), 105, 115, None);
        assert!(jar.use_again("a", 109) && !jar.use_again("c", 109));
        assert_eq!(jar.get("a"), Some(Entry { id: "a".into(), created_s: 100, used_s: 109 }));
        jar.expire(110);
        assert!(!jar.use_again("a", 110) && jar.use_again("b", 110));
        assert!(jar.forget("b") && !jar.forget("b"));
        jar.expire(115);
        assert!(jar.entries().is_empty() && jar.unbound.is_empty());
        // As in a file that has an id twice.
        jar.add("c".into(), 115, 120, None);
        jar.add("c".into(), 116, 121, None);
        jar.expire(120);
        assert!(jar.knows("c") && jar.unbound.len() == 1);
    }

    fn session(who: &str) -> Arc<[Session]> {
        Arc::new([Session::unlimited("staff".into(), Some(who.to_owned()), Vec::new())])
    }

    #[test]
    fn an_id_stands_for_somebody_only_as_long_as_it_is_known() {
        let who = |jar: &Jar| jar.bound("a").and_then(|sessions| sessions[0].identity.clone());
        let mut jar = Jar::default();
        jar.bind("a", session("ann"));
        assert!(!jar.knows("a") && who(&jar).is_none(), "nobody has it");
        jar.add("a".into(), 100, 110, None);
        assert_eq!(who(&jar), None);
        jar.bind("a", session("ann"));
        jar.bind("a", session("bob"));
        assert_eq!(who(&jar).as_deref(), Some("bob"));
        assert!(jar.use_again("a", 109));
        jar.expire(109);
        assert_eq!(who(&jar).as_deref(), Some("bob"));
        jar.expire(110);
        assert_eq!(who(&jar), None, "however late it was used");
        jar.add("a".into(), 110, 120, None);
        assert_eq!(who(&jar), None, "and whoever has it next is somebody else");
        jar.bind("a", session("ann"));
        assert!(jar.forget("a") && who(&jar).is_none());
    }

    #[test]
    fn handshakes_hear_of_what_is_forgotten_and_leave_nothing() {
        let (mut jar, own, other) = (Jar::default(), Arc::default(), Arc::<Revocation>::default());
        jar.carried("a", true, &own);
        jar.carried("b", true, &other);
        assert!(jar.forget("a") && !jar.forget("c"));
        assert!(own.is_refused() && !other.is_refused());
        drop((own, other));
        for _ in 0..1000 {
            jar.carried("c", false, &Arc::default());
        }
        assert!(jar.carriers.len() <= 64, "{}", jar.carriers.len());
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many() {
        let mut jar = Jar::default();
        for number in 0..=MOST_IDS {
            jar.add(number.to_string().into(), 0, 10, None);
        }
        assert!(jar.len() == MOST_IDS && !jar.use_again("0", 1) && jar.use_again("1", 1));
    }

    #[test]
    fn strangers_push_nobody_out_who_is_known() {
        let mut jar = Jar::default();
        jar.add("first".into(), 0, 10, Some(session("ann")));
        jar.add("later".into(), 0, 10, None);
        jar.bind("later", session("ben"));
        jar.add("gone".into(), 0, 10, Some(session("cleo")));
        assert!(jar.forget("gone"));
        assert_eq!((jar.bound.len(), jar.unbound.len()), (2, 0));
        for number in 0..2 * MOST_IDS {
            jar.add(number.to_string().into(), 0, 20, None);
        }
        assert_eq!(jar.len(), MOST_IDS);
        assert!(jar.bound("first").is_some() && jar.bound("later").is_some());
        let oldest = MOST_IDS + 2;
        assert!(!jar.knows(&(oldest - 1).to_string()) && jar.knows(&oldest.to_string()));
        jar.expire(10);
        assert!(!jar.knows("first") && !jar.knows("later"), "they expire all the same");
        assert_eq!((jar.bound.len(), jar.unbound.len()), (0, MOST_IDS - 2), "nothing stays behind");
    }

    #[test]
    fn where_all_are_known_the_oldest_go_and_strangers_find_no_room() {
        let mut jar = Jar::default();
        for number in 0..=MOST_IDS {
            jar.add(number.to_string().into(), 0, 10, Some(session("ann")));
        }
        assert!(jar.len() == MOST_IDS && !jar.knows("0") && jar.knows("1"));
        jar.add("stranger".into(), 0, 10, None);
        assert!(jar.len() == MOST_IDS && !jar.knows("stranger") && jar.knows("1"));
    }
}
