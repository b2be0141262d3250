//! zerocloud: every cloud instance has a lease with an owner and an end, and nobody can forget one.
//!
//! The import rule (ARCHITECTURE.md): `model` ← `reactor` ← stages ← `serve`; adapters know `model` only.

pub mod aws;
pub mod clock;
pub mod config;
pub mod model;
pub mod reactor;
pub mod store;
