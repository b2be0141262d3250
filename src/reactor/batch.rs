//! Which notices go into one mail: those of one Account to one address that are due together.

use crate::model::{AccountId, Doc, Notice, NoticeStatus, Time};
use std::collections::BTreeMap;

/// Nothing waits longer than this; a time further off was written by a clock that was set back since.
const LONGEST_WAIT: i64 = 7_200;

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
        let waits = |at: Time| (1..=LONGEST_WAIT).contains(&at.seconds_since(now));
        let due = !waits(notice.due_at) && !notice.retry_at.is_some_and(waits);
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
            let address = notices.first().map(|doc| doc.body.address.clone()).unwrap_or_default();
            Batch { account, address, notices }
        })
        .collect();
    batches.sort_by_key(|mail| mail.notices.first().map(|doc| doc.body.due_at));
    batches
}

#[cfg(test)]
mod tests {
    use super::batch;
    use crate::model::{AccountId, Doc, Extra, LeaseKey, Notice, NoticeKind, NoticeStatus, Time, UserId};

    fn notice(account: &str, id: u8, address: &str) -> Doc<Notice> {
        let body = Notice {
            account: AccountId::parse(account).unwrap(),
            lease: LeaseKey::parse(&format!("000000000001::us-east-1::i-{id:02x}")).unwrap(),
            term: 1,
            kind: NoticeKind::First,
            address: address.to_owned(),
            user: UserId::parse("lin").unwrap(),
            status: NoticeStatus::Queued,
            due_at: Time::from_unix(100),
            attempts: 0,
            retry_at: None,
            message_id: None,
            accepted_at: None,
            error: None,
            purge_at: None,
            extra: Extra::new(),
        };
        Doc { id: body.id(), rev: None, body }
    }

    fn told(notices: &[Doc<Notice>], now: i64) -> Vec<(String, String, usize)> {
        let mails = batch(notices, Time::from_unix(now));
        mails.into_iter().map(|mail| (mail.account.to_string(), mail.address, mail.notices.len())).collect()
    }

    #[test]
    fn notices_to_one_address_are_one_mail_whatever_its_case() {
        let all = [notice("a", 1, "Lin@x.io"), notice("a", 2, "lin@x.io "), notice("a", 3, "max@x.io")];
        assert_eq!(told(&all, 100), [("a".into(), "Lin@x.io".into(), 2), ("a".into(), "max@x.io".into(), 1)]);
    }

    #[test]
    fn a_mail_never_mixes_two_accounts() {
        let all = [notice("a", 1, "lin@x.io"), notice("b", 2, "lin@x.io")];
        assert_eq!(told(&all, 100), [("a".into(), "lin@x.io".into(), 1), ("b".into(), "lin@x.io".into(), 1)]);
    }

    #[test]
    fn only_what_is_queued_and_due_and_not_waiting_for_a_retry_is_sent() {
        let mut all = [notice("a", 1, "x@x.io"), notice("a", 2, "x@x.io"), notice("a", 3, "x@x.io")];
        all[0].body.status = NoticeStatus::Accepted;
        all[1].body.retry_at = Some(Time::from_unix(200));
        assert_eq!(told(&all, 99), []);
        assert_eq!(told(&all, 100), [("a".into(), "x@x.io".into(), 1)]);
        assert_eq!(told(&all, 200), [("a".into(), "x@x.io".into(), 2)]);
    }

    #[test]
    fn a_time_far_in_the_future_by_a_clock_that_was_set_back_keeps_nothing_unsent() {
        let mut all = [notice("a", 1, "x@x.io"), notice("a", 2, "x@x.io"), notice("a", 3, "x@x.io")];
        all[0].body.due_at = Time::from_unix(100 + 365 * 86_400);
        all[1].body.retry_at = Some(Time::from_unix(100 + 365 * 86_400));
        all[2].body.retry_at = Some(Time::from_unix(100 + 3_600));
        assert_eq!(told(&all, 100), [("a".into(), "x@x.io".into(), 2)]);
    }

    #[test]
    fn the_same_notice_twice_is_told_once() {
        assert_eq!(
            told(&[notice("a", 1, "x@x.io"), notice("a", 1, "x@x.io")], 100),
            [("a".into(), "x@x.io".into(), 1)]
        );
    }
}
