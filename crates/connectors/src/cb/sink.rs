//! The half that does as its events tell it.

use super::{ledger::Ledger, source::tell};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tremor_connector::{EventSink, SinkControl, SinkError};
use tremor_event::{Event, Outcome};
use tremor_value::Value;

/// Where events hold their commands: in their metadata or else in their value.
const KEY: &str = "cb";

/// How long the end waits for a report to be printed: nobody may read standard error any more.
const REPORT_LIMIT: Duration = Duration::from_secs(2);

/// Obeys.
pub(super) struct Commanded {
    control: Option<SinkControl>,
    /// The books of the source half, if that is used.
    ledger: Option<Arc<Ledger>>,
    alias: String,
}

impl Commanded {
    pub(super) fn new(ledger: Option<Arc<Ledger>>, alias: String) -> Self {
        Self { control: None, ledger, alias }
    }
}

#[async_trait]
impl EventSink for Commanded {
    fn begin(&mut self, control: SinkControl) {
        self.control = Some(control);
    }

    fn settles(&self) -> bool {
        true
    }

    async fn event(&mut self, event: Event) -> Result<(), SinkError> {
        let commands = Commands::of(&event);
        // First the breaker: who is told of the event may ask for the next one.
        if let (Some(closes), Some(control)) = (commands.closes, &self.control) {
            if closes {
                control.close();
            } else {
                control.open();
            }
        }
        event.settle(match commands.acks {
            Some(true) => Outcome::Delivered { took_ns: 0 },
            Some(false) => Outcome::Failed,
            None => Outcome::Withheld,
        });
        Ok(())
    }

    /// Whoever ends the process before everything was heard is told what was. It is this half that tells, because the
    /// end of the connector waits for it.
    async fn stop(&mut self) -> Result<(), SinkError> {
        if let Some(ledger) = &self.ledger
            && timeout(REPORT_LIMIT, tell(ledger, &self.alias)).await.is_err()
        {
            tracing::error!(target: "tremor_runtime", "[Source::{}] cannot print its report in time", self.alias);
        }
        Ok(())
    }
}

/// What an event tells the sink to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Commands {
    /// `Some(false)`: fails.
    acks: Option<bool>,
    /// `Some(false)`: opens.
    closes: Option<bool>,
}

impl Commands {
    /// The commands of the first element that has any.
    fn of(event: &Event) -> Self {
        let of_element = event.elements().find_map(|element| {
            let told = element.meta.get(KEY).or_else(|| element.value().get(KEY))?;
            let commands = Self::read(told);
            (commands != Self::default()).then_some(commands)
        });
        of_element.unwrap_or_default()
    }

    fn read(told: &Value) -> Self {
        let says = |words: &[&str]| {
            let is_one = |value: &Value| value.as_str().is_some_and(|word| words.contains(&word));
            is_one(told) || told.as_array().is_some_and(|told| told.iter().any(is_one))
        };
        let either =
            |yes: &[&str], no: &[&str]| says(yes).then_some(true).or_else(|| says(no).then_some(false));
        Self {
            acks: either(&["ack"], &["fail"]),
            closes: either(&["close", "trigger"], &["open", "restore"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(told: &str) -> (Option<bool>, Option<bool>) {
        let Commands { acks, closes } = Commands::read(&Value::from_json_str(told).unwrap());
        (acks, closes)
    }

    #[test]
    fn commands_are_words_alone_or_in_lists_and_the_stronger_wins() {
        for (told, expected) in [
            (r#""ack""#, (Some(true), None)),
            (r#""fail""#, (Some(false), None)),
            (r#"["fail", "ack"]"#, (Some(true), None)),
            (r#"["fail", "open", "trigger"]"#, (Some(false), Some(true))),
            (r#""restore""#, (None, Some(false))),
            (r#"["close", "restore"]"#, (None, Some(true))),
            (r#""ACK""#, (None, None)),
            ("[]", (None, None)),
            ("[[\"ack\"], 1, null]", (None, None)),
            (r#"{"ack": true}"#, (None, None)),
        ] {
            assert_eq!(read(told), expected, "{told}");
        }
    }
}
