//! Circuit breakers: whether what stands behind a source or an operator takes events (`spec/runtime.md` 4.2, 11).

/// Something in front of sinks that has to know whether they take events: a source, or an operator that mediates.
///
/// What stands behind is known by its process-wide id. Every part of a flow that can refuse events closes and opens
/// itself only, so no part can stand in for another.
pub trait Breaker: Send + Sync {
    /// `part` stands behind this; it counts as closed until it opens.
    fn add(&self, part: u64);

    /// `part` takes events from now on.
    fn open(&self, part: u64);

    /// `part` takes no events until it opens again.
    fn close(&self, part: u64);

    /// `part` is closed and will never open again.
    fn lose(&self, part: u64);
}
