//! What holds for every policy of a full queue, whatever comes and goes.

use super::{tests::Told, *};
use proptest::prelude::*;
use tremor_codec::{Definition, NameAndConfig, Registry};
use tremor_event::Outcome;

#[derive(Clone, Debug)]
enum Step {
    /// Elements with so many letters behind their number, and under this key; to everybody or not.
    Put {
        lens: Vec<usize>,
        key: Option<u64>,
        is_broadcast: bool,
        pings: bool,
    },
    Ping,
    Take,
    /// So many of what was taken are written.
    Write(usize),
    /// The connection breaks: what was taken comes back.
    PutBack,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let put = (
        prop::collection::vec(0..20_usize, 1..6),
        prop::option::of(0..3_u64),
        any::<bool>(),
        prop::bool::weighted(0.2),
    );
    let step = prop_oneof![
        4 => put.prop_map(|(lens, key, is_broadcast, pings)| Step::Put { lens, key, is_broadcast, pings }),
        1 => Just(Step::Ping),
        2 => Just(Step::Take),
        3 => (1..8_usize).prop_map(Step::Write),
        1 => Just(Step::PutBack),
    ];
    prop::collection::vec(step, 1..60)
}

fn encoder() -> Encoder {
    let definition = Definition::of_codec(NameAndConfig::from_value(&"string".into()).unwrap());
    Registry::standard().resolver(&definition).unwrap().encoder()
}

/// An outbox, what was put into it, and what a connection has in its hands.
struct World {
    outbox: Outbox,
    taken: Messages,
    /// How many of those are written.
    written: usize,
    next: u64,
    told: Vec<(Arc<Told>, bool)>,
    /// Numbers in the order in which they were written.
    seen: Vec<u64>,
}

impl World {
    fn new(limits: SendQueue) -> Self {
        let outbox = Outbox::new(encoder(), limits, Arc::default());
        outbox.tell_pressure();
        Self { outbox, taken: Messages::default(), written: 0, next: 0, told: Vec::new(), seen: Vec::new() }
    }

    fn put(&mut self, lens: &[usize], key: Option<u64>, is_broadcast: bool) {
        self.put_asking(lens, Asked { key: key.map(Value::from), ..Asked::default() }, is_broadcast);
    }

    fn put_asking(&mut self, lens: &[usize], asked: Asked, is_broadcast: bool) {
        let (meta, id) = (Value::record(), EventId::default());
        let values: Vec<Value> = lens
            .iter()
            .map(|len| {
                self.next += 1;
                format!("{:04}{}", self.next, "x".repeat(*len)).into()
            })
            .collect();
        let told: Vec<_> = values.iter().map(|_| Arc::new(Told::default())).collect();
        let receipts: Vec<Receipt> = told.iter().map(|told| Receipt::to(told.clone())).collect();
        let items: Vec<Item<'_>> = tests::items(&values, &meta, &id)
            .into_iter()
            .zip(&receipts)
            .map(|(item, receipt)| Item { receipt: Some(receipt), ..item })
            .collect();
        let asked = (asked != Asked::default()).then(|| Arc::new(asked));
        let extras = vec![Extra { asked, ..Extra::default() }; items.len()];
        let mut put = self.outbox.put(&items, &extras, is_broadcast, &mut |refused| panic!("{refused}"));
        let may_wait = matches!(self.outbox.when_full(), WhenFull::Wait);
        if put.outcome == Put::Full && !may_wait {
            assert_eq!(put.dropped, 0, "nobody knows yet whether the socket is full");
            self.outbox.gets_stuck();
            let rest = (&items[put.taken..], &extras[put.taken..]);
            let before = put.taken;
            put = self.outbox.put(rest.0, rest.1, is_broadcast, &mut |refused| panic!("{refused}"));
            put.taken += before;
        }
        self.outbox.counters().received(put.taken as u64);
        assert!(put.taken == items.len() || may_wait && put.outcome == Put::Full, "{put:?}");
        assert!(!may_wait || put.dropped == 0);
        for (told, receipt) in told.into_iter().zip(receipts).take(put.taken) {
            receipt.settle(Outcome::Discarded);
            self.told.push((told, is_broadcast));
        }
    }

    fn take(&mut self) {
        if self.written == self.taken.len() {
            self.taken.clear();
            self.written = 0;
            self.outbox.take(&mut self.taken);
        }
    }

    fn write(&mut self, count: usize) {
        let messages: Vec<(Vec<u8>, bool, bool)> = self
            .taken
            .iter()
            .skip(self.written)
            .take(count)
            .map(|message| (message.payload.to_vec(), message.ends != Ends::Nothing, message.is_ping))
            .collect();
        for (payload, is_last, is_ping) in messages {
            let mut answers = Answers::default();
            if is_last {
                answers.element(&mut self.taken, self.written, true);
                self.outbox.counters().written(1);
            }
            if !is_ping {
                self.seen.push(std::str::from_utf8(&payload[..4]).unwrap().parse().unwrap());
            }
            answers.tell();
            self.written += 1;
            self.outbox.wrote(1, payload.len());
        }
    }

    fn put_back(&mut self) {
        self.outbox.put_back(&mut self.taken, self.written);
        self.taken = Messages::default();
        self.written = 0;
    }

    /// What always holds.
    fn check(&self, limits: &SendQueue) {
        let state = self.outbox.lock();
        let (messages, mut bytes) = state.held();
        // One element passes alone, whatever it is, and a ping is a message. Where what waits is dropped, the newest element
        // waits even if what is being written takes all the room, and has half of the bytes in any case.
        let mut alone = 2;
        if limits.when_full.drops_waiting() {
            alone = 4;
            let held = state.waiting.bytes() + state.under_way.1;
            bytes -= held.saturating_sub(limits.bytes / 2);
        }
        drop(state);
        assert!(messages <= limits.messages.max(2) + alone - 2, "{messages} messages");
        // The last one may reach beyond.
        assert!(messages <= alone || bytes <= limits.bytes + 28, "{messages} messages with {bytes} bytes");
        assert!(self.seen.is_sorted_by(|one, other| one < other), "{:?}", self.seen);
        let totals = self.outbox.counters().totals();
        assert_eq!(totals.received, totals.written + totals.failed + totals.dropped + totals.waiting);
    }
}

proptest! {
    #[test]
    fn bounds_hold_order_is_kept_and_every_element_has_one_end(
        steps in steps(),
        policy in prop::sample::select(vec![
            WhenFull::Wait,
            WhenFull::DropNewest,
            WhenFull::DropOldest,
            WhenFull::Conflate,
        ]),
        messages in 1..8_usize,
        bytes in 4..80_usize,
    ) {
        let limits = SendQueue { messages, bytes, when_full: policy };
        let mut world = World::new(limits);
        for step in &steps {
            match step {
                Step::Put { lens, key, is_broadcast, pings } => {
                    let ping = pings.then(|| b"ping".to_vec());
                    let asked = Asked { key: key.map(Value::from), ping, ..Asked::default() };
                    world.put_asking(lens, asked, *is_broadcast);
                }
                Step::Ping => {
                    let is_full = world.outbox.is_full();
                    prop_assert!(!world.outbox.ping(b"ping") || !is_full);
                }
                Step::Take => world.take(),
                Step::Write(count) => world.write(*count),
                Step::PutBack => world.put_back(),
            }
            world.check(&limits);
        }
        // What nobody writes any more fails.
        let unwritten = world.written;
        world.outbox.fail(&mut world.taken, unwritten);
        world.outbox.close();
        let totals = world.outbox.counters().totals();
        prop_assert_eq!(totals.waiting, 0);
        prop_assert_eq!(totals.received, world.told.len() as u64);
        let (mut delivered, mut failed) = (0, 0);
        for (told, is_broadcast) in &world.told {
            match (&told.0.lock().unwrap()[..], is_broadcast) {
                // Nobody waits for what becomes of it.
                ([Outcome::Discarded], true) => {}
                ([Outcome::Delivered { .. }], false) => delivered += 1,
                ([Outcome::Failed], false) => failed += 1,
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(delivered <= totals.written && failed <= totals.failed + totals.dropped);
        prop_assert!(totals.failed <= failed, "what was for everybody has not failed");
    }
}

/// What waits after `puts`, each a number and its key, in a queue for three messages.
fn waiting(when_full: WhenFull, puts: &[(u64, &str)]) -> Vec<u64> {
    let mut world = World::new(SendQueue { messages: 3, bytes: 1000, when_full });
    for (number, key) in puts {
        world.next = number - 1;
        let key = (!key.is_empty()).then_some(key.len() as u64);
        world.put(&[0], key, false);
    }
    while !world.outbox.is_empty() {
        world.take();
        world.write(usize::MAX);
    }
    world.seen
}

#[test]
fn each_policy_leaves_out_what_it_says() {
    let puts = [(1, ""), (2, ""), (3, ""), (4, ""), (5, "")];
    assert_eq!(waiting(WhenFull::DropNewest, &puts), [1, 2, 3]);
    assert_eq!(waiting(WhenFull::DropOldest, &puts), [3, 4, 5]);
    assert_eq!(waiting(WhenFull::Conflate, &puts), [3, 4, 5]);
    let (a, b, c) = ("a", "bb", "ccc");
    // Nothing is left out while there is room; then all that waits under the key.
    assert_eq!(waiting(WhenFull::Conflate, &[(1, a), (2, a), (3, b)]), [1, 2, 3]);
    assert_eq!(waiting(WhenFull::Conflate, &[(1, a), (2, b), (3, a), (4, a)]), [2, 4]);
    assert_eq!(waiting(WhenFull::Conflate, &[(1, a), (2, b), (3, c), (4, b)]), [1, 3, 4]);
    // Without any under the key, what has waited longest.
    assert_eq!(waiting(WhenFull::Conflate, &[(1, a), (2, a), (3, b), (4, c)]), [2, 3, 4]);
}

#[test]
fn what_is_being_written_is_not_dropped_and_takes_room() {
    let mut world = World::new(SendQueue { messages: 3, bytes: 1000, when_full: WhenFull::DropOldest });
    world.put(&[0, 0, 0], None, false);
    world.take();
    assert_eq!(world.taken.len(), 1, "the others may still be dropped");
    world.put(&[0, 0], None, false);
    world.write(1);
    while !world.outbox.is_empty() {
        world.take();
        world.write(usize::MAX);
    }
    assert_eq!(world.seen, [1, 4, 5]);
}

/// What is written of four messages of which the first one, of so many letters, is being written when the others come.
fn written_behind(first: usize, limits: SendQueue) -> Vec<u64> {
    let mut world = World::new(limits);
    world.put(&[first], Some(1), false);
    world.take();
    for key in [2, 3, 2] {
        world.put(&[0], Some(key), false);
    }
    while !world.outbox.is_empty() || world.written < world.taken.len() {
        world.write(usize::MAX);
        world.take();
    }
    world.seen
}

#[test]
fn the_newest_waits_even_if_what_is_being_written_takes_all_the_room() {
    for (when_full, written) in [
        (WhenFull::DropNewest, vec![1]),
        (WhenFull::DropOldest, vec![1, 4]),
        (WhenFull::Conflate, vec![1, 4]),
    ] {
        let limits = SendQueue { messages: 1, bytes: 1000, when_full };
        assert_eq!(written_behind(0, limits), written, "{when_full:?}");
    }
}

#[test]
fn half_of_the_bytes_are_for_what_waits_where_that_may_be_dropped() {
    for (when_full, written) in [
        (WhenFull::DropNewest, vec![1]),
        (WhenFull::DropOldest, vec![1, 3, 4]),
        (WhenFull::Conflate, vec![1, 3, 4]),
    ] {
        let limits = SendQueue { messages: 10, bytes: 16, when_full };
        assert_eq!(written_behind(100, limits), written, "{when_full:?}");
    }
}

#[test]
fn pressure_is_told_once_until_it_is_over() {
    let mut world = World::new(SendQueue { messages: 10, bytes: 1000, when_full: WhenFull::Wait });
    world.put(&[0; 8], None, false);
    assert_eq!(
        (world.outbox.take_pressure(), world.outbox.news()),
        (None, 0),
        "four fifths are not more than that"
    );
    world.put(&[0], None, false);
    assert_eq!((world.outbox.take_pressure(), world.outbox.news()), (Some((9, 36)), PRESSURE));
    world.put(&[0], None, false);
    world.take();
    world.write(3);
    world.put(&[0, 0], None, false);
    assert_eq!(world.outbox.take_pressure(), None, "it has not been over");
    world.write(7);
    world.put(&[0; 8], None, false);
    assert_eq!(world.outbox.take_pressure(), Some((10, 40)));
}

#[test]
fn an_outbox_that_ends_its_connection_takes_more_only_for_the_next_one() {
    let close = || Ending::Said { code: 4000, reason: "".into() };
    let mut world = World::new(SendQueue::default());
    world.put(&[0, 0], None, false);
    assert!(world.outbox.end(close()) && !world.outbox.end(close()));
    assert_eq!((world.outbox.ending(), world.outbox.news()), (None, ENDING), "two wait in front of it");
    let (meta, id, values) = (Value::record(), EventId::default(), [Value::from("0009")]);
    let items = tests::items(&values, &meta, &id);
    let put = world.outbox.put(&items, &[], false, &mut |refused| panic!("{refused}"));
    assert_eq!((put.taken, put.outcome), (0, Put::Closed));

    let mut world = World::new(SendQueue::default());
    world.outbox = world.outbox.of_one_at_a_time();
    world.put(&[0, 0], None, false);
    world.outbox.end(close());
    world.put(&[0], None, false);
    world.take();
    assert_eq!((world.taken.len(), world.outbox.ending()), (2, Some(close())));
    world.write(1);
    world.put_back();
    assert_eq!(world.outbox.ending(), None, "one came back");
    world.outbox.reset(encoder());
    assert_eq!(world.outbox.news(), 0);
    world.take();
    world.write(usize::MAX);
    assert_eq!(world.seen, [1, 2, 3]);
}

#[test]
fn what_waits_goes_out_in_front_of_the_end_whatever_the_policy_and_nothing_behind_it() {
    for when_full in [WhenFull::Wait, WhenFull::DropOldest, WhenFull::Conflate] {
        let mut world = World::new(SendQueue { messages: 10, bytes: 1000, when_full });
        world.put(&[0, 0, 0], Some(1), false);
        assert!(world.outbox.ping(b"ping"));
        world.outbox.end(Ending::GoingAway);
        assert!(!world.outbox.ping(b"late"));
        while world.outbox.ending().is_none() || world.written < world.taken.len() {
            world.take();
            world.write(usize::MAX);
        }
        assert_eq!((world.seen, world.outbox.held()), (vec![1, 2, 3], (0, 0)), "{when_full:?}");
    }
}

#[test]
fn an_end_that_an_event_asks_for_is_there_until_it_is_obeyed() {
    let ending = Ending::Said { code: 4000, reason: "".into() };
    let close = Asked { close: Some(ending.clone()), ..Asked::default() };
    let mut world = World::new(SendQueue::default());
    world.outbox = world.outbox.of_one_at_a_time();
    world.put_asking(&[0], close, false);
    // A connection breaks before, and the next one ends like this.
    world.outbox.reset(encoder());
    assert_eq!(world.outbox.news(), ENDING);
    world.take();
    world.write(1);
    assert_eq!(world.outbox.ending(), Some(ending));
    world.outbox.reset(encoder());
    assert_eq!((world.outbox.news(), world.outbox.ending()), (0, None));
}
