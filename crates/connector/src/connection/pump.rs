//! The writing half of a connection.

use super::{Ended, Unwritten};
use crate::{
    Intake,
    duplex::{Ending, Flow, Protocol, ProtocolError, Stream},
    outbox::{Messages, Outbox},
    task::TARGET,
};
use bytes::BytesMut;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncWriteExt, WriteHalf},
    time::timeout,
};

/// Answers of the protocol itself that may wait before reading stops.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// Moves messages from the outbox through the protocol into the stream.
pub(super) struct Pump {
    writer: WriteHalf<Box<dyn Stream>>,
    protocol: Box<dyn Protocol>,
    outbox: Arc<Outbox>,
    /// What was last taken from the outbox.
    messages: Messages,
    /// Where each of `messages` ends in `framed`.
    ends: Vec<End>,
    /// Messages whose fate is known.
    settled: usize,
    framed: Vec<u8>,
    written: usize,
    reply_bytes: usize,
    limit: Duration,
}

struct End {
    at: usize,
    /// The last message of what was put into the outbox at once.
    is_last: bool,
    /// Why it cannot be sent.
    error: Option<String>,
}

impl Pump {
    pub(super) fn new(
        writer: WriteHalf<Box<dyn Stream>>,
        protocol: Box<dyn Protocol>,
        outbox: Arc<Outbox>,
        limit: Duration,
    ) -> Self {
        Self {
            writer,
            protocol,
            outbox,
            messages: Messages::default(),
            ends: Vec::new(),
            settled: 0,
            framed: Vec::new(),
            written: 0,
            reply_bytes: 0,
            limit,
        }
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Lets the protocol read; its replies go out behind what is being written.
    pub(super) fn read(&mut self, input: &mut BytesMut, intake: &mut Intake) -> Result<Flow, ProtocolError> {
        let before = self.framed.len();
        let flow = self.protocol.read(input, intake, &mut self.framed);
        self.reply_bytes += self.framed.len() - before;
        flow
    }

    /// `true` while the peer does not read the answers it provokes.
    pub(super) fn owes_too_much(&self) -> bool {
        self.reply_bytes > MAX_REPLY_BYTES
    }

    /// Writes whatever comes until the connection breaks, or, with `None`, until replies that were owed
    /// have gone out. Cancel safe.
    pub(super) async fn run(&mut self) -> Option<Ended> {
        let owing = self.owes_too_much();
        loop {
            if let Err(ended) = self.write_framed().await {
                return Some(ended);
            }
            if owing {
                return None;
            }
            if self.outbox.is_given_up() {
                let _best_effort =
                    timeout(Duration::from_millis(100), self.finish_with(Ending::SlowConsumer)).await;
                return Some(Ended::broken("slow consumer"));
            }
            if !self.take_messages() {
                self.outbox.has_messages().await;
            }
        }
    }

    /// Writes what is framed or waits in the outbox right now.
    pub(super) async fn finish(&mut self) {
        while self.write_framed().await.is_ok() {
            if !self.take_messages() {
                return;
            }
        }
    }

    /// As [`Pump::finish`], then says goodbye; `true` if the peer is expected to answer.
    pub(super) async fn finish_with(&mut self, ending: Ending) -> bool {
        if !matches!(ending, Ending::SlowConsumer) {
            self.finish().await;
        }
        let expects_answer = self.protocol.end(ending, &mut self.framed);
        self.write_framed().await.is_ok() && expects_answer
    }

    /// Ends our direction of the byte stream.
    pub(super) async fn shutdown(&mut self) {
        // The peer may be gone already; there is nobody to tell.
        let _gone_or_not = timeout(self.limit, self.writer.shutdown()).await;
    }

    /// Settles what was not written.
    pub(super) fn give_back(&mut self, unwritten: Unwritten) {
        match unwritten {
            Unwritten::Keep => self.outbox.put_back(&self.messages, self.settled),
            Unwritten::Fail => self.outbox.counters().failed(self.messages.elements_from(self.settled)),
        }
        self.messages.clear();
    }

    /// Frames everything that waits in the outbox; `false` if nothing did.
    fn take_messages(&mut self) -> bool {
        self.messages.clear();
        self.ends.clear();
        self.settled = 0;
        self.outbox.take(&mut self.messages);
        for message in self.messages.iter() {
            let sent = self.protocol.write(message.payload, message.binary, &mut self.framed);
            let error = sent.err().map(|error| error.to_string());
            self.ends.push(End { at: self.framed.len(), is_last: message.is_last, error });
        }
        !self.messages.is_empty()
    }

    async fn write_framed(&mut self) -> Result<(), Ended> {
        while let Some(rest) = self.framed.get(self.written..).filter(|rest| !rest.is_empty()) {
            let wrote = timeout(self.limit, self.writer.write(rest)).await;
            match wrote {
                Ok(Ok(0)) => return Err(Ended::broken(io::Error::from(io::ErrorKind::WriteZero))),
                Ok(Ok(count)) => self.written += count,
                Ok(Err(error)) => return Err(Ended::broken(error)),
                Err(_) => return Err(Ended::broken("the peer does not read what it is sent")),
            }
            self.settle();
        }
        if self.written > 0 {
            self.writer.flush().await.map_err(Ended::broken)?;
            self.framed.clear();
            self.framed.shrink_to(READY_BYTES);
            self.written = 0;
            self.reply_bytes = 0;
        }
        self.settle();
        Ok(())
    }

    /// Counts the messages that are written by now.
    fn settle(&mut self) {
        let (mut written, mut failed) = (0, 0);
        while let Some(end) = self.ends.get(self.settled) {
            if end.at > self.written && self.written < self.framed.len() {
                break;
            }
            if let Some(cause) = &end.error {
                tracing::error!(target: TARGET, "a message was not sent: {cause}");
            }
            let count = u64::from(end.is_last);
            if end.error.is_none() {
                written += count;
            } else {
                failed += count;
            }
            self.settled += 1;
        }
        self.outbox.counters().written(written);
        self.outbox.counters().failed(failed);
    }
}

/// Room that the write buffer keeps between batches.
const READY_BYTES: usize = 64 * 1024;
