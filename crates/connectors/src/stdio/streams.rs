//! The standard streams of the process.

use super::{Hub, input::Input};
use crate::output::{Target, WriterThread};
use rustix::event::{PollFd, PollFlags, poll};
use std::{
    fs::File,
    io::{self, Read, Write as _},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// The hub of the streams that this process was started with.
///
/// The one thing here that belongs to the whole process: so do the streams. Two readers of standard input
/// would steal each other's data.
pub(super) fn of_process() -> io::Result<&'static Hub> {
    static HUB: OnceLock<Hub> = OnceLock::new();
    static OPENING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(hub) = HUB.get() {
        return Ok(hub);
    }
    // Copies of the descriptors, past the buffers of the standard library, which hold back and lock.
    let input = Patient::over(io::stdin())?;
    let output = Patient::over(io::stdout())?;
    let error = Patient::over(io::stderr())?;
    let hub = Hub::new(input, output, error)?;
    Ok(HUB.get_or_init(|| hub))
}

impl Hub {
    /// A hub of any three streams.
    pub(super) fn new(
        input: impl Read + Send + 'static,
        output: impl Target + 'static,
        error: impl Target + 'static,
    ) -> io::Result<Self> {
        Ok(Self {
            input: Arc::new(Input::new(Box::new(input))),
            output: WriterThread::over("tremor-stdout", Box::new(output))?,
            error: WriterThread::over("tremor-stderr", Box::new(error))?,
        })
    }
}

/// A stream that is read and written blockingly even if another program that shares it made it non-blocking.
pub(super) struct Patient(File);

impl Patient {
    fn over(stream: impl AsFd) -> io::Result<Self> {
        Ok(Self::from(stream.as_fd().try_clone_to_owned()?))
    }

    fn wait_for(&self, readiness: PollFlags) -> io::Result<()> {
        match poll(&mut [PollFd::new(&self.0, readiness)], None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<OwnedFd> for Patient {
    fn from(stream: OwnedFd) -> Self {
        Self(stream.into())
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_for(PollFlags::IN)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Target for Patient {
    fn write(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            match self.0.write(data) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => data = data.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_for(PollFlags::OUT)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
