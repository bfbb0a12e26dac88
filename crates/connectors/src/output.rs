//! Writing to files and pipes, whose writes may block, without ever blocking a task.

use std::{io, mem, sync::mpsc, thread};
use tokio::sync::oneshot;
use tremor_codec::Chunks;

/// Gathered bytes that are handed on without being asked to.
const HAND_ON_BYTES: usize = 64 * 1024;
/// Gathered bytes at which a writer waits for what it handed on before.
const MAX_GATHERED_BYTES: usize = 1024 * 1024;

/// What a [`WriterThread`] writes to. Every call may block.
pub(crate) trait Target: Send {
    /// Writes all of `data`.
    fn write(&mut self, data: &[u8]) -> io::Result<()>;

    /// Waits until everything written lies where it survives a crash of the system.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A thread that does what may block.
///
/// A thread of its own rather than one of the runtime's pool: those hold up the end of the process until
/// they return, and a write to a pipe that nobody reads never does. Ends with its last clone.
#[derive(Clone)]
pub(crate) struct WriterThread {
    jobs: mpsc::Sender<Job>,
}

struct Job {
    data: Vec<u8>,
    sync: bool,
    done: oneshot::Sender<Done>,
}

struct Done {
    result: io::Result<()>,
    /// The buffer of the job, for use again.
    buffer: Vec<u8>,
}

impl WriterThread {
    /// Starts a thread that opens its target first, which may block as well.
    ///
    /// The receiver hears how that went. If nobody hears it any more, the target is closed again.
    pub(crate) fn start(
        name: &str,
        open: impl FnOnce() -> io::Result<Box<dyn Target>> + Send + 'static,
    ) -> io::Result<oneshot::Receiver<io::Result<Self>>> {
        let (opened, hears) = oneshot::channel();
        let work = move || match open() {
            Ok(target) => {
                let (jobs, told) = mpsc::channel();
                if opened.send(Ok(Self { jobs })).is_ok() {
                    serve(target, &told);
                }
            }
            Err(error) => {
                let _nobody_waits = opened.send(Err(error));
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(hears)
    }

    /// Starts a thread for a target that is open already.
    pub(crate) fn over(name: &str, target: Box<dyn Target>) -> io::Result<Self> {
        let (jobs, told) = mpsc::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || serve(target, &told))?;
        Ok(Self { jobs })
    }
}

fn serve(mut target: Box<dyn Target>, jobs: &mpsc::Receiver<Job>) {
    for Job { data: mut buffer, sync, done } in jobs {
        let written = if buffer.is_empty() { Ok(()) } else { target.write(&buffer) };
        let result = written.and_then(|()| if sync { target.sync() } else { Ok(()) });
        buffer.clear();
        // One event of many megabytes must not hold that memory for good.
        buffer.shrink_to(MAX_GATHERED_BYTES);
        let _nobody_waits = done.send(Done { result, buffer });
    }
}

/// Gathers what one sink writes and hands it to a [`WriterThread`] in large pieces, in order.
///
/// What one call of [`Output::write`] took is never torn apart, whoever else uses the thread. After an error
/// the output holds nothing any more and can be used on.
pub(crate) struct Output {
    thread: WriterThread,
    gathered: Vec<u8>,
    spare: Vec<u8>,
    /// The job that the thread has; there is one at most.
    in_flight: Option<oneshot::Receiver<Done>>,
}

impl Output {
    pub(crate) fn new(thread: WriterThread) -> Self {
        Self { thread, gathered: Vec::new(), spare: Vec::new(), in_flight: None }
    }

    /// Takes `data`; hands on what has been gathered when it is enough to be worth it.
    pub(crate) async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.gathered.extend_from_slice(data);
        self.hand_on_enough().await
    }

    /// The same for `chunks`, which are not copied if nothing has been gathered; nothing is left of them.
    pub(crate) async fn take(&mut self, chunks: &mut Chunks) -> io::Result<()> {
        chunks.move_to(&mut self.gathered);
        self.hand_on_enough().await
    }

    async fn hand_on_enough(&mut self) -> io::Result<()> {
        if self.gathered.len() < HAND_ON_BYTES {
            return Ok(());
        }
        let is_busy = self.in_flight.as_ref().is_some_and(oneshot::Receiver::is_empty);
        if is_busy && self.gathered.len() < MAX_GATHERED_BYTES {
            return Ok(());
        }
        self.hand_on(false).await
    }

    /// Waits until the system has everything.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if !self.gathered.is_empty() {
            self.hand_on(false).await?;
        }
        self.landed().await
    }

    /// Waits until everything lies where it survives a crash of the system.
    pub(crate) async fn sync(&mut self) -> io::Result<()> {
        self.hand_on(true).await?;
        self.landed().await
    }

    async fn hand_on(&mut self, sync: bool) -> io::Result<()> {
        self.landed().await?;
        let data = mem::replace(&mut self.gathered, mem::take(&mut self.spare));
        let (done, in_flight) = oneshot::channel();
        self.thread.jobs.send(Job { data, sync, done }).map_err(|_| ended())?;
        self.in_flight = Some(in_flight);
        Ok(())
    }

    /// Waits for the job in flight.
    async fn landed(&mut self) -> io::Result<()> {
        let Some(in_flight) = &mut self.in_flight else { return Ok(()) };
        let done = in_flight.await;
        self.in_flight = None;
        let Done { result, buffer } = done.map_err(|_| ended())?;
        self.spare = buffer;
        if result.is_err() {
            self.gathered.clear();
        }
        result
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that writes has ended")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory {
        writes: Arc<Mutex<Vec<Vec<u8>>>>,
    }

    impl Target for Memory {
        fn write(&mut self, data: &[u8]) -> io::Result<()> {
            if data.starts_with(b"fail") {
                return Err(io::Error::other("no room"));
            }
            self.writes.lock().unwrap().push(data.to_vec());
            Ok(())
        }
    }

    async fn output_to(memory: &Memory) -> Output {
        let memory = memory.clone();
        let opened = WriterThread::start("test", move || Ok(Box::new(memory) as Box<dyn Target>)).unwrap();
        Output::new(opened.await.unwrap().unwrap())
    }

    #[tokio::test]
    async fn small_writes_become_one_and_large_amounts_arrive_in_order() {
        let memory = Memory::default();
        let mut output = output_to(&memory).await;
        output.write(b"a").await.unwrap();
        output.write(b"b").await.unwrap();
        output.flush().await.unwrap();
        assert_eq!(*memory.writes.lock().unwrap(), [b"ab"]);
        memory.writes.lock().unwrap().clear();

        let mut expected = Vec::new();
        for number in 0..200_000_u32 {
            let line = format!("{number}\n");
            expected.extend_from_slice(line.as_bytes());
            output.write(line.as_bytes()).await.unwrap();
        }
        output.flush().await.unwrap();
        let writes = memory.writes.lock().unwrap();
        assert!(writes.len() > 1, "a flood does not wait for the flush");
        assert!(writes.concat() == expected);
    }

    #[tokio::test]
    async fn a_failed_write_is_told_once_and_the_next_one_starts_afresh() {
        let memory = Memory::default();
        let mut output = output_to(&memory).await;
        output.write(b"fail").await.unwrap();
        assert_eq!(output.flush().await.unwrap_err().to_string(), "no room");
        output.flush().await.unwrap();
        output.write(b"fine").await.unwrap();
        output.sync().await.unwrap();
        assert_eq!(*memory.writes.lock().unwrap(), [b"fine"]);
    }

    #[tokio::test]
    async fn a_target_that_does_not_open_is_told() {
        let opened = WriterThread::start("test", || Err(io::Error::other("locked"))).unwrap();
        assert_eq!(opened.await.unwrap().err().unwrap().to_string(), "locked");
    }
}
