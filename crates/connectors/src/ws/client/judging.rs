//! Whether a connection can be opened as an event says (`spec/websocket.md` 8): what cannot be tried fails alone, before
//! anything is tried.

use super::{Client, credentials::Credentials, endpoint::Endpoint, wanted::no_way};
use futures_util::FutureExt;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};
use tremor_connector::JudgeOpen;
use tremor_value::{Value, sentence};
use tremor_ws::ClientHandshake;

/// Judges what events say under `open`.
pub(super) fn judge_open(client: &Arc<Client>, is_per_origin: bool) -> JudgeOpen {
    if client.summons.is_none() && !is_per_origin {
        return Arc::new(no_effect(client));
    }
    let client = client.clone();
    // Most events say the same as the one before.
    let good = Mutex::new(None::<Value>);
    Arc::new(move |said| {
        let mut good = good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.as_ref() == Some(said) {
            return Ok(());
        }
        client.can_open(said)?;
        *good = Some(said.clone());
        Ok(())
    })
}

/// Where no event opens the connection: what they say of that has no effect, which their author is told.
fn no_effect(client: &Client) -> impl Fn(&Value) -> Result<(), String> + use<> {
    let alias = client.environment.alias.clone();
    let is_told = AtomicBool::new(false);
    move |_| {
        if !is_told.swap(true, Relaxed) {
            tracing::warn!(
                target: "tremor_runtime",
                "[Connector::{alias}] `$ws_client.open` of events has no effect, since the connection is opened at the start, as `url` \
                 and `endpoint` say; leave these out and write `defaults.authority`, or `per_origin` (told once)"
            );
        }
        Ok(())
    }
}

impl Client {
    /// # Errors
    /// What makes each attempt fail, whatever the server says to it; in words.
    pub(super) fn can_open(&self, said: &Value) -> Result<(), String> {
        let wanted = self.wanted.changed_by(said)?;
        let told = |problem: String| match said {
            Value::Null => format!("`defaults`: {problem}, and the event has no `$ws_client.open`"),
            _ => format!("$ws_client.open: {}", sentence(problem)),
        };
        if self.ways.of(&wanted).is_none() {
            return Err(told(no_way(&wanted)));
        }
        let is_home = wanted.place.is_same_origin(&self.home);
        if wanted.place.port == 0 && !(is_home && self.dialer.endpoint != Endpoint::OfUrl) {
            return Err(told("nobody can connect to port 0".to_owned()));
        }
        let mut sheet = self.sheet(&wanted.place, &wanted, true);
        if self.require_protocol && sheet.protocols.is_empty() {
            return Err(told("`require_websocket_subprotocol` needs a `protocol` to offer".to_owned()));
        }
        if is_home && let Some(credentials) = &self.credentials {
            let is_own = |name: &str| credentials.header().is_some_and(|own| own.eq_ignore_ascii_case(name));
            if let Some((name, _)) = wanted.headers.iter().find(|(name, _)| is_own(name)) {
                return Err(told(format!("header {name} is sent by `auth`")));
            }
            // What stands in a file may be there when it is needed.
            if !matches!(credentials, Credentials::BearerFile(_))
                && let Some(added) = credentials.add_to(&mut sheet, true).now_or_never()
            {
                added.map_err(told)?;
            }
        }
        let request = self.request_of(&wanted.place, sheet).map_err(told)?;
        ClientHandshake::new(request).map_err(|error| told(error.to_string()))?;
        Ok(())
    }
}
