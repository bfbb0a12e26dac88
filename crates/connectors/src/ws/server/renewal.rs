//! Fresh credentials by an HTTP request (`spec/websocket.md` 7.5).

use super::granting::Candidate;
use tremor_ws::guard::Carrier;
use tremor_ws::{Forwarded, Head, Page, Reject};

impl Candidate<'_, '_> {
    /// Extends the sessions of whoever `head` brings fresh credentials of, if it is a request for that; gives the answer.
    /// Browsers ask before they let a page send such a request; that is answered, too.
    ///
    /// # Errors
    /// The answer if nothing was extended.
    pub(super) async fn renewal(&self, head: &Head, forwarded: &Forwarded) -> Option<Result<Page, Reject>> {
        let Self { shared, door, brought, .. } = *self;
        let asks_first = head.asks_to_bring_credentials();
        if !(asks_first || head.brings_credentials()) || !shared.guards.have_ends() {
            return None;
        }
        let target = match head.renewal(&door.handshake, forwarded) {
            Ok(target) => target,
            Err(reject) => return Some(Err(reject)),
        };
        let (names, is_added) = shared.guards.renewing_headers();
        let mut page = Page::nothing();
        if asks_first {
            page.headers = head.page_may_send(&names, is_added);
            return Some(Ok(page));
        }
        page.headers = head.page_may_see(is_added);
        let carrier = Carrier { headers: &head.headers, query: target.query.as_deref(), protocols: &[] };
        let mut visit = shared.guards.visit(carrier, brought);
        let renewed = self.in_time(|| shared.guards.undecided(), Box::pin(visit.renew_shared())).await;
        self.count_failures(&visit);
        Some(match renewed.flatten() {
            Ok(()) => Ok(page),
            Err(mut reject) => {
                reject.headers.append(&mut page.headers);
                Err(reject)
            }
        })
    }
}
