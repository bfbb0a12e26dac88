//! Files that something happened to.

use super::disk::{Chance, Disk};
use crate::wal::{
    entry,
    files::Files,
    format::{RECORD_HEAD, SEGMENT_HEAD, SegmentHead, position_to_bytes, segment_name},
    log::{Batch, Durability, Log, Opened},
    segments::Limits,
    shared::Shared,
};
use std::sync::{Arc, mpsc};
use tremor_event::{Event, EventId};
use tremor_value::Value;

const LIMITS: Limits = Limits { chunk_size: 1_000, max_chunks: 10 };

fn open(disk: &Arc<Disk>) -> Result<Opened, String> {
    Log::open(Arc::new(disk.clone()), Durability::Always, LIMITS)
}

/// The entries that a log has.
fn next(disk: &Arc<Disk>) -> Result<u64, String> {
    open(disk).map(|opened| opened.segments.next())
}

fn append(opened: Opened, numbers: std::ops::Range<u64>, together: bool) -> (Log, Shared) {
    let Opened { mut log, segments, position } = opened;
    let (jobs, _) = mpsc::channel();
    let shared = Shared::new(segments, position, "disk".to_owned(), jobs);
    let mut batch = Batch::default();
    for number in numbers {
        let event = Event {
            id: EventId::new(1, 0, number, number),
            payload: Value::from("x".repeat(50)).into(),
            meta: Value::record(),
            ingest_ns: 1,
            origin: None,
            is_batch: false,
            receipt: None,
        };
        assert!(batch.add(false, |body| entry::encode(&event, body), |length| shared.place(length)));
        if !together {
            log.write(&std::mem::take(&mut batch)).unwrap();
        }
    }
    log.write(&batch).unwrap();
    (log, shared)
}

/// Bytes of one record.
const RECORD: u64 = RECORD_HEAD + 60;

fn written(entries: u64, together: bool) -> (Arc<Disk>, String, Vec<u8>) {
    let disk = Disk::forgetting(None);
    append(open(&disk).unwrap(), 0..entries, together);
    let name = segment_name(0);
    let content = disk.content(&name);
    (disk, name, content)
}

#[test]
fn a_record_has_the_expected_size() {
    let (_, _, content) = written(3, false);
    assert_eq!(content.len() as u64, SEGMENT_HEAD + 3 * RECORD);
}

#[test]
fn a_torn_end_is_cut_wherever_it_is_torn() {
    let (disk, name, content) = written(3, true);
    for end in 0..content.len() {
        disk.set_content(&name, content[..end].to_vec());
        let whole = (end as u64).saturating_sub(SEGMENT_HEAD) / RECORD;
        assert_eq!(next(&disk), Ok(whole), "cut at {end}");
        let opened = open(&disk).unwrap();
        append(opened, 0..2, false);
        assert_eq!(next(&disk), Ok(whole + 2), "it goes on behind what is whole");
    }
}

#[test]
fn zeros_where_a_write_never_arrived_are_cut() {
    let (disk, name, content) = written(3, true);
    for from in usize::try_from(SEGMENT_HEAD).unwrap()..content.len() {
        let mut torn = content.clone();
        torn[from..].fill(0);
        disk.set_content(&name, torn);
        let whole = (from as u64 - SEGMENT_HEAD) / RECORD;
        assert_eq!(next(&disk), Ok(whole), "zeros from {from}");
    }
}

#[test]
fn entries_written_together_may_arrive_in_any_order() {
    let (disk, name, mut content) = written(3, true);
    let second = usize::try_from(SEGMENT_HEAD + RECORD).unwrap();
    content[second..second + 40].fill(0);
    disk.set_content(&name, content);
    assert_eq!(next(&disk), Ok(1), "nobody was told that the second and third were safe");
}

#[test]
fn a_broken_record_in_front_of_one_that_was_safe_is_an_error() {
    let (disk, name, content) = written(3, false);
    for at in 0..usize::try_from(RECORD).unwrap() {
        let mut broken = content.clone();
        let second = usize::try_from(SEGMENT_HEAD + RECORD).unwrap();
        broken[second + at] ^= 1;
        disk.set_content(&name, broken);
        let error = next(&disk).unwrap_err();
        let place = format!("disk/{name}` is damaged: at byte {second} entry 1 should begin");
        assert!(error.contains(&place), "byte {at} of the second: {error}");
    }
}

#[test]
fn a_broken_or_missing_segment_in_front_of_others_is_an_error() {
    let (disk, name, content) = written(30, false);
    let segments: Vec<_> = Files::names(&disk).unwrap();
    assert_eq!(segments.len(), 3, "{segments:?}");
    disk.set_content(&name, content[..content.len() - 1].to_vec());
    let error = next(&disk).unwrap_err();
    assert!(error.contains("the file ends before it"), "{error}");

    disk.set_content(&name, content[..content.len() - usize::try_from(RECORD).unwrap()].to_vec());
    let error = next(&disk).unwrap_err();
    assert!(
        error.contains("ends with entry 8") && error.contains("begins with entry 10 instead of 9"),
        "{error}"
    );

    disk.set_content(&name, content);
    assert_eq!(next(&disk), Ok(30));
    Files::remove(&disk, &segments[1]).unwrap();
    let error = next(&disk).unwrap_err();
    assert!(error.contains("begins with entry 20 instead of 10: a segment is missing"), "{error}");
}

#[test]
fn what_is_no_segment_or_of_another_version_is_refused_by_name() {
    let (disk, name, content) = written(1, false);
    let mut newer = content.clone();
    newer[8] = 2;
    disk.set_content(&name, newer);
    let error = next(&disk).unwrap_err();
    assert!(
        error.contains(&name) && error.contains("format version 2; this version of tremor reads"),
        "{error}"
    );

    disk.set_content(&name, b"{}".to_vec());
    assert!(next(&disk).unwrap_err().contains("it is not a segment of a log"));

    let mut other = content.clone();
    other[20] ^= 1;
    disk.set_content(&name, other);
    assert!(next(&disk).unwrap_err().contains("is damaged: the checksum of its first line"));

    disk.set_content(&segment_name(7), content);
    Files::remove(&disk, &name).unwrap();
    assert!(next(&disk).unwrap_err().contains("inside it says that its first entry is 0"));
}

#[test]
fn a_broken_position_repeats_and_loses_nothing() {
    let (disk, ..) = written(3, false);
    let mut opened = open(&disk).unwrap();
    opened.log.persist(2).unwrap();
    let content = disk.content("position");
    assert_eq!(open(&disk).unwrap().position, 2);
    for broken in [&content[..20], &[], &[content.clone(), vec![0]].concat()] {
        disk.set_content("position", broken.to_vec());
        assert_eq!(open(&disk).unwrap().position, 0);
    }
    let mut newer = content;
    newer[8] = 9;
    disk.set_content("position", newer);
    let error = next(&disk).unwrap_err();
    assert!(error.contains("disk/position") && error.contains("version 9"), "{error}");
}

#[test]
fn an_end_that_was_confirmed_and_lost_gives_its_numbers_to_nobody() {
    let (disk, name, content) = written(3, false);
    open(&disk).unwrap().log.persist(3).unwrap();
    disk.set_content(&name, content[..usize::try_from(SEGMENT_HEAD + RECORD).unwrap()].to_vec());
    assert_eq!(next(&disk), Ok(3));
    assert_eq!(open(&disk).unwrap().position, 3);
    assert_eq!(next(&disk), Ok(3), "also the next time");
    assert!(!Files::names(&disk).unwrap().contains(&name));
}

#[test]
fn other_files_are_left_alone() {
    let (disk, ..) = written(1, false);
    disk.set_content("notes.txt", b"mine".to_vec());
    disk.set_content("1.wal", b"mine too".to_vec());
    assert_eq!(next(&disk), Ok(1));
    assert_eq!(disk.content("1.wal"), b"mine too");
}

#[test]
fn no_damage_does_worse_than_an_error() {
    let (disk, name, content) = written(8, false);
    open(&disk).unwrap().log.persist(2).unwrap();
    let position = disk.content("position");
    let mut chance = Chance(7);
    let (mut refused, mut opened) = (0, 0);
    for _ in 0..2_000 {
        let mut damaged = content.clone();
        for _ in 0..=chance.below(3) {
            let at = chance.below(damaged.len());
            damaged[at] = u8::try_from(chance.below(256)).unwrap();
        }
        damaged.truncate(damaged.len() - chance.below(2) * chance.below(damaged.len()));
        disk.set_content(&name, damaged);
        disk.set_content("position", position.clone());
        match next(&disk) {
            Ok(entries) => {
                opened += 1;
                assert!(entries <= 8, "no entry comes from nowhere");
            }
            Err(error) => {
                refused += 1;
                assert!(error.contains(&name), "{error}");
            }
        }
        for leftover in Files::names(&disk).unwrap() {
            Files::remove(&disk, &leftover).unwrap();
        }
    }
    assert!(refused > 100 && opened > 100, "{refused} refused, {opened} opened");
}

#[test]
fn an_index_that_no_log_can_have_is_damage() {
    let (disk, name, _) = written(1, false);
    let head = SegmentHead { salt: 0, first: u64::MAX };
    Files::remove(&disk, &name).unwrap();
    disk.set_content(&segment_name(u64::MAX), head.to_bytes());
    assert!(next(&disk).unwrap_err().contains("is damaged"));

    let (disk, ..) = written(1, false);
    disk.set_content("position", position_to_bytes(u64::MAX));
    assert_eq!(open(&disk).unwrap().position, 0);
}
