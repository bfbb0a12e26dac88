use super::*;
use crate::replay::{Alike, Reach, private::MOST_IDLE};
use proptest::{collection::vec, prelude::*};

const FIRST: u64 = 1000;

fn ring(keep: Keep) -> Ring<u64> {
    Ring::new(keep, FIRST)
}

fn person(name: &str) -> Person {
    name.into()
}

fn everybody() -> Audience {
    Audience { reach: Reach::All, except: SmallVec::new() }
}

fn of_people(people: SmallVec<[Person; 1]>) -> Audience {
    Audience::new(Reach::Some { people, alike: None }, SmallVec::new())
}

fn only(names: &[&str]) -> Audience {
    of_people(names.iter().map(|name| person(name)).collect())
}

/// Those of a `where` that looks like that, and maybe can be like it only if they have that identity.
fn like(wanted: &str, name: Option<&str>) -> Audience {
    let names = name.map(|name| SmallVec::from_iter([person(name)]));
    let alike = Some(Alike { filter: Value::from(wanted), names });
    Audience::new(Reach::Some { people: SmallVec::new(), alike }, SmallVec::new())
}

/// Puts a message in, whose content is its id.
fn put(ring: &mut Ring<u64>, audience: Audience, now: Instant) -> u64 {
    let id = ring.next_id();
    ring.keep((id, 10), audience, SmallVec::new(), now);
    id
}

fn resumed(ring: &mut Ring<u64>, asked: Option<u64>, name: Option<&str>, now: Instant) -> Resumed<u64> {
    ring.resume(asked, (name.map(person).as_ref(), None), &|_| false, now)
}

#[test]
fn a_client_goes_on_where_it_was() {
    let (mut ring, now) = (ring(Keep::default()), Instant::now());
    let ids: Vec<u64> = (0..5).map(|_| put(&mut ring, everybody(), now)).collect();
    assert_eq!(ids, [1001, 1002, 1003, 1004, 1005]);
    let all = |asked| resumed(&mut ring, asked, None, now);
    let [fresh, begun, middle, end, zero] = [None, Some(1000), Some(1003), Some(1005), Some(0)].map(all);
    assert_eq!((fresh.is_resumed, fresh.after, &fresh.messages[..]), (false, 1005, &[][..]));
    assert_eq!((begun.after, &begun.messages), (1000, &ids));
    assert_eq!((middle.after, middle.last, &middle.messages[..]), (1003, 1005, &[1004, 1005][..]));
    assert_eq!((end.after, &end.messages[..]), (1005, &[][..]));
    assert_eq!((zero.gap, &zero.messages), (None, &ids), "nothing was there before");
}

#[test]
fn what_is_gone_is_told() {
    let (mut ring, now) = (ring(Keep { messages: 3, ..Keep::default() }), Instant::now());
    (0..5).for_each(|_| _ = put(&mut ring, everybody(), now));
    for (asked, gap, after) in [
        (1000, Some(Gap::Lost { from: 1001, to: 1002 }), 1002),
        (1001, Some(Gap::Lost { from: 1002, to: 1002 }), 1002),
        (1002, None, 1002),
        (0, Some(Gap::Lost { from: 1001, to: 1002 }), 1002),
        // Of a program that ran before.
        (7, Some(Gap::Lost { from: 8, to: 1002 }), 1002),
        (1006, Some(Gap::Unknown { asked: 1006 }), 1002),
        (u64::MAX, Some(Gap::Unknown { asked: u64::MAX }), 1002),
    ] {
        let found = resumed(&mut ring, Some(asked), None, now);
        assert_eq!((found.gap, found.after), (gap, after), "{asked}");
        assert_eq!(found.messages, (after + 1..=1005).collect::<Vec<_>>(), "{asked}");
    }
}

#[test]
fn messages_bytes_and_age_are_bounded() {
    let now = Instant::now();
    let mut by_bytes = ring(Keep { bytes: 35, ..Keep::default() });
    (0..5).for_each(|_| _ = put(&mut by_bytes, everybody(), now));
    assert_eq!(by_bytes.size(), (3, 30, 3));
    by_bytes.keep((1006, 36), everybody(), SmallVec::new(), now);
    assert_eq!(by_bytes.size(), (3, 30, 3), "what does not fit at all pushes nothing out");
    let found = resumed(&mut by_bytes, Some(1005), None, now);
    assert_eq!((found.gap, found.after), (Some(Gap::Lost { from: 1006, to: 1006 }), 1006));
    let found = resumed(&mut by_bytes, Some(1000), None, now);
    assert_eq!((found.gap, found.after), (Some(Gap::Lost { from: 1001, to: 1006 }), 1002));
    assert_eq!(found.messages, [1003, 1004, 1005], "what is there is sent");

    let age = Duration::from_secs(1);
    let mut by_age = ring(Keep { age: Some(age), ..Keep::default() });
    put(&mut by_age, everybody(), now);
    put(&mut by_age, everybody(), now + age / 2);
    let found = resumed(&mut by_age, Some(1000), None, now + age);
    assert_eq!((found.gap, found.messages), (Some(Gap::Lost { from: 1001, to: 1001 }), vec![1002]));
}

#[test]
fn whom_a_message_is_for_counts_where_those_are_many() {
    let (mut ring, now) = (ring(Keep::default()), Instant::now());
    let many: SmallVec<_> = (0..10_000).map(|number| person(&number.to_string())).collect();
    ring.keep((1001, 10), of_people(many.clone()), SmallVec::new(), now);
    assert!(ring.size().1 > 160_000, "{:?}", ring.size());
    assert_eq!(resumed(&mut ring, Some(1000), Some("777"), now).messages, [1001]);
    assert!(resumed(&mut ring, Some(1000), Some("x"), now).messages.is_empty());
    for _ in 0..10 {
        put(&mut ring, of_people(many.clone()), now);
    }
    assert!(ring.size().0 < 10 && ring.size().1 <= 1024 * 1024, "{:?}", ring.size());
}

#[test]
fn nobody_is_sent_what_is_for_others() {
    let (mut ring, now) = (ring(Keep::default()), Instant::now());
    put(&mut ring, only(&["ada"]), now);
    put(&mut ring, only(&["bob", "ada"]), now);
    put(&mut ring, Audience::new(Reach::All, SmallVec::from_iter([person("bob")])), now);
    put(&mut ring, like("left", None), now);
    for (name, expected) in [
        (Some("ada"), &[1001, 1002, 1003][..]),
        (Some("bob"), &[1002]),
        (None, &[1003]),
        (Some("eve"), &[1003]),
    ] {
        assert_eq!(resumed(&mut ring, Some(1000), name, now).messages, expected, "{name:?}");
    }
    let like_that = ring.resume(Some(1000), (None, None), &|wanted| *wanted == Value::from("left"), now);
    assert_eq!(like_that.messages, [1003, 1004]);
}

#[test]
fn who_acknowledges_goes_on_behind_that_and_makes_room() {
    let (mut ring, now) = (ring(Keep::default()), Instant::now());
    put(&mut ring, only(&["ada"]), now);
    put(&mut ring, only(&["ada", "bob"]), now);
    put(&mut ring, only(&["ada"]), now);
    put(&mut ring, everybody(), now);
    let ada = person("ada");
    for nonsense in [0, 7, 1000, 1005, u64::MAX] {
        ring.acknowledge((&ada, None), nonsense);
        assert_eq!(ring.size().0, 4, "{nonsense}");
        assert!(!resumed(&mut ring, None, Some("ada"), now).is_resumed, "{nonsense}");
    }
    ring.acknowledge((&ada, None), 1002);
    assert_eq!(ring.size().0, 3, "bob may still want the second");
    let found = resumed(&mut ring, None, Some("ada"), now);
    assert_eq!((found.after, found.gap, found.messages), (1002, None, vec![1003, 1004]));
    ring.acknowledge((&ada, None), 1001);
    assert_eq!(resumed(&mut ring, None, Some("ada"), now).after, 1002, "it is not taken back");
    assert_eq!(resumed(&mut ring, Some(1000), Some("ada"), now).gap, None, "it has had what is gone");
    assert!(!resumed(&mut ring, None, Some("bob"), now).is_resumed);
}

#[test]
fn what_was_acknowledged_leaves_nothing_behind() {
    let (mut ring, now) = (ring(Keep::default()), Instant::now());
    put(&mut ring, everybody(), now);
    for _ in 0..10_000 {
        let id = put(&mut ring, only(&["ada"]), now);
        ring.acknowledge((&person("ada"), None), id);
        assert!(ring.size().0 == 1 && ring.size().2 <= 68, "{:?}", ring.size());
    }
}

#[test]
fn a_connection_takes_the_place_of_one_that_has_gone() {
    let (mut ring, now) = (ring(Keep::default()), Instant::now());
    let ada = person("ada");
    let successor = |ring: &Ring<u64>| ring.gone().map(|gone| gone.successor).collect::<Vec<_>>();
    ring.join(1, (&ada, None), false);
    ring.join(2, (&ada, None), false);
    assert_eq!(ring.leave((1, 1), &ada, Value::default(), now), None);
    assert_eq!(successor(&ring), [None], "the other one was there before and is another window");
    ring.join(3, (&ada, None), true);
    assert_eq!(successor(&ring), [Some(3)]);
    ring.join(4, (&person("bob"), None), true);
    assert_eq!(successor(&ring), [Some(3)]);
    // One that is dead, though nobody has noticed yet, is still sent what is for it.
    let conns = SmallVec::from_iter([2]);
    ring.keep((1001, 10), of_people(SmallVec::from_iter([ada.clone()])), conns, now);
    assert_eq!(ring.leave((2, 2), &ada, Value::default(), now), Some((3, vec![1001])));
    assert_eq!(ring.leave((3, 3), &ada, Value::default(), now), None);
    assert_eq!(successor(&ring), [None, None, None]);
}

#[test]
fn a_connection_is_not_replaced_by_one_that_was_there_before_it() {
    let (mut ring, now) = (ring(Keep::default()), Instant::now());
    let ada = person("ada");
    ring.join(1, (&ada, None), true);
    ring.join(2, (&ada, None), false);
    ring.keep((1001, 10), only(&["ada"]), SmallVec::from_iter([2]), now);
    assert_eq!(ring.leave((2, 2), &ada, Value::default(), now), None);
    assert_eq!(ring.gone().map(|gone| gone.successor).collect::<Vec<_>>(), [None]);
}

#[test]
fn memory_of_clients_is_bounded() {
    let (mut ring, now) = (ring(Keep::default()), Instant::now());
    let id = put(&mut ring, everybody(), now);
    let loyal = person("loyal");
    ring.acknowledge((&loyal, None), id);
    ring.join(1, (&loyal, None), true);
    for number in 0..40_000_u64 {
        let one = person(&number.to_string());
        ring.acknowledge((&one, None), id);
        ring.join(number + 2, (&one, None), true);
        ring.leave((number + 2, number), &one, Value::default(), now);
    }
    assert!(ring.people.len() <= MOST_PEOPLE + 1, "{}", ring.people.len());
    assert!(ring.away.len() <= 2 * MOST_PEOPLE + 2 && ring.absent.len() <= MOST_ABSENT);
    assert!(resumed(&mut ring, None, Some("loyal"), now).is_resumed, "whoever is there is not forgotten");
    assert!(!resumed(&mut ring, None, Some("0"), now).is_resumed);
}

#[test]
fn nobody_pushes_out_the_messages_of_others() {
    let (mut ring, now) = (ring(Keep { messages: 6, ..Keep::default() }), Instant::now());
    (0..5).for_each(|_| _ = put(&mut ring, everybody(), now));
    let own = [put(&mut ring, only(&["ada"]), now), put(&mut ring, only(&["ada"]), now)];
    (0..40).for_each(|_| _ = put(&mut ring, only(&["eve"]), now));
    let all: Vec<u64> = (1001..=1005).chain(own).collect();
    let found = resumed(&mut ring, Some(1000), Some("ada"), now);
    assert_eq!((found.gap, found.messages), (None, all), "she has missed nothing");
    assert_eq!(resumed(&mut ring, Some(1000), None, now).gap, None);
    // Who has most loses its oldest, and is told of it.
    let found = resumed(&mut ring, Some(1000), Some("eve"), now);
    assert_eq!(found.gap, Some(Gap::Lost { from: 1001, to: 1043 }));
    assert_eq!(found.messages, (1001..=1005).chain(1044..=1047).collect::<Vec<_>>());
    assert_eq!(found.after, 1000);
    assert_eq!(resumed(&mut ring, Some(1043), Some("eve"), now).gap, None);
    // Broadcasts do no harm to private ones.
    (0..40).for_each(|_| _ = put(&mut ring, everybody(), now));
    let found = resumed(&mut ring, Some(1005), Some("ada"), now);
    assert_eq!(found.gap, Some(Gap::Lost { from: 1006, to: 1081 }));
    assert_eq!(found.messages, own.into_iter().chain(1082..=1087).collect::<Vec<_>>());
    assert_eq!(ring.size().0, 12);
}

#[test]
fn of_those_who_have_most_bytes_the_greatest_loses() {
    let (mut ring, now) = (ring(Keep { bytes: 100, ..Keep::default() }), Instant::now());
    for (name, bytes, times) in [("ada", 5, 4), ("bob", 60, 1), ("eve", 1, 30)] {
        for _ in 0..times {
            ring.keep((ring.next_id(), bytes), only(&[name]), SmallVec::new(), now);
        }
    }
    let counts =
        ["ada", "bob", "eve"].map(|name| resumed(&mut ring, Some(1000), Some(name), now).messages.len());
    assert_eq!(counts, [4, 0, 30]);
    assert_eq!(ring.size().1, 50);
    // One that is larger than all the room harms not even its own.
    ring.keep((ring.next_id(), 101), only(&["ada"]), SmallVec::new(), now);
    let found = resumed(&mut ring, Some(1000), Some("ada"), now);
    assert_eq!((found.messages.len(), found.gap), (4, Some(Gap::Lost { from: 1001, to: 1036 })));
}

#[test]
fn of_equals_the_one_with_the_oldest_message_loses_it() {
    let (mut ring, now) = (ring(Keep { messages: 3, ..Keep::default() }), Instant::now());
    for name in ["bob", "eve", "ada", "zoe"] {
        put(&mut ring, only(&[name]), now);
    }
    let counts = ["bob", "eve", "ada", "zoe"]
        .map(|name| resumed(&mut ring, Some(1000), Some(name), now).messages.len());
    assert_eq!(counts, [0, 1, 1, 1]);
}

#[test]
fn a_message_of_several_is_kept_until_none_of_them_has_it() {
    let (mut ring, now) = (ring(Keep { messages: 3, ..Keep::default() }), Instant::now());
    put(&mut ring, only(&["ada", "bob"]), now);
    (0..3).for_each(|_| _ = put(&mut ring, only(&["ada"]), now));
    // It is hers no more, but is there.
    assert_eq!(ring.size().0, 3);
    let found = resumed(&mut ring, Some(1000), Some("ada"), now);
    assert_eq!(
        (found.gap, found.messages),
        (Some(Gap::Lost { from: 1001, to: 1002 }), vec![1001, 1003, 1004])
    );
    ring.acknowledge((&person("bob"), None), 1001);
    assert_eq!(ring.size().0, 2);
    assert_eq!(resumed(&mut ring, Some(1000), Some("bob"), now).gap, None, "he has had it");
    let found = resumed(&mut ring, Some(1000), Some("ada"), now);
    assert_eq!((found.gap, found.messages.len()), (Some(Gap::Lost { from: 1001, to: 1002 }), 2));
    // What has been acknowledged is not missed.
    ring.acknowledge((&person("ada"), None), 1002);
    assert_eq!(resumed(&mut ring, Some(1000), Some("ada"), now).gap, None);
}

#[test]
fn what_is_for_an_identity_takes_no_room_of_others_and_is_missed_by_nobody_else() {
    let (mut ring, now) = (ring(Keep { messages: 2, ..Keep::default() }), Instant::now());
    put(&mut ring, everybody(), now);
    (0..5).for_each(|_| _ = put(&mut ring, like("ada", Some("ada")), now));
    let mut told = |name: Option<&str>| {
        let found = ring.resume(Some(1000), (None, name), &|wanted| wanted.as_str() == name, now);
        (found.gap, found.messages)
    };
    assert_eq!(told(Some("ada")), (Some(Gap::Lost { from: 1001, to: 1004 }), vec![1001, 1005, 1006]));
    assert_eq!(told(Some("bob")), (None, vec![1001]));
    assert_eq!(told(None), (None, vec![1001]));
}

#[test]
fn who_acknowledges_makes_room_of_what_was_for_its_identity_unless_others_have_that_too() {
    let (mut ring, now) = (ring(Keep { messages: 3, ..Keep::default() }), Instant::now());
    let (ada, name) = (person("guard:ada"), person("ada"));
    let to_ada = || like("ada", Some("ada"));
    (0..3).for_each(|_| _ = put(&mut ring, to_ada(), now));
    let like_ada = |ring: &mut Ring<u64>, person: &Person| {
        let found = ring.resume(
            Some(1000),
            (Some(person), Some("ada")),
            &|wanted| wanted.as_str() == Some("ada"),
            now,
        );
        (found.gap, found.messages)
    };
    ring.acknowledge((&ada, Some(&name)), 1001);
    assert_eq!(ring.size().0, 3, "nobody has come by that name");
    ring.join(1, (&ada, Some(&name)), false);
    ring.acknowledge((&ada, Some(&name)), 1002);
    assert_eq!(ring.size().0, 1);
    assert_eq!(like_ada(&mut ring, &ada), (None, vec![1003]), "she has had the others");
    // Of what is for two, the other one still has it.
    put(&mut ring, only(&["guard:ada", "bob"]), now);
    ring.acknowledge((&ada, Some(&name)), 1004);
    assert_eq!((ring.size().0, resumed(&mut ring, Some(1000), Some("bob"), now).messages), (1, vec![1004]));
    put(&mut ring, to_ada(), now);
    let other = person("other:ada");
    ring.join(2, (&other, Some(&name)), false);
    ring.acknowledge((&ada, Some(&name)), 1005);
    assert_eq!(like_ada(&mut ring, &other), (None, vec![1005]));
    // What other messages push out has been acknowledged by one of them only.
    (0..3).for_each(|_| _ = put(&mut ring, to_ada(), now));
    let lost = Some(Gap::Lost { from: 1001, to: 1006 });
    assert_eq!(like_ada(&mut ring, &other), (lost, vec![1007, 1008]));
}

#[test]
fn names_are_bounded() {
    let mut ring = ring(Keep::default());
    for number in 0..100_000_u64 {
        let one = person(&number.to_string());
        ring.join(number, (&one, Some(&one)), false);
        assert!(ring.names.len() <= 2 * MOST_PEOPLE);
    }
}

#[test]
fn who_is_of_no_group_has_not_missed_what_was_for_groups() {
    let (mut ring, now) = (ring(Keep { messages: 1, ..Keep::default() }), Instant::now());
    let group = |number: u64| like(&number.to_string(), None);
    (0..64).for_each(|number| _ = put(&mut ring, group(number), now));
    put(&mut ring, group(0), now);
    put(&mut ring, group(99), now);
    let mut gap = |asked, number: u64| {
        let is_of = |wanted: &Value| *wanted == Value::from(number.to_string());
        ring.resume(Some(asked), (None, None), &is_of, now).gap
    };
    assert_eq!(gap(1000, 500), None);
    assert_eq!(gap(1000, 0), Some(Gap::Lost { from: 1001, to: 1065 }));
    assert_eq!(gap(1000, 1), Some(Gap::Lost { from: 1001, to: 1002 }));
    assert_eq!(gap(1002, 1), None);
    // Where there are more groups than are remembered, too many are told rather than too few.
    put(&mut ring, group(100), now);
    let mut gap = |asked| ring.resume(Some(asked), (None, None), &|_| false, now).gap;
    assert_eq!(gap(1000), Some(Gap::Lost { from: 1001, to: 1002 }));
    assert_eq!(gap(1002), None);
    // A group that takes a page to say is told as all.
    put(&mut ring, like(&"x".repeat(2000), None), now);
    put(&mut ring, everybody(), now);
    assert_eq!(resumed(&mut ring, Some(1066), None, now).gap, Some(Gap::Lost { from: 1067, to: 1068 }));
}

#[test]
fn whose_losses_are_forgotten_is_told_of_a_gap() {
    let (mut ring, now) = (ring(Keep { bytes: 5, ..Keep::default() }), Instant::now());
    let count = MOST_IDLE as u64 + 10;
    (0..count).for_each(|number| _ = put(&mut ring, only(&[&number.to_string()]), now));
    let [owners, .., idle] = ring.private.sizes();
    assert_eq!((owners, idle), (MOST_IDLE, MOST_IDLE));
    let mut gap = |name: &str, asked| resumed(&mut ring, Some(asked), Some(name), now).gap;
    assert_eq!(gap("0", 1000), Some(Gap::Lost { from: 1001, to: 1010 }), "its own was the first");
    assert_eq!(gap("new", 1000), Some(Gap::Lost { from: 1001, to: 1010 }), "nobody knows");
    assert_eq!(gap("new", 1010), None);
    assert_eq!(gap("10", 1000), Some(Gap::Lost { from: 1001, to: 1011 }));
    assert_eq!(resumed(&mut ring, Some(1000), None, now).gap, None, "that was for nobody whom nobody knows");
    // Long names are not remembered.
    let long = "x".repeat(300);
    put(&mut ring, only(&[&long]), now);
    assert_eq!(ring.private.sizes(), [MOST_IDLE, 0, 0, MOST_IDLE]);
    assert!(resumed(&mut ring, Some(1011), Some(&long), now).gap.is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Keep(u8, u8),
    Pass,
    Acknowledge(u8, i8),
    Wait(u8),
    Resume(Option<i8>, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), 0_u8..40).prop_map(|(whom, bytes)| Step::Keep(whom, bytes)),
        1 => Just(Step::Pass),
        2 => (0_u8..3, any::<i8>()).prop_map(|(who, id)| Step::Acknowledge(who, id)),
        1 => (0_u8..50).prop_map(Step::Wait),
        3 => (any::<Option<i8>>(), 0_u8..4).prop_map(|(asked, who)| Step::Resume(asked, who)),
    ]
}

const NAMES: [&str; 3] = ["ada", "bob", "eve"];

fn audience(whom: u8) -> Audience {
    let people = NAMES.iter().enumerate().filter(|(bit, _)| whom & (1 << bit) != 0);
    let people = people.map(|(_, name)| person(name)).collect();
    match whom & 0x18 {
        0x18 => Audience::new(Reach::All, people),
        0x10 => everybody(),
        _ => of_people(people),
    }
}

proptest! {
    /// Whatever happens, a client is sent exactly what is for it behind where it goes on; and what it should have been
    /// sent and was not lies in the gap that it is told of, or was acknowledged by itself.
    #[test]
    fn nothing_is_lost_silently(
        messages in 1_usize..6,
        bytes in 1_usize..100,
        age in proptest::option::of(1_u64..100),
        steps in vec(step(), 1..80),
    ) {
        let keep = Keep { messages, bytes, age: age.map(Duration::from_millis) };
        let (mut ring, mut now) = (ring(keep), Instant::now());
        let mut sent: Vec<(u64, Audience)> = Vec::new();
        let mut acked = [FIRST; 3];
        for step in steps {
            match step {
                Step::Keep(whom, bytes) => {
                    let id = ring.next_id();
                    ring.keep((id, bytes.into()), audience(whom), SmallVec::new(), now);
                    sent.push((id, audience(whom)));
                    prop_assert!(ring.common.len() <= messages && ring.common.bytes() <= keep.bytes);
                    prop_assert!(ring.private_messages <= messages && ring.private_bytes <= keep.bytes);
                    prop_assert!(ring.size().2 <= 4 * messages + 68);
                    let there = ring.entries.iter().filter_map(|entry| entry.kept.as_ref());
                    prop_assert_eq!(there.count(), ring.size().0);
                    let [owners, by_messages, by_bytes, idle] = ring.private.sizes();
                    prop_assert!(by_messages == by_bytes && owners == by_messages + idle);
                }
                Step::Pass => ring.pass(),
                Step::Wait(ms) => now += Duration::from_millis(ms.into()),
                Step::Acknowledge(who, id) => {
                    let id = FIRST.saturating_add_signed(id.into());
                    let acked = &mut acked[usize::from(who)];
                    ring.acknowledge((&person(NAMES[usize::from(who)]), None), id);
                    if id < ring.next_id() {
                        *acked = id.max(*acked);
                    }
                }
                Step::Resume(asked, who) => {
                    let who = usize::from(who);
                    let asked = asked.map(|asked| FIRST.saturating_add_signed(asked.into()));
                    let name = NAMES.get(who).map(|name| person(name));
                    let found = ring.resume(asked, (name.as_ref(), None), &|_| false, now);
                    let own = acked.get(who).copied().unwrap_or(FIRST);
                    prop_assert!(found.messages.is_sorted() && found.after <= found.last);
                    prop_assert!(found.messages.iter().all(|id| *id > found.after));
                    if let (Some(asked), None) = (asked, found.gap) {
                        prop_assert_eq!(asked, found.after);
                    }
                    let is_for_it = |audience: &Audience| audience.admits(name.as_ref(), &|_| false);
                    for id in &found.messages {
                        let (_, audience) = sent.iter().find(|(sent, _)| sent == id).unwrap();
                        prop_assert!(is_for_it(audience));
                    }
                    let had = asked.unwrap_or(if own > FIRST { own } else { found.last });
                    if let Some(Gap::Lost { from, to }) = found.gap.filter(|_| had >= FIRST) {
                        let is_gone = |(id, audience): &(u64, Audience)| {
                            (from..=to).contains(id) && is_for_it(audience) && !found.messages.contains(id)
                        };
                        prop_assert!(sent.iter().any(is_gone), "{}..{} after {}", from, to, had);
                    }
                    for (id, _) in sent.iter().filter(|(id, audience)| *id > had && is_for_it(audience)) {
                        let is_told = matches!(found.gap, Some(Gap::Lost { from, to }) if from <= *id && *id <= to);
                        prop_assert!(is_told || *id <= own || found.messages.contains(id), "{} after {}", id, had);
                    }
                }
            }
        }
    }
}
