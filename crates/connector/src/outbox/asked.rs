//! What an element asks of its connection besides having its payload sent.

use super::{Item, Messages, Shared};
use crate::duplex::Ending;
use std::sync::Arc;
use tremor_value::Value;

/// What metadata asks for (`spec/websocket.md` 15).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Asked {
    /// The connection is to end behind this.
    pub(crate) close: Option<Ending>,
    /// A ping with this payload goes behind the message.
    pub(crate) ping: Option<Vec<u8>>,
    /// The message is not to be compressed.
    pub(crate) is_plain: bool,
    /// What it stands for, where the latest of a kind is enough.
    pub(crate) key: Option<Value>,
}

impl Asked {
    /// Whether `item` is there for what it asks alone.
    pub(crate) fn leaves_out_payload(&self, item: &Item<'_>) -> bool {
        (self.close.is_some() || self.ping.is_some())
            && item.element.content.as_value().is_some_and(Value::is_null)
    }

    /// Whether `item` can not be taken where there is no room.
    pub(super) fn needs_room(&self, item: &Item<'_>) -> bool {
        self.ping.is_some() || !self.leaves_out_payload(item)
    }

    /// Does to the messages from number `from` on, which are those of one element, what is asked of them, and adds the
    /// ping.
    pub(super) fn apply(&self, messages: &mut Messages, from: usize) {
        if self.is_plain {
            messages.mark_plain(from);
        }
        if let Some(ping) = &self.ping {
            if messages.len() > from {
                messages.goes_on();
            }
            messages.push_ping(ping, true);
        }
    }
}

/// What is known of an item beyond what it says itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// It was encoded for several connections.
    pub(crate) shared: Option<Arc<Shared>>,
    /// What it asks for; items with the same metadata have the same.
    pub(crate) asked: Option<Arc<Asked>>,
    /// It is for several connections.
    pub(crate) is_common: bool,
}
