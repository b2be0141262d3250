//! The program. It has no command yet.
fn main() {}
