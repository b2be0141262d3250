//! Fixed documents for the tests of this stage.

use crate::model::{
    AccountId, Action, AwsAccount, Directory, Evidence, EvidenceSource, Extra, Facts, Lease, LeaseKey, Notice,
    NoticeKind, NoticeStatus, Stage, State, Summary, Time, User, UserId,
};
use serde_json::json;

pub(super) fn time(text: &str) -> Time {
    Time::parse(text).unwrap()
}

pub(super) fn account() -> AccountId {
    AccountId::parse("bigdb").unwrap()
}

pub(super) fn lease() -> Lease {
    Lease {
        account: account(),
        key: LeaseKey::parse("111122223333::eu-west-1::i-0abc1234def567890").unwrap().into(),
        kind: "instance".to_owned(),
        state: State::Active,
        owner: UserId::parse("ada").unwrap(),
        owner_evidence: Evidence {
            source: EvidenceSource::Tag,
            value: "ada@bigdb.example".to_owned(),
            at: time("2026-11-21T08:02:00Z"),
        },
        refused: vec![],
        offered_to: None,
        first_seen: time("2026-11-21T08:00:00Z"),
        settle_at: time("2026-11-21T08:02:00Z"),
        term: 3,
        expires_at: time("2026-11-24T08:00:00Z"),
        granted_until: time("2026-11-24T08:00:00Z"),
        max_expires_at: time("2026-11-28T08:00:00Z"),
        ends_at: time("2026-11-24T09:00:00Z"),
        end_action: Action::Stop,
        stopped_at: None,
        stopped_by: None,
        notified: None,
        reap: None,
        sizes: None,
        hold: None,
        exemption: None,
        trigger: json!(null),
        summary: Summary {
            name: "web-1".to_owned(),
            instance_type: "t3.large".to_owned(),
            state: "running".to_owned(),
        },
        answered: vec![],
        events: vec![],
        purge_at: None,
        extra: Extra::new(),
    }
}

pub(super) fn notice(lease: &Lease, kind: NoticeKind) -> Notice {
    Notice {
        account: lease.account.clone(),
        lease: lease.key(),
        term: lease.term,
        kind,
        address: "ada@bigdb.example".to_owned(),
        user: lease.owner.clone(),
        status: NoticeStatus::Queued,
        due_at: lease.first_seen,
        attempts: 0,
        retry_at: None,
        message_id: None,
        accepted_at: None,
        error: None,
        purge_at: None,
        extra: Extra::new(),
    }
}

pub(super) fn facts() -> Facts {
    serde_json::from_value(json!({ "state": "running", "root_device": "ebs" })).unwrap()
}

pub(super) fn directory(stage: Stage) -> Directory {
    let mut directory = Directory::default();
    let aws: AwsAccount = serde_json::from_value(json!({
        "account": "bigdb", "aws_id": "111122223333", "name": "BigDB test", "stage": stage,
        "stage_accepted": { "stage": stage, "since": "2026-11-01T00:00:00Z" },
    }))
    .unwrap();
    directory.aws_accounts.insert(aws.aws_id.clone(), aws);
    for (id, name, role) in [("ada", "Ada Lovelace", "dev"), ("root", "Grace Hopper", "admin")] {
        let user: User = serde_json::from_value(json!({
            "account": "bigdb", "user": id, "name": name, "role": role,
            "email": format!("{id}@bigdb.example"), "time_zone": "Europe/Berlin",
        }))
        .unwrap();
        directory.users.insert((user.account.clone(), user.user.clone()), user);
    }
    directory
}
