//! Loading a gateway from outside, over HTTP only: what a bench and what a test of durability need.
//! Knows nothing of the gateway's insides; the gateway's tests use it, so it must not depend on the gateway.

#[expect(clippy::print_stdout, reason = "its lines are what the bench is for")]
pub mod bench;
pub mod claims;
pub mod http;
pub mod kills;
pub mod lease;
pub mod process;
pub mod writers;
