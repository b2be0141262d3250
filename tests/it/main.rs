//! Black-box tests of zerocloud, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own repository should stop there")]

mod acts;
mod api;
mod app;
mod aws_events;
mod bounces;
mod browser;
mod connect;
mod crash;
mod detection;
mod faults;
mod gateway;
mod groups;
mod hooks;
mod lifecycle;
mod mail;
mod migrate;
mod operation;
mod program;
mod reaping;
mod remote;
mod rules;
mod scheduler;
mod store;
mod sync;
mod tidy;
mod unreadable;
mod views;
mod web;
mod web_access;
mod web_admin;
mod web_leases;
mod web_previews;
mod web_routes;
mod web_signin;
mod web_standing;
