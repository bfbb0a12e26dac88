//! A WebSocket client that does what a good one would not.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::error::{Doing as _, Result};

use super::wrong;

/// How long a server may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is sent with one write.
const PIECE_BYTES: usize = 64 * 1024;

pub(super) const CONTINUATION: u8 = 0x0;
pub(super) const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// A key that changes nothing.
const NO_MASK: [u8; 4] = [0; 4];

/// An open WebSocket. Everything blocks, but not for ever.
pub(super) struct RawClient {
    stream: TcpStream,
}

/// What a server answered.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// A message of so many bytes.
    Message(u64),
    /// The goodbye, with code and reason.
    Closed(u16, String),
    /// The end of the connection, without a goodbye.
    Gone(String),
}

impl RawClient {
    /// Connects and shakes hands.
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(address).doing(|| format!("connect to {address}"))?;
        let timeouts =
            stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        timeouts.doing(|| "set timeouts".to_owned())?;
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dHJlbW9yIGJlbmNobWFyaw==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).doing(|| "send the handshake".to_owned())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).doing(|| "read the handshake".to_owned())?;
            head.extend_from_slice(&byte);
        }
        if head.starts_with(b"HTTP/1.1 101 ") {
            Ok(Self { stream })
        } else {
            Err(wrong(String::from_utf8_lossy(&head)))
        }
    }

    /// Sends one frame with that byte again and again as its payload.
    ///
    /// # Errors
    /// Whatever the socket says, for instance that the server has closed it.
    pub(super) fn send(&mut self, opcode: u8, is_last: bool, length: u64, payload: u8) -> io::Result<()> {
        self.send_header(opcode, is_last, length)?;
        let piece = vec![payload; PIECE_BYTES];
        let mut left = length;
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            self.stream.write_all(piece.get(..size).unwrap_or_default())?;
            left -= size as u64;
        }
        Ok(())
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// As for [`RawClient::send`].
    pub(super) fn send_bytes(&mut self, opcode: u8, is_last: bool, payload: &[u8]) -> io::Result<()> {
        self.send_header(opcode, is_last, payload.len() as u64)?;
        self.stream.write_all(payload)
    }

    /// Sends one text frame of `line` so many times.
    ///
    /// # Errors
    /// As for [`RawClient::send`].
    pub(super) fn send_lines(&mut self, line: &[u8], count: u64) -> io::Result<()> {
        self.send_header(TEXT, true, line.len() as u64 * count)?;
        let mut left = count;
        while left > 0 {
            let lines = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            self.stream.write_all(&line.repeat(lines))?;
            left -= lines as u64;
        }
        Ok(())
    }

    /// Reads `frame` so many times, and nothing else.
    pub(super) fn expect(&mut self, frame: &[u8], count: u64) -> Result<()> {
        let (mut left, mut read) = (count, Vec::new());
        while left > 0 {
            let frames = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            read.resize(frame.len() * frames, 0);
            self.stream.read_exact(&mut read).doing(|| format!("read the last {left} answers of {count}"))?;
            if !read.chunks(frame.len()).all(|one| one == frame) {
                return Err(wrong(format!("one of the last {left} answers of {count} is another one")));
            }
            left -= frames as u64;
        }
        Ok(())
    }

    /// Sends nothing but the announcement of a frame.
    pub(super) fn send_header(&mut self, opcode: u8, is_last: bool, length: u64) -> io::Result<()> {
        let first = if is_last { FIN | opcode } else { opcode };
        let mut header = vec![first];
        if let Some(short) = u8::try_from(length).ok().filter(|length| *length < 126) {
            header.push(MASKED | short);
        } else if let Ok(medium) = u16::try_from(length) {
            header.push(MASKED | 126);
            header.extend_from_slice(&medium.to_be_bytes());
        } else {
            header.push(MASKED | 127);
            header.extend_from_slice(&length.to_be_bytes());
        }
        header.extend_from_slice(&NO_MASK);
        self.stream.write_all(&header)
    }

    /// Reads one message or goodbye; control frames before it are passed over.
    pub(super) fn answer(&mut self) -> Answer {
        self.try_answer().unwrap_or_else(|error| {
            Answer::Gone(match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("nothing came for {PATIENCE:?}"),
                ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
                _ => error.to_string(),
            })
        })
    }

    fn try_answer(&mut self) -> io::Result<Answer> {
        let mut message = 0;
        loop {
            let mut start = [0; 2];
            self.stream.read_exact(&mut start)?;
            let [first, second] = start;
            let length = match second {
                126 => {
                    let mut length = [0; 2];
                    self.stream.read_exact(&mut length)?;
                    u64::from(u16::from_be_bytes(length))
                }
                127 => {
                    let mut length = [0; 8];
                    self.stream.read_exact(&mut length)?;
                    u64::from_be_bytes(length)
                }
                short => u64::from(short),
            };
            let opcode = first & 0xf;
            if opcode == CLOSE {
                return self.goodbye(length);
            }
            let read = io::copy(&mut (&self.stream).take(length), &mut io::sink())?;
            if read < length {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if opcode < CLOSE {
                message += length;
                if first & FIN != 0 {
                    return Ok(Answer::Message(message));
                }
            }
        }
    }

    fn goodbye(&mut self, length: u64) -> io::Result<Answer> {
        let mut payload = Vec::new();
        (&self.stream).take(length).read_to_end(&mut payload)?;
        // 1005: a goodbye without a code (RFC 6455, section 7.4.1).
        let code = payload.first_chunk().map_or(1_005, |code| u16::from_be_bytes(*code));
        let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
        Ok(Answer::Closed(code, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    /// What a client makes of a server that answers the handshake with `bytes` behind it.
    fn answers(bytes: &'static [u8], count: usize) -> Vec<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_024];
            let mut length = 0;
            while !request[..length].ends_with(b"\r\n\r\n") {
                length += stream.read(&mut request[length..]).unwrap();
            }
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").unwrap();
            stream.write_all(bytes).unwrap();
        });
        let mut client = RawClient::open(address).unwrap();
        server.join().unwrap();
        (0..count).map(|_| client.answer()).collect()
    }

    #[test]
    fn answers_are_told_apart() {
        let bytes = b"\x89\x01p\x01\x02ab\x80\x7e\x00\x03cde\x88\x05\x03\xf1big";
        let expected = [
            Answer::Message(5),
            Answer::Closed(1009, "big".to_owned()),
            Answer::Gone("the connection was closed".to_owned()),
        ];
        assert_eq!(answers(bytes, 3), expected);
        assert_eq!(answers(b"\x88\x00", 1), [Answer::Closed(1005, String::new())]);
    }
}
