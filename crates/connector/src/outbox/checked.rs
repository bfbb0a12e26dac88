//! Messages that somebody looks at before they wait.

use super::{Item, Messages, Outbox, Shared, frame_type};
use crate::duplex::Verdict;
use std::sync::Arc;
use tremor_codec::{Chunks, Encoder};

impl Outbox {
    /// Appends what `item` comes to, as far as it may be sent; gives how many messages those are. Either all of them may
    /// be sent or be dropped, or none is.
    #[inline(never)]
    pub(super) fn encode_checked(
        &self,
        encoder: &mut Encoder,
        into: &mut Messages,
        item: &Item<'_>,
        shared: Option<&Arc<Shared>>,
    ) -> (Result<(), String>, usize) {
        let asked = frame_type::asked_of(item.element.meta.base()).map_err(|error| error.to_string());
        let checked = asked.and_then(|asked| Ok((asked, self.check(encoder, item, shared)?)));
        let (asked, messages) = match checked {
            Ok(checked) => checked,
            Err(error) => return (Err(error), 0),
        };
        let last = messages.len();
        for (number, (message, is_changed)) in messages.into_iter().enumerate() {
            let is_binary = if self.frame_type.takes_a_look(asked) {
                std::str::from_utf8(&message).is_err()
            } else {
                self.frame_type.is_binary(asked)
            };
            into.chunks().push(&message);
            into.flag_new(is_binary || is_changed, number + 1 == last);
        }
        (Ok(()), last)
    }

    /// The messages, each with whether it was made of another one.
    fn check(
        &self,
        encoder: &mut Encoder,
        item: &Item<'_>,
        shared: Option<&Arc<Shared>>,
    ) -> Result<Vec<(Vec<u8>, bool)>, String> {
        let meta = item.element.meta;
        let mut own = Chunks::default();
        let chunks = match shared {
            Some(shared) => {
                shared.encoded()?;
                shared.chunks()
            }
            None => {
                let mut encoded = encoder.encode(item.element.content, item.ingest_ns, meta, &mut own);
                if self.finish_events && item.ends_event {
                    encoded = encoded.and(encoder.finish(&mut own));
                }
                encoded.map_err(|error| error.to_string())?;
                &own
            }
        };
        let mut messages = Vec::new();
        for chunk in chunks.iter() {
            match self.outgoing.as_ref().map_or(Verdict::Send, |outgoing| outgoing.look(chunk, meta.base())) {
                Verdict::Send => messages.push((chunk.to_vec(), false)),
                Verdict::Instead(instead) => messages.push((instead, true)),
                Verdict::Drop => {}
                Verdict::Fail(cause) => return Err(cause),
            }
        }
        Ok(messages)
    }
}
