//! `ws_server` and `ws_client` against peers that were written by others.

mod client;
mod client_opening;
mod client_told;
mod client_ways;
mod compression;
mod control;
mod cookies;
mod doorman;
mod effects;
mod endpoints;
mod guards;
mod hostile;
mod http2;
mod listener;
mod messages;
mod metrics;
mod names;
mod opening;
mod options;
mod outgoing;
mod pace;
mod peers;
mod replies;
mod routes;
mod schema;
mod tls;
