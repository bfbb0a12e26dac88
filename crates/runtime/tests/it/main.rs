//! Whole flows, from their text to their end.

#[cfg(test)]
mod delivery;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod heard;
#[cfg(test)]
mod life;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod prefix;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod world;
