//! A disk that keeps what was synced and, of the rest, what chance lets it keep.

use crate::wal::{
    files::{Files, Stored},
    format::SEGMENT_HEAD,
};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

/// Numbers that look random and are the same for the same seed (splitmix64).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

/// A sync that a disk may be told to forget, to see whether anybody notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    SegmentHead,
    /// Of a segment behind which the next one is begun.
    SegmentBeforeNext,
    /// Of a segment of which the end was cut off.
    SegmentAfterCut,
    /// Of a segment at any other time.
    SegmentContent,
    PositionContent,
    NamesAfterCreate,
    NamesAfterRename,
    NamesAfterRemove,
    NamesAtOpening,
}

/// What is written whole or not at all.
const SECTOR: usize = 512;

#[derive(Default)]
pub(super) struct Disk {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    lasting_names: BTreeMap<String, usize>,
    /// Since names were last synced.
    changes: Vec<NameChange>,
    forgets: Option<Sync>,
    /// A log is being opened and has synced no names so far.
    is_opening: bool,
    /// A segment that was synced by the last operation; what the next one is says which sync that was.
    synced: Option<usize>,
    /// There is no room for files to grow.
    is_full: bool,
    /// Files that are open, and how many were at most.
    open: usize,
    most_open: usize,
    /// Operations until the machine stops, in the middle of whatever it does.
    fuse: Option<usize>,
}

#[derive(Default)]
struct Inode {
    content: Vec<u8>,
    lasting: Vec<u8>,
    /// Since it was last synced.
    changes: Vec<ContentChange>,
}

#[derive(Clone)]
enum NameChange {
    Create(String, usize),
    Rename(String, String, usize),
    Remove(String),
}

enum ContentChange {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(name, inode) => {
                names.insert(name, inode);
            }
            Self::Rename(from, to, inode) => {
                names.remove(&from);
                names.insert(to, inode);
            }
            Self::Remove(name) => {
                names.remove(&name);
            }
        }
    }
}

impl ContentChange {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => {
                let end = at + data.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(data);
            }
            Self::Cut(size) => content.truncate(*size),
        }
    }
}

impl State {
    /// Decides whether the last sync of a segment took place.
    fn decide(&mut self, next_begins: bool) {
        let which = if next_begins { Sync::SegmentBeforeNext } else { Sync::SegmentContent };
        if let Some(inode) = self.synced.take()
            && self.forgets != Some(which)
        {
            self.sync(inode);
        }
    }

    fn sync(&mut self, inode: usize) {
        let inode = &mut self.inodes[inode];
        inode.changes.clear();
        inode.lasting = inode.content.clone();
    }

    fn operation(&mut self) -> io::Result<()> {
        self.decide(false);
        match &mut self.fuse {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the machine has stopped")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

impl Disk {
    pub(super) fn forgetting(sync: Option<Sync>) -> Arc<Self> {
        let disk = Self::default();
        disk.state().forgets = sync;
        Arc::new(disk)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The machine stops after that many operations; `None`: it goes on.
    pub(super) fn set_fuse(&self, operations: Option<usize>) {
        self.state().fuse = operations;
    }

    /// Whether there is no room for files to grow.
    pub(super) fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// A log will be opened now.
    pub(super) fn opening(&self) {
        self.state().is_opening = true;
    }

    /// How many files were open at the same time, at most.
    pub(super) fn most_open(&self) -> usize {
        self.state().most_open
    }

    fn handle(self: &Arc<Self>, inode: usize, name: &str) -> Box<dyn Stored> {
        let mut state = self.state();
        state.open += 1;
        state.most_open = state.most_open.max(state.open);
        Box::new(Handle { disk: self.clone(), inode, is_segment: name.ends_with(".wal") })
    }

    pub(super) fn content(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[name]].content.clone()
    }

    pub(super) fn set_content(&self, name: &str, content: Vec<u8>) {
        let mut state = self.state();
        let inode = state.inodes.len();
        state.inodes.push(Inode { lasting: content.clone(), content, changes: Vec::new() });
        state.names.insert(name.to_owned(), inode);
        state.lasting_names.insert(name.to_owned(), inode);
    }

    /// Everything that was not synced is gone, or some of it is, or the first part of it stays.
    pub(super) fn lose_power(&self, chance: &mut Chance) {
        let state = &mut *self.state();
        state.decide(false);
        let survives = match chance.below(3) {
            0 => |_: &mut Chance| false,
            1 => |chance: &mut Chance| chance.below(2) == 0,
            _ => |chance: &mut Chance| chance.below(4) != 0,
        };
        for inode in &mut state.inodes {
            let mut content = std::mem::take(&mut inode.lasting);
            let mut changes: Vec<_> = inode.changes.drain(..).filter(|_| survives(chance)).collect();
            let last = changes.len().saturating_sub(1);
            for (number, change) in changes.iter_mut().enumerate() {
                if let ContentChange::Write(at, data) = change
                    && chance.below(3) == 0
                {
                    let end = *at + chance.below(data.len() + 1);
                    // In the middle of a file sectors arrive whole or not at all.
                    let end = if number == last { end } else { (*at).max(end / SECTOR * SECTOR) };
                    data.truncate(end - *at);
                }
                change.apply(&mut content);
            }
            (inode.content, inode.lasting) = (content.clone(), content);
        }
        let changes = std::mem::take(&mut state.changes);
        changes
            .into_iter()
            .filter(|_| survives(chance))
            .for_each(|change| change.apply(&mut state.lasting_names));
        state.names = state.lasting_names.clone();
        state.fuse = None;
    }
}

impl Files for Arc<Disk> {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Stored>> {
        let mut state = self.state();
        state.decide(name.ends_with(".wal"));
        state.operation()?;
        let inode = match state.names.get(name).copied() {
            Some(inode) => {
                state.inodes[inode].content.clear();
                state.inodes[inode].changes.push(ContentChange::Cut(0));
                inode
            }
            None => {
                let inode = state.inodes.len();
                state.inodes.push(Inode::default());
                state.names.insert(name.to_owned(), inode);
                state.changes.push(NameChange::Create(name.to_owned(), inode));
                inode
            }
        };
        drop(state);
        Ok(self.handle(inode, name))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Stored>> {
        let inode = self.state().names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(inode, name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operation()?;
        let inode = state.names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        let change = NameChange::Rename(from.to_owned(), to.to_owned(), inode);
        change.clone().apply(&mut state.names);
        state.changes.push(change);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operation()?;
        state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.changes.push(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let state = &mut *self.state();
        state.operation()?;
        let is_opening = std::mem::take(&mut state.is_opening);
        let forgotten = match state.forgets {
            Some(Sync::NamesAtOpening) => is_opening,
            _ if is_opening => false,
            Some(Sync::NamesAfterCreate) => matches!(state.changes.last(), Some(NameChange::Create(..))),
            Some(Sync::NamesAfterRename) => matches!(state.changes.last(), Some(NameChange::Rename(..))),
            Some(Sync::NamesAfterRemove) => matches!(state.changes.last(), Some(NameChange::Remove(_))),
            _ => false,
        };
        if !forgotten {
            state.changes.clear();
            state.lasting_names = state.names.clone();
        }
        Ok(())
    }

    fn shown(&self, name: &str) -> String {
        format!("disk/{name}")
    }
}

struct Handle {
    disk: Arc<Disk>,
    inode: usize,
    is_segment: bool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.disk.state().open -= 1;
    }
}

impl Handle {
    fn change(&mut self, change: ContentChange) -> io::Result<()> {
        let mut state = self.disk.state();
        let mut stopped = state.operation();
        let size = state.inodes[self.inode].content.len();
        if state.is_full && matches!(&change, ContentChange::Write(at, data) if at + data.len() > size) {
            stopped = stopped.and(Err(io::ErrorKind::StorageFull.into()));
        }
        let inode = &mut state.inodes[self.inode];
        let change = match (change, &stopped) {
            // Half of what the machine was writing when it stopped.
            (ContentChange::Write(at, mut data), Err(_)) => {
                data.truncate(data.len() / 2);
                ContentChange::Write(at, data)
            }
            (_, Err(_)) => return stopped,
            (change, Ok(())) => change,
        };
        change.apply(&mut inode.content);
        inode.changes.push(change);
        stopped
    }
}

impl Stored for Handle {
    fn size(&self) -> u64 {
        self.disk.state().inodes[self.inode].content.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        let rest = state.inodes[self.inode].content.get(usize::try_from(at).unwrap()..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(self.size()).unwrap();
        self.change(ContentChange::Write(at, data.to_vec()))
    }

    fn overwrite(&mut self, at: u64, data: &[u8]) -> io::Result<()> {
        self.change(ContentChange::Write(usize::try_from(at).unwrap(), data.to_vec()))
    }

    fn cut(&mut self, size: u64) -> io::Result<()> {
        self.change(ContentChange::Cut(usize::try_from(size).unwrap()))
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operation()?;
        let is_head = state.inodes[self.inode].content.len() as u64 == SEGMENT_HEAD;
        let is_cut = matches!(state.inodes[self.inode].changes.last(), Some(ContentChange::Cut(_)));
        match (self.is_segment, state.forgets) {
            (true, Some(Sync::SegmentAfterCut)) if is_cut => {}
            (true, _) if is_cut => state.sync(self.inode),
            (true, Some(Sync::SegmentHead)) if is_head => {}
            (true, _) if !is_head => state.synced = Some(self.inode),
            (false, Some(Sync::PositionContent)) => {}
            _ => state.sync(self.inode),
        }
        Ok(())
    }
}
