//! Black-box tests of the gateway over HTTP, by default against one started in the test's own process.
//! With `GATEWAY_PUBLIC_URL` and `GATEWAY_ADMIN_URL` set they run against that gateway instead.

mod access;
mod app;
mod attachments;
mod databases;
mod documents;
mod durability;
mod feeds;
mod limits;
mod mirror;
mod power_loss;
mod readme;
mod revocations;
mod sessions;
mod sync_function;
mod upkeep;
mod views;
