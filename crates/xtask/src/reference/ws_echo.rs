//! The echo server that everybody would write with `async-tungstenite`: message in, message out.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_tungstenite::{tokio::accept_async, tungstenite::Error as WsError};
use futures_util::StreamExt as _;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_rustls::TlsAcceptor;

use crate::error::{Doing as _, Result};

/// Where to listen, and how.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen
    address: SocketAddr,
    /// Folder with `cert.pem` and `key.pem`; plain without it
    tls: Option<PathBuf>,
}

/// Serves until the process is killed.
pub(super) fn run(args: &Args) -> Result<()> {
    let acceptor = args.tls.as_deref().map(acceptor).transpose()?;
    let runtime = Runtime::new().doing(|| "start tokio".to_owned())?;
    runtime.block_on(async {
        let listening = || format!("listen on {}", args.address);
        let listener = TcpListener::bind(args.address).await.doing(listening)?;
        serve(listener, acceptor).await
    })
}

fn acceptor(folder: &Path) -> Result<TlsAcceptor> {
    let config = || -> io::Result<ServerConfig> {
        let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .map_err(io::Error::other)
    };
    let config = config().doing(|| format!("use the certificate in {}", folder.display()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Echoes on every connection of `listener`, each in a task of its own.
pub(crate) async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await.doing(|| "accept a connection".to_owned())?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A peer that leaves is how every measurement ends.
            let _gone = encrypt_and_echo(stream, acceptor).await;
        });
    }
}

async fn encrypt_and_echo(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
) -> std::result::Result<(), WsError> {
    stream.set_nodelay(true)?;
    match acceptor {
        None => echo(stream).await,
        Some(acceptor) => echo(acceptor.accept(stream).await?).await,
    }
}

async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin) -> std::result::Result<(), WsError> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
