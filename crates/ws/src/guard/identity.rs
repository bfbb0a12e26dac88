//! Guard `identity`: a proxy in front has found out who somebody is.

use super::session::Session;
use crate::handshake::Headers;
use std::sync::Arc;

/// The headers in which a trusted proxy says who somebody is. Source: `spec/websocket.md` 7.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyIdentity {
    /// The header with the identity.
    pub header: String,
    /// The header with the roles, with spaces or commas between them.
    pub roles_header: Option<String>,
}

/// What the headers say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Somebody(Session),
    Nobody,
    /// Twice, or not as text.
    Unclear,
}

impl ProxyIdentity {
    /// Reads the headers of a request, which has to have come from a trusted proxy.
    pub(super) fn read(&self, guard: &Arc<str>, headers: &Headers) -> Told {
        let identity = match text(headers, &self.header) {
            Ok(Some(identity)) => identity,
            Ok(None) => return Told::Nobody,
            Err(()) => return Told::Unclear,
        };
        let roles = match self.roles_header.as_deref().map(|name| text(headers, name)) {
            None | Some(Ok(None)) => "",
            Some(Ok(Some(roles))) => roles,
            Some(Err(())) => return Told::Unclear,
        };
        let roles = roles.split([' ', ',']).filter(|role| !role.is_empty()).map(str::to_owned).collect();
        Told::Somebody(Session::unlimited(guard.clone(), Some(identity.to_owned()), roles))
    }
}

/// The text of a header that is there once at most; an empty one counts as absent.
fn text<'h>(headers: &'h Headers, name: &str) -> Result<Option<&'h str>, ()> {
    let mut found = None;
    for (_, value) in headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name)) {
        let value = std::str::from_utf8(value).map_err(|_| ())?;
        if found.replace(value).is_some() {
            return Err(());
        }
    }
    Ok(found.filter(|value| !value.is_empty()))
}
