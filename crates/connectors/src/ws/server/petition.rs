//! What guards of the type `flow` ask about one handshake (`spec/websocket.md` 7.3).

use super::{
    Shared,
    doorman::{self, Doorman, Handshake},
    metadata::{Reached, metadata},
};
use crate::ws::guards::{AsksFlow, FromFlow};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tremor_event::OriginUri;
use tremor_ws::{Request, guard::Session};

/// One handshake, as the flow is told of it.
pub(super) struct Petition<'a> {
    pub(super) shared: &'a Shared,
    pub(super) doorman: &'a Doorman,
    pub(super) request: &'a Request,
    pub(super) method: &'static str,
    pub(super) reached: Reached<'a>,
    pub(super) origin: OriginUri,
}

impl AsksFlow for Petition<'_> {
    fn ask<'a>(
        &'a self,
        (number, guard): (usize, &'a Arc<str>),
        known: &'a [&'a Session],
    ) -> BoxFuture<'a, FromFlow> {
        Box::pin(async move {
            let Self { shared, doorman, request, method, reached, origin } = self;
            let guards = &shared.guards;
            let question = guards.questions().iter().find(|(asking, _)| *asking == number);
            let Some((_, question)) = question else { return FromFlow::Silent(doorman::late()) };
            let reached = Reached { sessions: known, ..*reached };
            let metadata = metadata(request, None, &reached, (&shared.exposed, guards.secrets()));
            let handshake = Handshake {
                question,
                guard: Some(guard),
                conn: reached.conn,
                method,
                metadata: &metadata,
                origin: origin.clone(),
            };
            match doorman.ask(handshake).await {
                None => FromFlow::Silent(doorman::late()),
                Some(Err(reject)) => FromFlow::Refused(reject),
                Some(Ok(granted)) => {
                    let session = granted.session(guard);
                    FromFlow::Granted(session, granted.headers)
                }
            }
        })
    }
}
