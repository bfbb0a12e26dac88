//! The settings of both kinds, for the reference pages.

mod client;
mod common;
mod conditions;
mod guards;
mod server;

pub use conditions::CONDITIONS;
pub use guards::GUARDS;

use tremor_connector::Field;

/// Of `ws_server`.
pub(super) const SERVER: &[Field] =
    &join::<{ server::FIELDS.len() + common::FIELDS.len() }>(server::FIELDS, common::FIELDS);

/// Of `ws_client`.
pub(super) const CLIENT: &[Field] =
    &join::<{ client::FIELDS.len() + common::FIELDS.len() }>(client::FIELDS, common::FIELDS);

/// `own`, then `common`; `N` is the number of both.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of range")]
const fn join<const N: usize>(own: &[Field], common: &[Field]) -> [Field; N] {
    let mut all = [common[0]; N];
    let mut index = 0;
    while index < N {
        all[index] = if index < own.len() { own[index] } else { common[index - own.len()] };
        index += 1;
    }
    all
}
