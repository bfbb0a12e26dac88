//! Connectors of made-up kinds, whose every attempt and every end the tests decide.

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod brokers;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod duplex;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod life;
#[cfg(test)]
mod picky;
#[cfg(test)]
mod random;
#[cfg(test)]
mod reconnect;
#[cfg(test)]
mod timed;
