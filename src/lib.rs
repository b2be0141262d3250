//! zerocloud: every cloud instance has a lease with an owner and an end, and nobody can forget one.
//!
//! The import rule (ARCHITECTURE.md): `model` ← `reactor` ← stages ← `serve`; adapters know `model` only.

pub mod alarm;
pub mod audit;
pub mod aws;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connect;
pub mod detector;
pub mod driver;
pub mod failpoint;
pub mod follower;
pub mod leader;
pub mod leavers;
pub mod migrate;
pub mod model;
pub mod notifier;
pub mod reactor;
pub mod reaper;
pub mod recorder;
pub mod scheduler;
pub mod serve;
pub mod store;
pub mod tagger;
pub mod teller;
pub mod tokens;
pub mod web;
pub mod words;
