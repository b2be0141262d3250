//! Black-box tests of the double: raw HTTP as SDKs send it, and the handle.

mod acting;
mod client;
mod control;
mod describe;
mod faults;
mod groups;
mod mail;
mod record;
mod speed;
mod spot;
mod sts;
mod tags;
mod trails;
