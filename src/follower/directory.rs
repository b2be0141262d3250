//! Keeps the [`Directory`] of small documents: who is who, what is allowed, what is held.

use super::document::Document;
use crate::model::{AccountId, AwsId, Directory, UserId};

/// What a change of a small document bears on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    Everything,
    Account(AccountId),
    AwsAccount(AwsId),
}

/// Puts a document in its place. `None` when it is not one of the directory's.
pub(super) fn put(directory: &mut Directory, id: &str, document: Document) -> Option<Scope> {
    match document {
        Document::Account(it) => {
            let scope = Scope::Account(it.account.clone());
            directory.accounts.insert(it.account.clone(), it);
            Some(scope)
        }
        Document::AwsAccount(it) => Some(put_aws_account(directory, it)),
        Document::User(it) => {
            let scope = Scope::Account(it.account.clone());
            directory.users.insert((it.account.clone(), it.user.clone()), it);
            Some(scope)
        }
        Document::Policy(account, layer) => {
            directory.policies.insert(id.to_owned(), layer);
            Some(Scope::Account(account))
        }
        Document::Pause(account, pause) => {
            directory.pauses.insert(id.to_owned(), pause);
            Some(account.map_or(Scope::Everything, Scope::Account))
        }
        Document::Region(aws_id, region, state) => {
            directory.regions.insert((aws_id.clone(), region), state);
            Some(Scope::AwsAccount(aws_id))
        }
        // Bears on no lease.
        Document::EventKey(it) => {
            directory.event_keys.insert(last(id), it);
            None
        }
        Document::Lease(_)
        | Document::Resource(_)
        | Document::Request(_)
        | Document::Notice(_)
        | Document::Callback(_)
        | Document::Other => None,
    }
}

/// An AWS account belongs to one Account: where two documents claim it, the one that was there first stays in force
/// until it goes.
fn put_aws_account(directory: &mut Directory, it: crate::model::AwsAccount) -> Scope {
    let scope = Scope::AwsAccount(it.aws_id.clone());
    match directory.aws_accounts.get(&it.aws_id) {
        Some(there) if there.account != it.account => {
            tracing::warn!(aws_id = %it.aws_id, first = %there.account, second = %it.account,
                "two Accounts claim one AWS account; the second has no effect");
        }
        _ => drop(directory.aws_accounts.insert(it.aws_id.clone(), it)),
    }
    scope
}

/// Notes that a document cannot be read. `None` when it is not one of the directory's.
pub(super) fn unreadable(directory: &mut Directory, id: &str) -> Option<Scope> {
    let scope = scope(id)?;
    directory.unreadable.insert(id.to_owned());
    Some(scope)
}

/// It can be read again, or is gone. `None` when nothing was wrong with it.
pub(super) fn mended(directory: &mut Directory, id: &str) -> Option<Scope> {
    directory.unreadable.remove(id).then(|| scope(id)).flatten()
}

/// What a document that decides about ends bears on, by its id.
fn scope(id: &str) -> Option<Scope> {
    let parts: Vec<&str> = id.split("::").collect();
    match parts[..] {
        ["pause", "all"] => Some(Scope::Everything),
        ["account" | "user" | "policy" | "pause", account, ..] => AccountId::parse(account).ok().map(Scope::Account),
        ["aws_account", _, aws_id] | ["region", aws_id, _] => AwsId::parse(aws_id).ok().map(Scope::AwsAccount),
        _ => None,
    }
}

/// Takes a document out: it was deleted, or cannot be read any more.
pub(super) fn remove(directory: &mut Directory, id: &str) -> Option<Scope> {
    let parts: Vec<&str> = id.split("::").collect();
    match parts[..] {
        ["account", account] => {
            let account = AccountId::parse(account).ok()?;
            directory.accounts.remove(&account).map(|_| Scope::Account(account))
        }
        ["aws_account", account, aws_id] => {
            let aws_id = AwsId::parse(aws_id).ok()?;
            let there = directory.aws_accounts.get(&aws_id).is_some_and(|it| it.account.as_str() == account);
            there.then(|| directory.aws_accounts.remove(&aws_id)).map(|_| Scope::AwsAccount(aws_id))
        }
        ["user", account, user] => {
            let key = (AccountId::parse(account).ok()?, UserId::parse(user).ok()?);
            directory.users.remove(&key).map(|_| Scope::Account(key.0))
        }
        ["policy", account, ..] => {
            let account = AccountId::parse(account).ok()?;
            directory.policies.remove(id).map(|_| Scope::Account(account))
        }
        ["pause", ..] => directory.pauses.remove(id).map(|_| Scope::Everything),
        ["region", aws_id, region] => {
            let key = (AwsId::parse(aws_id).ok()?, crate::model::Region::parse(region).ok()?);
            directory.regions.remove(&key).map(|_| Scope::AwsAccount(key.0))
        }
        ["event_key", ..] => {
            directory.event_keys.remove(&last(id));
            None
        }
        _ => None,
    }
}

fn last(id: &str) -> String {
    id.rsplit("::").next().unwrap_or_default().to_owned()
}
