//! What a decision sees and what it says. The driver fills a [`View`] from documents and carries a [`Decision`] out.

use super::cover::{Cover, Covered};
use crate::model::{
    AccountId, Action, AwsAccount, Directory, Doc, ExemptionRule, Lease, LeaseKey, Notice, Pause, Policy, RegionState,
    Request, Resource, Time, User,
};

/// Everything that bears on one lease, as documents say it now. An event is not in it: it is only a hint.
#[derive(Debug, Clone)]
pub struct View {
    /// The lease, when there is one.
    pub lease: Option<Lease>,
    /// What the detector saw; a lease without it ends nothing.
    pub resource: Option<Resource>,
    /// The event that made zerocloud look, trimmed; recorded as the cause of a new lease.
    pub trigger: serde_json::Value,
    /// The AWS account, if its document can be read.
    pub aws_account: Option<AwsAccount>,
    /// The region's document, if any.
    pub region: Option<RegionState>,
    /// Account, AWS account and user layers applied for the lease's present owner.
    pub policy: Policy,
    /// The same without the user layer: for a lease whose owner is not judged yet.
    pub account_policy: Policy,
    /// Ids of the small documents that bear on its end and cannot be read, its owner's among them.
    pub unreadable: Vec<String>,
    /// All people of the Account, in id order.
    pub users: Vec<User>,
    /// Pauses that bear on it, also lifted ones.
    pub pauses: Vec<Pause>,
    /// Requests about it that have no answer yet, by id. With neither lease nor resource they are refused.
    pub requests: Vec<Doc<Request>>,
    /// Every notice of the lease's present term.
    pub notices: Vec<Notice>,
    /// The lease's rank among its owner's live leases in the Account by (first seen, id), from 1; 0 when it is not live. A group
    /// counts as many as it wishes for.
    pub usage: u32,
    /// The Account's exemption rules.
    pub rules: Vec<ExemptionRule>,
    /// The live lease of the group that the resource is a member of.
    pub cover: Option<Cover>,
    /// The machines that end with it, of an Auto Scaling group.
    pub members: Vec<Covered>,
}

/// What is known of one lease alone; the rest of a [`View`] follows from the small documents.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of the view of the same name")]
pub struct Known {
    pub lease: Option<Lease>,
    pub resource: Option<Resource>,
    pub trigger: serde_json::Value,
    pub requests: Vec<Doc<Request>>,
    pub notices: Vec<Notice>,
    pub usage: u32,
    pub cover: Option<Cover>,
    pub members: Vec<Covered>,
}

impl View {
    /// What bears on a lease of `account`, by these small documents.
    pub fn assemble(directory: &Directory, account: &AccountId, key: &LeaseKey, known: Known) -> View {
        let owner = known.lease.as_ref().map(|lease| &lease.owner).filter(|owner| !owner.is_pending());
        let region = (key.aws_id.clone(), key.region.clone());
        View {
            aws_account: directory.aws_accounts.get(&key.aws_id).filter(|found| found.account == *account).cloned(),
            region: directory.regions.get(&region).cloned(),
            policy: directory.policy(account, &key.aws_id, owner),
            account_policy: directory.policy(account, &key.aws_id, None),
            unreadable: directory.unreadable_for(account, key, owner),
            users: directory.of(account).cloned().collect(),
            pauses: directory.pauses(account, key).into_iter().cloned().collect(),
            rules: directory.rules(account),
            trigger: known.trigger,
            resource: known.resource,
            requests: known.requests,
            notices: known.notices,
            usage: known.usage,
            cover: known.cover,
            members: known.members,
            lease: known.lease,
        }
    }
}

/// One thing to carry out after the lease was saved. All are idempotent: a restart derives them anew.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a handful live for a moment")]
pub enum Effect {
    /// Put a notice into the outbox; a 409 means that it is there.
    Queue(Notice),
    /// Write a request's answer.
    Answer(Doc<Request>),
    /// Write the resource document's owner, so that its channels follow the lease.
    SaveResource(Resource),
    /// The end is due and nothing holds it: ask for admission and claim it.
    Due(DueEnd),
    /// Start a stopped instance again, or give a group its sizes back (an accepted `revive`).
    Start(LeaseKey),
}

impl Effect {
    /// The names of all effects, for the crash tests, which stop the process after each.
    pub const NAMES: [&'static str; 5] = ["queue", "answer", "save_resource", "due", "start"];

    /// This effect's name.
    pub fn name(&self) -> &'static str {
        match self {
            Effect::Queue(_) => "queue",
            Effect::Answer(_) => "answer",
            Effect::SaveResource(_) => "save_resource",
            Effect::Due(_) => "due",
            Effect::Start(_) => "start",
        }
    }
}

/// An end that may happen now, if the pace allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueEnd {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub key: LeaseKey,
    /// Stop or terminate.
    pub action: Action,
    /// Since when it is due; the oldest goes first.
    pub deadline: Time,
    /// The lease's term; a claim for another term is void.
    pub term: u32,
    /// It was claimed before and never finished: taken up again, it takes no new place in the pace.
    pub resumes: bool,
}

/// What is to be done about one lease.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// The lease to save by compare-and-swap; `None` when nothing that a person sees changes.
    pub lease: Option<Lease>,
    /// What to carry out afterwards.
    pub effects: Vec<Effect>,
    /// When to look again without any event.
    pub next: Option<Time>,
    /// Why, for `plan` and the audit.
    pub reason: String,
}
