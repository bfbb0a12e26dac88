//! What is said to those who do not want a WebSocket (`spec/websocket.md` 18.1).

use super::{Door, Shared, refusing::RETRY_AFTER_S};
use crate::ws::options::Settings;
use tremor_connector::config::ConfigError;
use tremor_ws::{Asked, Forwarded, Head, Page};

/// Which pages there are.
pub(super) struct Pages {
    /// `health`: a path under which to hear whether we serve.
    health: Option<String>,
    /// `enable_webstatus`: a page where a route leads.
    status: bool,
}

impl Pages {
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let health: Option<String> = settings.optional("health")?;
        let fits = |path: &String| path.starts_with('/') && !path.contains(['?', '#', '*', ' ']);
        if health.as_ref().is_some_and(|path| !fits(path)) {
            return Err(settings.config.invalid("health", "is a path such as `/healthz`, without a query"));
        }
        Ok(Self { health, status: settings.or("enable_webstatus", false)? })
    }

    /// Whether anybody may ask how we are.
    pub(super) fn tell_health(&self) -> bool {
        self.health.is_some()
    }
}

impl Shared {
    /// The status page, if `head` asks for one and no WebSocket is wanted.
    pub(super) fn page(&self, door: &Door, head: &Head, forwarded: &Forwarded) -> Option<Page> {
        if !self.pages.status || !wants_page(head) {
            return None;
        }
        let target = head.target(&door.handshake, forwarded).ok()?;
        let asked = Asked::new(
            (target.secure, &target.authority),
            (&target.path, target.query.as_deref()),
            &head.headers,
            &[],
        );
        self.routing.leads_on(&asked).then(|| Page {
            status: 200,
            media_type: "text/html; charset=utf-8",
            headers: Vec::new(),
            body: format!(
                "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>WebSocket</title></head>\n\
                 <body><h1>WebSocket</h1><p>{} speaks WebSocket here.</p></body></html>\n",
                self.answers.reject.server.as_deref().unwrap_or("This address")
            ),
            for_head_request: head.method == "HEAD",
        })
    }

    /// How we are, if that is what `head` asks for. Being full is no illness.
    pub(super) fn health(&self, head: &Head) -> Option<Page> {
        let path = self.pages.health.as_ref()?;
        if !wants_page(head) || !head.asks_for(path) {
            return None;
        }
        let page = if self.is_draining() {
            let later = vec![("Retry-After".into(), RETRY_AFTER_S.to_string())];
            Page { headers: later, ..Page::text(503, "draining") }
        } else if self.is_cut_off() {
            Page::text(503, "failed")
        } else {
            Page::text(200, "serving")
        };
        Some(Page { for_head_request: head.method == "HEAD", ..page })
    }
}

fn wants_page(head: &Head) -> bool {
    !head.wants_websocket() && (head.method == "GET" || head.method == "HEAD")
}
