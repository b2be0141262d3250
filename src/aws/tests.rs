//! The adapter over the wire: real SDKs, real HTTP, an AWS of the test's own.

mod acting;
mod keys;
mod mailing;
mod reading;
mod wire;
