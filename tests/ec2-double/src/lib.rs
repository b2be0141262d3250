//! A quick double of AWS for tests and benches of zerocloud: EC2, Auto Scaling and STS in the query protocol, SES v2 in REST JSON,
//! CloudTrail's trails in JSON, over plain HTTP, so that the real SDKs talk to it with an endpoint override. It refuses what AWS refuses where that matters to a
//! program that ends machines, injects faults, and records every call. It knows nothing of zerocloud and is never part of it.
//!
//! Signatures are not verified: the access key in the `Authorization` header decides the account, its credential scope the region.

mod autoscaling;
mod clock;
mod cloudtrail;
mod control;
mod ec2;
mod faults;
mod handle;
mod protocol;
mod record;
mod route;
mod server;
mod ses;
mod sts;
mod world;

pub use faults::{Fault, Rule, RuleId};
pub use handle::{Handle, Place};
pub use protocol::Service;
pub use record::{Call, Calls};
pub use server::{Double, Options};
pub use ses::Mail;
pub use world::{
    Access, Group, GroupSpec, Home, Instance, Lifecycle, Role, RootDevice, Settle, Spec, SpotRequest, SpotState, State,
    Trail,
};
