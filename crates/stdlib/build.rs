//! Rebuilds the embedded library when a file appears or goes away.

fn main() {
    println!("cargo:rerun-if-changed=../../lib");
    println!("cargo:rerun-if-changed=../../tests/lib");
}
