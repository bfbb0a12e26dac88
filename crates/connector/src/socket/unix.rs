//! Listening on unix sockets (`spec/websocket.md` 2.1).

use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    task::{Context, Poll, ready},
};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};

use super::cause_of;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixPlace {
    /// Path of the file, or the name of an abstract socket.
    pub path: PathBuf,
    /// There is no file; only Linux has that.
    pub is_abstract: bool,
    /// Permissions of the file, unless they are as the process makes files.
    pub mode: Option<u32>,
    /// Length of the accept queue.
    pub backlog: u32,
}

/// Why there is no listener. Shown with path and cause.
#[derive(Debug, Error)]
pub enum UnixError {
    /// Somebody listens there.
    #[error("cannot listen on {0}: somebody else listens there")]
    IsLive(String),
    /// There is a file, but no socket.
    #[error("cannot listen on {0}: there is a file, but it is no socket")]
    IsFile(String),
    /// The system refuses.
    #[error("cannot listen on {0}: {cause}", cause = cause_of(.1))]
    System(String, #[source] io::Error),
}

impl UnixPlace {
    /// The address as the system has it.
    ///
    /// # Errors
    /// If the path is empty or too long for the system.
    pub fn address(&self) -> io::Result<SockAddr> {
        if self.path.as_os_str().is_empty() {
            return Err(io::Error::other("it is empty"));
        }
        if !self.is_abstract {
            return SockAddr::unix(&self.path);
        }
        let mut name = std::ffi::OsString::from("\0");
        name.push(&self.path);
        SockAddr::unix(name)
    }

    /// As messages show it.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("unix:{}{}", if self.is_abstract { "@" } else { "" }, self.path.display())
    }

    /// Listens there. The file of a socket that nobody listens on any more is replaced. Needs a Tokio runtime.
    ///
    /// # Errors
    /// See [`UnixError`].
    pub fn listen(&self) -> Result<UnixAcceptor, UnixError> {
        let system = |error| UnixError::System(self.shown(), error);
        let address = self.address().map_err(system)?;
        if !self.is_abstract {
            self.make_room(&address)?;
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(system)?;
        socket.set_nonblocking(true).map_err(system)?;
        match socket.bind(&address) {
            // An abstract name is free as soon as nobody has it.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(UnixError::IsLive(self.shown()));
            }
            bound => bound.map_err(system)?,
        }
        let file = (!self.is_abstract).then(|| OwnFile::new(&self.path));
        // Nobody can connect before the permissions are as they should be.
        if let (Some(mode), Some(file)) = (self.mode, &file) {
            fs::set_permissions(&file.path, fs::Permissions::from_mode(mode)).map_err(system)?;
        }
        socket.listen(self.backlog.try_into().unwrap_or(i32::MAX)).map_err(system)?;
        let listener = UnixListener::from_std(socket.into()).map_err(system)?;
        Ok(UnixAcceptor { listener, _file: file })
    }

    /// Removes the file of a socket that nobody listens on.
    fn make_room(&self, address: &SockAddr) -> Result<(), UnixError> {
        let system = |error| UnixError::System(self.shown(), error);
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(system(error)),
        };
        if !found.file_type().is_socket() {
            return Err(UnixError::IsFile(self.shown()));
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(system)?;
        // Without that it would wait where the queue of the listener is full.
        socket.set_nonblocking(true).map_err(system)?;
        match socket.connect(address) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                tracing::info!(target: crate::task::TARGET, "removing {}, which nobody listens on", self.shown());
                fs::remove_file(&self.path).map_err(system)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(system(error)),
            // Whatever else it says, there is somebody.
            Ok(()) | Err(_) => Err(UnixError::IsLive(self.shown())),
        }
    }
}

/// The file of a listener; removed with it, unless somebody else has put another one there.
#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    id: Option<(u64, u64)>,
}

impl OwnFile {
    fn new(path: &Path) -> Self {
        // The directory may be another one when it is removed.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let id = Self::look(&path);
        Self { path, id }
    }

    fn look(path: &Path) -> Option<(u64, u64)> {
        fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if self.id.is_some()
            && Self::look(&self.path) == self.id
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(target: crate::task::TARGET, "cannot remove {}: {}", self.path.display(), cause_of(&error));
        }
    }
}

/// Accepts connections on a unix socket, whose file goes with it.
#[derive(Debug)]
pub struct UnixAcceptor {
    listener: UnixListener,
    _file: Option<OwnFile>,
}

impl UnixAcceptor {
    /// The next connection.
    ///
    /// # Errors
    /// The system cannot accept right now.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, UnixPeer)>> {
        let (stream, address) = ready!(self.listener.poll_accept(cx))?;
        let by = stream.peer_cred()?;
        let path = address.as_pathname().map(|path| path.to_string_lossy().into_owned());
        Poll::Ready(Ok((stream, UnixPeer { path, uid: by.uid(), gid: by.gid(), pid: by.pid() })))
    }
}

/// Who has connected to a unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixPeer {
    /// The file that its end is bound to; most are bound to none.
    pub path: Option<String>,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its process, where the system says that.
    pub pid: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream as StdStream;

    fn place(path: &Path) -> UnixPlace {
        UnixPlace { path: path.to_owned(), is_abstract: false, mode: None, backlog: 16 }
    }

    #[tokio::test]
    async fn a_file_is_there_as_long_as_its_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixPlace { mode: Some(0o640), ..place(&path) }.listen().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        StdStream::connect(&path).unwrap();
        let live = place(&path).listen().unwrap_err();
        assert_eq!(
            live.to_string(),
            format!("cannot listen on unix:{}: somebody else listens there", path.display())
        );
        StdStream::connect(&path).expect("it is still there");
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_file_is_replaced_and_what_is_no_socket_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "left behind");
        drop(place(&path).listen().unwrap());
        fs::write(&path, "precious").unwrap();
        let refused = place(&path).listen().unwrap_err();
        assert!(matches!(refused, UnixError::IsFile(_)), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let nowhere = place(&dir.path().join("none/s")).listen().unwrap_err().to_string();
        assert!(nowhere.ends_with("/none/s: no such file or directory"), "{nowhere}");
    }

    #[tokio::test]
    async fn a_listener_with_a_full_queue_is_live() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = UnixPlace { backlog: 1, ..place(&path) }.listen().unwrap();
        let connect = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.connect(&SockAddr::unix(&path).unwrap()).map(|()| socket)
        };
        let mut waiting = Vec::new();
        while let Ok(socket) = connect() {
            waiting.push(socket);
        }
        assert!(matches!(place(&path).listen(), Err(UnixError::IsLive(_))));
    }

    #[tokio::test]
    async fn the_file_of_another_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = place(&path).listen().unwrap();
        fs::rename(&path, dir.path().join("t")).unwrap();
        fs::write(&path, "of another").unwrap();
        drop(listener);
        assert!(path.exists());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_abstract_name_has_no_file() {
        let name = format!("tremor-test-{}", std::process::id());
        let place = UnixPlace { is_abstract: true, ..place(Path::new(&name)) };
        let listener = place.listen().unwrap();
        assert!(matches!(place.listen(), Err(UnixError::IsLive(_))));
        drop(listener);
        place.listen().unwrap();
    }
}
