//! Fresh credentials by an HTTP request (`spec/websocket.md` 7.5).

use super::{Door, Shared};
use crate::ws::guards::Brought;
use tremor_ws::guard::Carrier;
use tremor_ws::{Forwarded, Head, Page, Reject};

impl Shared {
    /// Extends the sessions of whoever `head` brings fresh credentials of, if it is a request for that; gives the answer.
    /// Browsers ask before they let a page send such a request; that is answered, too.
    ///
    /// # Errors
    /// The answer if nothing was extended.
    pub(super) async fn renewal(
        &self,
        door: &Door,
        head: &Head,
        forwarded: &Forwarded,
        brought: Brought<'_>,
    ) -> Option<Result<Page, Reject>> {
        let asks_first = head.asks_to_bring_credentials();
        if !(asks_first || head.brings_credentials()) || !self.guards.have_ends() {
            return None;
        }
        let target = match head.renewal(&door.handshake, forwarded) {
            Ok(target) => target,
            Err(reject) => return Some(Err(reject)),
        };
        let (names, is_added) = self.guards.renewing_headers();
        let mut page = Page::nothing();
        if asks_first {
            page.headers = head.page_may_send(&names, is_added);
            return Some(Ok(page));
        }
        page.headers = head.page_may_see(is_added);
        let carrier = Carrier { headers: &head.headers, query: target.query.as_deref(), protocols: &[] };
        let renewed = self.guards.visit(carrier, brought).renew_shared().await;
        Some(match renewed {
            Ok(()) => Ok(page),
            Err(mut reject) => {
                reject.headers.append(&mut page.headers);
                Err(reject)
            }
        })
    }
}
