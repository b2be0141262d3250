//! How the last poll of AWS went, as the copy that leads tells it to the pages.

use crate::model::{AwsId, Region, Time};
use serde::Serialize;
use std::collections::BTreeMap;

/// The last poll; nothing on a copy that has not led yet.
#[derive(Debug, Clone, Default)]
pub struct Polls {
    /// When it began.
    pub at: Option<Time>,
    /// Seconds from the poll before to this one.
    pub every: Option<i64>,
    /// By AWS account and region; an AWS account that could not be reached at all stands under `None`.
    pub places: BTreeMap<(AwsId, Option<Region>), Place>,
}

/// One place of a poll.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// `read`, `paused`, `denied` or `failed`.
    pub state: &'static str,
    /// Why, when it was not read.
    pub why: String,
    /// Instances that EC2 listed.
    pub seen: usize,
}
