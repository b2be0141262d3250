//! Black-box tests of zerocloud, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own repository should stop there")]

mod gateway;
mod rules;
mod store;
mod tidy;
