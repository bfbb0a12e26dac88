//! What browsers have to be told before a page of another origin may renew a session (the CORS protocol of the Fetch
//! standard). Opening a WebSocket needs nothing of this: there `Origin` is checked by the server alone.

use super::headers::Single;
use super::request::{Head, ORIGIN, origin};
use std::borrow::Cow;

/// Headers of an answer.
type Fields = Vec<(Cow<'static, str>, String)>;

/// Seconds for which a browser may remember what it was told.
const MAX_AGE_S: u32 = 600;

impl Head {
    /// Whether a browser asks whether a page may send what [brings credentials](Self::brings_credentials).
    pub fn asks_to_bring_credentials(&self) -> bool {
        let asks_to_post =
            matches!(self.headers.single("access-control-request-method"), Single::One(b"POST"));
        self.method == "OPTIONS"
            && asks_to_post
            && !self.wants_websocket()
            && self.headers.get("origin").is_some()
    }

    /// Lets the page that has sent this request read the answer; nothing where it is of no page. `with_added`: credentials
    /// that a browser adds on its own are of use. Only for origins that [are admitted](Self::renewal).
    pub fn page_may_see(&self, with_added: bool) -> Fields {
        let mut fields = self.page(with_added);
        if !fields.is_empty() {
            fields.push(("Vary".into(), "Origin".to_owned()));
            fields.push(("Access-Control-Expose-Headers".into(), "Retry-After, WWW-Authenticate".to_owned()));
        }
        fields
    }

    /// Says what that page may send: a `POST` with its type and with headers of these `names`.
    pub fn page_may_send(&self, names: &[&str], with_added: bool) -> Fields {
        let mut fields = self.page(with_added);
        let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        let mut allowed = "Content-Type".to_owned();
        for name in names {
            allowed.push_str(", ");
            allowed.push_str(name);
        }
        fields.push(("Vary".into(), vary.to_owned()));
        fields.push(("Access-Control-Allow-Methods".into(), "POST".to_owned()));
        fields.push(("Access-Control-Allow-Headers".into(), allowed));
        fields.push(("Access-Control-Max-Age".into(), MAX_AGE_S.to_string()));
        fields
    }

    fn page(&self, with_added: bool) -> Fields {
        let Ok(Some(origin)) = origin(&self.headers, ORIGIN) else { return Vec::new() };
        let mut fields = vec![("Access-Control-Allow-Origin".into(), origin)];
        if with_added {
            fields.push(("Access-Control-Allow-Credentials".into(), "true".to_owned()));
        }
        fields
    }
}
