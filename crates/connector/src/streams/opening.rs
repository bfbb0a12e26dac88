//! Events that say how the connection is opened that they are for (`spec/websocket.md` 8).

use super::Streams;
use crate::{
    outbox::Item,
    summons::{JudgeOpen, Summons},
};
use tremor_value::Value;

impl Streams {
    /// Tells whoever waits for them of those events that can open a connection. The others fail by themselves.
    pub(super) fn call(&self, summons: &Summons, items: &[Item<'_>]) {
        let said = |item: &Item<'_>| {
            item.element.meta.base().get(self.kind).and_then(|kind| kind.get("open")).cloned()
        };
        let opens = |said: &Value| self.judge_open.as_ref().is_none_or(|judge| judge(said).is_ok());
        let (mut comes, mut first) = (false, None);
        for said in items.iter().map(said) {
            let counts = opens(said.as_ref().unwrap_or(&Value::Null));
            comes |= counts;
            first = first.or(said.filter(|_| counts));
        }
        if comes {
            summons.call(first.iter());
        }
    }

    /// Whether an event can be sent that says `open`.
    ///
    /// # Errors
    /// No connection can be opened like that; or, where it says nothing, there is none and it can open none.
    pub(super) fn judged(&self, judge: &JudgeOpen, open: Option<&Value>) -> Result<(), String> {
        match open {
            Some(said) => judge(said),
            None if self.summons.as_ref().is_some_and(Summons::waits_for_any) => judge(&Value::Null),
            None => Ok(()),
        }
    }
}
