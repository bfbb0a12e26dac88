//! Bytes from the peer to messages.

use crate::assembly::Assembly;
use crate::closing::is_wire_code;
use crate::deflate::{Deflate, Inflater};
use crate::error::ProtocolError;
use crate::header::{Header, MAX_CONTROL_BYTES, is_data};
use crate::large::LargeMessages;
use crate::mask::mask;
use crate::options::{Accepted, Limits, Options, Role};
use crate::utf8::Utf8;
use bytes::{Buf, Bytes, BytesMut};
use std::sync::Arc;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// What is reserved for an unfinished frame before more than that has arrived.
const FIRST_RESERVE_BYTES: usize = 4096;

/// Bytes that one call of [`Decoder::decode_some`] inflates, give or take a few thousand.
pub(crate) const INFLATED_AT_ONCE: usize = 64 * 1024;

/// Compressed bytes that are unmasked at once: those that are not inflated in the same call have to be masked again.
const UNMASKED_AT_ONCE: usize = 4 * 1024;

/// Work of one call of [`Decoder::decode_some`], counted in frames.
const WORK_AT_ONCE: usize = 1024;

/// What comes out is work for those who take it: as much as so many frames.
const WORK_OF_AN_ITEM: usize = 8;

/// What a peer sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A complete message.
    Message {
        /// Its bytes. A message of one frame that was in the input completely shares the memory of the input;
        /// who keeps it for long should copy it.
        payload: Bytes,
        /// Whether it came as binary. Otherwise it is UTF-8, unless
        /// [`Options::validate_utf8`](crate::Options::validate_utf8) is off.
        binary: bool,
        /// How many frames it came in, at least 1.
        frames: u32,
        /// Whether it came compressed; `payload` is not.
        compressed: bool,
    },
    /// A ping, to be answered by a pong with the same payload (up to 125 bytes).
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong(Bytes),
    /// The peer closes; always the last item of a connection.
    Close {
        /// The code, `None` if the Close had no body (reported as 1005).
        code: Option<u16>,
        /// The reason, up to 123 bytes.
        reason: String,
    },
}

/// The message under assembly.
#[derive(Debug, Clone, Copy)]
struct Message {
    binary: bool,
    compressed: bool,
    frames: u32,
}

/// The data frame whose payload has not arrived completely.
#[derive(Debug, Clone, Copy)]
struct Frame {
    fin: bool,
    key: Option<[u8; 4]>,
    /// Payload bytes seen.
    seen: usize,
    /// Payload bytes to come.
    remaining: usize,
}

/// Cuts the bytes of one connection into messages.
///
/// Feed it every read in order. It keeps at most one unfinished message, bounded by [`Limits`], and takes no memory for
/// bytes that a header only announces: of a message of more than 1 MiB, addresses are reserved for what may come. A message that
/// is larger than 8 MiB, or might become that, is in memory of its own, which goes back to the system as soon as nobody has it.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    limits: Limits,
    options: Options,
    message: Option<Message>,
    frame: Option<Frame>,
    assembly: Assembly,
    utf8: Utf8,
    /// Boxed: most connections do not compress.
    inflating: Option<Box<Inflating>>,
    done: bool,
    /// The last call had done enough work before the input was used up.
    has_stopped: bool,
}

#[derive(Debug)]
struct Inflating {
    inflater: Inflater,
    /// Bytes that a message may inflate to.
    max_bytes: usize,
    /// What may still be inflated in this call.
    budget: usize,
    /// That was not enough.
    is_spent: bool,
}

impl Decoder {
    /// A decoder for a fresh connection; `role` is our own.
    pub fn new(role: Role, limits: Limits, options: Options) -> Self {
        Self {
            role,
            limits,
            options,
            message: None,
            frame: None,
            assembly: Assembly::default(),
            utf8: Utf8::default(),
            inflating: None,
            done: false,
            has_stopped: false,
        }
    }

    /// For a connection that has agreed on compression.
    pub fn deflate(mut self, deflate: &Deflate) -> Self {
        let limits = [self.limits.max_message_bytes, deflate.max_inflated_bytes];
        let max_bytes = limits.into_iter().filter(|max| *max != 0).min().unwrap_or(usize::MAX);
        let inflater = Inflater::new(deflate);
        self.inflating =
            Some(Box::new(Inflating { inflater, max_bytes, budget: INFLATED_AT_ONCE, is_spent: false }));
        self
    }

    /// The same, where large messages of several connections share what they may take.
    pub fn sharing(mut self, shared: Option<Arc<LargeMessages>>) -> Self {
        self.assembly = Assembly::sharing(shared);
        self
    }

    /// Gives back memory that is only needed while messages come; a compressed one has to make up for that later.
    pub fn idle(&mut self) {
        if let Some(inflating) = &mut self.inflating {
            inflating.inflater.idle();
        }
    }

    /// Takes what `input` holds and appends what it completes to `events`.
    ///
    /// Payloads are unmasked in place. What stays in `input` is at most an unfinished header or an unfinished
    /// control frame (130 bytes), so the buffer may be exchanged between calls as long as these bytes are kept.
    /// After a Close, and after an error, the input is thrown away.
    ///
    /// # Errors
    /// At the first byte that breaks a rule. `events` then holds everything that came before it.
    pub fn decode(&mut self, input: &mut BytesMut, events: &mut Vec<Incoming>) -> Result<(), ProtocolError> {
        loop {
            self.decode_some(input, events, usize::MAX)?;
            if !self.has_more() {
                return Ok(());
            }
        }
    }

    /// As [`decode`](Self::decode), but stops once `events` holds `most` items, and once it has done much: inflated about
    /// 64 KiB, taken some 1000 frames, or given some 100 items. Little input may be very much, and what comes of it should be dealt
    /// with before more is made. What comes behind that stays in `input`.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode).
    pub fn decode_some(
        &mut self,
        input: &mut BytesMut,
        events: &mut Vec<Incoming>,
        most: usize,
    ) -> Result<(), ProtocolError> {
        if let Some(inflating) = &mut self.inflating {
            (inflating.budget, inflating.is_spent) = (INFLATED_AT_ONCE, false);
        }
        let result = self.run(input, events, most);
        if result.is_err() {
            self.done = true;
        }
        if self.done {
            input.clear();
            self.assembly = Assembly::default();
            self.message = None;
            self.frame = None;
        }
        result
    }

    /// `true` from the first byte of a message's first header until its last byte; a limit on the time of one
    /// message is measured over this. `unread` is what [`decode_some`](Self::decode_some) has left of the input.
    pub fn is_mid_message(&self, unread: &[u8]) -> bool {
        self.message.is_some()
            || is_data(unread)
                && matches!(
                    Header::parse(unread, self.role, &self.options, self.inflating.is_some()),
                    Ok(None)
                )
    }

    /// `true` if [`decode_some`](Self::decode_some) has stopped because it has done enough: there may be more to be had
    /// without any more input.
    pub fn has_more(&self) -> bool {
        !self.done
            && (self.has_stopped || self.inflating.as_ref().is_some_and(|inflating| inflating.is_spent))
    }

    /// `true` after a Close or an error: nothing more will come out.
    pub fn is_done(&self) -> bool {
        self.done
    }

    fn run(
        &mut self,
        input: &mut BytesMut,
        events: &mut Vec<Incoming>,
        most: usize,
    ) -> Result<(), ProtocolError> {
        self.has_stopped = false;
        let (before, mut frames) = (events.len(), 0);
        while !self.done && events.len() < most {
            if frames + WORK_OF_AN_ITEM * (events.len() - before) >= WORK_AT_ONCE {
                self.has_stopped = !input.is_empty();
                break;
            }
            if let Some(frame) = self.frame {
                if !self.take_part(frame, input, events)? {
                    break;
                }
                continue;
            }
            let Some(header) = Header::parse(input, self.role, &self.options, self.inflating.is_some())?
            else {
                break;
            };
            let complete = match header.opcode {
                OpCode::Control(control) => self.control(control, &header, input, events)?,
                OpCode::Data(data) => {
                    frames += 1;
                    self.data(data, &header, input, events)?;
                    true
                }
            };
            if !complete {
                break;
            }
        }
        Ok(())
    }

    /// Handles a control frame; `false` if its payload is not there yet.
    fn control(
        &mut self,
        control: Control,
        header: &Header,
        input: &mut BytesMut,
        events: &mut Vec<Incoming>,
    ) -> Result<bool, ProtocolError> {
        let len = usize::try_from(header.payload_len).unwrap_or(MAX_CONTROL_BYTES);
        if input.len() < header.header_len + len {
            return Ok(false);
        }
        let payload = self.split_payload(header, len, input);
        match control {
            Control::Ping => events.push(Incoming::Ping(payload.freeze())),
            Control::Pong => events.push(Incoming::Pong(payload.freeze())),
            Control::Close => {
                self.done = true;
                events.push(parse_close(&payload)?);
            }
            Control::Reserved(opcode) => return Err(ProtocolError::ReservedOpcode { opcode }),
        }
        Ok(true)
    }

    /// Handles the header of a data frame, and its payload if that is there completely.
    fn data(
        &mut self,
        data: Data,
        header: &Header,
        input: &mut BytesMut,
        events: &mut Vec<Incoming>,
    ) -> Result<(), ProtocolError> {
        let message = self.next_message_state(data, header.compressed)?;
        let len = self.check_limits(header, message)?;
        if header.fin && message.frames == 1 && !message.compressed && input.len() - header.header_len >= len
        {
            let payload = self.split_payload(header, len, input);
            if !message.binary && self.options.validate_utf8 && simdutf8::basic::from_utf8(&payload).is_err()
            {
                return Err(ProtocolError::TextNotUtf8);
            }
            events.push(Incoming::Message {
                payload: payload.freeze(),
                binary: message.binary,
                frames: 1,
                compressed: false,
            });
            return Ok(());
        }
        input.advance(header.header_len);
        self.message = Some(message);
        self.frame = Some(Frame { fin: header.fin, key: header.key, seen: 0, remaining: len });
        Ok(())
    }

    /// What the message under assembly is once this frame belongs to it.
    fn next_message_state(&self, data: Data, compressed: bool) -> Result<Message, ProtocolError> {
        let binary = match (data, self.message) {
            (Data::Continue, Some(message)) => {
                return Ok(Message { frames: message.frames.saturating_add(1), ..message });
            }
            (Data::Continue, None) => return Err(ProtocolError::NothingToContinue),
            (_, Some(_)) => return Err(ProtocolError::MessageUnfinished),
            (Data::Text, None) => false,
            (Data::Binary, None) => true,
            (Data::Reserved(opcode), None) => return Err(ProtocolError::ReservedOpcode { opcode }),
        };
        match (self.options.accept, binary) {
            (Accepted::Text, true) | (Accepted::Binary, false) => {
                Err(ProtocolError::TypeNotAccepted { binary })
            }
            _ => Ok(Message { binary, compressed, frames: 1 }),
        }
    }

    /// Whether a message may be a text.
    #[must_use]
    pub fn takes_text(&self) -> bool {
        self.options.accept != Accepted::Binary
    }

    /// Decides by the header alone; gives the payload length.
    fn check_limits(&self, header: &Header, message: Message) -> Result<usize, ProtocolError> {
        let Limits { max_frame_bytes, max_message_bytes, max_fragments } = self.limits;
        // Some peers end every message they split with an empty frame, which is not counted.
        let ends_only = header.fin && header.payload_len == 0;
        if max_fragments != 0 && message.frames.saturating_sub(u32::from(ends_only)) > max_fragments {
            return Err(ProtocolError::TooManyFragments { max: max_fragments });
        }
        let announced = header.payload_len;
        let within = |len: u64, max: usize| usize::try_from(len).ok().filter(|len| max == 0 || *len <= max);
        let Some(len) = within(announced, max_frame_bytes) else {
            return Err(ProtocolError::FrameTooLarge { announced, max: max_frame_bytes });
        };
        if message.compressed {
            // What counts is what it inflates to.
            return Ok(len);
        }
        let size = announced.saturating_add(u64::try_from(self.assembly.len()).unwrap_or(u64::MAX));
        match within(size, max_message_bytes) {
            Some(_) => Ok(len),
            None => Err(ProtocolError::MessageTooLarge { size, max: max_message_bytes }),
        }
    }

    /// Takes header and payload, both there completely, out of `input`; gives the unmasked payload.
    fn split_payload(&self, header: &Header, len: usize, input: &mut BytesMut) -> BytesMut {
        let mut payload = input.split_to(header.header_len + len);
        payload.advance(header.header_len);
        self.unmask(&mut payload, header.key, 0);
        payload
    }

    fn unmask(&self, bytes: &mut [u8], key: Option<[u8; 4]>, offset: usize) {
        match key {
            Some(key) if self.options.apply_mask && key != [0; 4] => mask(bytes, key, offset),
            _ => {}
        }
    }

    /// How much room is made for what of this frame goes behind the message, while that is small, and how much may come. The end of
    /// a message is known only in its last frame; there the room never goes past that end, nor past double of what has
    /// arrived, whatever the header announces.
    fn ahead(&self, frame: &Frame) -> (usize, usize) {
        let len = self.assembly.len();
        if frame.fin {
            return (len.max(FIRST_RESERVE_BYTES), frame.remaining);
        }
        let max = self.limits.max_message_bytes;
        (len, if max == 0 { usize::MAX } else { max.saturating_sub(len) })
    }

    /// Moves what is there of an unfinished frame to the message; `false` if more of it has to come.
    fn take_part(
        &mut self,
        mut frame: Frame,
        input: &mut BytesMut,
        events: &mut Vec<Incoming>,
    ) -> Result<bool, ProtocolError> {
        let message = self.message.unwrap_or(Message { binary: true, compressed: false, frames: 0 });
        let most = if message.compressed { UNMASKED_AT_ONCE } else { usize::MAX };
        let taken = frame.remaining.min(input.len()).min(most);
        let part = input.get_mut(..taken).unwrap_or_default();
        self.unmask(part, frame.key, frame.seen);
        let text = !message.binary && self.options.validate_utf8;
        let ends = frame.fin && frame.remaining == taken;
        let inflating = self.inflating.as_mut().filter(|_| message.compressed);
        match inflating {
            Some(inflating) => {
                let read = inflate(inflating, part, ends, &mut self.assembly, &mut self.utf8, text)?;
                if inflating.is_spent {
                    // What is left of the input looks as it did.
                    self.unmask(part.get_mut(read..).unwrap_or_default(), frame.key, frame.seen + read);
                    input.advance(read);
                    frame.seen += read;
                    frame.remaining -= read;
                    self.frame = Some(frame);
                    return Ok(false);
                }
            }
            None => {
                if text && !self.utf8.push(part) {
                    return Err(ProtocolError::TextNotUtf8);
                }
                let (ahead, most) = self.ahead(&frame);
                self.assembly.push(part, ahead, most)?;
            }
        }
        input.advance(taken);
        frame.seen += taken;
        frame.remaining -= taken;
        if frame.remaining > 0 {
            self.frame = Some(frame);
            return Ok(!input.is_empty());
        }
        self.frame = None;
        if frame.fin {
            if text && !self.utf8.finish() {
                return Err(ProtocolError::TextNotUtf8);
            }
            let payload = self.assembly.take();
            if let Some(Message { binary, compressed, frames }) = self.message.take() {
                events.push(Incoming::Message { payload, binary, frames, compressed });
            }
        }
        Ok(true)
    }
}

/// Inflates the next part of a message, with `ends` the last one, behind what is in `assembly`. `text` is checked as it
/// comes out. Gives how much of `part` was taken: all of it unless the budget is spent.
fn inflate(
    inflating: &mut Inflating,
    part: &[u8],
    ends: bool,
    assembly: &mut Assembly,
    utf8: &mut Utf8,
    text: bool,
) -> Result<usize, ProtocolError> {
    let Inflating { inflater, max_bytes: max, budget, is_spent } = inflating;
    let mut sink = |inflated: &[u8]| {
        let len = assembly.len();
        let fitting = inflated.get(..*max - len);
        // What is wrong in front of the limit is wrong however much comes behind it at once.
        if text && !utf8.push(fitting.unwrap_or(inflated)) {
            return Err(ProtocolError::TextNotUtf8);
        }
        if fitting.is_some_and(|fitting| fitting.len() < inflated.len()) {
            return Err(ProtocolError::InflatedTooLarge { max: *max });
        }
        assembly.push(inflated, len, *max - len)
    };
    let read = inflater.push(part, budget, &mut sink)?;
    *is_spent = read < part.len() || inflater.holds_more();
    if ends && !*is_spent {
        inflater.finish(&mut sink)?;
    }
    Ok(read)
}

fn parse_close(body: &[u8]) -> Result<Incoming, ProtocolError> {
    let Some((code, reason)) = body.split_first_chunk::<2>() else {
        return match body {
            [] => Ok(Incoming::Close { code: None, reason: String::new() }),
            _ => Err(ProtocolError::CloseBodyTooShort),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !is_wire_code(code) {
        return Err(ProtocolError::CloseCodeInvalid { code });
    }
    match std::str::from_utf8(reason) {
        Ok(reason) => Ok(Incoming::Close { code: Some(code), reason: reason.to_owned() }),
        Err(_) => Err(ProtocolError::CloseReasonNotUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(decoder: &mut Decoder, bytes: &[u8]) -> Vec<Incoming> {
        let mut events = Vec::new();
        decoder.decode(&mut BytesMut::from(bytes), &mut events).unwrap();
        events
    }

    #[test]
    fn memory_follows_what_arrived_not_what_is_announced() {
        let mut decoder = Decoder::new(Role::Client, Limits::default(), Options::default());
        let announced: u64 = 16 << 20;
        feed(&mut decoder, &[&[0x82, 127][..], &announced.to_be_bytes(), b"ten bytes!"].concat());
        assert!(decoder.assembly.capacity() <= FIRST_RESERVE_BYTES);
        let mut moves = 0;
        for _ in 0..(16 << 20) / 4096 - 1 {
            let (len, capacity) = (decoder.assembly.len(), decoder.assembly.capacity());
            if len < 1 << 20 {
                assert!(capacity <= 2 * len.max(FIRST_RESERVE_BYTES), "{capacity} bytes reserved for {len}");
            }
            feed(&mut decoder, &[7; 4096]);
            moves += usize::from(decoder.assembly.capacity() != capacity);
        }
        assert!(moves < 20, "room was made {moves} times");
        assert_eq!(decoder.assembly.capacity(), 16 << 20, "and is as much as was announced");
        assert_eq!(feed(&mut decoder, &[7; 4086]).len(), 1);
        assert_eq!(decoder.assembly.capacity(), 0, "a finished message leaves no memory behind");
    }

    #[test]
    fn a_message_whose_end_is_not_known_has_room_up_to_the_limit() {
        let limits = Limits { max_message_bytes: 10 << 20, ..Limits::default() };
        for (limits, room) in [(limits, 10 << 20), (Limits { max_message_bytes: 0, ..limits }, 65 << 20)] {
            let mut decoder = Decoder::new(Role::Client, limits, Options::default());
            feed(&mut decoder, &[&[0x02, 127][..], &(1_u64 << 20).to_be_bytes(), &[7; 1 << 20]].concat());
            assert!(decoder.assembly.capacity() <= 2 << 20);
            let capacity = decoder.assembly.capacity() as u64;
            feed(&mut decoder, &[&[0x00, 127][..], &capacity.to_be_bytes(), &vec![7; 1 << 20]].concat());
            assert_eq!(decoder.assembly.capacity(), room);
        }
    }

    #[test]
    fn a_short_unfinished_frame_reserves_its_own_length() {
        let mut decoder = Decoder::new(Role::Client, Limits::default(), Options::default());
        feed(&mut decoder, b"\x82\x64ten bytes!");
        assert_eq!(decoder.assembly.capacity(), 100);
    }

    /// What single calls give for `wire`: how many items each, and all of them.
    fn in_calls(wire: &[u8]) -> (Vec<usize>, Vec<Incoming>) {
        let mut decoder = Decoder::new(Role::Client, Limits::default(), Options::default());
        let (mut input, mut calls, mut all) = (BytesMut::from(wire), Vec::new(), Vec::new());
        loop {
            let mut events = Vec::new();
            decoder.decode_some(&mut input, &mut events, usize::MAX).unwrap();
            calls.push(events.len());
            all.append(&mut events);
            if !decoder.has_more() {
                assert!(input.is_empty());
                return (calls, all);
            }
            assert!(!input.is_empty());
        }
    }

    #[test]
    fn a_call_gives_only_so_many_items_and_takes_only_so_many_frames() {
        let messages = b"\x81\x011".repeat(1000);
        let (calls, all) = in_calls(&messages);
        assert_eq!(calls, [114, 114, 114, 114, 114, 114, 114, 114, 88]);
        let mut decoder = Decoder::new(Role::Client, Limits::default(), Options::default());
        assert_eq!(feed(&mut decoder, &messages), all);

        assert_eq!(in_calls(&b"\x89\x00".repeat(128)).0, [128], "nothing is left");
        assert_eq!(in_calls(&b"\x89\x00".repeat(129)).0, [128, 1]);

        let fragments = [&b"\x02\x00"[..], &b"\x00\x01x".repeat(5000), b"\x80\x00"].concat();
        let (calls, all) = in_calls(&fragments);
        assert_eq!(calls, [0, 0, 0, 0, 1], "5002 frames");
        assert!(
            matches!(&all[..], [Incoming::Message { payload, frames: 5002, .. }] if payload.len() == 5000)
        );
    }

    #[test]
    fn an_error_or_a_close_lets_go_of_the_unfinished_message() {
        for end in [&b"\x88\x00"[..], b"\xff\xff"] {
            let mut decoder = Decoder::new(Role::Client, Limits::default(), Options::default());
            feed(&mut decoder, b"\x02\x05begun");
            assert!(decoder.is_mid_message(&[]));
            let mut input = BytesMut::from(end);
            let _ = decoder.decode(&mut input, &mut Vec::new());
            assert!(decoder.is_done() && !decoder.is_mid_message(&input) && input.is_empty());
            assert_eq!(decoder.assembly.capacity(), 0);
        }
    }
}
