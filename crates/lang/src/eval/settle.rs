//! Operations of a `patch` that are known to succeed before the first one is applied.

use super::{
    Env,
    record::{self, Ready},
};
use crate::{
    error::{ErrorKind, RuntimeError},
    function::Context,
    ir::Patch,
};
use smallvec::SmallVec;
use std::collections::HashMap;
use tremor_value::{Record, Str, Value};

/// Operations that can be applied to the record that they were settled for.
pub(super) struct Settled<'l> {
    patch: &'l Patch,
    ready: SmallVec<[Ready<'l>; 4]>,
}

/// Computes the operands of `patch` and looks for the first operation that would fail on `target`.
///
/// # Errors
/// As those of the `patch`.
pub(super) fn settle<'l>(
    patch: &'l Patch,
    target: &Record,
    env: &Env<'_>,
) -> Result<Settled<'l>, RuntimeError> {
    let mut ready = record::prepare_all(patch, env)?;
    let mut outlook = Outlook { target, changed: HashMap::new(), notes: patch.operations.len() > 1 };
    for (operation, ready) in patch.operations.iter().zip(&mut ready) {
        // Its value is part of what is settled: evaluated now, against what was there before.
        if let Ready::Default(key, value) = ready {
            let value = if outlook.find(key).is_none() { Some(*value) } else { None };
            let key = std::mem::take(key);
            *ready = match value {
                Some(value) => {
                    let value = record::embed(value, env).map_err(|error| error.placed(operation.span))?;
                    Ready::Upsert(key, value)
                }
                None => Ready::Nothing,
            };
        }
        outlook.check(ready).map_err(|kind| RuntimeError::new(kind, operation.span, patch.span))?;
    }
    Ok(Settled { patch, ready })
}

impl Settled<'_> {
    /// Applies the operations.
    ///
    /// # Errors
    /// None, if `target` is what they were settled for.
    pub(super) fn apply(self, target: &mut Record, context: &Context<'_>) -> Result<(), RuntimeError> {
        for (operation, ready) in self.patch.operations.iter().zip(self.ready) {
            // A value that is copied counts; who can not pay for it gets no further than the next payment.
            let _ = record::pay_for_copy(&ready, target, context);
            let placed = |kind| RuntimeError::new(kind, operation.span, self.patch.span);
            record::apply(ready, target).map_err(placed)?;
        }
        Ok(())
    }
}

/// The types of the members that a record will have.
struct Outlook<'t> {
    target: &'t Record,
    /// Members that were changed so far; `None` for those that are gone.
    changed: HashMap<Str, Option<&'static str>>,
    /// Somebody will ask for them.
    notes: bool,
}

/// The type of what can be merged.
const RECORD: &str = "record";

impl Outlook<'_> {
    fn find(&self, key: &str) -> Option<&'static str> {
        if self.notes
            && let Some(changed) = self.changed.get(key)
        {
            return *changed;
        }
        self.target.get(key).map(Value::type_name)
    }

    fn note(&mut self, key: &Str, found: Option<&'static str>) {
        if self.notes {
            self.changed.insert(key.clone(), found);
        }
    }

    /// What `ready` does to the types.
    fn check(&mut self, ready: &Ready<'_>) -> Result<(), ErrorKind> {
        match ready {
            Ready::Insert(key, _) if self.find(key).is_some() => {
                return Err(ErrorKind::KeyExists(key.clone()));
            }
            Ready::Update(key, _) if self.find(key).is_none() => {
                return Err(ErrorKind::NoSuchKey(key.clone()));
            }
            Ready::Insert(key, value) | Ready::Update(key, value) | Ready::Upsert(key, value) => {
                self.note(key, Some(value.type_name()));
            }
            Ready::Erase(key) => self.note(key, None),
            Ready::Copy(_, to) | Ready::Move(_, to) if self.find(to).is_some() => {
                return Err(ErrorKind::KeyExists(to.clone()));
            }
            Ready::Copy(from, to) => self.note(to, self.find(from)),
            Ready::Move(from, to) => {
                let moved = self.find(from);
                self.note(from, None);
                self.note(to, moved);
            }
            Ready::Merge(key, value) => self.check_merge(key, value)?,
            Ready::MergeAll(value) => {
                let Value::Record(record) = value else {
                    return Err(ErrorKind::MergeConflict { key: None, found: value.type_name() });
                };
                record.iter().for_each(|(key, value)| self.note(key, Some(value.type_name())));
            }
            Ready::DefaultAll(value) => {
                let Value::Record(defaults) = value else {
                    let what = "operand of `default`";
                    return Err(ErrorKind::NotRecord { what, found: value.type_name() });
                };
                for (key, value) in defaults.iter() {
                    if self.find(key).is_none() {
                        self.note(key, Some(value.type_name()));
                    }
                }
            }
            Ready::Default(..) | Ready::Nothing => {}
        }
        Ok(())
    }

    fn check_merge(&mut self, key: &Str, value: &Value) -> Result<(), ErrorKind> {
        let Some(found) = self.find(key) else {
            self.note(key, Some(value.type_name()));
            return Ok(());
        };
        match [found, value.type_name()].into_iter().find(|side| *side != RECORD) {
            Some(found) => Err(ErrorKind::MergeConflict { key: Some(key.clone()), found }),
            None => Ok(()),
        }
    }
}
