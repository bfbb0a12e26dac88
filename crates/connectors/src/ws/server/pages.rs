//! What is said to those who do not want a WebSocket (`spec/websocket.md` 18.1).

use super::{Door, Shared};
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
}

impl Shared {
    /// The page that `head` asks for, if it is one of ours and no WebSocket is wanted.
    pub(super) fn page(&self, door: &Door, head: &Head, forwarded: &Forwarded) -> Option<Page> {
        let Pages { health, status } = &self.pages;
        let for_head_request = head.method == "HEAD";
        if head.wants_websocket()
            || !(for_head_request || head.method == "GET")
            || !(health.is_some() || *status)
        {
            return None;
        }
        if health.as_ref().is_some_and(|path| head.asks_for(path)) {
            return Some(Page { for_head_request, ..Page::text(200, "serving") });
        }
        if !*status {
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
            for_head_request,
        })
    }
}
