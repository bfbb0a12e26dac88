//! Masking keys from the secure generator of the system.

/// 64 keys for each call to the system; 256 bytes is also what systems promise to give in one piece.
const POOL_BYTES: usize = 256;

/// Fills a buffer with secure random bytes.
pub(crate) type Fill = fn(&mut [u8]) -> Result<(), getrandom::Error>;

/// Hands out masking keys, each once; asks the system for many at a time.
///
/// Holds no memory until the first key is wanted, so that a server that never masks pays nothing.
pub(crate) struct MaskKeys {
    pool: Vec<u8>,
    fill: Fill,
}

impl MaskKeys {
    pub(crate) fn new(fill: Fill) -> Self {
        Self { pool: Vec::new(), fill }
    }

    /// The next key.
    ///
    /// # Errors
    /// When the generator of the system fails; a key is never made up.
    pub(crate) fn next(&mut self) -> Result<[u8; 4], getrandom::Error> {
        if self.pool.is_empty() {
            let mut pool = std::mem::take(&mut self.pool);
            pool.resize(POOL_BYTES, 0);
            (self.fill)(&mut pool)?;
            self.pool = pool;
        }
        let mut key = [0; 4];
        let start = self.pool.len().saturating_sub(key.len());
        for (slot, byte) in key.iter_mut().zip(self.pool.drain(start..)) {
            *slot = byte;
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_differ_and_the_pool_refills() {
        let mut keys = MaskKeys::new(getrandom::fill);
        let seen: HashSet<[u8; 4]> = (0..1000).map(|_| keys.next().unwrap()).collect();
        assert!(seen.len() > 990, "only {} different keys in 1000", seen.len());
    }

    #[test]
    fn every_byte_of_the_pool_is_used_once() {
        let mut keys = MaskKeys::new(|bytes| {
            bytes.iter_mut().zip(0..=255).for_each(|(slot, value)| *slot = value);
            Ok(())
        });
        let mut bytes: Vec<u8> = (0..POOL_BYTES / 4).flat_map(|_| keys.next().unwrap()).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
    }

    #[test]
    fn a_failing_generator_gives_no_key() {
        let mut keys = MaskKeys::new(|_| Err(getrandom::Error::UNSUPPORTED));
        assert!(keys.next().is_err());
        assert!(keys.next().is_err());
    }
}
