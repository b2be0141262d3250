//! An Auto Scaling group or cluster as pages and the API show it: its members, its sizes, and what they cost together. Reads the index only.

use super::cost::Rate;
use super::prices::Prices;
use crate::follower::Index;
use crate::model::{Facts, Lease, Resource, State};
use crate::words::clean;
use serde::Serialize;

/// The block of a lease's page.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Block {
    /// What it has now.
    sizes: Option<String>,
    /// What a revival gives back, while it sleeps.
    kept: Option<String>,
    remarks: Vec<String>,
    members: Vec<Row>,
}

/// A member.
#[derive(Debug, Clone, Serialize)]
struct Row {
    id: String,
    kind: String,
    state: String,
    protected: bool,
}

impl Block {
    pub(super) fn of(lease: &Lease, facts: Option<&Facts>) -> Option<Block> {
        let group = facts?.group.as_ref()?;
        let rows = group.members.iter().map(|member| Row {
            id: member.id.to_string(),
            kind: clean(&member.instance_type),
            state: clean(&member.state),
            protected: member.protected,
        });
        Some(Block {
            sizes: lease.is_group().then(|| group.sizes.to_string()),
            kept: lease.sizes.filter(|_| lease.state == State::Stopped).map(|sizes| sizes.to_string()),
            remarks: group.remarks().iter().map(|text| clean(text)).collect(),
            members: rows.collect(),
        })
    }
}

/// What an hour of a resource costs: of a group, its members together. What it would cost while it has none is not known.
pub(super) fn rate(index: &Index, prices: &Prices, resource: &Resource) -> Rate {
    let region = resource.key.region.as_str();
    if resource.key.resource_id.is_instance() {
        return Rate::of(prices, region, &resource.facts);
    }
    let all = index.resources(&resource.key.aws_id, &resource.key.region);
    let own = all.iter().filter(|doc| doc.body.facts.member_of.as_ref() == Some(&resource.key.resource_id));
    let rates: Vec<Rate> = own
        .filter(|doc| doc.body.facts.group.is_none() && doc.body.facts.state.is_up() && !doc.body.is_gone())
        .map(|doc| Rate::of(prices, region, &doc.body.facts))
        .collect();
    let running = rates.iter().map(|rate| rate.running).sum::<Option<_>>().filter(|_| !rates.is_empty());
    Rate { running, volumes: rates.iter().map(|rate| rate.volumes).sum() }
}
