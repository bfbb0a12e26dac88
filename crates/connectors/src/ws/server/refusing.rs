//! Answers other than the 101.

use super::{Door, SPEC, Shared, asker::Asker, peer::Peer};
use std::sync::Arc;
use tremor_connector::{Refused, Told};
use tremor_value::{Record, Value, sentence, shown};
use tremor_ws::{Page, Reject};

/// What a peer that comes when there is no room is told to wait.
pub(super) const RETRY_AFTER_S: u64 = 5;
/// The status of an answer that was not given.
const NO_ANSWER: u16 = 0;
/// Why: the same word as where it is answered ([`Reject::unavailable`]).
const UNAVAILABLE: &str = "unavailable";
/// Why: there was nobody any more to be answered.
const GONE: &str = "gone";

impl Shared {
    /// Answers a request that is not granted, and gives the peer a moment to read it. A flow that drains does not wait that
    /// long, and is to be told.
    pub(super) async fn refuse(&self, asker: Asker, reject: &Reject) -> NotOpened {
        let aside = self.is_draining().then(|| self.caps.handshakes.clone().try_acquire_owned().ok());
        asker.say(&reject.answer(&self.answers.reject), aside.flatten()).await;
        NotOpened { told: vec![rejected(reject.status, reject.label)], ..answered(reject).into() }
    }

    /// Turns a peer away that comes when there is no room.
    pub(super) async fn no_room(&self, asker: Asker) -> NotOpened {
        if self.answers.drops {
            return NotOpened::cut_off("there is no room");
        }
        self.refuse(asker, &Reject::unavailable(RETRY_AFTER_S)).await
    }

    /// Gives a page to one who does not want a WebSocket, which is no failure.
    pub(super) async fn show(&self, asker: Asker, page: &Page) -> NotOpened {
        asker.say(&page.answer(&self.answers.reject), None).await;
        NotOpened::nothing()
    }

    /// What is told of a handshake with `peer` that came to nothing: on port `control` if it was answered, was cut off since
    /// there is no room, or the client went away before that (`spec/websocket.md` 15).
    pub(super) fn refused(&self, door: &Door, not_opened: NotOpened, peer: &Peer) -> Refused {
        if let Some(watch) = &self.watch {
            let rejected = not_opened
                .told
                .iter()
                .filter(|told| told.get("kind").and_then(Value::as_str) == Some("rejected"));
            for record in rejected {
                let status = record.get("status").and_then(Value::as_u64).unwrap_or_default();
                let reason = record.get("reason").and_then(Value::as_str).unwrap_or_default();
                watch.rejected(door.tls.is_some(), status, reason);
            }
        }
        let asked = not_opened.asked;
        let told = not_opened.told.into_iter().map(|record| {
            let reached =
                [("tls".into(), Value::from(door.tls.is_some())), ("peer".into(), peer.record().into())];
            let asked = asked.iter().map(|(name, value)| (name.clone(), value.clone()));
            let of_request: Record = reached.into_iter().chain(asked).collect();
            let origin = Arc::new(door.origin(peer.host_and_port()));
            let meta = Record::from_iter([(SPEC.name, Value::from(of_request))]).into();
            Told { record: record.into(), meta, origin }
        });
        let told = told.collect();
        let cause = match not_opened.cause {
            nothing if nothing.is_empty() => nothing,
            cause => format!("{peer}: {cause}"),
        };
        Refused { cause, told }
    }
}

/// What the log says of an answer.
fn answered(reject: &Reject) -> String {
    format!("answered {} ({}): {}", reject.status, reject.label, sentence(&reject.reason))
}

fn rejected(status: u16, reason: &'static str) -> Record {
    Record::from_iter([
        ("kind", Value::from("rejected")),
        ("status", Value::from(u64::from(status))),
        ("reason", Value::from(reason)),
    ])
}

/// Why an accepted socket did not become a connection.
pub(super) struct NotOpened {
    /// For the log; empty if nothing went wrong.
    cause: String,
    /// What port `control` is told.
    told: Vec<Record>,
    /// What the metadata of that tell of the request.
    asked: Record,
}

impl NotOpened {
    /// Nothing went wrong, and there is nothing to tell.
    pub(super) fn nothing() -> Self {
        String::new().into()
    }

    /// There is no room, and that is not answered.
    pub(super) fn cut_off(cause: &str) -> Self {
        Self::unanswered(UNAVAILABLE, format!("cut off without an answer: {cause}"))
    }

    /// The client went away before it was answered.
    pub(super) fn gone(cause: impl Into<String>) -> Self {
        Self::unanswered(GONE, cause)
    }

    fn unanswered(reason: &'static str, cause: impl Into<String>) -> Self {
        Self { told: vec![rejected(NO_ANSWER, reason)], ..Self::from(cause) }
    }

    /// The same, and port `control` does not hear of it.
    pub(super) fn untold(self) -> Self {
        Self { told: Vec::new(), ..self }
    }

    /// The same of somebody of whose request this is told, and of whose path the log.
    pub(super) fn about(self, asked: Record, path: Option<&str>) -> Self {
        let cause = match path.filter(|_| !self.cause.is_empty()) {
            Some(path) => format!("{}: {}", shown(path), self.cause),
            None => self.cause,
        };
        Self { cause, asked, ..self }
    }
}

impl<T: Into<String>> From<T> for NotOpened {
    fn from(cause: T) -> Self {
        Self { cause: cause.into(), told: Vec::new(), asked: Record::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_in_one_line_of_bounded_length() {
        let path = format!("/a\n[ERROR] forged{}", "x".repeat(9000));
        let NotOpened { cause, .. } = NotOpened::from("no").about(Record::default(), Some(&path));
        assert!(cause.starts_with("/a[ERROR] forgedx") && cause.ends_with(": no"), "{cause}");
        assert!(cause.len() < 100, "{cause}");
    }

    #[test]
    fn a_refusal_is_one_line_whatever_the_flow_says() {
        let reject = Reject::new(403, "not_authorized", format!("no\n[ERROR] forged{}", "x".repeat(9000)));
        let told = answered(&reject);
        assert!(told.starts_with("answered 403 (not_authorized): no[ERROR] forgedx"), "{told}");
        assert!(told.len() < 1100 && !told.contains('\n'), "{told}");
    }
}
