//! What a reader sees, for each kind of notice and for a batch.

use super::compose::{Composed, compose};
use super::item::{Context, Told};
use super::sample;
use crate::model::{
    Action, Evidence, EvidenceSource, Hold, HoldKind, Lease, LeaseKey, NoticeKind, Stage, State, Time, UserId,
};
use crate::tokens::Tokens;

fn told(kind: NoticeKind, change: impl FnOnce(&mut Lease)) -> Told {
    let mut lease = sample::lease();
    change(&mut lease);
    Told { notice: sample::notice(&lease, kind), lease, facts: Some(sample::facts()) }
}

fn mail(told: &[Told], stage: Stage, public_url: Option<&str>) -> Composed {
    mail_at(told, stage, public_url, sample::time("2026-11-21T08:02:30Z"))
}

fn mail_at(told: &[Told], stage: Stage, public_url: Option<&str>, now: Time) -> Composed {
    let context = Context { directory: &sample::directory(stage), tokens: &Tokens::fixed(7), public_url, now };
    compose(told, &context).unwrap()
}

/// Tokens are as long as they are in life, but not for reading.
fn text(mail: &Composed) -> String {
    let token = |word: &str| word.contains("zc1.");
    let lines = mail.text.lines().map(|line| {
        let words = line.split(' ').map(|word| match word.split_once("zc1.") {
            Some((before, _)) if token(word) => format!("{before}TOKEN"),
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    });
    format!("Subject: {}\n\n{}", mail.subject, lines.collect::<Vec<_>>().join("\n"))
}

fn to_admin(mut told: Told) -> Told {
    told.notice.user = UserId::parse("root").unwrap();
    told.notice.address = "root@bigdb.example".to_owned();
    told
}

fn held(kind: HoldKind, reason: &str) -> impl FnOnce(&mut Lease) {
    let reason = reason.to_owned();
    move |lease| {
        lease.state = State::Expired;
        lease.hold =
            Some(Hold { kind, reason, since: lease.ends_at, review_at: lease.ends_at.plus(3_600), told: vec![] });
    }
}

#[test]
fn first() {
    let mail = mail(&[told(NoticeKind::First, |_| ())], Stage::Terminate, None);
    insta::assert_snapshot!(text(&mail));
}

#[test]
fn first_as_html_with_links() {
    let url = Some("https://zerocloud.bigdb.example/");
    let mail = mail(&[told(NoticeKind::First, |_| ())], Stage::Stop, url);
    insta::assert_snapshot!(mail.html.unwrap());
}

#[test]
fn first_where_zerocloud_may_only_tell() {
    let mail = mail(&[told(NoticeKind::First, |_| ())], Stage::Notify, None);
    insta::assert_snapshot!(text(&mail));
}

#[test]
fn warning_for_what_cannot_be_stopped() {
    let mut told = told(NoticeKind::Warning(3_600), |_| ());
    let facts = told.facts.as_mut().unwrap();
    facts.lifecycle = Some("spot".to_owned());
    facts.spot_type = Some("one-time".to_owned());
    insta::assert_snapshot!(text(&mail(&[told], Stage::Terminate, None)));
}

#[test]
fn expired() {
    let told = told(NoticeKind::Expired, |lease| lease.state = State::Expired);
    let now = told.lease.expires_at.plus(5);
    insta::assert_snapshot!(text(&mail_at(&[told], Stage::Stop, None, now)));
}

#[test]
fn stopped() {
    let told = told(NoticeKind::Stopped, |lease| {
        lease.state = State::Stopped;
        lease.ends_at = sample::time("2026-12-01T09:00:00Z");
        lease.end_action = Action::Terminate;
    });
    insta::assert_snapshot!(text(&mail(&[told], Stage::Terminate, None)));
}

/// An Auto Scaling group.
fn group(kind: NoticeKind, change: impl Fn(&mut crate::model::Lease)) -> Told {
    let id = "111122223333::eu-west-1::asg-930d940e-891e-4781-a11a-7b0acd480f03";
    let mut told = told(kind, |lease| {
        lease.key.resource_id = LeaseKey::parse(id).unwrap().resource_id;
        "workers".clone_into(&mut lease.summary.name);
        change(lease);
    });
    let sizes = serde_json::json!({ "sizes": { "min": 1, "desired": 3, "max": 5 }, "warm_pool": 2 });
    told.facts.as_mut().unwrap().group = serde_json::from_value(sizes).unwrap();
    told
}

#[test]
fn a_group_is_put_to_sleep_and_its_mails_say_what_that_is() {
    let before = group(NoticeKind::First, |_| ());
    let asleep = group(NoticeKind::Stopped, |lease| {
        lease.state = State::Stopped;
        lease.sizes = serde_json::from_value(serde_json::json!({ "min": 1, "desired": 3, "max": 5 })).unwrap();
    });
    let texts = [before, asleep].map(|told| text(&mail(&[told], Stage::Terminate, None)));
    assert!(texts.iter().all(|text| !text.contains("it is terminated")), "nothing of a group is announced twice");
    insta::assert_snapshot!(texts.join("\n========\n"));
}

#[test]
fn ended() {
    let terminated = told(NoticeKind::Ended, |lease| lease.state = State::Terminated);
    insta::assert_snapshot!(text(&mail(&[terminated], Stage::Terminate, None)));
    let gone = told(NoticeKind::Ended, |lease| lease.state = State::Gone);
    assert_eq!(mail(&[gone], Stage::Notify, None).subject, "Gone: web-1 (i-0abc1234def567890)");
}

#[test]
fn offered() {
    let mut told = told(NoticeKind::Offered(1), |_| ());
    told.notice.user = UserId::parse("root").unwrap();
    told.lease.offered_to = Some(told.notice.user.clone());
    insta::assert_snapshot!(text(&mail(&[told], Stage::Stop, None)));
}

#[test]
fn admins_learn_what_needs_them() {
    let word = |word: &str| NoticeKind::Admin(word.to_owned());
    let told = [
        to_admin(told(word("unreachable"), |_| ())),
        to_admin(told(word("over_quota"), |lease| {
            lease.key.resource_id = LeaseKey::parse("111122223333::eu-west-1::i-0b").unwrap().resource_id;
        })),
        to_admin(told(word("owner_left"), |lease| {
            lease.owner_evidence.source = EvidenceSource::Admin;
            lease.owner = UserId::parse("root").unwrap();
        })),
        to_admin(told(word("pace"), held(HoldKind::Pace, "20 ends in this hour"))),
        to_admin(told(word("protection"), held(HoldKind::Protection, "termination protection is on."))),
        to_admin(told(word("something-new"), |_| ())),
    ];
    insta::assert_snapshot!(text(&mail(&told, Stage::Terminate, None)));
}

#[test]
fn a_batch_is_one_mail_and_tells_each_lease_once() {
    let second = |lease: &mut Lease| {
        lease.key = LeaseKey::parse("999900001111::us-east-1::i-0ffffffffffffffff").unwrap().into();
        lease.summary.name = String::new();
        lease.owner_evidence =
            Evidence { source: EvidenceSource::Launcher, value: "ada".to_owned(), at: lease.first_seen };
        lease.expires_at = lease.expires_at.plus(-7_200);
        lease.ends_at = lease.ends_at.plus(-7_200);
    };
    let told = [
        told(NoticeKind::First, |_| ()),
        told(NoticeKind::Warning(86_400), |_| ()),
        told(NoticeKind::Warning(3_600), second),
    ];
    let mail = mail(&told, Stage::Stop, Some("https://zerocloud.bigdb.example"));
    insta::assert_snapshot!(text(&mail));
    insta::assert_snapshot!("a_batch_as_html", mail.html.unwrap());
}

#[test]
fn a_late_warning_says_what_is_true_now() {
    let told = told(NoticeKind::Warning(3_600), |lease| lease.state = State::Expired);
    let now = told.lease.expires_at.plus(60);
    let mail = mail_at(&[told], Stage::Stop, None, now);
    assert!(mail.subject.starts_with("Lease over"), "{}", mail.subject);
}

#[test]
fn what_others_wrote_is_escaped_and_keeps_to_its_line() {
    let told = told(NoticeKind::First, |lease| {
        lease.summary.name = "<b>x</b>\r\nBcc: eve@evil.example".to_owned();
        lease.owner_evidence.value = "\"><script>alert(1)</script>".to_owned();
    });
    let mail = mail(&[told], Stage::Stop, None);
    let html = mail.html.unwrap();
    assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
    assert!(!mail.subject.contains(['\r', '\n']), "{:?}", mail.subject);
    assert!(!mail.text.lines().any(|line| line.starts_with("Bcc:")));
}

#[test]
fn tokens_in_a_mail_do_what_their_line_says_and_only_for_the_owner() {
    let owner = told(NoticeKind::First, |_| ());
    let tokens = Tokens::fixed(7);
    let now = sample::time("2026-11-24T08:30:00Z");
    let mail = mail(std::slice::from_ref(&owner), Stage::Stop, None);
    let mut seen = Vec::new();
    for line in mail.text.lines().filter(|line| line.contains("zc1.")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let purpose = tokens.verify(words[2], now).unwrap();
        assert_eq!(purpose.lease, owner.lease.key());
        assert_eq!(purpose.owner, owner.lease.owner);
        seen.push((words[1].to_owned(), purpose.action.as_str()));
    }
    let wanted = [("renew", "renew"), ("end", "end"), ("not-mine", "not_mine")];
    assert_eq!(seen, wanted.map(|(command, action)| (command.to_owned(), action)));
    let other = to_admin(told(NoticeKind::First, |_| ()));
    let mail = self::mail(&[other], Stage::Stop, None);
    assert!(!mail.text.contains("zc1."));
}

#[test]
fn a_reader_of_text_gets_no_html() {
    let told = [told(NoticeKind::First, |_| ())];
    let mut directory = sample::directory(Stage::Stop);
    for user in directory.users.values_mut() {
        user.mail_format = Some("text".to_owned());
    }
    let context =
        Context { directory: &directory, tokens: &Tokens::fixed(7), public_url: None, now: told[0].lease.first_seen };
    assert_eq!(compose(&told, &context).unwrap().html, None);
}

#[test]
fn every_mail_that_no_token_answers_leads_to_the_lease_for_who_may_see_it() {
    let url = Some("https://zerocloud.bigdb.example/");
    let page = "https://zerocloud.bigdb.example/leases/111122223333::";
    let over = |lease: &mut Lease| lease.state = State::Stopped;
    let offered = |mut told: Told| {
        told.notice.user = UserId::parse("root").unwrap();
        told
    };
    for (told, label) in [
        (told(NoticeKind::Stopped, over), "Start it again"),
        (group(NoticeKind::Stopped, over), "Wake it"),
        (offered(told(NoticeKind::Offered(1), |_| ())), "Take it over, or leave it"),
        (to_admin(told(NoticeKind::Admin("protection".into()), held(HoldKind::Protection, "on"))), "Look at it"),
    ] {
        let mail = mail(&[told], Stage::Terminate, url);
        let html = mail.html.as_deref().unwrap();
        assert!(mail.text.contains(&format!("{label} (sign in there):\n  {page}")), "{}", mail.text);
        assert!(html.contains(label) && html.matches("<a class").count() == 1 && !mail.text.contains("/l/"), "{html}");
    }
    let ended = mail(&[told(NoticeKind::Ended, |lease| lease.state = State::Terminated)], Stage::Terminate, url);
    assert!(!ended.text.contains(page), "{}", ended.text);
}

#[test]
fn who_asked_for_the_end_is_named_and_an_earlier_wish_is_forgotten() {
    let stopped = |lines: &[&str]| {
        let told = told(NoticeKind::Stopped, |lease| {
            lease.state = State::Stopped;
            lease.events.clear();
            for line in lines {
                lease.log(lease.first_seen, *line);
            }
        });
        text(&mail(&[told], Stage::Stop, None))
    };
    let asked = stopped(&["lin asked for its end", "lin: it will be stopped now", "claimed to stop", "stopped"]);
    assert!(asked.contains("asked for its end, and zerocloud stopped it."), "{asked}");
    let renewed =
        stopped(&["lin asked for its end", "renewed: until 2026-12-01T09:00:00Z", "claimed to stop", "stopped"]);
    assert!(renewed.contains("Its lease ended and zerocloud stopped it."), "{renewed}");
}
