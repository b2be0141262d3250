//! Which notices go into one mail: those of one Account to one address that leave together. Some wait for their reader's
//! digest (`digest.rs`).

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

/// What leaves now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outgoing {
    /// In the order in which their oldest notice became due.
    pub mails: Vec<Batch>,
    /// When the first of the notices leaves that wait for a digest.
    pub waits_until: Option<Time>,
}

/// The mails that leave at `now`, when each due notice leaves at the time that `leaves` gives for it. What is told of one
/// lease is told in order: nothing waits while its reader is told of that lease.
pub fn batch(notices: &[Doc<Notice>], leaves: impl Fn(&Notice) -> Time, now: Time) -> Outgoing {
    let due = notices.iter().filter(|doc| is_due(&doc.body, now)).map(|doc| (doc, leaves(&doc.body)));
    let due: Vec<(&Doc<Notice>, Time)> = due.collect();
    let about = |notice: &Notice| (to(notice), notice.lease.clone());
    let told: BTreeSet<_> = due.iter().filter(|(_, at)| *at <= now).map(|(doc, _)| about(&doc.body)).collect();
    let (leaving, waiting): (Vec<_>, Vec<_>) =
        due.into_iter().partition(|(doc, at)| *at <= now || told.contains(&about(&doc.body)));
    let leaving = leaving.into_iter().map(|(doc, _)| doc.clone());
    Outgoing { mails: mails(leaving), waits_until: waiting.into_iter().map(|(_, at)| at).min() }
}

/// Queued, and neither made nor to be tried again at a time to come.
fn is_due(notice: &Notice, now: Time) -> bool {
    let waits = |at: Time| (1..=LONGEST_WAIT).contains(&at.seconds_since(now));
    notice.status == NoticeStatus::Queued && !waits(notice.due_at) && !notice.retry_at.is_some_and(waits)
}

fn to(notice: &Notice) -> (AccountId, String) {
    (notice.account.clone(), notice.address.trim().to_lowercase())
}

fn mails(leaving: impl Iterator<Item = Doc<Notice>>) -> Vec<Batch> {
    let mut mails: BTreeMap<(AccountId, String), Vec<Doc<Notice>>> = BTreeMap::new();
    for doc in leaving {
        mails.entry(to(&doc.body)).or_default().push(doc);
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
pub(super) mod sample {
    use crate::model::{AccountId, Doc, Extra, LeaseKey, Notice, NoticeKind, NoticeStatus, Time, UserId};

    pub(in super::super) fn notice(account: &str, id: u8, address: &str) -> Doc<Notice> {
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
}

#[cfg(test)]
mod tests {
    use super::sample::notice;
    use super::{Batch, batch};
    use crate::model::{Doc, Notice, NoticeStatus, Time};
    use proptest::prelude::*;

    /// When nobody wants a digest.
    fn at_once(notices: &[Doc<Notice>], now: Time) -> Vec<Batch> {
        batch(notices, |_| now, now).mails
    }

    fn told(notices: &[Doc<Notice>], now: i64) -> Vec<(String, String, usize)> {
        let mails = at_once(notices, Time::from_unix(now));
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

    #[test]
    fn what_waits_for_a_digest_leaves_with_it_as_one_mail() {
        let mut all = [notice("a", 1, "lin@x.io"), notice("a", 2, "Lin@x.io"), notice("a", 3, "max@x.io")];
        all[1].body.due_at = Time::from_unix(150);
        let leaves = |notice: &Notice| Time::from_unix(if notice.address.starts_with('m') { 100 } else { 900 });
        let sent = |now: i64| {
            let outgoing = batch(&all, leaves, Time::from_unix(now));
            let counts: Vec<usize> = outgoing.mails.iter().map(|mail| mail.notices.len()).collect();
            (counts, outgoing.waits_until.map(Time::unix))
        };
        assert_eq!(sent(200), (vec![1], Some(900)));
        assert_eq!(sent(899), (vec![1], Some(900)));
        assert_eq!(sent(900), (vec![2, 1], None));
    }

    #[test]
    fn nothing_waits_while_its_reader_is_told_of_that_lease() {
        let (mut first, other) = (notice("a", 1, "lin@x.io"), notice("a", 2, "lin@x.io"));
        let mut warning = first.clone();
        first.body.due_at = Time::from_unix(50);
        warning.body.kind = crate::model::NoticeKind::Warning(60);
        warning.id = warning.body.id();
        let urgent = |notice: &Notice| {
            let at_once = matches!(notice.kind, crate::model::NoticeKind::Warning(_));
            Time::from_unix(if at_once { 100 } else { 900 })
        };
        let outgoing = batch(&[warning.clone(), other, first.clone()], urgent, Time::from_unix(100));
        let sent: Vec<&str> = outgoing.mails[0].notices.iter().map(|doc| doc.id.as_str()).collect();
        assert_eq!(sent, [first.id.as_str(), warning.id.as_str()], "in the order in which they became due");
        assert_eq!(outgoing.waits_until, Some(Time::from_unix(900)));
    }

    proptest! {
        /// With digests nothing is lost, nothing is late, and what waits is waited for.
        #[test]
        fn every_notice_leaves_when_it_is_to_or_is_waited_for(
            all in prop::collection::vec((0_u8..20, 0_u8..3, 0_i64..100, 0_i64..300), 0..40), now in 100_i64..300,
        ) {
            let addresses = ["lin@x.io", "LIN@x.io ", "max@x.io"];
            let docs = all.iter().enumerate().map(|(n, (id, address, due, _))| {
                let mut doc = notice("a", *id, addresses[usize::from(*address)]);
                doc.body.due_at = Time::from_unix(*due);
                doc.body.attempts = u32::try_from(n).unwrap();
                doc.id = format!("{n}");
                doc
            });
            let docs: Vec<_> = docs.collect();
            let leaves = |notice: &Notice| Time::from_unix(all[usize::try_from(notice.attempts).unwrap()].3);
            let now = Time::from_unix(now);
            let outgoing = batch(&docs, leaves, now);
            let left: Vec<&Doc<Notice>> = outgoing.mails.iter().flat_map(|mail| &mail.notices).collect();
            let stays: Vec<&Doc<Notice>> = docs.iter().filter(|doc| left.iter().all(|one| one.id != doc.id)).collect();
            prop_assert_eq!(left.len() + stays.len(), docs.len());
            prop_assert!(stays.iter().all(|doc| leaves(&doc.body) > now));
            prop_assert_eq!(outgoing.waits_until, stays.iter().map(|doc| leaves(&doc.body)).min());
            for doc in left.iter().filter(|doc| leaves(&doc.body) > now) {
                let urgent = |one: &&Doc<Notice>| one.body.lease == doc.body.lease && leaves(&one.body) <= now;
                prop_assert!(left.iter().any(urgent), "it left early for no reason");
            }
        }

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
            let mails = at_once(&docs, now);
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
