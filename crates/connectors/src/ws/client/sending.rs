//! Schemas of what a client sends: each of its connections may have others.

use super::wanted::{Wanted, Ways};
use crate::ws::schema::{Ahead, Outgoing, Schemas};
use futures_util::future::{BoxFuture, join_all};
use std::{
    fmt, iter,
    sync::{Arc, PoisonError, RwLock},
};
use tremor_connector::{
    Summons,
    duplex::{self, Traffic, Verdict},
};
use tremor_value::Value;

/// Which way the connections go that events open.
pub(super) struct Doors {
    pub(super) kind: &'static str,
    pub(super) ways: Arc<Ways>,
    /// What events change.
    pub(super) home: Wanted,
}

impl Doors {
    /// Who looks at what is sent on a connection that an event opens; `said` is what the event says of that.
    fn beyond(&self, said: &Value) -> Option<Arc<Outgoing>> {
        // Where nothing can be opened, nothing will be sent.
        self.ways.of(&self.home.changed_by(said).ok()?)?.outgoing()
    }
}

/// Looks at what is sent, by the way of the one connection that there is, or is about to be.
pub(super) struct Sending {
    doors: Doors,
    /// Tells which event opens the connection, if events do: by its way those go that come behind it.
    summons: Option<Summons>,
    current: RwLock<Option<Arc<Outgoing>>>,
}

impl Sending {
    pub(super) fn new(doors: Doors, summons: Option<Summons>) -> Self {
        let current = RwLock::new(doors.beyond(&Value::Null));
        Self { doors, summons, current }
    }

    /// These look at what is sent from now on, by the way of the connection.
    pub(super) fn goes(&self, looks: Option<Arc<Outgoing>>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Whatever events have said before has led here, or to nothing.
        let _said_before = self.summons.as_ref().and_then(Summons::decided);
        *current = looks;
    }

    fn current(&self) -> Option<Arc<Outgoing>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl duplex::Outgoing for Sending {
    fn look(&self, message: &[u8], meta: &Value) -> Verdict {
        self.current().map_or(Verdict::Send, |looks| looks.look(message, meta))
    }

    fn prepare(&self, metas: &mut dyn Iterator<Item = &Value>) -> Option<BoxFuture<'static, ()>> {
        if let Some(summons) = &self.summons {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(said) = summons.decided() {
                *current = self.doors.beyond(&said);
            }
        }
        self.current()?.prepare(metas)
    }

    fn heard_by(&self, traffic: &Arc<dyn Traffic>) {
        self.current().iter().for_each(|looks| looks.heard_by(traffic));
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sending").field("current", &self.current()).finish_non_exhaustive()
    }
}

/// The same where each origin of events has a connection of its own.
pub(super) struct Each {
    doors: Doors,
    /// Of those connections whose first event says nothing.
    usual: Option<Arc<Outgoing>>,
    ahead: Option<Ahead>,
}

impl Each {
    pub(super) fn new(doors: Doors, schemas: &Schemas) -> Self {
        Self { usual: doors.beyond(&Value::Null), ahead: schemas.ahead(), doors }
    }
}

impl duplex::Outgoing for Each {
    fn look(&self, _message: &[u8], _meta: &Value) -> Verdict {
        Verdict::Send
    }

    fn prepare(&self, metas: &mut dyn Iterator<Item = &Value>) -> Option<BoxFuture<'static, ()>> {
        let metas: Vec<&Value> = metas.collect();
        let opened = |meta: &Value| self.doors.beyond(meta.get(self.doors.kind)?.get("open")?);
        let beyond = metas.iter().filter_map(|meta| opened(meta)).chain(self.usual.clone());
        let mut waits: Vec<_> = beyond.filter_map(|looks| looks.prepare(&mut iter::empty())).collect();
        waits.extend(self.ahead.as_ref().and_then(|ahead| ahead.prepare(&mut metas.into_iter())));
        if waits.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            join_all(waits).await;
        }))
    }

    fn of_opening(&self, said: &Value) -> Option<Arc<dyn duplex::Outgoing>> {
        let looks = self.doors.beyond(said)?;
        Some(looks)
    }
}

impl fmt::Debug for Each {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Each").field("usual", &self.usual).finish_non_exhaustive()
    }
}
