use super::*;
use bytes::Bytes;
use futures_util::FutureExt;
use tremor_codec::{Chunks, Definition, Encoder, NameAndConfig, Postprocessor, ProcessError, Registry};
use tremor_event::{Listener, Outcome, Settlement};
use tremor_value::{Payload, json};

fn outbox(limits: SendQueue) -> Outbox {
    let definition = Definition::of_codec(NameAndConfig::from_value(&"json".into()).unwrap());
    let encoder = Registry::standard().resolver(&definition).unwrap().encoder();
    Outbox::new(encoder, limits, Arc::default())
}

/// An element of an event of its own for each of `values`.
pub(crate) fn items<'a>(values: &'a [Value], meta: &'a Value, id: &'a EventId) -> Vec<Item<'a>> {
    let item = |value: &'a Value| Item {
        element: Element { content: value.into(), meta: meta.into() },
        id,
        ingest_ns: 0,
        ends_event: true,
        receipt: None,
    };
    values.iter().map(item).collect()
}

fn put(outbox: &Outbox, numbers: std::ops::Range<u64>) -> (usize, Put) {
    let (meta, id) = (Value::record(), EventId::default());
    let values: Vec<Value> = numbers.map(Value::from).collect();
    let items = items(&values, &meta, &id);
    let Taken { taken, outcome, .. } = outbox.put(&items, &[], false, &mut |refused| panic!("{refused}"));
    outbox.counters().received(taken as u64);
    (taken, outcome)
}

fn texts(messages: &Messages) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8(message.payload.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn it_takes_what_there_is_room_for_and_tells_when_there_is_more() {
    let outbox = outbox(SendQueue { messages: 2, ..SendQueue::default() });
    assert_eq!(put(&outbox, 0..5), (2, Put::Full));
    let mut room = Box::pin(outbox.room());
    assert!(room.as_mut().now_or_never().is_none());
    assert!(outbox.bell().rang().now_or_never().is_some());
    let mut taken = Messages::default();
    outbox.take(&mut taken);
    assert_eq!(texts(&taken), ["0", "1"]);
    assert!(room.as_mut().now_or_never().is_none(), "what is being written counts");
    outbox.wrote(1, 1);
    assert!(room.now_or_never().is_some());
    assert_eq!(put(&outbox, 2..4), (1, Put::Full));
    outbox.wrote(1, 1);
    assert_eq!(put(&outbox, 3..4), (1, Put::All));
}

/// Gives all that came as one chunk, in the end.
#[derive(Default)]
struct Joining(Vec<u8>);

impl Postprocessor for Joining {
    fn process(&mut self, _: u64, chunk: &[u8], _: &mut Chunks) -> Result<(), ProcessError> {
        self.0.extend_from_slice(chunk);
        Ok(())
    }

    fn finish(&mut self, _: u64, out: &mut Chunks) -> Result<(), ProcessError> {
        out.push(&mem::take(&mut self.0));
        Ok(())
    }

    fn is_streaming(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn stages_of_one_connection_at_a_time_are_finished_behind_every_event() {
    let (meta, id) = (Value::record(), EventId::default());
    let values = [1_u64, 2, 3].map(Value::from);
    for (is_single, expected) in [(true, &["12", "3"][..]), (false, &[])] {
        let definition = Definition::of_codec(NameAndConfig::from_value(&"json".into()).unwrap());
        let codec = Registry::standard().resolver(&definition).unwrap().codec();
        let encoder = Encoder::new(codec, vec![Box::<Joining>::default()]);
        let outbox = Outbox::new(encoder, SendQueue::default(), Arc::default());
        let outbox = if is_single { outbox.of_one_at_a_time() } else { outbox };
        let mut items = items(&values, &meta, &id);
        items[0].ends_event = false;
        outbox.put(&items, &[], false, &mut |refused| panic!("{refused}"));
        let mut taken = Messages::default();
        outbox.take(&mut taken);
        assert_eq!(texts(&taken), expected);
    }
}

#[tokio::test]
async fn a_policy_acts_only_where_whoever_writes_is_stuck() {
    for when_full in [WhenFull::DropNewest, WhenFull::DropOldest, WhenFull::Conflate] {
        let outbox = outbox(SendQueue { messages: 2, when_full, ..SendQueue::default() });
        assert_eq!(put(&outbox, 0..5), (2, Put::Full), "{when_full:?}");
        let mut room = Box::pin(outbox.room());
        assert!(room.as_mut().now_or_never().is_none());
        outbox.gets_stuck();
        assert!(room.now_or_never().is_some(), "who waits has to know");
        assert_eq!(put(&outbox, 2..5), (3, Put::All));
        assert_eq!(outbox.held().0, 2);
        let mut taken = Messages::default();
        outbox.take(&mut taken);
        outbox.wrote(1, 1);
        assert_eq!(put(&outbox, 5..8), (1, Put::Full), "the socket has taken something since");
        outbox.gets_stuck();
        outbox.goes_on();
        assert_eq!(put(&outbox, 6..8), (0, Put::Full));
        // Nobody writes to a connection that is not there.
        outbox.goes_away();
        assert_eq!(put(&outbox, 6..8), (2, Put::All));
    }
}

#[tokio::test]
async fn bytes_are_bounded_and_one_larger_message_passes_alone() {
    let outbox = outbox(SendQueue { bytes: 3, ..SendQueue::default() });
    assert_eq!(put(&outbox, 12_345..12_350), (1, Put::Full));
}

#[tokio::test]
async fn what_was_not_written_comes_first_again() {
    let outbox = outbox(SendQueue::default());
    put(&outbox, 0..3);
    let mut taken = Messages::default();
    outbox.take(&mut taken);
    put(&outbox, 3..5);
    outbox.put_back(&mut taken, 1);
    let mut again = Messages::default();
    outbox.take(&mut again);
    assert_eq!(texts(&again), ["1", "2", "3", "4"]);
    assert_eq!(again.elements_from(0), 4);
}

/// Puts a message of this many bytes that other connections are sent, too.
fn put_shared(outbox: &Outbox, bytes: usize) -> (Arc<Shared>, Put) {
    let definition = Definition::of_codec(NameAndConfig::from_value(&"string".into()).unwrap());
    let mut encoder = Registry::standard().resolver(&definition).unwrap().encoder();
    let (meta, id, value) = (Value::record(), EventId::default(), Value::from("s".repeat(bytes)));
    let element = Element { content: (&value).into(), meta: (&meta).into() };
    let item = Item { element, id: &id, ingest_ns: 0, ends_event: true, receipt: None };
    let shared = Arc::new(Shared::new(&mut encoder, &item, FrameType::Text));
    let extra = Extra { shared: Some(shared.clone()), ..Extra::default() };
    let Taken { taken, outcome, .. } =
        outbox.put(&[item], &[extra], false, &mut |refused| panic!("{refused}"));
    outbox.counters().received(taken as u64);
    (shared, outcome)
}

#[tokio::test]
async fn what_is_shared_keeps_its_place_and_takes_room_like_all_else() {
    let outbox = outbox(SendQueue { bytes: 8, ..SendQueue::default() });
    put(&outbox, 0..1);
    let (shared, _) = put_shared(&outbox, 3);
    put(&outbox, 1..2);
    put_shared(&outbox, 2);
    assert_eq!(outbox.held().0, 4);
    assert_eq!(outbox.lock().waiting.bytes(), 7);
    let mut taken = Messages::default();
    outbox.take(&mut taken);
    assert_eq!(texts(&taken), ["0", "sss", "1", "ss"]);
    put(&outbox, 2..3);
    assert_eq!(put_shared(&outbox, 1).1, Put::Full, "what is shared and being written counts");
    for kept in [3, 2, 1] {
        outbox.put_back(&mut taken, 1);
        taken.clear();
        outbox.take(&mut taken);
        assert_eq!(texts(&taken), ["sss", "1", "ss", "2"][3 - kept..]);
    }
    assert_eq!((taken.elements_from(0), Arc::strong_count(&shared)), (2, 1), "and it is let go");
}

const MIB: usize = 1 << 20;

/// The text of an array of a little more than so many bytes.
fn array(bytes: usize) -> Bytes {
    format!("[{}1]", "1,".repeat(bytes / 2)).into()
}

/// Puts the payload that `text` stands for, once `change` was done to it.
fn put_document(outbox: &Outbox, text: &Bytes, change: impl FnOnce(&mut Payload)) -> Put {
    let mut payload = json::Parser::new().document(text.clone()).unwrap();
    change(&mut payload);
    let (meta, id) = (Value::record(), EventId::default());
    let element = Element { content: (&payload).into(), meta: (&meta).into() };
    let items = [Item { element, id: &id, ingest_ns: 0, ends_event: true, receipt: None }; 2];
    outbox.put(&items, &[], false, &mut |refused| panic!("{refused}")).outcome
}

/// The first message that waits, and whether it is where `text` is.
fn only(outbox: &Outbox, text: &Bytes) -> (Vec<u8>, bool) {
    let mut taken = Messages::default();
    outbox.take(&mut taken);
    let message = taken.iter().next().unwrap();
    assert!(message.ends == Ends::Element && message.shared().is_none());
    (message.payload.to_vec(), text.as_ptr_range().contains(&message.payload.as_ptr()))
}

#[test]
fn a_payload_that_fills_the_queue_is_not_copied() {
    let text = array(MIB);
    for limits in [
        SendQueue::default(),
        SendQueue { bytes: 1, ..SendQueue::default() },
        SendQueue { when_full: WhenFull::DropOldest, ..SendQueue::default() },
    ] {
        let outbox = outbox(limits);
        outbox.gets_stuck();
        let put = put_document(&outbox, &text, |_| ());
        assert_eq!(put, if limits.when_full == WhenFull::Wait { Put::Full } else { Put::All });
        assert_eq!(outbox.held(), (1, text.len()));
        let (mut taken, place) = (Messages::default(), text.as_ptr());
        outbox.take(&mut taken);
        outbox.put_back(&mut taken, 0);
        taken.clear();
        outbox.take(&mut taken);
        let message = taken.iter().next().unwrap();
        assert_eq!((message.payload.as_ptr(), message.payload.len()), (place, text.len()));
        assert!(!text.is_unique());
        drop((taken, outbox));
        assert!(text.is_unique(), "and it is let go");
    }
}

#[test]
fn a_payload_is_copied_that_leaves_room_or_is_not_sent_as_it_came() {
    let text = array(MIB);
    let small = array(MIB - 100);
    assert_eq!(
        only_of(SendQueue { bytes: 1, ..SendQueue::default() }, &small, |_| ()),
        (small.to_vec(), false)
    );
    let limits = SendQueue { bytes: 2 * MIB, ..SendQueue::default() };
    assert_eq!(only_of(limits, &text, |_| ()), (text.to_vec(), false), "another one may wait behind it");
    let spaced = Bytes::from([b" ", &text[..]].concat());
    assert_eq!(only_of(SendQueue::default(), &spaced, |_| ()), (text.to_vec(), true), "it is a part of that");
    let spaced = Bytes::from([b"[ ", &text[1..]].concat());
    assert_eq!(only_of(SendQueue::default(), &spaced, |_| ()), (text.to_vec(), false));
    let record = Bytes::from([b"{\"a\":", &text[..], b"}"].concat());
    assert_eq!(only_of(SendQueue::default(), &record, |_| ()), (record.to_vec(), true));
    let (changed, is_there) =
        only_of(SendQueue::default(), &record, |payload| assert!(payload.insert("b", 1_u64)));
    assert!(!is_there && changed.ends_with(b",\"b\":1}"));
}

/// As [`only`], of a new outbox.
fn only_of(limits: SendQueue, text: &Bytes, change: impl FnOnce(&mut Payload)) -> (Vec<u8>, bool) {
    let outbox = outbox(limits);
    put_document(&outbox, text, change);
    only(&outbox, text)
}

#[test]
fn a_payload_that_is_not_copied_is_looked_at_where_that_says_whether_it_is_binary() {
    let definition = Definition::of_codec(NameAndConfig::from_value(&"binary".into()).unwrap());
    let encoder = Registry::standard().resolver(&definition).unwrap().encoder();
    let outbox = Outbox::new(encoder, SendQueue { messages: 3, ..SendQueue::default() }, Arc::default());
    let outbox = outbox.of_type(FrameType::Auto);
    for (byte, is_binary) in [(b'x', false), (0xff, true)] {
        let bytes = Bytes::from(vec![byte; MIB]);
        let (value, meta, id) = (Value::from(bytes.clone()), Value::record(), EventId::default());
        let items = items(std::slice::from_ref(&value), &meta, &id);
        outbox.put(&items, &[], false, &mut |refused| panic!("{refused}"));
        let mut taken = Messages::default();
        outbox.take(&mut taken);
        let message = taken.iter().next().unwrap();
        assert_eq!((message.payload.as_ptr(), message.binary), (bytes.as_ptr(), is_binary));
        outbox.wrote(1, MIB);
    }
}

#[tokio::test]
async fn a_closed_outbox_fails_what_it_holds_what_comes_and_what_comes_back() {
    let outbox = outbox(SendQueue::default());
    put(&outbox, 0..3);
    let mut taken = Messages::default();
    outbox.take(&mut taken);
    put(&outbox, 3..5);
    let room = outbox.room();
    assert_eq!(outbox.close(), Lost { failed: 2, passed_over: 0 });
    assert!(room.now_or_never().is_some(), "senders must not wait for ever");
    outbox.put_back(&mut taken, 1);
    assert_eq!(put(&outbox, 5..6), (0, Put::Closed));
    assert_eq!(outbox.counters().totals().failed, 4);
}

#[tokio::test]
async fn what_was_for_everybody_does_not_fail_with_one_connection() {
    let limits = SendQueue { when_full: WhenFull::DropOldest, ..SendQueue::default() };
    for limits in [SendQueue::default(), limits] {
        let outbox = outbox(limits);
        put(&outbox, 0..1);
        let (meta, id) = (Value::record(), EventId::default());
        let values: Vec<Value> = (1..5_u64).map(Value::from).collect();
        let asked = Asked { ping: Some(b"ping".to_vec()), ..Asked::default() };
        let pinged = Extra { asked: Some(Arc::new(asked)), ..Extra::default() };
        let put =
            outbox.put(&items(&values, &meta, &id), &[pinged], true, &mut |refused| panic!("{refused}"));
        assert_eq!((put.taken, put.outcome), (4, Put::All));
        outbox.counters().received(4);
        let mut taken = Messages::default();
        outbox.take(&mut taken);
        let lost = outbox.close();
        outbox.lost(outbox.put_back(&mut taken, 0));
        assert_eq!(lost + outbox.close(), Lost { failed: 1, passed_over: 4 });
        let totals = outbox.counters().totals();
        assert_eq!((totals.failed, totals.dropped, totals.passed_over, totals.waiting), (1, 4, 4, 0));
    }
}

#[test]
fn the_frame_type_is_binary_if_somebody_asks_and_nobody_objects() {
    for (meta, binary) in [
        ("{}", None),
        (r#"{"binary": true}"#, Some(true)),
        (r#"{"ws_server": {"binary": true}}"#, Some(true)),
        (r#"{"ws_client": {"binary": true}}"#, Some(true)),
        (r#"{"ws_client": {"binary": false}, "binary": true}"#, Some(false)),
        (r#"{"ws_client": {"binary": true}, "binary": false}"#, Some(false)),
        (r#"{"binary": null}"#, None),
        (r#"{"ws_server": null}"#, None),
    ] {
        assert_eq!(frame_type::asked_of(&Value::from_json_str(meta).unwrap()), Ok(binary), "{meta}");
    }
    for (meta, told) in [
        (r#"{"binary": 1}"#, "`$binary` has to be a bool but is integer"),
        (r#"{"ws_client": {"binary": "no"}}"#, "`$ws_client.binary` has to be a bool but is string"),
        (
            r#"{"ws_server": {"binary": []}, "binary": false}"#,
            "`$ws_server.binary` has to be a bool but is array",
        ),
    ] {
        let error = frame_type::asked_of(&Value::from_json_str(meta).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), told);
    }
}

/// Counts what it is told.
#[derive(Default)]
pub(super) struct Told(pub(super) Mutex<Vec<Outcome>>);

impl Listener for Told {
    fn settled(&self, settlement: Settlement<'_>) {
        self.0.lock().unwrap().push(settlement.outcome);
    }
}

#[tokio::test]
async fn receipts_move_with_their_messages_and_cost_nothing_where_there_are_none() {
    let outbox = outbox(SendQueue::default());
    put(&outbox, 0..100);
    assert_eq!(outbox.lock().waiting.receipts_capacity(), 0);
    let (told, meta, value) = (Arc::new(Told::default()), Value::record(), Value::from(7_u64));
    let receipt = Receipt::to(told.clone());
    let element = Element { content: (&value).into(), meta: (&meta).into() };
    let id = EventId::default();
    let item = Item { element, id: &id, ingest_ns: 0, ends_event: true, receipt: Some(&receipt) };
    outbox.put(&[item], &[], false, &mut |refused| panic!("{refused}"));
    receipt.settle(Outcome::Discarded);
    let mut taken = Messages::default();
    outbox.take(&mut taken);
    outbox.put_back(&mut taken, 50);
    outbox.take(&mut taken);
    let mut answers = Answers::default();
    answers.element(&mut taken, 49, true);
    answers.tell();
    assert!(told.0.lock().unwrap().is_empty(), "message 50 comes next");
    let mut answers = Answers::default();
    answers.element(&mut taken, 50, true);
    answers.tell();
    assert!(matches!(told.0.lock().unwrap()[..], [Outcome::Delivered { took_ns: 1.. }]));
}
