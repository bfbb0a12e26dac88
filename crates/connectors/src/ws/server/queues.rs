//! What may wait for connections, by route (`spec/websocket.md` 6.1, 13).

use crate::ws::options::{KEY, Settings};
use tremor_connector::{QueueAt, SendQueue, WhenFull, config::ConfigError};

/// The queues of a server.
pub(super) struct Queues {
    pub(super) of_all: SendQueue,
    /// Those that routes have of their own.
    pub(super) of_routes: Vec<QueueAt>,
    /// The name of the key, where it is said for all.
    said_key: Option<String>,
    /// By what those go that keep the latest of each key: metadata are looked into before it is known whom they are for.
    key: Option<String>,
}

impl Queues {
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let (of_all, said_key) = settings.send_queue_of_all()?;
        let mut queues = Self { of_all, of_routes: Vec::new(), said_key, key: None };
        if of_all.when_full == WhenFull::Conflate {
            queues.key = Some(queues.usual_key().to_owned());
        }
        Ok(queues)
    }

    fn usual_key(&self) -> &str {
        self.said_key.as_deref().unwrap_or(KEY)
    }

    /// The member of metadata that says what a message stands for.
    pub(super) fn key(&self) -> String {
        self.key.as_deref().unwrap_or(KEY).to_owned()
    }

    /// What the `options` of a route say.
    pub(super) fn of_route(
        &mut self,
        options: &mut Settings<'_>,
    ) -> Result<Option<Box<SendQueue>>, ConfigError> {
        let read = options.send_queue(&self.of_all)?;
        let Some(at) = read.at else { return Ok(None) };
        if read.queue.when_full == WhenFull::Conflate {
            let own = read.key.as_deref().unwrap_or_else(|| self.usual_key()).to_owned();
            if let Some(known) = self.key.as_ref().filter(|known| **known != own) {
                let problem = format!(
                    "goes by the key `{own}` and another one by `{known}`, but all have to go by one"
                );
                return Err(options.config.conflict("send_queue", problem));
            }
            self.key = Some(own);
        }
        self.of_routes.push(QueueAt { queue: read.queue, at });
        Ok(Some(Box::new(read.queue)))
    }
}
