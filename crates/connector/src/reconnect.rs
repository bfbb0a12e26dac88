//! When to try a connection again.
