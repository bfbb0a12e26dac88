//! Frames read here and by implementations that nobody here wrote: the same bytes give the same messages, or both refuse
//! them. Where that is not so the difference has to be one of [`Class`], which `docs/CONFORMANCE.md` argues from the RFC.

mod fast_side;
mod ours;
mod soketto_side;
mod stream;

pub use ours::{Class, End, Item};

use std::fmt::Debug;
use tremor_ws::{ProtocolError, Role};

/// Bytes that a frame may have, in all implementations.
const MAX_FRAME_BYTES: usize = 0xffff;

/// What an implementation made of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Read<E> {
    /// What came out, up to the end.
    pub items: Vec<Item>,
    /// How it ended.
    pub end: End<E>,
}

/// The first byte chooses the role, the others are frames: they mean the same to `fastwebsockets`.
///
/// # Panics
/// If not, and the difference is none that was argued.
pub fn same_as_fastwebsockets(data: &[u8]) {
    let Some((role, wire)) = role_and_wire(data) else { return };
    let ours = ours::read(role, wire);
    let theirs = fast_side::read(role, wire);
    compare(&ours, &theirs, fast_side::class);
}

/// As [`same_as_fastwebsockets`], for `soketto`. That answers pings without telling of them, and forgets the message around
/// a pong (RFC 6455, 5.4, allows pongs there): behind such a pong nothing is compared.
///
/// # Panics
/// If not, and the difference is none that was argued.
pub fn same_as_soketto(data: &[u8]) {
    let Some((role, wire)) = role_and_wire(data) else { return };
    let theirs = soketto_side::read(role, wire);
    let is_told = |item: &Item| !matches!(item, Item::Ping(_));
    if let Some(mut items) = ours::until_pong_inside(role, wire) {
        items.retain(is_told);
        assert!(theirs.items.starts_with(&items), "ours: {items:?}\ntheirs: {theirs:?}");
        return;
    }
    let mut ours = ours::read(role, wire);
    ours.items.retain(is_told);
    if ours.items.pop_if(|item| *item == Item::Close(None, String::new())).is_some() {
        // A Close without a code is not told either.
        ours.end = End::Waits;
    }
    compare(&ours, &theirs, soketto_side::class);
}

fn role_and_wire(data: &[u8]) -> Option<(Role, &[u8])> {
    let (choice, wire) = data.split_first()?;
    Some((if choice & 1 == 0 { Role::Server } else { Role::Client }, wire))
}

/// Demands that both are the same up to where one of them ends, and that both end there in the same way, or else that
/// `class` knows why.
fn compare<E: Debug>(
    ours: &Read<ProtocolError>,
    theirs: &Read<E>,
    class: impl Fn(&Read<ProtocolError>, &Read<E>) -> Option<Class>,
) {
    let ends_alike = match (&ours.end, &theirs.end) {
        (End::Refused(_), End::Refused(_)) | (End::Closed, End::Closed) | (End::Waits, End::Waits) => true,
        // We refuse a frame by what is there of it, as RFC 6455, 8.1, asks for text; they wait for the whole.
        (End::Refused(_), End::Waits) => true,
        _ => false,
    };
    if ends_alike && ours.items == theirs.items {
        return;
    }
    assert!(class(ours, theirs).is_some(), "ours: {ours:?}\ntheirs: {theirs:?}");
}

#[cfg(test)]
mod tests;
