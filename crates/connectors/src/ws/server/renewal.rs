//! Fresh credentials by an HTTP request (`spec/websocket.md` 7.5).

use super::{Door, Shared};
use crate::ws::guards::Brought;
use tremor_value::Record;
use tremor_ws::guard::Carrier;
use tremor_ws::{Forwarded, Head, Reject};

impl Shared {
    /// Extends the sessions of whoever `head` brings fresh credentials of, if it is a request for that; gives what is
    /// told of it.
    ///
    /// # Errors
    /// The answer if nothing was extended.
    pub(super) async fn renewal(
        &self,
        door: &Door,
        head: &Head,
        forwarded: &Forwarded,
        brought: Brought<'_>,
    ) -> Option<Result<Vec<Record>, Reject>> {
        if !head.brings_credentials() || !self.guards.have_ends() {
            return None;
        }
        let target = match head.renewal(&door.handshake, forwarded) {
            Ok(target) => target,
            Err(reject) => return Some(Err(reject)),
        };
        let carrier = Carrier { headers: &head.headers, query: target.query.as_deref(), protocols: &[] };
        Some(self.guards.visit(carrier, brought).renew_shared().await)
    }
}
