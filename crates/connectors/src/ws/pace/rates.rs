//! How much a peer may send (`spec/websocket.md` 13).

use super::RateOptions;
use bytes::BytesMut;
use std::time::Instant;
use tremor_ws::{Bucket, Decoder, Incoming, ProtocolError};

/// As many bytes are taken at once, even if there are fewer tokens: a frame whose payload is not taken in parts has
/// no more (a header of 14 bytes and the 125 of a control frame). What is too much is waited for afterwards.
const LEAST_BYTES: u64 = 139;
/// While reading waits, it is looked so often in a second whether it may go on.
const LOOKS_PER_SECOND: u64 = 50;

/// Counts what comes, and holds it back or refuses it.
pub(super) struct Rates {
    options: RateOptions,
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    /// Reading waits until then.
    resumes_at: Option<Instant>,
    /// When reading stopped, while it has.
    stopped_at: Option<Instant>,
}

impl Rates {
    pub(super) fn new(options: RateOptions, now: Instant) -> Self {
        let bucket = |rate| Bucket::new(rate, now);
        Self {
            messages: options.messages.map(bucket),
            bytes: options.bytes.map(bucket),
            options,
            resumes_at: None,
            stopped_at: None,
        }
    }

    /// When reading may go on; `None` while it does.
    pub(super) fn resumes_at(&self) -> Option<Instant> {
        self.resumes_at
    }

    pub(super) fn on_time(&mut self, now: Instant) {
        self.resumes_at = self.resumes_at.filter(|at| *at > now);
    }

    /// Reading stops, or goes on: what piled up meanwhile came when it was sent, and that it is read at once is not the
    /// peer's doing. What is held back is read at the rate all the same.
    pub(super) fn reading(&mut self, reads: bool, now: Instant) {
        if !self.options.closes {
            return;
        }
        if !reads {
            self.stopped_at.get_or_insert(now);
        } else if let Some(stopped) = self.stopped_at.take() {
            let buckets = self.messages.iter_mut().chain(&mut self.bytes);
            buckets.for_each(|bucket| bucket.make_up(stopped, now));
        }
    }

    /// Decodes what may come now. What is too much stays in `input` until reading goes on, or is the end.
    pub(super) fn decode(
        &mut self,
        decoder: &mut Decoder,
        input: &mut BytesMut,
        incoming: &mut Vec<Incoming>,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        if self.options.closes {
            self.refuse(decoder, input, incoming, now)
        } else {
            self.hold_back(decoder, input, incoming, now)
        }
    }

    fn hold_back(
        &mut self,
        decoder: &mut Decoder,
        input: &mut BytesMut,
        incoming: &mut Vec<Incoming>,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        while !input.is_empty() {
            let messages = self.messages.as_mut().map_or(u64::MAX, |bucket| bucket.available(now));
            let bytes = self.bytes.as_mut().map_or(u64::MAX, |bucket| bucket.available(now));
            if messages == 0 || bytes == 0 {
                self.wait();
                return Ok(());
            }
            let bytes = size(bytes.max(LEAST_BYTES)).min(input.len());
            let rest = input.split_off(bytes);
            let (before, most) = (incoming.len(), incoming.len().saturating_add(size(messages)));
            let decoded = decoder.decode_some(input, incoming, most);
            let consumed = bytes - input.len();
            input.unsplit(rest);
            if let Some(bucket) = &mut self.messages {
                bucket.spend(messages_in(incoming.get(before..).unwrap_or_default()), now);
            }
            if let Some(bucket) = &mut self.bytes {
                bucket.spend(consumed as u64, now);
            }
            if decoder.is_done() {
                // What comes behind the end is nothing.
                input.clear();
            }
            decoded?;
            if consumed == 0 || decoder.has_more() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Until there are tokens for more than a little, or everything would be taken bit by bit.
    fn wait(&mut self) {
        let some =
            |bucket: &Bucket, rate: std::num::NonZeroU64| bucket.when((rate.get() / LOOKS_PER_SECOND).max(1));
        let messages =
            self.messages.as_ref().zip(self.options.messages).map(|(bucket, rate)| some(bucket, rate));
        let bytes = self.bytes.as_ref().zip(self.options.bytes).map(|(bucket, rate)| some(bucket, rate));
        self.resumes_at = messages.max(bytes);
    }

    fn refuse(
        &mut self,
        decoder: &mut Decoder,
        input: &mut BytesMut,
        incoming: &mut Vec<Incoming>,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        let (before, bytes) = (incoming.len(), input.len());
        let decoded = decoder.decode_some(input, incoming, usize::MAX);
        if let (Some(bucket), Some(rate)) = (&mut self.bytes, self.options.bytes)
            && !bucket.take((bytes - input.len()) as u64, now)
        {
            incoming.truncate(before);
            return Err(ProtocolError::ByteRate { max: rate.get() });
        }
        if let (Some(bucket), Some(rate)) = (&mut self.messages, self.options.messages) {
            let allowed = size(bucket.available(now));
            let is_message = |item: &Incoming| matches!(item, Incoming::Message { .. });
            let came = incoming.iter().enumerate().skip(before).filter(|(_, item)| is_message(item));
            if let Some((first_too_many, _)) = came.clone().nth(allowed) {
                incoming.truncate(first_too_many);
                return Err(ProtocolError::MessageRate { max: rate.get() });
            }
            bucket.spend(came.count() as u64, now);
        }
        decoded
    }
}

fn messages_in(incoming: &[Incoming]) -> u64 {
    incoming.iter().filter(|item| matches!(item, Incoming::Message { .. })).count() as u64
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{num::NonZeroU64, time::Duration};
    use tremor_ws::{Limits, Options, Role};

    /// Unmasked frames, as a server sends them: `count` texts of `len` bytes.
    fn texts(count: usize, len: u8) -> BytesMut {
        let mut bytes = BytesMut::new();
        for _ in 0..count {
            bytes.extend_from_slice(&[0x81, len]);
            bytes.extend_from_slice(&vec![b'x'; len.into()]);
        }
        bytes
    }

    fn rates(messages: u64, bytes: u64, closes: bool, now: Instant) -> (Rates, Decoder) {
        let options =
            RateOptions { messages: NonZeroU64::new(messages), bytes: NonZeroU64::new(bytes), closes };
        (Rates::new(options, now), Decoder::new(Role::Client, Limits::default(), Options::default()))
    }

    /// How many messages have come by when, in steps of the waits.
    fn course(messages: u64, bytes: u64, mut input: BytesMut) -> Vec<(u128, u64)> {
        let start = Instant::now();
        let (mut rates, mut decoder) = rates(messages, bytes, false, start);
        let (mut now, mut incoming, mut course) = (start, Vec::new(), Vec::new());
        loop {
            rates.decode(&mut decoder, &mut input, &mut incoming, now).unwrap();
            course.push(((now - start).as_millis(), messages_in(&incoming)));
            let Some(at) = rates.resumes_at() else { return course };
            assert!(at > now, "it would never go on");
            rates.on_time(at - Duration::from_nanos(1));
            assert!(rates.resumes_at().is_some());
            rates.on_time(at);
            now = at;
        }
    }

    #[test]
    fn what_is_too_much_is_held_back() {
        assert_eq!(course(2, 0, texts(5, 3)), [(0, 2), (500, 3), (1000, 4), (1500, 5)]);
        assert_eq!(course(0, 1000, texts(2, 125)), [(0, 2)]);
        let bytes = course(0, 1000, texts(30, 98));
        let (last_ms, messages) = bytes.last().unwrap();
        assert_eq!((bytes.first(), *messages), (Some(&(0, 10)), 30));
        assert!((1861..=2000).contains(last_ms), "{last_ms}: all but a frame has been waited for");
        let slow = course(0, 10, texts(3, 125));
        assert_eq!(slow.last().map(|(_, messages)| *messages), Some(3), "slower than a frame is long");
        let pings = BytesMut::from(&[0x89, 0].repeat(50)[..]);
        assert_eq!(course(1, 0, pings), [(0, 0)], "pings are no messages");
        assert_eq!(course(3, 100_000, texts(4, 3)), [(0, 3), (333, 4)], "the slower one of both counts");
    }

    #[test]
    fn what_comes_in_pieces_is_counted_once() {
        let start = Instant::now();
        let (mut rates, mut decoder) = rates(2, 0, false, start);
        let (whole, mut incoming, mut input) = (texts(2, 5), Vec::new(), BytesMut::new());
        for byte in &whole {
            input.extend_from_slice(&[*byte]);
            rates.decode(&mut decoder, &mut input, &mut incoming, start).unwrap();
        }
        assert_eq!((incoming.len(), rates.resumes_at()), (2, None));
    }

    #[test]
    fn what_is_too_much_is_the_end() {
        let now = Instant::now();
        for (messages, bytes, came, passed, expected) in [
            (3, 0, 3, 3, None),
            (3, 0, 4, 3, Some(ProtocolError::MessageRate { max: 3 })),
            (0, 20, 4, 4, None),
            (0, 20, 5, 0, Some(ProtocolError::ByteRate { max: 20 })),
        ] {
            let (mut rates, mut decoder) = rates(messages, bytes, true, now);
            let mut incoming = Vec::new();
            let decoded = rates.decode(&mut decoder, &mut texts(came, 3), &mut incoming, now);
            assert_eq!((incoming.len(), decoded.err()), (passed, expected));
        }
        let (mut rates, mut decoder) = rates(1, 0, true, now);
        for seconds in 0..5 {
            let now = now + Duration::from_secs(seconds);
            rates.decode(&mut decoder, &mut texts(1, 1), &mut Vec::new(), now).unwrap();
        }
    }

    #[test]
    fn what_piled_up_while_nobody_read_is_not_too_much() {
        let start = Instant::now();
        for (messages, bytes) in [(20, 0), (0, 100)] {
            for (came, is_too_much) in [(70, false), (71, true)] {
                let (mut rates, mut decoder) = rates(messages, bytes, true, start);
                rates.reading(false, start);
                let resumed = start + Duration::from_millis(2500);
                rates.reading(true, resumed);
                let decoded = rates.decode(&mut decoder, &mut texts(came, 3), &mut Vec::new(), resumed);
                assert_eq!(decoded.is_err(), is_too_much, "{came} of {messages} and {bytes}");
            }
        }
        let (mut rates, mut decoder) = rates(2, 0, false, start);
        rates.reading(false, start);
        rates.reading(true, start + Duration::from_secs(9));
        let mut incoming = Vec::new();
        rates.decode(&mut decoder, &mut texts(5, 3), &mut incoming, start + Duration::from_secs(9)).unwrap();
        assert_eq!(incoming.len(), 2, "what is held back comes at the rate");
    }
}
