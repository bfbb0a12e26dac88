//! What sources of brokers need of receipts, on models of such sources: partitions with committed offsets that members of a
//! group take over from each other, and an answer to each message.

use crate::{
    delivery::{of_bytes, settling},
    fake::{Attempts, within},
    flow::{number, run, source},
    random::Dice,
};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{Arc, Mutex},
};
use tokio::sync::mpsc;
use tremor_connector::{At, Handle, Intake, Pulled, Source, SourceError};
use tremor_event::{Event, Listener, Outcome, Settlement};

const PARTITIONS: u64 = 3;
const RECORDS: u64 = 60;

/// What a record of a partition holds.
fn record(partition: u64, offset: u64) -> u64 {
    partition * 1000 + offset
}

/// One partition as the broker knows it, and its consumer.
#[derive(Default)]
struct Partition {
    /// The first offset that is not confirmed: here whoever comes next begins.
    committed: u64,
    /// Confirmed ones behind that.
    ahead: BTreeSet<u64>,
}

/// A member of a consumer group, of its present assignment.
struct Member {
    partitions: Mutex<BTreeMap<u64, Partition>>,
    answers: mpsc::UnboundedSender<(u64, u64, Outcome)>,
}

impl Listener for Member {
    fn settled(&self, settlement: Settlement<'_>) {
        let mut partitions = self.partitions.lock().unwrap();
        for offset in settlement.pulls.iter().flat_map(|range| range.first..=range.last) {
            self.answers.send((settlement.stream, offset, settlement.outcome)).ok();
            // What is told of a partition that was lost is somebody else's business by now.
            let Some(partition) = partitions.get_mut(&settlement.stream) else { continue };
            if settlement.outcome != Outcome::Failed {
                partition.ahead.insert(offset);
                while partition.ahead.remove(&partition.committed) {
                    partition.committed += 1;
                }
            }
        }
    }
}

impl Member {
    /// The assignment at its offsets, and where every answer can be seen.
    fn new(offsets: &BTreeMap<u64, u64>) -> (Arc<Self>, mpsc::UnboundedReceiver<(u64, u64, Outcome)>) {
        let (answers, seen) = mpsc::unbounded_channel();
        let partition = |(id, committed): (&u64, &u64)| {
            (*id, Partition { committed: *committed, ahead: BTreeSet::new() })
        };
        let partitions = Mutex::new(offsets.iter().map(partition).collect());
        (Arc::new(Self { partitions, answers }), seen)
    }

    fn committed(&self) -> BTreeMap<u64, u64> {
        let partitions = self.partitions.lock().unwrap();
        partitions.iter().map(|(id, partition)| (*id, partition.committed)).collect()
    }

    fn lose(&self, partition: u64) {
        self.partitions.lock().unwrap().remove(&partition);
    }
}

/// Fetches from every partition in turn, some records at a time.
struct Fetching {
    member: Arc<Member>,
    next: BTreeMap<u64, u64>,
}

#[async_trait]
impl Source for Fetching {
    fn listener(&self) -> Option<Arc<dyn Listener>> {
        Some(self.member.clone())
    }

    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        for (partition, next) in &mut self.next {
            let until = (*next + 7).min(RECORDS);
            for offset in std::mem::replace(next, until)..until {
                let at = At { stream: Some(*partition), pull: Some(offset) };
                intake.bytes_at(at, format!("{}\n", record(*partition, offset)).into(), None);
            }
        }
        if intake.is_empty() {
            pending::<()>().await;
        }
        Ok(Pulled::More)
    }
}

/// A flow that fetches for `member`, and the events that its sink has in its hands.
async fn consume(
    member: &Arc<Member>,
    from: &BTreeMap<u64, u64>,
) -> (Vec<Handle>, mpsc::UnboundedReceiver<Event>) {
    let fetching = |member: Arc<Member>, next| source(Fetching { member, next });
    let (member, from) = (member.clone(), from.clone());
    let attempts: Attempts = Box::new(move |_| {
        let connected = fetching(member.clone(), from.clone());
        Box::pin(async { Ok(connected) })
    });
    let (half, ends) = settling();
    let (handle, mut handles) =
        run((of_bytes(), attempts), "out", vec![(half, vec![Default::default()])]).await;
    handles.push(handle);
    (handles, ends.events)
}

async fn stop(handles: Vec<Handle>) {
    for handle in handles {
        within(handle.stop()).await;
    }
}

/// Members come and go, and answer in any order; what is committed is always an unbroken run of what was handled.
#[tokio::test(start_paused = true)]
async fn a_group_commits_only_what_all_before_it_allows() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let mut offsets: BTreeMap<u64, u64> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
        let (mut handled, mut delivered) = (BTreeSet::new(), 0);
        while offsets.values().any(|offset| *offset < RECORDS) {
            let (member, _answers) = Member::new(&offsets);
            let (handles, mut events) = consume(&member, &offsets).await;
            let left: u64 = offsets.values().map(|offset| RECORDS - offset).sum();
            let mut held: Vec<Event> = Vec::new();
            for _ in 0..left {
                held.push(within(events.recv()).await.unwrap());
                delivered += 1;
            }
            // So much is answered before this member goes.
            for _ in 0..=dice.below(left) {
                if held.is_empty() {
                    break;
                }
                let chosen = usize::try_from(dice.below(held.len() as u64)).unwrap();
                let event = held.swap_remove(chosen);
                if dice.below(20) > 0 {
                    handled.insert(number(&event));
                    event.settle(Outcome::Delivered { took_ns: 1 });
                } else {
                    event.settle(Outcome::Failed);
                }
                for (partition, committed) in member.committed() {
                    let is_handled = |offset| handled.contains(&record(partition, offset));
                    assert!((0..committed).all(is_handled), "seed {seed}: {partition} at {committed}");
                }
            }
            offsets = member.committed();
            drop(held);
            stop(handles).await;
        }
        let sent = PARTITIONS * RECORDS;
        println!(
            "seed {seed}: sent {sent}, acknowledged {}, delivered {delivered}, repeated {}, lost {}",
            offsets.values().sum::<u64>(),
            delivered - sent,
            sent - handled.len() as u64,
        );
        assert_eq!(handled.len() as u64, sent, "seed {seed}");
    }
}

/// A broker that wants to know of each message hears of each, once and by name, and of what nobody answered that it failed.
#[tokio::test(start_paused = true)]
async fn each_message_is_answered_once_and_a_lost_partition_harms_no_other() {
    let offsets: BTreeMap<u64, u64> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
    let (member, mut answers) = Member::new(&offsets);
    let (handles, mut events) = consume(&member, &offsets).await;
    let mut expected = BTreeMap::new();
    for count in 0..PARTITIONS * RECORDS {
        let event = within(events.recv()).await.unwrap();
        let name = (event.id.stream, event.id.pull);
        let outcome = match count % 3 {
            0 => Outcome::Delivered { took_ns: 1 },
            1 => Outcome::Discarded,
            _ => Outcome::Failed,
        };
        if count == 50 {
            member.lose(1);
        }
        // What is forgotten has failed.
        if count % 6 == 5 {
            drop(event);
        } else {
            event.settle(outcome);
        }
        assert!(expected.insert(name, outcome).is_none());
    }
    let mut heard = BTreeMap::new();
    while let Ok((partition, offset, outcome)) = answers.try_recv() {
        assert!(heard.insert((partition, offset), outcome).is_none(), "{partition}:{offset} twice");
    }
    assert_eq!(heard, expected);
    let committed = member.committed();
    assert_eq!(committed.keys().copied().collect::<Vec<_>>(), [0, 2]);
    for (partition, committed) in committed {
        assert_eq!(
            heard.get(&(partition, committed)),
            Some(&Outcome::Failed),
            "the first that is not confirmed"
        );
    }
    stop(handles).await;
}
