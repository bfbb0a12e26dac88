//! Text or binary (`spec/websocket.md` 1.2, 9).

use tremor_value::Value;

/// How messages go out whose metadata say nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrameType {
    /// As text.
    #[default]
    Text,
    /// As binary.
    Binary,
    /// As text if they are UTF-8, else as binary.
    Auto,
}

impl FrameType {
    /// Whether messages are binary whose metadata say `asked`; where that takes a look at them, whether they would be
    /// without it.
    pub(super) fn is_binary(self, asked: Option<bool>) -> bool {
        asked.unwrap_or(self == Self::Binary)
    }

    /// Whether it takes a look at a message to know.
    pub(super) fn takes_a_look(self, asked: Option<bool>) -> bool {
        self == Self::Auto && asked.is_none()
    }
}

/// Whether `meta` asks for binary, if it says anything of that. It does with `true` in `$binary`, `$ws_server.binary` or
/// `$ws_client.binary` and `false` in none of them.
pub(super) fn asked_of(meta: &Value) -> Option<bool> {
    if meta.as_record().is_none_or(tremor_value::Record::is_empty) {
        return None;
    }
    let kinds =
        ["ws_server", "ws_client"].map(|kind| meta.get(kind).and_then(|of_kind| of_kind.get("binary")));
    let mut asked = None;
    for flag in kinds.into_iter().chain([meta.get("binary")]).flatten().filter_map(Value::as_bool) {
        if !flag {
            return Some(false);
        }
        asked = Some(true);
    }
    asked
}
