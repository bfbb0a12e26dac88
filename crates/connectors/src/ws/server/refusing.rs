//! Answers other than the 101.

use super::Shared;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tremor_connector::duplex::Stream;
use tremor_ws::Reject;

/// How long a refused peer may take to read the answer.
const LINGER: Duration = Duration::from_secs(1);

impl Shared {
    /// Answers a request that is not granted, and gives the peer a moment to read it.
    pub(super) async fn refuse(&self, mut stream: Box<dyn Stream>, reject: &Reject) -> String {
        let answer = reject.to_bytes(&self.answers.reject);
        let said = async {
            stream.write_all(&answer).await?;
            stream.shutdown().await?;
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // Whether it was read or not, the connection is over.
        let _over = timeout(LINGER, said).await;
        format!("answered {}: {}", reject.status, reject.reason)
    }
}
