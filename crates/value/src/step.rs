//! Steps into a value.

use crate::Value;

/// One step on the way into arrays and records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step<'k> {
    /// To the member of this name.
    Key(&'k str),
    /// To the item at this index, of which the first is 0.
    Item(u64),
}

impl Step<'_> {
    /// What the step leads to; `None` if it is not there, or if `value` is neither record nor array, as the step needs it.
    #[inline]
    #[must_use]
    pub fn find_in(self, value: &Value) -> Option<&Value> {
        match self {
            Self::Key(key) => value.get(key),
            Self::Item(index) => value.as_array()?.get(usize::try_from(index).ok()?),
        }
    }
}

impl<'k> From<&'k str> for Step<'k> {
    fn from(key: &'k str) -> Self {
        Self::Key(key)
    }
}
