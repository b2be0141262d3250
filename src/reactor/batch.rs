//! Which notices go into one mail: those of one Account to one address that are due together.

use crate::model::{AccountId, Doc, Notice, NoticeStatus, Time};
use std::collections::BTreeMap;

/// One mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Whose Account; people of two Accounts never share a mail.
    pub account: AccountId,
    /// Where to.
    pub address: String,
    /// What about, the oldest first.
    pub notices: Vec<Doc<Notice>>,
}

/// The mails due at `now`, in the order in which their oldest notice became due.
pub fn batch(notices: &[Doc<Notice>], now: Time) -> Vec<Batch> {
    let mut mails: BTreeMap<(AccountId, String), Vec<Doc<Notice>>> = BTreeMap::new();
    for doc in notices {
        let notice = &doc.body;
        let due = notice.due_at <= now && notice.retry_at.is_none_or(|at| at <= now);
        if notice.status == NoticeStatus::Queued && due {
            let to = (notice.account.clone(), notice.address.trim().to_lowercase());
            mails.entry(to).or_default().push(doc.clone());
        }
    }
    let mut batches: Vec<Batch> = mails
        .into_iter()
        .map(|((account, _), mut notices)| {
            notices.sort_by(|a, b| (a.body.due_at, &a.id).cmp(&(b.body.due_at, &b.id)));
            notices.dedup_by(|a, b| a.id == b.id);
            let address = notices
                .first()
                .map(|doc| doc.body.address.clone())
                .unwrap_or_default();
            Batch {
                account,
                address,
                notices,
            }
        })
        .collect();
    batches.sort_by_key(|mail| mail.notices.first().map(|doc| doc.body.due_at));
    batches
}
