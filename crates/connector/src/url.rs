//! Addresses as configurations write them.
