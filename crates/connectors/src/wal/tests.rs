//! The log on a simulated disk that loses power, and files that something happened to.

mod damage;
mod disk;
mod halves;
mod losses;
