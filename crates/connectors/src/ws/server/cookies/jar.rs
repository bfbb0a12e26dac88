//! Which ids are known.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Release},
    },
    time::Duration,
};
use tremor_ws::guard::Session;

/// Most ids that are known at once; beyond that the oldest are forgotten: whoever opens connections makes them.
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
    created_s: u64,
    used_s: u64,
    /// Whom it stands for; in memory only.
    sessions: Option<Arc<[Session]>>,
}

/// Ids that are known.
#[derive(Default)]
pub(super) struct Jar {
    known: HashMap<Box<str>, Noted>,
    /// When each expires, the oldest first; also of those that were forgotten before.
    ends: VecDeque<(u64, Box<str>)>,
    /// Handshakes under way with an id, which hear that it was forgotten.
    passing: Vec<(Box<str>, Weak<AtomicBool>)>,
    /// When to look for those that are over.
    look_at: usize,
}

impl Jar {
    /// Takes over what was known before, in whatever order.
    pub(super) fn fill(&mut self, mut found: Vec<Entry>, max_age: Duration, now: u64) {
        found.sort_by_key(|entry| entry.created_s);
        for Entry { id, created_s, used_s } in found {
            self.add(id.clone(), created_s, created_s.saturating_add(max_age.as_secs()));
            if let Some(noted) = self.known.get_mut(&id) {
                noted.used_s = used_s;
            }
        }
        self.expire(now);
    }

    /// Adds an id, the last one to expire.
    pub(super) fn add(&mut self, id: Box<str>, created: u64, ends: u64) {
        self.known.insert(id.clone(), Noted { created_s: created, used_s: created, sessions: None });
        self.ends.push_back((ends, id));
        while self.ends.len() > MOST_IDS {
            self.drop_oldest();
        }
    }

    /// Forgets what has expired.
    pub(super) fn expire(&mut self, now: u64) {
        while self.ends.front().is_some_and(|(ends, _)| *ends <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, id)) = self.ends.pop_front() {
            self.known.remove(&id);
        }
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
        if let Some(noted) = self.known.get_mut(id) {
            noted.sessions = Some(sessions);
        }
    }

    /// A handshake is under way with this id: `forgotten` becomes true if it is forgotten meanwhile.
    pub(super) fn pass(&mut self, id: &str, forgotten: &Arc<AtomicBool>) {
        if self.passing.len() >= self.look_at {
            self.passing.retain(|(_, forgotten)| forgotten.strong_count() > 0);
            self.look_at = 2 * self.passing.len() + 64;
        }
        self.passing.push((id.into(), Arc::downgrade(forgotten)));
    }

    /// Forgets an id; whether anybody had it, in a handshake at least.
    pub(super) fn forget(&mut self, id: &str) -> bool {
        let mut was_there = self.known.remove(id).is_some();
        for carrier in
            self.passing.iter().filter(|(own, _)| &**own == id).filter_map(|(_, own)| own.upgrade())
        {
            carrier.store(true, Release);
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
    use std::sync::atomic::Ordering::Acquire;

    #[test]
    fn ids_are_known_until_they_expire_however_often_they_are_used() {
        let mut jar = Jar::default();
        jar.add("a".into(), 100, 110);
        jar.add("b".into(), 105, 115);
        assert!(jar.use_again("a", 109) && !jar.use_again("c", 109));
        assert_eq!(jar.get("a"), Some(Entry { id: "a".into(), created_s: 100, used_s: 109 }));
        jar.expire(110);
        assert!(!jar.use_again("a", 110) && jar.use_again("b", 110));
        assert!(jar.forget("b") && !jar.forget("b"));
        jar.expire(115);
        assert!(jar.entries().is_empty() && jar.ends.is_empty());
    }

    #[test]
    fn an_id_stands_for_somebody_only_as_long_as_it_is_known() {
        let session = |who: &str| -> Arc<[Session]> {
            Arc::new([Session::unlimited("staff".into(), Some(who.to_owned()), Vec::new())])
        };
        let who = |jar: &Jar| jar.bound("a").and_then(|sessions| sessions[0].identity.clone());
        let mut jar = Jar::default();
        jar.bind("a", session("ann"));
        assert!(!jar.knows("a") && who(&jar).is_none(), "nobody has it");
        jar.add("a".into(), 100, 110);
        assert_eq!(who(&jar), None);
        jar.bind("a", session("ann"));
        jar.bind("a", session("bob"));
        assert_eq!(who(&jar).as_deref(), Some("bob"));
        assert!(jar.use_again("a", 109));
        jar.expire(109);
        assert_eq!(who(&jar).as_deref(), Some("bob"));
        jar.expire(110);
        assert_eq!(who(&jar), None, "however late it was used");
        jar.add("a".into(), 110, 120);
        assert_eq!(who(&jar), None, "and whoever has it next is somebody else");
        jar.bind("a", session("ann"));
        assert!(jar.forget("a") && who(&jar).is_none());
    }

    #[test]
    fn handshakes_hear_of_what_is_forgotten_and_leave_nothing() {
        let (mut jar, own) = (Jar::default(), Arc::new(AtomicBool::new(false)));
        let other = Arc::new(AtomicBool::new(false));
        jar.pass("a", &own);
        jar.pass("b", &other);
        assert!(jar.forget("a") && !jar.forget("c"));
        assert!(own.load(Acquire) && !other.load(Acquire));
        drop((own, other));
        for _ in 0..1000 {
            jar.pass("c", &Arc::default());
        }
        assert!(jar.passing.len() <= 64, "{}", jar.passing.len());
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many() {
        let mut jar = Jar::default();
        for number in 0..=MOST_IDS {
            jar.add(number.to_string().into(), 0, 10);
        }
        assert!(jar.len() == MOST_IDS && !jar.use_again("0", 1) && jar.use_again("1", 1));
    }
}
