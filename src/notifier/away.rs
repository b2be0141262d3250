//! What a delegate reads while the owner is away.

use super::compose::compose;
use super::item::{Context, Told};
use super::sample;
use crate::model::{NoticeKind, Stage, UserId};
use crate::tokens::{TokenAction, Tokens};
use serde_json::json;

/// The mail to root, who stands in for ada until the 24th.
fn mail_to_delegate(kind: NoticeKind, day: u8) -> (String, Vec<TokenAction>) {
    let lease = sample::lease();
    let mut notice = sample::notice(&lease, kind);
    notice.user = UserId::parse("root").unwrap();
    notice.address = "root@bigdb.example".to_owned();
    let mut directory = sample::directory(Stage::Terminate);
    let ada = directory.users.get_mut(&(lease.account.clone(), lease.owner.clone())).unwrap();
    ada.extra.insert("delegate".to_owned(), json!("root"));
    ada.extra.insert("delegate_until".to_owned(), json!("2026-11-24T00:00:00Z"));
    let now = sample::time(&format!("2026-11-{day}T08:02:30Z"));
    let tokens = Tokens::fixed(7);
    let context = Context { directory: &directory, tokens: &tokens, public_url: Some("https://zc.example"), now };
    let mail = compose(&[Told { notice, lease, facts: Some(sample::facts()) }], &context).unwrap();
    let links = mail.text.split_whitespace().filter_map(|word| word.split_once("/l/").map(|(_, token)| token));
    let purposes: Vec<_> = links.map(|token| tokens.verify(token, now).unwrap()).collect();
    assert!(purposes.iter().all(|purpose| purpose.bearer().as_str() == "root" && purpose.owner.as_str() == "ada"));
    (format!("{}\n{}", mail.subject, mail.text), purposes.into_iter().map(|purpose| purpose.action).collect())
}

#[test]
fn a_delegate_is_told_whose_it_is_and_may_renew_it_by_a_link_of_their_own() {
    let (text, actions) = mail_to_delegate(NoticeKind::First, 21);
    assert_eq!(actions, [TokenAction::Renew]);
    assert!(text.starts_with("Ada Lovelace's until 24 Nov 08:00 UTC: web-1"), "{text}");
    assert!(text.contains("You stand in for Ada Lovelace, who is away until Tue 24 Nov 2026, 00:00:00 UTC"), "{text}");
    assert!(!text.contains("This is yours") && !text.contains("end it now"), "{text}");
    let (text, actions) = mail_to_delegate(NoticeKind::Warning(86_400), 23);
    assert_eq!(actions, [TokenAction::Renew]);
    assert!(text.contains("You stand in for Ada Lovelace") && text.contains("Its lease ends at"), "{text}");
}

#[test]
fn whoever_does_not_stand_in_any_more_gets_no_link() {
    let (text, actions) = mail_to_delegate(NoticeKind::Expired, 24);
    assert!(actions.is_empty() && !text.contains("You stand in"), "{text}");
}
