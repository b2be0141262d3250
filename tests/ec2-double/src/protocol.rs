//! How the services speak: forms and XML for EC2, STS and Auto Scaling, JSON for SES and CloudTrail. Nothing here knows what they mean.

mod answer;
mod credential;
mod form;
mod xml;

pub(crate) use answer::Refusal;
pub use answer::Service;
pub(crate) use answer::{Reply, succeed};
pub(crate) use credential::Scope;
pub(crate) use form::Form;
pub(crate) use xml::{Xml, date};
