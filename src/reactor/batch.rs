//! Which notices go into one mail: those of one Account to one address that are due together.

use crate::model::{AccountId, Doc, Notice, NoticeStatus, Time};
use std::collections::{BTreeMap, BTreeSet};

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
            let mut seen = BTreeSet::new();
            notices.retain(|doc| seen.insert(doc.id.clone()));
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
    use proptest::prelude::*;

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

    proptest! {
        /// Every notice that is due is in exactly one mail, of its Account and to its address, and nothing else is sent.
        #[test]
        fn every_due_notice_is_in_one_mail(
            all in prop::collection::vec((0_u8..40, 0_u8..3, 0_u8..4, 0_i64..200, prop::option::of(0_i64..200), 0_u8..3), 0..60),
        ) {
            let addresses = ["lin@x.io", "LIN@x.io ", "max@x.io", "ada@y.io"];
            let docs: Vec<_> = all
                .into_iter()
                .map(|(id, account, address, due, retry, status)| {
                    let mut doc = notice(["a", "b", "c"][usize::from(account)], id, addresses[usize::from(address)]);
                    doc.body.due_at = Time::from_unix(due);
                    doc.body.retry_at = retry.map(Time::from_unix);
                    doc.body.status = [NoticeStatus::Queued, NoticeStatus::Accepted, NoticeStatus::Refused][usize::from(status)];
                    doc.id = format!("{}-{}", doc.body.account, doc.id);
                    doc
                })
                .collect();
            let now = Time::from_unix(100);
            let due = |doc: &Doc<Notice>| {
                let body = &doc.body;
                body.status == NoticeStatus::Queued && body.due_at <= now && body.retry_at.is_none_or(|at| at <= now)
            };
            let mails = batch(&docs, now);
            let mut sent: Vec<&str> = mails.iter().flat_map(|mail| &mail.notices).map(|doc| doc.id.as_str()).collect();
            let mut expected: Vec<&str> = docs.iter().filter(|doc| due(doc)).map(|doc| doc.id.as_str()).collect();
            sent.sort_unstable();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(sent, expected);
            for mail in &mails {
                let same = |doc: &Doc<Notice>| doc.body.address.trim().eq_ignore_ascii_case(mail.address.trim());
                prop_assert!(mail.notices.iter().all(|doc| doc.body.account == mail.account && same(doc) && due(doc)));
                prop_assert!(mail.notices.is_sorted_by_key(|doc| doc.body.due_at));
            }
            prop_assert!(mails.is_sorted_by_key(|mail| mail.notices[0].body.due_at));
        }
    }
}
