//! One message at a time, and how long each took.

use std::time::Instant;

use super::{Measured, WARM_UP_PART, connection::Connection, in_time, metered, wire::Target};
use crate::error::Result;

/// Times from a message to its answer, in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    sorted_ns: Vec<u64>,
}

impl Latencies {
    /// In any order.
    pub(crate) fn new(mut latencies_ns: Vec<u64>) -> Self {
        latencies_ns.sort_unstable();
        Self { sorted_ns: latencies_ns }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sorted_ns.len()
    }

    /// The least time that so many of a thousand do not exceed, in microseconds; 0 without any.
    pub(crate) fn per_mille_us(&self, per_mille: usize) -> f64 {
        let rank = (self.sorted_ns.len() * per_mille).div_ceil(1_000).saturating_sub(1);
        self.sorted_ns.get(rank).map_or(0.0, |ns| *ns as f64 / 1e3)
    }
}

/// Sends one message after the other over one connection, each when its predecessor has been answered.
///
/// # Errors
/// As [`super::run`].
pub(crate) fn ping_pong(
    target: &Target,
    messages: u64,
    server_cpu: impl Fn() -> Option<std::time::Duration>,
) -> Result<(Measured, Latencies)> {
    in_time(async {
        let mut connection = Connection::open(target, 1).await?;
        connection.drive(messages / WARM_UP_PART, 1).await?;
        let (measured, latencies) = metered(server_cpu, async {
            let mut latencies = Vec::new();
            for _ in 0..messages {
                latencies.push(timed(&mut connection).await?);
            }
            Ok(latencies)
        })
        .await?;
        Ok((measured, Latencies::new(latencies)))
    })
}

/// Nanoseconds for one message there and back.
pub(super) async fn timed(connection: &mut Connection) -> Result<u64> {
    let start = Instant::now();
    connection.drive(1, 1).await?;
    Ok(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest() {
        let latencies = Latencies::new((1..=100).rev().map(|us| us * 1_000).collect());
        assert_eq!(latencies.len(), 100);
        let ranks = [1, 500, 501, 990, 1_000].map(|rank| latencies.per_mille_us(rank));
        assert_eq!(ranks, [1.0, 50.0, 51.0, 99.0, 100.0]);
        assert_eq!(Latencies::default().per_mille_us(500), 0.0);
    }
}
