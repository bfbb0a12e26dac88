//! What server and client agree on, and the end where that is too little (`spec/websocket.md` 11: 1010).

use super::Client;
use std::time::Duration;
use tokio::{
    io::{AsyncWriteExt, copy, sink},
    time::timeout,
};
use tremor_connector::duplex::Stream;
use tremor_ws::{CloseCode, Deflate, DeflateOptions, Encoder, Response, Role};

/// A server that is left has no more time for its part of that, even if the time for goodbyes is not limited.
const LONGEST_GOODBYE: Duration = Duration::from_secs(5);

impl Client {
    /// What was agreed on compression.
    ///
    /// # Errors
    /// In words; a server without the compression that is required has been told so.
    pub(super) async fn agreed(
        &self,
        response: &Response,
        stream: &mut Box<dyn Stream>,
    ) -> Result<Option<Deflate>, String> {
        let Some(options) = &self.wire.deflate else { return Ok(None) };
        let agreed = options.agree(&response.extensions).map_err(|error| error.to_string())?;
        if agreed.is_some() || !self.wire.requires_deflate {
            return Ok(agreed);
        }
        if !self.wire.options.fail_by_drop {
            let limit = self.wire.times.close.min(LONGEST_GOODBYE);
            let _in_time_or_not = timeout(limit, self.leave_without(options, stream)).await;
        }
        Err("the server does not agree to compress messages, which `compression.required` asks for"
            .to_owned())
    }

    /// Says which extension is missing (RFC 6455, section 7.4.1), and leaves it to the server to end the byte stream.
    async fn leave_without(&self, options: &DeflateOptions, stream: &mut Box<dyn Stream>) -> Option<()> {
        let mut goodbye = Vec::new();
        let mut encoder = Encoder::new(Role::Client, self.wire.options);
        encoder.close(Some(CloseCode::Extension.into()), &options.offer().name, &mut goodbye).ok()?;
        stream.write_all(&goodbye).await.ok()?;
        stream.flush().await.ok()?;
        copy(stream, &mut sink()).await.ok()?;
        stream.shutdown().await.ok()
    }
}
