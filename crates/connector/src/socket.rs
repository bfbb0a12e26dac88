//! Listening and connecting sockets.
