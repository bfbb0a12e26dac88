//! States that no message needs right now, kept by the thread for the next one that does.
//!
//! A state takes hundreds of kilobytes. Between messages it says nothing that the window of its connection does not say,
//! and where every message begins with an empty window it says nothing at all: then all connections of a thread make do
//! with one.

use super::{Direction, inflate::State};
use std::cell::RefCell;
use zlib_rs::{Deflate as Stream, DeflateConfig};

/// States of each kind that a thread keeps.
const MOST: usize = 2;

thread_local! {
    static COMPRESSING: RefCell<Vec<(Kind, Box<Stream>)>> = const { RefCell::new(Vec::new()) };
    static INFLATING: RefCell<Vec<Box<State>>> = const { RefCell::new(Vec::new()) };
}

/// What a compressing state is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    level: u8,
    memory_level: u8,
    window_bits: u8,
}

impl Kind {
    pub(super) fn new(direction: Direction, level: u8, memory_level: u8) -> Self {
        Self { level, memory_level, window_bits: direction.window_bits }
    }

    /// A state as a fresh connection has it.
    pub(super) fn take(self) -> Box<Stream> {
        let spare = COMPRESSING.with_borrow_mut(|spare| {
            let number = spare.iter().position(|(kind, _)| *kind == self)?;
            Some(spare.swap_remove(number).1)
        });
        if let Some(mut stream) = spare {
            stream.reset();
            return stream;
        }
        Box::new(Stream::new_with_config(DeflateConfig {
            level: i32::from(self.level),
            window_bits: -i32::from(self.window_bits),
            mem_level: i32::from(self.memory_level),
            ..DeflateConfig::default()
        }))
    }

    /// Nobody needs `stream`, which was made for this, right now.
    pub(super) fn give(self, stream: Box<Stream>) {
        COMPRESSING.with_borrow_mut(|spare| {
            if spare.len() == MOST {
                // Connections of other kinds may be gone.
                spare.remove(0);
            }
            spare.push((self, stream));
        });
    }
}

/// A state that has to be begun anew.
pub(super) fn take_inflating() -> Box<State> {
    INFLATING.with_borrow_mut(Vec::pop).unwrap_or_else(State::new)
}

/// Nobody needs `state` right now.
pub(super) fn give_inflating(state: Box<State>) {
    INFLATING.with_borrow_mut(|spare| {
        if spare.len() < MOST {
            spare.push(state);
        }
    });
}

/// How many states this thread keeps.
#[cfg(test)]
pub(super) fn count() -> (usize, usize) {
    (COMPRESSING.with_borrow(Vec::len), INFLATING.with_borrow(Vec::len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, DeflateOptions, Encoder, Limits, Options, Role};
    use bytes::BytesMut;

    fn pair(options: DeflateOptions) -> (Encoder, Decoder) {
        let (answer, at_server) = options.answer(&[options.offer()]).unwrap();
        let at_client = options.agree(&[answer]).unwrap().unwrap();
        let decoder = Decoder::new(Role::Server, Limits::default(), Options::default());
        (Encoder::new(Role::Client, Options::default()).deflate(&at_client), decoder.deflate(&at_server))
    }

    fn send(pairs: &mut [(Encoder, Decoder)], text: &str) {
        for (encoder, decoder) in pairs {
            let (mut out, mut events) = (Vec::new(), Vec::new());
            encoder.text(text, &mut out).unwrap();
            decoder.decode(&mut BytesMut::from(&out[..]), &mut events).unwrap();
            assert!(
                matches!(&events[..], [crate::Incoming::Message { payload, compressed: true, .. }] if payload == text)
            );
        }
    }

    #[test]
    fn connections_whose_messages_stand_for_themselves_make_do_with_one_state() {
        let alone = DeflateOptions {
            no_context_takeover: true,
            request_no_context_takeover: true,
            ..DeflateOptions::default()
        };
        let mut pairs: Vec<_> = (0..20).map(|_| pair(alone)).collect();
        assert_eq!(count(), (0, 0));
        for text in ["one text", "one text and more", ""] {
            send(&mut pairs, text);
            assert_eq!(count(), (1, 1), "of 20 connections");
        }
        // Another kind of window has a state of its own, and is not begun with what others have left.
        let mut small: Vec<_> =
            (0..3).map(|_| pair(DeflateOptions { max_window_bits: 9, ..alone })).collect();
        send(&mut small, "one text and more");
        assert_eq!(count(), (2, 1));
        send(&mut pairs, "one text and more");
        assert_eq!(count(), (2, 1));
    }

    #[test]
    fn connections_whose_messages_hang_together_give_their_states_to_others_while_nothing_comes() {
        let mut pairs: Vec<_> = (0..5).map(|_| pair(DeflateOptions::default())).collect();
        for text in ["one text", "one text and more", "text"] {
            send(&mut pairs, text);
            assert_eq!(count(), (0, 0), "all are at work");
            for (encoder, decoder) in &mut pairs {
                encoder.idle();
                decoder.idle();
            }
            assert_eq!(count(), (MOST, MOST));
            // In another order than they gave them.
            pairs.rotate_left(2);
            send(&mut pairs[..2], "and between");
            assert_eq!(count(), (0, 0));
            for (encoder, decoder) in &mut pairs {
                encoder.idle();
                decoder.idle();
            }
        }
    }
}
