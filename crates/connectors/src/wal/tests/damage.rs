//! Files that something happened to.

use super::disk::{Chance, Disk, Sync};
use crate::wal::{
    confirmed::Confirmed,
    entry,
    files::Files,
    format::{RECORD_HEAD, SEGMENT_HEAD, SegmentHead, checksum, segment_name},
    log::{Batch, Durability, Log, Opened},
    position::{Kept, PositionFile},
    segments::Limits,
    shared::Shared,
};
use std::sync::{Arc, mpsc};
use tremor_event::{Event, EventId};
use tremor_value::{Meta, Value};

const LIMITS: Limits = Limits { chunk_size: 1_000, max_chunks: 10 };

fn open(disk: &Arc<Disk>) -> Result<Opened, String> {
    Log::open(Arc::new(disk.clone()), Durability::Always, LIMITS)
}

/// The entries that a log has.
fn next(disk: &Arc<Disk>) -> Result<u64, String> {
    open(disk).map(|opened| opened.segments.next())
}

fn append(opened: Opened, numbers: std::ops::Range<u64>, together: bool) -> (Log, Shared) {
    let Opened { mut log, segments, confirmed } = opened;
    let (jobs, _) = mpsc::channel();
    let shared = Shared::new(segments, confirmed, "disk".to_owned(), jobs);
    let mut batch = Batch::default();
    for number in numbers {
        let event = Event {
            id: EventId::new(1, 0, number, number),
            payload: Value::from("x".repeat(50)).into(),
            meta: Meta::record(),
            ingest_ns: 1,
            origin: None,
            is_batch: false,
            receipt: None,
        };
        batch.add(false, |body| entry::encode(&event, body), |length| shared.place(length)).unwrap();
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
    content[second..second + usize::try_from(RECORD).unwrap()].fill(0);
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
    let mut segments: Vec<_> = Files::names(&disk).unwrap();
    segments.retain(|name| name.ends_with(".wal"));
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
    assert!(error.contains("begins with entry 20 instead of 10. A segment is missing"), "{error}");
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
    opened.log.persist(&Confirmed::up_to(2), true).unwrap();
    let content = disk.content("position");
    assert_eq!(open(&disk).unwrap().confirmed.position(), 2);
    for broken in [&content[..20], &[], &[content.clone(), vec![0]].concat()] {
        disk.set_content("position", broken.to_vec());
        assert_eq!(open(&disk).unwrap().confirmed.position(), 0);
    }
    let mut newer = content;
    newer[4096 + 8] = 9;
    let sum = checksum(0, &newer[4096..4096 + 40]).to_le_bytes();
    newer[4096 + 40..4096 + 44].copy_from_slice(&sum);
    disk.set_content("position", newer);
    let error = next(&disk).unwrap_err();
    assert!(error.contains("disk/position") && error.contains("version 9"), "{error}");
}

/// Between what the two slots say, segments were removed. If one of the slots is damaged, the other is not the truth.
#[test]
fn any_damage_to_a_position_repeats_entries_and_claims_no_loss() {
    for removed in [&[0][..], &[1], &[0, 1]] {
        let disk = Disk::forgetting(None);
        let (mut log, _) = append(open(&disk).unwrap(), 0..30, true);
        log.finish().unwrap();
        log.sync().unwrap();
        let names: Vec<_> = [0, 10, 20].map(segment_name).into();
        let mut confirmed = Confirmed::up_to(0);
        confirmed.add(12, 12);
        log.persist(&confirmed, true).unwrap();
        removed.iter().for_each(|segment| confirmed.add(segment * 10, segment * 10 + 9));
        log.persist(&confirmed, true).unwrap();
        drop(log);
        for segment in removed {
            Files::remove(&disk, &names[usize::try_from(*segment).unwrap()]).unwrap();
        }
        let whole = disk.content("position");
        let there = |entry: u64| !removed.contains(&(entry / 10));
        for slot in [0, 4096] {
            for at in 0..44 + 16 {
                let mut flipped = whole.clone();
                flipped[slot + at] ^= 1;
                disk.set_content("position", flipped);
                let opened = open(&disk).unwrap_or_else(|error| panic!("{removed:?} byte {at}: {error}"));
                assert_eq!(opened.segments.next(), 30);
                for entry in 0..30 {
                    let comes = opened.confirmed.next_open(entry) == entry;
                    assert_eq!(comes, there(entry) && entry != 12, "{removed:?} {at}: {entry}");
                }
            }
        }
        disk.set_content("position", vec![0; 8192]);
        let opened = open(&disk).unwrap();
        assert!((0..30).all(|entry| (opened.confirmed.next_open(entry) == entry) == there(entry)));
        let written = disk.content("position");
        assert_eq!(open(&disk).unwrap().confirmed.position(), opened.confirmed.position());
        assert_eq!(written.len(), 8192);
    }
}

#[test]
fn an_end_that_was_confirmed_and_lost_gives_its_numbers_to_nobody() {
    let (disk, name, content) = written(3, false);
    open(&disk).unwrap().log.persist(&Confirmed::up_to(3), true).unwrap();
    disk.set_content(&name, content[..usize::try_from(SEGMENT_HEAD + RECORD).unwrap()].to_vec());
    assert_eq!(next(&disk), Ok(3));
    assert_eq!(open(&disk).unwrap().confirmed.position(), 3);
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
    open(&disk).unwrap().log.persist(&Confirmed::up_to(2), true).unwrap();
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
    let far = Kept { position: u64::MAX, ..Kept::default() };
    PositionFile::create(&disk, far).unwrap();
    assert_eq!(open(&disk).unwrap().confirmed.position(), 0);
}

/// Ends a log in good order.
fn close(mut log: Log, confirmed: &Confirmed) {
    log.finish().unwrap();
    log.sync().unwrap();
    log.persist(confirmed, false).unwrap();
}

fn closed(entries: u64, durability: Durability) -> Arc<Disk> {
    let disk = Disk::forgetting(None);
    let opened = Log::open(Arc::new(disk.clone()), durability, LIMITS).unwrap();
    let (log, _) = append(opened, 0..entries, true);
    close(log, &Confirmed::up_to(0));
    disk
}

#[test]
fn in_a_log_that_ended_in_good_order_nothing_is_a_torn_end() {
    for durability in [Durability::Always, Durability::Interval, Durability::Never] {
        let disk = closed(3, durability);
        let name = segment_name(0);
        let content = disk.content(&name);
        assert_eq!(next(&disk), Ok(3));
        for at in usize::try_from(SEGMENT_HEAD).unwrap()..content.len() {
            let mut flipped = content.clone();
            flipped[at] ^= 4;
            disk.set_content(&name, flipped.clone());
            let index = (at as u64 - SEGMENT_HEAD) / RECORD;
            let error = next(&disk).unwrap_err();
            let begins = SEGMENT_HEAD + index * RECORD;
            assert!(error.contains(&format!("at byte {begins} entry {index} should begin")), "{error}");
            assert_eq!(disk.content(&name), flipped, "and nothing was cut");
        }
        for cut in 1..=3 {
            let size = usize::try_from(SEGMENT_HEAD + RECORD * (3 - cut)).unwrap();
            disk.set_content(&name, content[..size].to_vec());
            let error = next(&disk).unwrap_err();
            assert!(error.contains(&format!("entries {} to 2 were stored", 3 - cut)), "{error}");
        }
    }
}

#[test]
fn damage_in_front_of_something_whole_is_no_torn_end() {
    let (disk, name, content) = written(3, true);
    let second = usize::try_from(SEGMENT_HEAD + RECORD).unwrap();
    for at in second..second + usize::try_from(RECORD).unwrap() {
        let mut flipped = content.clone();
        flipped[at] ^= 4;
        disk.set_content(&name, flipped);
        let error = next(&disk).unwrap_err();
        assert!(error.contains(&format!("at byte {second} entry 1 should begin")), "{error}");
    }
}

#[test]
fn what_is_cut_off_is_kept_beside() {
    let (disk, name, content) = written(3, true);
    disk.set_content(&name, content[..content.len() - 5].to_vec());
    assert_eq!(next(&disk), Ok(2));
    let third = SEGMENT_HEAD + 2 * RECORD;
    let kept = disk.content(&format!("{name}.{third}.cut"));
    assert_eq!(kept, content[usize::try_from(third).unwrap()..content.len() - 5]);
}

/// Removes segments of a log with 30 entries in three of them, and says how it is opened then.
fn without(removed: &[usize], confirmed: &[(u64, u64)]) -> Result<u64, String> {
    let disk = Disk::forgetting(None);
    let (log, _) = append(open(&disk).unwrap(), 0..30, true);
    let mut says = Confirmed::up_to(0);
    confirmed.iter().for_each(|(first, last)| says.add(*first, *last));
    close(log, &says);
    let names: Vec<_> = [0, 10, 20].map(segment_name).into();
    removed.iter().for_each(|number| Files::remove(&disk, &names[*number]).unwrap());
    let opened = next(&disk);
    if opened.is_ok() {
        assert_eq!(next(&disk), opened, "also the next time");
    }
    opened
}

#[test]
fn segments_that_are_missing_are_missed() {
    assert_eq!(without(&[], &[]), Ok(30));
    for (removed, confirmed, missing) in [
        (&[0][..], &[][..], "entries 0 to 9 were"),
        (&[0, 1], &[(0, 4)], "entries 5 to 19 were"),
        (&[1], &[(0, 9)], "entries 10 to 19 were"),
        (&[1], &[(10, 18)], "entries 19 to 19 were"),
        (&[2], &[], "entries 20 to 29 were"),
        (&[2], &[(0, 21)], "entries 22 to 29 were"),
        (&[0, 1, 2], &[(0, 21)], "entries 22 to 29 were"),
    ] {
        let error = without(removed, confirmed).unwrap_err();
        assert!(error.contains(missing), "{removed:?} {confirmed:?}: {error}");
    }
    for (removed, confirmed) in [
        (&[0][..], &[(0, 9)][..]),
        (&[1], &[(10, 19)]),
        (&[0, 1], &[(0, 19)]),
        (&[2], &[(20, 29)]),
        (&[0, 1, 2], &[(0, 29)]),
    ] {
        assert_eq!(without(removed, confirmed), Ok(30), "{removed:?} {confirmed:?}");
    }
}

#[test]
fn without_a_position_everything_that_is_there_comes() {
    let disk = closed(30, Durability::Always);
    Files::remove(&disk, "position").unwrap();
    Files::remove(&disk, &segment_name(0)).unwrap();
    let opened = open(&disk).unwrap();
    assert_eq!((opened.confirmed.position(), opened.segments.next()), (10, 30));
}

/// A position that had to be made anew is not gone after the next loss of power.
#[test]
fn a_position_that_was_made_anew_lasts() {
    let comes_again = |forgets: Option<Sync>, seed: u64| {
        let disk = Disk::forgetting(forgets);
        let (log, _) = append(open(&disk).unwrap(), 0..5, true);
        close(log, &Confirmed::up_to(0));
        Files::remove(&disk, "position").unwrap();
        Files::sync_names(&disk).unwrap();
        open(&disk).unwrap().log.persist(&Confirmed::up_to(3), true).unwrap();
        disk.lose_power(&mut Chance(seed));
        open(&disk).unwrap().confirmed.position() == 0
    };
    assert!((0..50).all(|seed| !comes_again(None, seed)));
    assert!(
        (0..50).any(|seed| comes_again(Some(Sync::NamesAfterRename), seed)),
        "this sync is there for something"
    );
}
