//! Who owns a lease, and why: owner tag, launcher, SSH key, an admin. Evidence that somebody refused never counts, and
//! later evidence never takes a lease from a person.

use super::view::View;
use super::work::{VALUE, Work, people, resource};
use crate::model::{Evidence, EvidenceSource, Facts, Lease, Role, User, UserId};
use serde_json::Value;

/// An owner with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Who.
    pub user: UserId,
    /// By what.
    pub source: EvidenceSource,
    /// Its value.
    pub value: String,
}

/// The strongest evidence that names a known person and was not refused.
pub fn evidence(view: &View, lease: &Lease) -> Option<Found> {
    let facts = &resource(view, lease)?.facts;
    // The owner is not known yet, so the tag's name comes from the policy without a user layer.
    let by_tag = facts
        .tag(&view.account_policy.owner_tag)
        .and_then(|value| Some((EvidenceSource::Tag, value, named(view, lease, value)?)));
    let by_launcher = || {
        let value = launcher(&lease.trigger)?;
        Some((EvidenceSource::Launcher, value, named(view, lease, value)?))
    };
    let by_key = || {
        let value = facts.key_name.as_deref()?;
        Some((EvidenceSource::KeyName, value, key_owner(view, lease, value)?))
    };
    let mut all = by_tag
        .into_iter()
        .chain(by_launcher())
        .chain(by_key())
        .filter(|(source, value, user)| !refused(lease, facts, *source, value, &user.user));
    all.next().map(|(source, value, user)| Found { user: user.user.clone(), source, value: value.to_owned() })
}

/// The admin who gets what nobody else owns: the first who did not refuse it, else the first.
pub(super) fn fallback(view: &View, lease: &Lease) -> Option<Found> {
    let any = || people(view, lease).find(|user| user.role == Role::Admin).map(by_default);
    willing_admin(view, lease).or_else(any)
}

/// The first admin who did not refuse it.
pub(super) fn willing_admin(view: &View, lease: &Lease) -> Option<Found> {
    let mut admins = people(view, lease).filter(|user| user.role == Role::Admin);
    admins.find(|user| !lease.refused.iter().any(|no| no.user == user.user)).map(by_default)
}

fn by_default(admin: &User) -> Found {
    Found { user: admin.user.clone(), source: EvidenceSource::Admin, value: admin.user.to_string() }
}

/// The one person whom a text means: by address, login, id, alias, then name. `None` when nobody or several fit.
fn named<'a>(view: &'a View, lease: &Lease, text: &str) -> Option<&'a User> {
    let text = text.trim().trim_start_matches('@').to_lowercase();
    if text.is_empty() {
        return None;
    }
    let same = |other: &str| !other.is_empty() && other.trim().to_lowercase() == text;
    let by: [&dyn Fn(&User) -> bool; 5] = [
        &|user| same(&user.email),
        &|user| user.github_login.as_deref().is_some_and(same),
        &|user| user.user.as_str() == text,
        &|user| user.aliases.iter().any(|alias| same(alias)),
        &|user| same(&user.name),
    ];
    for fits in by {
        let mut found = people(view, lease).filter(|user| fits(user));
        if let Some(user) = found.next() {
            return found.next().is_none().then_some(user);
        }
    }
    None
}

fn key_owner<'a>(view: &'a View, lease: &Lease, key: &str) -> Option<&'a User> {
    let mut found = people(view, lease).filter(|user| user.key_names.iter().any(|name| name == key));
    let user = found.next()?;
    found.next().is_none().then_some(user)
}

/// "Not mine" sticks: the same evidence never counts again, and only a new tag names the same person again: one that zerocloud
/// wrote itself is none.
fn refused(lease: &Lease, facts: &Facts, source: EvidenceSource, value: &str, user: &UserId) -> bool {
    let new_tag = source == EvidenceSource::Tag && !facts.wrote_owner(value);
    lease.refused.iter().any(|no| {
        let same = no.source == source && no.value.to_lowercase() == value.trim().to_lowercase();
        same || (no.user == *user && !new_tag)
    })
}

/// Who launched it, by the CloudTrail record that the lease was made from (CloudTrail User Guide, `userIdentity`). A
/// role's session name is only a hint: it counts when it names a known person.
pub(super) fn launcher(trigger: &Value) -> Option<&str> {
    let detail = trigger.get("detail")?;
    if detail.get("eventName")?.as_str()? != "RunInstances" {
        return None;
    }
    let identity = detail.get("userIdentity")?;
    match identity.get("type").and_then(Value::as_str) {
        Some("Root" | "AWSService" | "AWSAccount") => None,
        Some("AssumedRole" | "FederatedUser") => identity.get("arn")?.as_str()?.rsplit('/').next(),
        _ => identity.get("userName")?.as_str(),
    }
    .filter(|name| !name.is_empty())
}

impl Work<'_> {
    /// Judges the owner. `true` when it changed: the rest waits for a view of the new owner.
    pub(super) fn judge_owner(&mut self) -> bool {
        self.late_launcher();
        if self.edited_by_admin() {
            return true;
        }
        let left = self.owner_left();
        if self.lease.owner.is_pending() && !self.settled() {
            return false;
        }
        let Some(found) = self.find_owner(left) else {
            return false;
        };
        if found.user == self.lease.owner {
            self.confirm(&found);
            return false;
        }
        self.take(&found, left);
        true
    }

    fn find_owner(&self, left: bool) -> Option<Found> {
        if left {
            return fallback(self.view, &self.lease);
        }
        let pending = self.lease.owner.is_pending();
        let open = pending || matches!(self.lease.owner_evidence.source, EvidenceSource::Admin | EvidenceSource::None);
        if !open || self.resource().is_none() {
            return None;
        }
        let by_default = || fallback(self.view, &self.lease).filter(|_| pending);
        evidence(self.view, &self.lease).or_else(by_default)
    }

    /// No people at all is a directory that could not be read, not an Account that everybody left; nor has one left whose
    /// document stands there and cannot be read (SAFETY.md, invariant 6).
    pub(super) fn owner_left(&self) -> bool {
        !self.lease.owner.is_pending() && self.user(&self.lease.owner).is_none() && !self.unknown_owner()
    }

    fn unknown_owner(&self) -> bool {
        self.view.users.is_empty() || self.owner_unreadable()
    }

    /// Whether tags have had time to settle. A settle time that lies further off than the policy's, by a clock that was
    /// set back, is brought near.
    fn settled(&mut self) -> bool {
        self.lease.settle_at = self.lease.settle_at.min(self.now.plus(self.policy().settle));
        self.now >= self.lease.settle_at
    }

    /// Evidence names the admin who had it by default: it is theirs, and no later evidence takes it away.
    fn confirm(&mut self, found: &Found) {
        if self.lease.owner_evidence.source != found.source {
            let value = found.value.chars().take(VALUE).collect();
            self.lease.owner_evidence = Evidence { source: found.source, value, at: self.now };
            self.lease.log(self.now, format!("owner: {} ({})", found.user, source_word(found.source)));
        }
    }

    fn take(&mut self, found: &Found, left: bool) {
        let before = self.lease.owner.clone();
        let why = if left {
            format!("{before} is no longer here; it passes to {}", found.user)
        } else {
            format!("owner: {} ({})", found.user, source_word(found.source))
        };
        self.own(found.user.clone(), found.source, &found.value, why);
        if left {
            self.marks.owner_left = Some(self.lease.term);
        }
    }

    /// The record of the launch may come after polling made the lease.
    fn late_launcher(&mut self) {
        if launcher(&self.lease.trigger).is_some() || launcher(&self.view.trigger).is_none() {
            return;
        }
        let items = self.view.trigger.pointer("/detail/responseElements/instancesSet/items");
        let id = self.lease.key.resource_id.as_str();
        let named = items
            .and_then(Value::as_array)
            .is_some_and(|items| items.iter().any(|item| item.get("instanceId").and_then(Value::as_str) == Some(id)));
        // One that launched too many to name them all in 4 KB was cut; it is here because it named this one.
        if named || self.view.trigger.get("trimmed").is_some() {
            self.lease.trigger = self.view.trigger.clone();
        }
    }

    /// An admin wrote another owner on the lease.
    fn edited_by_admin(&mut self) -> bool {
        let owner = self.lease.owner.clone();
        match &self.marks.granted_owner {
            Some(granted) if *granted == owner => false,
            None => {
                self.marks.granted_owner = Some(owner);
                false
            }
            Some(_) if self.user(&owner).is_none() && self.unknown_owner() => false,
            Some(granted) if self.user(&owner).is_none() => {
                // Nobody by that name: the edit is put back.
                self.lease.owner = granted.clone();
                self.lease.log(self.now, format!("there is no {owner}; the owner stays {granted}"));
                false
            }
            Some(_) => {
                let why = format!("an admin gave it to {owner}");
                self.own(owner, EvidenceSource::Request, "admin", why);
                true
            }
        }
    }
}

fn source_word(source: EvidenceSource) -> &'static str {
    match source {
        EvidenceSource::Request => "by request",
        EvidenceSource::Tag => "owner tag",
        EvidenceSource::Launcher => "launched it",
        EvidenceSource::KeyName => "SSH key",
        EvidenceSource::Admin => "nobody else is known",
        EvidenceSource::None => "not judged yet",
    }
}
