//! An embedded, single-machine Couchbase Sync Gateway: the REST contract over one `SQLite` file.
//! [`Gateway::open`] opens the file, [`run`] serves it on a public and an admin listener. [`backup`] copies it while it
//! runs, [`restore`] puts a copy back, [`check`] looks for inconsistencies; [`command`] is all of that for a command line.
//! [`script`] runs sync functions and map functions by themselves, for tests of such functions.

mod auth;
mod changes;
mod channels;
mod check;
mod clock;
pub mod command;
mod database;
mod error;
mod gateway;
#[doc(hidden)]
pub mod inside;
mod json;
mod principals;
mod rest;
mod revs;
pub mod script;
mod server;
mod store;
mod views;

pub use check::{Report, check};
pub use gateway::{Config, Gateway};
pub use server::run;
pub use store::OpenError;
pub use store::copy::{Occupied, backup, restore};
