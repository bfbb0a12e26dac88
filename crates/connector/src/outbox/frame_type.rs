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

/// What stands where a message is asked to be text or binary, and says neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{place}` has to be a bool but is {got}")]
pub(super) struct NoFrameType {
    place: &'static str,
    got: &'static str,
}

/// Whether `meta` asks for binary, if it says anything of that. It does with `true` in `$binary`, `$ws_server.binary` or
/// `$ws_client.binary` and `false` in none of them.
///
/// # Errors
/// One of them is neither.
pub(super) fn asked_of(meta: &Value) -> Result<Option<bool>, NoFrameType> {
    if meta.as_record().is_none_or(tremor_value::Record::is_empty) {
        return Ok(None);
    }
    let of_kind = |kind| meta.get(kind).and_then(|of_kind| of_kind.get("binary"));
    let places = [
        ("$ws_server.binary", of_kind("ws_server")),
        ("$ws_client.binary", of_kind("ws_client")),
        ("$binary", meta.get("binary")),
    ];
    let mut asked = None;
    for (place, found) in places {
        match found {
            None | Some(Value::Null) => {}
            Some(Value::Bool(flag)) => asked = Some(asked.unwrap_or(true) && *flag),
            Some(other) => return Err(NoFrameType { place, got: other.type_name() }),
        }
    }
    Ok(asked)
}
