//! One connection says something, all connections hear it.

use std::time::Duration;

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{Measured, connection::Connection, in_time, metered, wire::Target};
use crate::error::{Error, Result};

/// Events that go ahead unmeasured.
const WARM_UP: u64 = 10;

/// Opens `listeners` connections, each of which subscribes with its first message, and sends `events`
/// messages over the first one, each when all connections have its predecessor.
///
/// # Errors
/// Whatever goes wrong on a connection; deliveries that are missing when the time is over.
pub(crate) fn fan_out(
    target: &Target,
    listeners: u64,
    events: u64,
    server_cpu: impl Fn() -> Option<Duration>,
) -> Result<Measured> {
    in_time(async {
        let mut speaker = Connection::open(target, 1).await?;
        speaker.begin_with(1);
        let (heard, mut arrivals) = mpsc::unbounded_channel();
        let (_alive, stop) = watch::channel(());
        let mut tasks = JoinSet::new();
        for _ in 1..listeners {
            let listener = Connection::open(target, 1).await?;
            tasks.spawn(listen(listener, heard.clone(), stop.clone()));
        }
        drop(heard);
        speak(&mut speaker, &mut arrivals, listeners, WARM_UP).await?;
        Ok(metered(server_cpu, speak(&mut speaker, &mut arrivals, listeners, events)).await?.0)
    })
}

/// Sends event after event.
async fn speak(
    speaker: &mut Connection,
    arrivals: &mut mpsc::UnboundedReceiver<Result<u64>>,
    listeners: u64,
    events: u64,
) -> Result<()> {
    for _ in 0..events {
        speaker.drive(1, 1).await?;
        let mut missing = listeners - 1;
        while missing > 0 {
            let arrived =
                arrivals.recv().await.ok_or_else(|| Error::Answer("all listeners left".to_owned()))??;
            missing = missing
                .checked_sub(arrived)
                .ok_or_else(|| Error::Answer("an event was delivered twice".to_owned()))?;
        }
    }
    Ok(())
}

/// Reports what arrives until nobody wants to know any more.
async fn listen(
    mut listener: Connection,
    heard: mpsc::UnboundedSender<Result<u64>>,
    mut stop: watch::Receiver<()>,
) {
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            arrived = listener.receive() => {
                let failed = arrived.is_err();
                if !matches!(arrived, Ok(0)) && heard.send(arrived).is_err() || failed {
                    return;
                }
            }
        }
    }
}
