//! A connection as bytes, plain or with TLS 1.3, that is read and written as far as the socket goes.
//!
//! TLS is driven by hand and not through a stream of `tokio-rustls`, so that plain and encrypted load take
//! the same way and differ by the encryption alone.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    path::Path,
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, client::Resumption, version};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{io::Interest, net::TcpStream};

use crate::error::{Doing as _, Error, Result};

/// Where a server is, and how it is spoken to.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Plain without it.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// A server without encryption.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

/// Settings of a client that speaks TLS 1.3, trusts the certificate in `cert` alone and does every
/// handshake in full.
///
/// # Errors
/// A file that cannot be read or holds no certificate.
pub(crate) fn trusting(cert: &Path) -> Result<Arc<ClientConfig>> {
    let wrong = |problem: String| Error::WrongResult { path: cert.to_owned(), problem };
    let certificate = CertificateDer::from_pem_file(cert).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// An open connection.
pub(super) struct Wire {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// The last read filled its buffer, so there may be more that the socket knows nothing of.
    has_more: bool,
}

impl Wire {
    /// Connects; with TLS, up to the end of its handshake.
    pub(super) async fn connect(target: &Target) -> Result<Self> {
        let Target { address, tls } = target;
        let stream = TcpStream::connect(address).await.doing(|| format!("connect to {address}"))?;
        stream.set_nodelay(true).doing(|| "set TCP_NODELAY".to_owned())?;
        let Some(config) = tls else { return Ok(Self { stream, tls: None, has_more: false }) };
        let name = ServerName::from(address.ip());
        let tls = ClientConnection::new(Arc::clone(config), name)
            .map_err(io::Error::other)
            .doing(|| "begin TLS".to_owned())?;
        let mut wire = Self { stream, tls: Some(Box::new(tls)), has_more: false };
        wire.finish_handshake().await.doing(|| format!("do the TLS handshake with {address}"))?;
        Ok(wire)
    }

    async fn finish_handshake(&mut self) -> io::Result<()> {
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking() || tls.wants_write()) {
            self.ready().await?;
            self.flush()?;
            match self.take_in() {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Waits until there is something to read, or room if something waits to be written. Returns whether
    /// reading makes sense.
    pub(super) async fn ready(&self) -> io::Result<bool> {
        self.ready_for(self.is_owing()).await
    }

    /// The same where the caller knows whether anything is to be written.
    pub(super) async fn ready_for(&self, writing: bool) -> io::Result<bool> {
        if self.has_more {
            return Ok(true);
        }
        let interest = if writing || self.is_owing() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        Ok(self.stream.ready(interest).await?.is_readable())
    }

    /// Whether something encrypted waits for room in the socket.
    fn is_owing(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Takes as many of the bytes as there is room for.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if there is none; whatever the socket says.
    pub(super) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let Some(tls) = &mut self.tls else { return self.stream.try_write(bytes) };
        if tls.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = tls.writer().write(bytes)?;
        self.flush()?;
        Ok(taken)
    }

    /// Hands over what is encrypted already, as far as the socket takes it.
    fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut Socket(&self.stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there, at most as much as fits; 0 at the end.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if nothing is there; whatever the socket or TLS says.
    pub(super) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.tls.is_none() {
            return self.stream.try_read(buffer);
        }
        loop {
            let decrypted = self.tls.as_mut().map(|tls| tls.reader().read(buffer));
            match decrypted {
                Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => self.has_more = false,
                Some(Ok(length)) => {
                    self.has_more = length == buffer.len();
                    return Ok(length);
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(0),
            }
            if self.take_in()? == 0 {
                return Ok(0);
            }
        }
    }

    /// Reads and decrypts once.
    fn take_in(&mut self) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return Ok(0) };
        let length = tls.read_tls(&mut Socket(&self.stream))?;
        tls.process_new_packets().map_err(io::Error::other)?;
        Ok(length)
    }

    /// Writes all of it.
    pub(super) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stream.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        while self.is_owing() {
            self.stream.writable().await?;
            self.flush()?;
        }
        Ok(())
    }

    /// Waits for something and reads it, at most as much as fits.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEof`] at the end; whatever the socket or TLS says.
    pub(super) async fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.try_read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            self.ready().await?;
            self.flush()?;
        }
    }
}

/// The socket as TLS wants it: what cannot be done at once would block.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
