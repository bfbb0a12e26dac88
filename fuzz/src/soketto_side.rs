//! `soketto`. A Close without a code looks like the end of the bytes there.

use crate::ours::class_of;
use crate::stream::Stream;
use crate::{Class, End, Item, MAX_FRAME_BYTES, Read};
use soketto::connection::{Builder, Error};
use soketto::{Data, Incoming};
use tremor_ws::{ProtocolError, Role};

pub(crate) fn read(role: Role, wire: &[u8]) -> Read<Error> {
    let mode = match role {
        Role::Server => soketto::Mode::Server,
        Role::Client => soketto::Mode::Client,
    };
    let mut builder = Builder::new(Stream(wire), mode);
    builder.set_max_frame_size(MAX_FRAME_BYTES);
    builder.set_max_message_size(usize::MAX);
    let (_sender, mut receiver) = builder.finish();
    let mut items = Vec::new();
    let end = loop {
        let mut payload = Vec::new();
        match futures_executor::block_on(receiver.receive(&mut payload)) {
            Ok(Incoming::Data(Data::Text(_))) => items.push(Item::Text(payload)),
            Ok(Incoming::Data(Data::Binary(_))) => items.push(Item::Binary(payload)),
            Ok(Incoming::Pong(payload)) => items.push(Item::Pong(payload.to_vec())),
            Ok(Incoming::Closed(reason)) => {
                items.push(Item::Close(Some(reason.code), reason.descr.unwrap_or_default()));
                break End::Closed;
            }
            Err(Error::Closed) => break End::Waits,
            Err(error) => break End::Refused(error),
        }
    };
    Read { items, end }
}

/// What they differ in, if that was argued.
pub(crate) fn class(ours: &Read<ProtocolError>, theirs: &Read<Error>) -> Option<Class> {
    match &ours.end {
        // They go on where we refuse.
        End::Refused(error) if theirs.items.starts_with(&ours.items) => {
            // They know how long a control frame may be, but take its length in any form.
            class_of(error).map(|class| if class == Class::LongControl { Class::LongLength } else { class })
        }
        End::Waits if ours.items == theirs.items => match theirs.end {
            End::Refused(Error::Codec(soketto::base::Error::PayloadTooLarge { .. })) => {
                Some(Class::LengthBeforeKey)
            }
            _ => None,
        },
        // They take 1014 for a code that must not be sent, which they tell as 1002.
        End::Closed => match (ours.items.split_last(), theirs.items.split_last()) {
            (
                Some((Item::Close(Some(1014), _), rest)),
                Some((Item::Close(Some(1002), reason), their_rest)),
            ) if rest == their_rest && reason.is_empty() => Some(Class::BadGateway),
            _ => None,
        },
        _ => None,
    }
}
