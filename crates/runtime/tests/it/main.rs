//! Whole flows, from their text to their end.

#[cfg(test)]
mod delivery;
mod flows;
mod heard;
#[cfg(test)]
mod life;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod prefix;
#[cfg(test)]
mod world;
