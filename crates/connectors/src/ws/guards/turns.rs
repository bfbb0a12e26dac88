//! Who has a turn at what is slow by intention.

use std::{
    collections::{HashSet, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Addresses that are remembered.
const MOST_FRIENDS: usize = 4096;

/// Turns at comparing passwords, a few at once.
///
/// Passwords may come from many addresses, more than there is time for. No order of them is fair then: in their own order
/// all would wait until it is too late for them. So each address that waits has the same chance, however often it
/// waits. And every other turn is for addresses from which a right password has come before, in their own order: whoever
/// sends wrong ones gets none of these.
pub(super) struct Turns {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    at_work: usize,
    next_id: u64,
    /// Addresses from which a right password has come, the oldest one first.
    friends: VecDeque<IpAddr>,
    are_friends: HashSet<IpAddr>,
    known: VecDeque<Waiting>,
    strangers: Vec<(IpAddr, VecDeque<Waiting>)>,
    /// The last turn was for one of those that are known.
    was_known: bool,
}

struct Waiting {
    id: u64,
    tell: oneshot::Sender<Turn>,
}

/// A turn, until it is dropped.
pub(super) struct Turn(Option<Arc<Turns>>);

impl Turns {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn; whoever has no `address` is known. Cancel safe.
    pub(super) async fn turn(self: &Arc<Self>, address: Option<IpAddr>) -> Turn {
        let (tell, told) = oneshot::channel();
        let id = {
            let mut state = self.lock();
            if state.at_work < self.most {
                state.at_work += 1;
                return Turn(Some(self.clone()));
            }
            state.wait(address, tell)
        };
        // Whoever does not wait any more takes no memory.
        let _left_in_the_end = Leaving { turns: self, id };
        // Nobody waits who is not told: only who leaves is taken off the list without.
        told.await.unwrap_or(Turn(None))
    }

    /// A right password has come from `address`.
    pub(super) fn befriend(&self, address: IpAddr) {
        let mut state = self.lock();
        if state.are_friends.insert(address) {
            state.friends.push_back(address);
            if state.friends.len() > MOST_FRIENDS
                && let Some(oldest) = state.friends.pop_front()
            {
                state.are_friends.remove(&oldest);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn knows(&self, address: IpAddr) -> bool {
        self.lock().are_friends.contains(&address)
    }

    /// A turn is over: the next one has it.
    fn hand_on(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                let drawn = getrandom::u32().unwrap_or_default();
                match state.next(usize::try_from(drawn).unwrap_or_default()) {
                    Some(next) => next,
                    None => {
                        state.at_work -= 1;
                        return;
                    }
                }
            };
            match next.tell.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // It has left just now.
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

impl State {
    fn wait(&mut self, address: Option<IpAddr>, tell: oneshot::Sender<Turn>) -> u64 {
        self.next_id += 1;
        let waiting = Waiting { id: self.next_id, tell };
        match address.filter(|address| !self.are_friends.contains(address)) {
            None => self.known.push_back(waiting),
            Some(stranger) => match self.strangers.iter_mut().find(|(address, _)| *address == stranger) {
                Some((_, waits)) => waits.push_back(waiting),
                None => self.strangers.push((stranger, [waiting].into())),
            },
        }
        self.next_id
    }

    /// Takes off who is next. `drawn` is any number.
    fn next(&mut self, drawn: usize) -> Option<Waiting> {
        let is_for_known = self.strangers.is_empty() || !self.was_known;
        if is_for_known && let Some(known) = self.known.pop_front() {
            self.was_known = true;
            return Some(known);
        }
        self.was_known = false;
        let number = drawn.checked_rem(self.strangers.len())?;
        let (_, waits) = self.strangers.get_mut(number)?;
        let next = waits.pop_front();
        if waits.is_empty() {
            self.strangers.swap_remove(number);
        }
        next
    }

    fn leave(&mut self, id: u64) {
        self.known.retain(|waiting| waiting.id != id);
        self.strangers.retain_mut(|(_, waits)| {
            waits.retain(|waiting| waiting.id != id);
            !waits.is_empty()
        });
    }
}

struct Leaving<'t> {
    turns: &'t Turns,
    id: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.turns.lock().leave(self.id);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.hand_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, poll};
    use std::pin::Pin;

    fn address(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    type Waits<'t> = Pin<Box<dyn Future<Output = Turn> + 't>>;

    /// Those who wait, by the number of their address; 0 has none.
    async fn waiting<'t>(turns: &'t Arc<Turns>, numbers: &[u8]) -> Vec<(u8, Waits<'t>)> {
        let mut all: Vec<(u8, Waits<'t>)> = Vec::new();
        for number in numbers {
            let from = (*number > 0).then(|| address(*number));
            let mut waits: Waits<'t> = Box::pin(turns.turn(from));
            assert!(poll!(&mut waits).is_pending());
            all.push((*number, waits));
        }
        all
    }

    /// Ends `turn`, and gives who has the next one.
    fn pass(turn: Turn, waiting: &mut Vec<(u8, Waits<'_>)>) -> (u8, Turn) {
        drop(turn);
        let mut served = None;
        waiting.retain_mut(|(number, waits)| match waits.now_or_never() {
            None => true,
            Some(turn) => {
                assert!(served.replace((*number, turn)).is_none(), "one at a time");
                false
            }
        });
        served.unwrap()
    }

    #[tokio::test]
    async fn every_other_turn_is_for_those_who_are_known_and_the_rest_for_any_address() {
        let turns = Turns::new(1);
        turns.befriend(address(1));
        let mut turn = turns.turn(Some(address(9))).await;
        let many: Vec<u8> = (10..200).chain([1, 1, 0]).collect();
        let mut all = waiting(&turns, &many).await;
        let mut order = Vec::new();
        for _ in 0..8 {
            let served;
            (served, turn) = pass(turn, &mut all);
            order.push(served);
        }
        let known: Vec<u8> = order.iter().copied().filter(|number| *number < 10).collect();
        assert_eq!(known, [1, 1, 0]);
        assert_eq!((order[0], order[2], order[4]), (1, 1, 0), "{order:?}");
        drop((turn, all));
        let state = turns.lock();
        assert!(state.known.is_empty() && state.strangers.is_empty() && state.at_work == 0);
    }

    #[test]
    fn an_address_that_waits_often_has_no_more_chances_than_others() {
        let mut state = State::default();
        for number in [1, 1, 1, 1, 1, 2] {
            state.wait(Some(address(number)), oneshot::channel().0);
        }
        assert_eq!(state.next(7).map(|waiting| waiting.id), Some(6), "the second of two addresses");
        assert_eq!(state.next(7).map(|waiting| waiting.id), Some(1), "and of one");
    }

    #[tokio::test]
    async fn who_leaves_is_forgotten_and_passes_on_what_it_was_just_given() {
        let turns = Turns::new(1);
        let turn = turns.turn(None).await;
        let mut all = waiting(&turns, &[1, 2, 2, 0]).await;
        all.truncate(1);
        let left = {
            let state = turns.lock();
            (state.strangers.len(), state.known.len())
        };
        assert_eq!(left, (1, 0));
        drop(turn);
        // It has its turn, and nobody takes that.
        drop(all);
        assert!(turns.turn(None).now_or_never().is_some());
        assert_eq!(turns.lock().at_work, 0);
    }

    #[test]
    fn friends_are_bounded() {
        let turns = Turns::new(1);
        for number in 0..10_000_u32 {
            turns.befriend(IpAddr::V4(number.into()));
            turns.befriend(IpAddr::V4(number.into()));
        }
        let state = turns.lock();
        assert_eq!((state.friends.len(), state.are_friends.len()), (MOST_FRIENDS, MOST_FRIENDS));
        assert!(state.are_friends.contains(&IpAddr::V4(9999.into())));
    }
}
