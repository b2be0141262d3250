//! Compares both sides, 1,000 ids at a time: every current revision, its body, attachments, history and expiry.

use super::document::Revision;
use super::fetch::{Depth, Fetch, Fetched, PAGE};
use super::inventory::{Current, Inventory};
use super::report::{Difference, Range, Refusal};
use super::side::{Side, SideError};
use super::{Progress, Tell};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// How many ids have one digest.
const RANGE: usize = 1_000;

/// Both sides, and how much history the target keeps.
pub(super) struct Verify<'a> {
    pub(super) source: &'a Side,
    pub(super) target: &'a Side,
    pub(super) revs_limit: usize,
}

/// What the comparison found.
#[derive(Debug, Default)]
pub(super) struct Verified {
    pub(super) ranges: usize,
    pub(super) unequal: Vec<Range>,
    /// SHA-256 over all ranges of the source and of the target.
    pub(super) digests: [String; 2],
    pub(super) differences: Vec<Difference>,
    /// Documents that expire at another moment on the target: its sync function counts from when it wrote them.
    pub(super) other_expiry: usize,
}

/// What is compared of one revision.
struct Print {
    digest: [u8; 32],
    history: Vec<String>,
    expiry: Option<String>,
}

type Prints = BTreeMap<String, Result<Print, String>>;
/// One document's on the source and on the target.
type Pair<'a> = (Option<&'a Result<Print, String>>, Option<&'a Result<Print, String>>);

impl Verify<'_> {
    /// Compares everything; what was `refused` is named already.
    pub(super) async fn run(
        &self,
        from: &Inventory,
        to: &Inventory,
        refused: &BTreeMap<String, Refusal>,
        tell: Tell<'_>,
    ) -> Result<Verified, SideError> {
        let ids: BTreeSet<&String> = from.docs.keys().chain(to.docs.keys()).collect();
        let ids: Vec<&String> = ids.into_iter().collect();
        tell(Progress::Began("comparing", Some(ids.len())));
        let mut verified = Verified::default();
        let mut sums = [Sha256::new(), Sha256::new()];
        let mut done = 0;
        for range in ids.chunks(RANGE) {
            let (ours, theirs) = tokio::try_join!(prints(self.source, range, from), prints(self.target, range, to))?;
            let digests = [&ours, &theirs].map(sum);
            sums[0].update(digests[0]);
            sums[1].update(digests[1]);
            verified.ranges += 1;
            if digests[0] != digests[1] {
                verified.unequal.push(Range {
                    first: range.first().map(|id| (*id).clone()).unwrap_or_default(),
                    last: range.last().map(|id| (*id).clone()).unwrap_or_default(),
                    from: hex::encode(digests[0]),
                    to: hex::encode(digests[1]),
                });
            }
            for id in range.iter().filter(|id| !refused.contains_key(**id)) {
                let revisions = (from.docs.get(*id), to.docs.get(*id));
                let prints = (ours.get(*id), theirs.get(*id));
                match self.difference(revisions, prints) {
                    Some(what) => verified.differences.push(Difference { id: (*id).clone(), what }),
                    None => verified.other_expiry += usize::from(expires_otherwise(prints)),
                }
            }
            done += range.len();
            tell(Progress::At(done));
        }
        verified.digests = sums.map(|sum| hex::encode(sum.finalize()));
        Ok(verified)
    }

    fn difference(&self, revisions: (Option<&Current>, Option<&Current>), prints: Pair<'_>) -> Option<String> {
        let (ours, theirs) = match revisions {
            (Some(ours), Some(theirs)) => (ours, theirs),
            (Some(_), None) => return Some("is missing on the target".to_owned()),
            (None, _) => return Some("is on the target only".to_owned()),
        };
        if ours != theirs {
            let text = |doc: &Current| format!("{}{}", doc.rev, if doc.deleted { " (deleted)" } else { "" });
            return Some(format!("is at {} on the source and at {} on the target", text(ours), text(theirs)));
        }
        let (ours, theirs) = match prints {
            (Some(Ok(ours)), Some(Ok(theirs))) => (ours, theirs),
            (Some(Err(why)), _) => return Some(format!("cannot be read on the source: {why}")),
            (_, Some(Err(why))) => return Some(format!("cannot be read on the target: {why}")),
            _ => return Some("cannot be read".to_owned()),
        };
        if ours.digest != theirs.digest {
            return Some("has another body or other attachments".to_owned());
        }
        let common = ours.history.len().min(theirs.history.len());
        if ours.history[..common] != theirs.history[..common] || common < ours.history.len().min(self.revs_limit) {
            return Some("has another history".to_owned());
        }
        match (&ours.expiry, &theirs.expiry) {
            (Some(_), None) => Some("expires on the source only".to_owned()),
            (None, Some(_)) => Some("expires on the target only".to_owned()),
            _ => None,
        }
    }
}

fn expires_otherwise(prints: Pair<'_>) -> bool {
    match prints {
        (Some(Ok(ours)), Some(Ok(theirs))) => ours.expiry != theirs.expiry,
        _ => false,
    }
}

async fn prints(side: &Side, range: &[&String], inventory: &Inventory) -> Result<Prints, SideError> {
    let mut prints = Prints::new();
    for page in range.chunks(PAGE) {
        let wanted = page.iter().filter_map(|id| Some(((*id).clone(), inventory.docs.get(*id)?.rev.clone())));
        let mut fetch = Fetch::new(side, Depth::Stubs, wanted);
        while let Some(fetched) = fetch.next().await? {
            let (id, print) = match fetched {
                Fetched::Revision(revision) => (revision.id.clone(), Ok(print(*revision))),
                Fetched::Missing(id, why) | Fetched::Unreadable(id, why) => (id, Err(why)),
            };
            prints.insert(id, print);
        }
    }
    Ok(prints)
}

fn print(revision: Revision) -> Print {
    Print { digest: revision.fingerprint(), history: revision.history, expiry: revision.expiry }
}

/// SHA-256 over the fingerprints in the order of ids; one that cannot be read is left out, and is a difference anyway.
fn sum(prints: &Prints) -> [u8; 32] {
    let mut sum = Sha256::new();
    for print in prints.values().flatten() {
        sum.update(print.digest);
    }
    sum.finalize().into()
}
