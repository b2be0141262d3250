//! Mails: notices to one address that are due together are one mail (DESIGN.md, "Renewing").

use crate::model::{AccountId, Doc, Notice, NoticeStatus, Time};
use std::collections::BTreeMap;

/// One mail to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The Account; mails never mix two.
    pub account: AccountId,
    /// Where to.
    pub address: String,
    /// What it tells, in id order.
    pub notices: Vec<Doc<Notice>>,
}

/// Groups the queued notices that may be sent at `now` by Account and address (whatever its case), in a fixed order.
pub fn batch(notices: &[Doc<Notice>], now: Time) -> Vec<Batch> {
    let mut groups: BTreeMap<(AccountId, String), Vec<Doc<Notice>>> = BTreeMap::new();
    for notice in notices {
        let body = &notice.body;
        let ready = body.due_at <= now && body.retry_at.is_none_or(|at| at <= now);
        if body.status == NoticeStatus::Queued && ready {
            let group = (body.account.clone(), body.address.trim().to_lowercase());
            groups.entry(group).or_default().push(notice.clone());
        }
    }
    let mails = groups.into_iter().map(|((account, _), mut notices)| {
        notices.sort_by(|a, b| a.id.cmp(&b.id));
        notices.dedup_by(|a, b| a.id == b.id);
        let address = notices[0].body.address.trim().to_owned();
        Batch { account, address, notices }
    });
    mails.collect()
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
    fn the_same_notice_twice_is_told_once() {
        assert_eq!(
            told(&[notice("a", 1, "x@x.io"), notice("a", 1, "x@x.io")], 100),
            [("a".into(), "x@x.io".into(), 1)]
        );
    }
}
