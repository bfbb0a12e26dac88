//! The sink half of `file`.

use crate::output::{Output, Target, WriterThread};
use async_trait::async_trait;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::PathBuf,
};
use tremor_codec::Chunks;
use tremor_connector::{ByteSink, SinkError};

/// Where writing starts, and what becomes of what is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The file is emptied.
    Empty,
    /// Everything goes behind what is there.
    End,
    /// What is there is written over; what lies behind the new data stays.
    Beginning,
}

/// Opens the file, which takes its time if it is a pipe that nobody reads yet.
pub(super) async fn open(path: PathBuf, start: Start) -> io::Result<FileSink> {
    let opened = WriterThread::start("tremor-file", move || {
        let mut options = OpenOptions::new();
        options.create(true);
        match start {
            Start::Empty => options.write(true).truncate(true),
            Start::End => options.append(true),
            Start::Beginning => options.write(true).truncate(false),
        };
        let file = options.open(path)?;
        // Pipes and devices cannot be synced.
        let can_sync = file.metadata()?.is_file();
        Ok(Box::new(Opened { file, can_sync }) as Box<dyn Target>)
    })?;
    let thread = opened.await.map_err(|_| io::Error::other("the thread that opens it has ended"))??;
    Ok(FileSink { output: Output::new(thread) })
}

struct Opened {
    file: File,
    can_sync: bool,
}

impl Target for Opened {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.can_sync { self.file.sync_all() } else { Ok(()) }
    }
}

pub(super) struct FileSink {
    output: Output,
}

#[async_trait]
impl ByteSink for FileSink {
    async fn write(&mut self, _port: usize, chunks: &mut Chunks) -> Result<(), SinkError> {
        self.output.take(chunks).await.map_err(lost)
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        self.output.flush().await.map_err(lost)
    }

    async fn stop(&mut self) -> Result<(), SinkError> {
        self.output.sync().await.map_err(lost)
    }
}

fn lost(error: io::Error) -> SinkError {
    SinkError::Lost(format!("writing failed: {error}"))
}
