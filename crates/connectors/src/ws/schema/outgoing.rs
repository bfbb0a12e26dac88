//! Looking at what is to be sent.

use super::{
    catalog::{Current, Entry, Wanted},
    in_words,
    settings::{IdFrom, OnInvalidOut, Plan},
};
use futures_util::future::{BoxFuture, join_all};
use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};
use tremor_codec::model::Invalid;
use tremor_connector::duplex::{self, Traffic, Verdict};
use tremor_value::Value;

/// Checks the messages that go to one connection, or to the one connection that there is at a time.
pub(in crate::ws) struct Outgoing {
    plan: Arc<Plan>,
    /// The kind of the connector, under which metadata are.
    kind: &'static str,
    /// The schema that the configuration names.
    wanted: Option<Wanted>,
    /// The same, once it is known.
    entry: OnceLock<Arc<Entry>>,
    /// Hears of what is not as it should be.
    traffic: Mutex<Option<Weak<dyn Traffic>>>,
}

impl Outgoing {
    pub(super) fn new(plan: Arc<Plan>, entry: Option<Arc<Entry>>, kind: &'static str) -> Self {
        let entry = entry.map(OnceLock::from).unwrap_or_default();
        let wanted = plan.fixed_reference();
        Self { plan, kind, wanted, entry, traffic: Mutex::default() }
    }

    /// For connections with these parameters of their path.
    pub(super) fn with_params(plan: Arc<Plan>, params: &[(String, String)], kind: &'static str) -> Self {
        // Where there is no such name, there is nothing that is wanted, and each message is told so.
        let wanted = plan.reference_with(params).ok().flatten();
        Self { wanted, ..Self::new(plan, None, kind) }
    }

    /// The schema that an element names.
    fn named(&self, meta: &Value) -> Option<u64> {
        if self.plan.id_from != IdFrom::Metadata {
            return None;
        }
        meta.get(self.kind)?.get("schema")?.as_u64()
    }

    fn current(&self, meta: &Value) -> Result<Arc<Current>, String> {
        if let Some(fixed) = &self.plan.fixed {
            return Ok(fixed.clone());
        }
        let catalog = self.plan.catalog.as_ref().ok_or("there are no schemas")?;
        let known = |wanted: &Wanted| match catalog.known(wanted) {
            Some(Ok(entry)) => Ok(entry),
            Some(Err(missing)) => Err(format!("there is no {wanted}: {}", missing.cause)),
            None => Err(format!("{wanted} is not known yet")),
        };
        if let Some(id) = self.named(meta) {
            return Ok(known(&self.plan.of_id(id))?.current(catalog));
        }
        if let Some(entry) = self.entry.get() {
            return Ok(entry.current(catalog));
        }
        let wanted = self.wanted.as_ref();
        let wanted =
            wanted.ok_or_else(|| format!("`${}.schema` does not say which schema it has", self.kind))?;
        let entry = known(wanted)?;
        Ok(self.entry.get_or_init(|| entry).current(catalog))
    }

    /// What stands in front of messages.
    fn prefix(&self, current: &Current) -> Result<Vec<u8>, String> {
        let IdFrom::Prefix(width) = self.plan.id_from else { return Ok(Vec::new()) };
        let id = current.id.ok_or("the schema has no id")?;
        let bytes = id.to_be_bytes();
        let (unused, bytes) =
            bytes.split_at_checked(bytes.len().saturating_sub(width)).unwrap_or((&[], &bytes));
        if unused.iter().any(|byte| *byte != 0) {
            return Err(format!("the id {id} does not fit {width} bytes"));
        }
        Ok([&[0], bytes].concat())
    }

    fn look_at(&self, message: &[u8], meta: &Value) -> Result<Verdict, String> {
        let current = self.current(meta)?;
        let mut prefix = self.prefix(&current)?;
        match current.model.outgoing(message) {
            Ok(None) if prefix.is_empty() => Ok(Verdict::Send),
            Ok(instead) => {
                prefix.extend_from_slice(instead.as_deref().unwrap_or(message));
                Ok(Verdict::Instead(prefix))
            }
            Err(Invalid { violations, .. }) => Err(in_words(&current.shown, &violations)),
        }
    }
}

impl duplex::Outgoing for Outgoing {
    fn look(&self, message: &[u8], meta: &Value) -> Verdict {
        let cause = match self.look_at(message, meta) {
            Ok(verdict) => return verdict,
            Err(cause) => cause,
        };
        let traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(traffic) = traffic.and_then(|traffic| traffic.upgrade()) {
            traffic.violated();
        }
        match self.plan.on_invalid_out {
            OnInvalidOut::Fail => Verdict::Fail(cause),
            OnInvalidOut::Drop => Verdict::Drop,
            OnInvalidOut::Pass => Verdict::Send,
        }
    }

    fn prepare(&self, metas: &mut dyn Iterator<Item = &Value>) -> Option<BoxFuture<'static, ()>> {
        let is_ready = self.plan.fixed.is_some() || self.entry.get().is_some();
        if is_ready && self.plan.id_from != IdFrom::Metadata {
            return None;
        }
        let fixed = if is_ready { None } else { self.wanted.clone() };
        fetch(&self.plan, fixed, metas.filter_map(|meta| self.named(meta)))
    }

    fn heard_by(&self, traffic: &Arc<dyn Traffic>) {
        *self.traffic.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(traffic));
    }
}

/// Gets what is not known.
fn fetch(
    plan: &Plan,
    fixed: Option<Wanted>,
    ids: impl Iterator<Item = u64>,
) -> Option<BoxFuture<'static, ()>> {
    let catalog = plan.catalog.as_ref()?;
    let mut unknown: Vec<Wanted> = Vec::new();
    for wanted in fixed.into_iter().chain(ids.map(|id| plan.of_id(id))) {
        if !unknown.contains(&wanted) && catalog.known(&wanted).is_none() {
            unknown.push(wanted);
        }
    }
    if unknown.is_empty() {
        return None;
    }
    let catalog = catalog.clone();
    Some(Box::pin(async move {
        // Those that cannot be had are known as such then.
        let _known_now = join_all(unknown.iter().map(|wanted| catalog.get(wanted))).await;
    }))
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Outgoing").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// Gets schemas that elements name before it is known which connection they are for; looks at nothing.
#[derive(Debug)]
pub(in crate::ws) struct Ahead(pub(super) Vec<Outgoing>);

impl duplex::Outgoing for Ahead {
    fn look(&self, _message: &[u8], _meta: &Value) -> Verdict {
        Verdict::Send
    }

    fn prepare(&self, metas: &mut dyn Iterator<Item = &Value>) -> Option<BoxFuture<'static, ()>> {
        let metas: Vec<&Value> = metas.collect();
        let waits: Vec<_> = self
            .0
            .iter()
            .filter_map(|one| fetch(&one.plan, None, metas.iter().filter_map(|meta| one.named(meta))))
            .collect();
        if waits.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            join_all(waits).await;
        }))
    }
}
