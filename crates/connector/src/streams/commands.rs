//! What input port `control` takes (`spec/websocket.md` 15): each event is a record with a `kind`.

use super::{Streams, filter::Filter, instructions, members};
use crate::{
    config::nearest,
    outbox::{Item, Outbox},
};
use std::sync::Arc;
use tremor_value::{Record, Value, shown};

/// A kind of command that a connector adds to those that every one with connections has.
pub struct Command {
    /// What stands in `kind`.
    pub kind: &'static str,
    /// What it can have besides.
    pub members: &'static [&'static str],
    /// Does it.
    ///
    /// # Errors
    /// Why it cannot be done; the event fails.
    pub handle: Box<Handle>,
}

/// What does a command.
type Handle = dyn Fn(&Record, &Connections<'_>) -> Result<(), String> + Send + Sync;

/// The open connections of a connector, as a command sees them.
pub struct Connections<'a>(&'a Streams);

impl Connections<'_> {
    /// Has those that are meant look at the deadline of their protocol; gives how many those are. `is_meant` is given the
    /// metadata of a connection's events.
    pub fn wake(&self, is_meant: impl Fn(&Value) -> bool) -> usize {
        let table = self.0.read();
        table.entries().filter(|(_, meta)| is_meant(meta)).inspect(|(outbox, _)| outbox.wake()).count()
    }
}

type Own = fn(&Streams, &Record) -> Result<(), String>;

/// What every connector with connections does.
const OWN: &[(&str, &[&[&str]], Own)] = &[
    ("close", &[&members::OF_CONNECTIONS, &members::OF_CLOSE], close),
    ("ping", &[&members::OF_CONNECTIONS, &["data"]], ping),
    ("tag", &[&members::OF_CONNECTIONS, &["tags"]], tag),
];
/// What one that accepts connections does, too.
const OF_LISTENERS: &[(&str, &[&[&str]], Own)] = &[("drain", &[], drain)];

/// What a connector with connections tells of one that is new: those who have one for each of them open it.
const OPENED: &str = "opened";

impl Streams {
    /// Does what an event on port `control` says.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub(super) fn command(&self, item: &Item<'_>) -> Result<(), String> {
        let value = item.element.value();
        let Some(record) = value.as_record() else {
            return Err(format!("a command is a record with a `kind`, not {}", value.type_name()));
        };
        let Some(kind) = record.get("kind").and_then(Value::as_str) else {
            return Err("a command needs a `kind`, which is a string".to_owned());
        };
        if let Some(pairs) = self.pairs.as_ref().filter(|_| kind == OPENED) {
            self.paired(pairs, item)?;
            return Ok(());
        }
        let takes_connections = !self.is_single() && !self.is_per_origin();
        let own = || OWN.iter().chain(if takes_connections { OF_LISTENERS } else { &[] });
        if let Some((name, known, handle)) = own().find(|(name, ..)| *name == kind) {
            members::check(&format!("a command `{name}`"), record, known)?;
            return handle(self, record);
        }
        if let Some(command) = self.commands.iter().find(|command| command.kind == kind) {
            members::check(&format!("a command `{kind}`"), record, &[command.members])?;
            return (command.handle)(record, &Connections(self));
        }
        let of_pairs = self.pairs.iter().map(|_| OPENED);
        let known = own().map(|(name, ..)| *name).chain(self.commands.iter().map(|command| command.kind));
        let known: Vec<&str> = known.chain(of_pairs).collect();
        let hint = nearest(kind, known.iter().copied()).map_or_else(
            || format!("known are `{}`", known.join("`, `")),
            |name| format!("did you mean `{name}`?"),
        );
        Err(format!("there is no command `{}`; {hint}", shown(kind)))
    }

    /// Ids of the connections that a command is for.
    fn meant(&self, record: &Record) -> Result<Vec<u64>, String> {
        let table = self.read();
        let given = |name| record.get(name).filter(|value| !value.is_null());
        match (given("conn"), given("where")) {
            (Some(_), Some(_)) => Err("a command has `conn` or `where`, not both".to_owned()),
            (Some(conns), None) => {
                let mut open = instructions::ids("conn", conns)?;
                open.retain(|conn| table.of_conn(*conn).is_some());
                if open.is_empty() {
                    return Err(format!("there is no open connection {}", shown(conns)));
                }
                Ok(open)
            }
            // It may be that nobody is like that right now.
            (None, Some(wanted)) => Ok(table.admitted(&Filter::new(self.kind, wanted)?)),
            (None, None) if self.is_single() => {
                let only: Vec<u64> = table.conns().collect();
                if only.is_empty() { Err("there is no open connection".to_owned()) } else { Ok(only) }
            }
            (None, None) => {
                Err("a command needs `conn` or `where` to say which connections it is for".to_owned())
            }
        }
    }

    fn outboxes(&self, conns: &[u64]) -> Vec<Arc<Outbox>> {
        let table = self.read();
        conns.iter().filter_map(|conn| table.of_conn(*conn).cloned()).collect()
    }
}

fn close(streams: &Streams, record: &Record) -> Result<(), String> {
    let ending = instructions::ending(record)?;
    for outbox in streams.outboxes(&streams.meant(record)?) {
        // One that is about to end already does so as it was first told.
        outbox.end(ending.clone());
    }
    Ok(())
}

fn ping(streams: &Streams, record: &Record) -> Result<(), String> {
    let data = match record.get("data").filter(|data| !data.is_null()) {
        Some(data) => instructions::ping(data)?,
        None => Vec::new(),
    };
    let outboxes = streams.outboxes(&streams.meant(record)?);
    let refused = outboxes.iter().filter(|outbox| !outbox.ping(&data)).count();
    if refused == 0 {
        Ok(())
    } else {
        Err(format!("{refused} of {} connections have no room for a ping", outboxes.len()))
    }
}

/// Sets tags of connections; null takes one away, those that are not named stay.
fn tag(streams: &Streams, record: &Record) -> Result<(), String> {
    let tags = record.get("tags").and_then(Value::as_record);
    let tags = tags.ok_or("a command `tag` needs `tags`, which is a record")?;
    let conns = streams.meant(record)?;
    let kind = streams.kind;
    let mut table = streams.write();
    for conn in conns {
        table.change_meta(conn, |meta| set_tags(meta, kind, tags));
    }
    Ok(())
}

impl Streams {
    /// Changes the metadata of a connection, if there is such a one.
    pub(crate) fn change_meta(&self, conn: u64, change: impl FnOnce(&mut Value)) {
        self.write().change_meta(conn, change);
    }
}

fn set_tags(meta: &mut Value, kind: &str, tags: &Record) {
    let of_kind = meta.as_record_mut().and_then(|meta| meta.get_or_insert_null(kind).as_record_mut());
    let Some(of_kind) = of_kind else { return };
    let own = of_kind.get_or_insert_null("tags");
    if own.is_null() {
        *own = Value::record();
    }
    let Some(own) = own.as_record_mut() else { return };
    for (name, value) in tags.iter() {
        if value.is_null() {
            own.remove(name.as_str());
        } else {
            own.insert(name.clone(), value.clone());
        }
    }
}

fn drain(streams: &Streams, _: &Record) -> Result<(), String> {
    streams.begin_drain();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::filter::MEMBERS;

    #[test]
    fn the_guide_has_every_command_and_what_connections_are_chosen_by() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/websocket-control.md");
        let page = std::fs::read_to_string(page).unwrap();
        let (_, commands) = page.split_once("\n## Commands to port `control`\n").unwrap();
        let names = OWN.iter().chain(OF_LISTENERS).map(|(name, ..)| *name).chain([OPENED]);
        for name in names {
            assert!(commands.contains(&format!("\n| `{name}` |")), "there is no command `{name}`");
        }
        let (_, members) = page.split_once("\n## Whom `where` means\n").unwrap();
        for name in MEMBERS {
            assert!(members.contains(&format!("\n| `{name}` |")), "there is no `{name}`");
        }
    }
}
