//! One client: handshake, a first echo that is looked at, and then bursts.

use std::{io::ErrorKind, net::SocketAddr};

use super::{
    frames::{self, Counter, HEADER_BYTES, PAYLOAD_BYTES, Ring},
    wire::{Target, Wire},
};
use crate::error::{Doing as _, Error, Result};

/// Longest answer to the handshake.
const MAX_RESPONSE_BYTES: usize = 8 * 1024;
/// Bytes per read; holds all answers that can be under way with up to 160 messages in flight.
const READ_BYTES: usize = 16 * 1024;

/// An open WebSocket.
pub(super) struct Connection {
    wire: Wire,
    ring: Ring,
    counter: Counter,
    /// Empty until something is read, so that a crowd of idle clients stays small.
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens the WebSocket and checks that the server gives back what it gets.
    pub(super) async fn open(target: &Target, in_flight: u64) -> Result<Self> {
        let mut connection = Self::open_silent(target, in_flight).await?;
        connection.probe().await?;
        Ok(connection)
    }

    /// Opens the WebSocket.
    pub(super) async fn open_silent(target: &Target, in_flight: u64) -> Result<Self> {
        let mut wire = Wire::connect(target).await?;
        shake_hands(&mut wire, target.address).await?;
        Ok(Self { wire, ring: Ring::new(in_flight), counter: Counter::default(), buffer: Vec::new() })
    }

    /// From now on sends messages that begin with another one than the first; nothing may be under way.
    pub(super) fn begin_with(&mut self, first: u64) {
        self.ring = Ring::beginning_with(first, 1);
    }

    /// Sends one message and compares the answer, as JSON: a server may write it in its own way as long as
    /// that is no longer or shorter.
    pub(super) async fn probe(&mut self) -> Result<()> {
        self.wire.write_all(&frames::frame(0)).await.doing(|| "send a message".to_owned())?;
        let mut answer = [0; HEADER_BYTES + PAYLOAD_BYTES];
        let mut got = 0;
        while let Some(free) = answer.get_mut(got..).filter(|free| !free.is_empty()) {
            got += self.wire.read_some(free).await.doing(|| "read an answer".to_owned())?;
        }
        if Counter::default().feed(&answer)? != 1 {
            return Err(Error::Answer("no complete message".to_owned()));
        }
        let parse = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
        let got = answer.get(HEADER_BYTES..).unwrap_or_default();
        if parse(got).is_some() && parse(got) == parse(&frames::payload(0)) {
            Ok(())
        } else {
            Err(Error::Answer(String::from_utf8_lossy(got).into_owned()))
        }
    }

    /// Keeps `in_flight` messages under way until `messages` have been answered.
    pub(super) async fn drive(&mut self, messages: u64, in_flight: u64) -> Result<()> {
        self.drive_while(messages, in_flight, || true).await.map(drop)
    }

    /// The same, but begins nothing new once `goes_on` says no. Returns how many were answered.
    pub(super) async fn drive_while(
        &mut self,
        messages: u64,
        in_flight: u64,
        goes_on: impl Fn() -> bool,
    ) -> Result<u64> {
        let (mut messages, mut sent, mut answered) = (messages, 0, 0);
        while answered < messages {
            if !goes_on() {
                messages = sent;
            }
            let burst = (in_flight - (sent - answered)).min(messages - sent);
            self.send(burst)?;
            sent += burst;
            if answered < messages {
                answered += self.receive().await?;
            }
            if answered > sent {
                return Err(Error::Answer(format!("{answered} answers to {sent} messages")));
            }
        }
        Ok(answered)
    }

    /// Owes so many more messages and hands over what is owed, as far as the socket takes it.
    pub(super) fn send(&mut self, messages: u64) -> Result<()> {
        self.ring.owe(messages);
        while self.ring.owing() {
            match self.wire.try_write(self.ring.owed()) {
                Ok(written) => self.ring.wrote(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).doing(|| "send to the server".to_owned()),
            }
        }
        Ok(())
    }

    /// Waits for the socket, reads once if something is there, and returns how many messages that
    /// completed. Goes on writing what is still owed.
    pub(super) async fn receive(&mut self) -> Result<u64> {
        let waiting = || "wait for the server".to_owned();
        let is_readable = self.wire.ready_for(self.ring.owing()).await.doing(waiting)?;
        self.send(0)?;
        if is_readable { self.read() } else { Ok(0) }
    }

    /// Reads once and returns how many answers that completed.
    fn read(&mut self) -> Result<u64> {
        self.buffer.resize(READ_BYTES, 0);
        match self.wire.try_read(&mut self.buffer) {
            Ok(0) => Err(Error::Answer("the server closed a connection".to_owned())),
            Ok(length) => self.counter.feed(self.buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error).doing(|| "read from the server".to_owned()),
        }
    }
}

/// The client's handshake; of the answer only the status matters here. A server has nothing to say behind
/// it before it is asked.
async fn shake_hands(wire: &mut Wire, address: SocketAddr) -> Result<()> {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dHJlbW9yIGJlbmNobWFyaw==\r\n\r\n"
    );
    wire.write_all(request.as_bytes()).await.doing(|| "send the handshake".to_owned())?;
    let mut response = vec![0; MAX_RESPONSE_BYTES];
    let mut length = 0;
    let head = loop {
        let free = response.get_mut(length..).unwrap_or_default();
        length += wire.read_some(free).await.doing(|| "read the handshake".to_owned())?;
        let head = response.get(..length).unwrap_or_default();
        if length == MAX_RESPONSE_BYTES || memchr::memmem::find(head, b"\r\n\r\n").is_some() {
            break head;
        }
    };
    if head.starts_with(b"HTTP/1.1 101 ") && head.ends_with(b"\r\n\r\n") {
        Ok(())
    } else {
        Err(Error::Answer(String::from_utf8_lossy(head).into_owned()))
    }
}
