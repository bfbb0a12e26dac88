//! The kinds at work: as instances with everything around them, but without a runtime.

#[cfg(test)]
mod bench;
#[cfg(test)]
mod cb;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod exit;
#[cfg(test)]
mod file;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod metronome;
#[cfg(test)]
mod null;
#[cfg(test)]
mod stdio;
#[cfg(test)]
mod wal;
#[cfg(test)]
mod ws;
