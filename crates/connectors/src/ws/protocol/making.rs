//! What the protocol of a connection is made of: what all have, and what only those have that were asked for it.

use super::{Revocation, WebSocket};
use crate::ws::{
    Metadata,
    guards::Stay,
    metrics::Link,
    options::Wire,
    pace::{HeartbeatOptions, Pace, PaceOptions},
    schema,
};
use std::sync::Arc;
use tremor_connector::{Joining, duplex::Interceptor};
use tremor_value::Under;
use tremor_ws::{CloseTimeouts, Closing, Decoder, Deflate, Encoder, LargeMessages, Role};

impl<Slot> WebSocket<Slot> {
    /// `metadata` is that of the connection.
    pub(in crate::ws) fn new(role: Role, wire: &Wire, metadata: Metadata, slot: Slot) -> Self {
        let timeouts =
            CloseTimeouts { handshake: Some(wire.times.close), server_drop: Some(wire.times.drop) };
        let (masks, under) = match role {
            Role::Client => (wire.options.mask_client_frames, Under::WsClient),
            Role::Server => (wire.options.mask_server_frames, Under::WsServer),
        };
        let pace = (!wire.pace.is_off()).then(|| Box::new(Pace::new(&wire.pace, None)));
        Self {
            role,
            frames: (!masks).then_some(0),
            keeps_time: pace.is_some(),
            max_control_rate: wire.pace.max_control_rate,
            pace,
            decoder: Decoder::new(role, wire.limits, wire.options),
            encoder: Encoder::new(role, wire.options),
            closing: Closing::new(role, &wire.options, timeouts),
            incoming: Vec::new(),
            metadata,
            outstanding: None,
            under,
            messages: 0,
            said: None,
            leave: None,
            interceptor: None,
            schema: None,
            joining: None,
            is_over: false,
            revocation: None,
            link: None,
            _slot: slot,
        }
    }

    /// The same with heartbeats.
    pub(in crate::ws) fn beating(
        mut self,
        pace: &PaceOptions,
        heartbeat: Option<Arc<HeartbeatOptions>>,
    ) -> Self {
        if heartbeat.is_some() {
            self.pace = Some(Box::new(Pace::new(pace, heartbeat)));
            self.keeps_time = true;
        }
        self
    }

    /// The same with an end that guards have set.
    pub(in crate::ws) fn until(mut self, pace: &PaceOptions, stay: Option<Stay>) -> Self {
        if let Some(stay) = stay {
            let pace = self.pace.take().map_or_else(|| Pace::new(pace, None), |pace| *pace);
            self.pace = Some(Box::new(pace.until(stay)));
            self.keeps_time = true;
        }
        self
    }

    /// The same with somebody who takes messages before the flow sees them.
    pub(in crate::ws) fn past(self, interceptor: Option<Box<dyn Interceptor>>) -> Self {
        Self { interceptor, ..self }
    }

    /// The same with somebody who looks at messages before the flow sees them.
    pub(in crate::ws) fn looking(self, schema: Option<Box<schema::Incoming>>) -> Self {
        let keeps_time = self.keeps_time || schema.as_ref().is_some_and(|schema| schema.may_wait());
        Self { schema, keeps_time, ..self }
    }

    /// The same with somebody who hears what the peer acknowledges.
    pub(in crate::ws) fn acknowledging(self, joining: Option<Box<Joining>>) -> Self {
        Self { joining, ..self }
    }

    /// The same, until that by which it was let in is taken back.
    pub(in crate::ws) fn unless(self, revocation: Option<Arc<Revocation>>) -> Self {
        let keeps_time = self.keeps_time || revocation.is_some();
        Self { revocation, keeps_time, ..self }
    }

    /// The same, counted.
    pub(in crate::ws) fn counted(mut self, link: Option<Arc<Link>>) -> Self {
        self.schema.iter_mut().for_each(|schema| schema.counted(link.as_ref()));
        Self { link, ..self }
    }

    /// The same with compression, if that was agreed on.
    pub(in crate::ws) fn deflate(self, agreed: Option<&Deflate>) -> Self {
        let Some(deflate) = agreed else { return self };
        let frames = self.frames.and_then(|_| deflate.shared_window_bits());
        Self {
            decoder: self.decoder.deflate(deflate),
            encoder: self.encoder.deflate(deflate),
            frames,
            ..self
        }
    }

    /// The same, where large messages of several connections share what they may take.
    pub(in crate::ws) fn sharing(self, large: Option<Arc<LargeMessages>>) -> Self {
        Self { decoder: self.decoder.sharing(large), ..self }
    }
}
