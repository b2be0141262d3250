//! While an owner is away, as tables: who is told, and what a delegate may do.

use super::scene::{DAY, HOUR, Scene, noon};
use super::table::{Row, check};
use crate::model::{AccountId, UserId, Wish};
use serde_json::json;

/// Max stands in for lin, who is back in a day.
fn away(s: &mut Scene) {
    let lin = s.view.users.iter_mut().find(|user| user.user.as_str() == "lin").unwrap();
    lin.extra.insert("delegate".to_owned(), json!("max"));
    lin.extra.insert("delegate_until".to_owned(), json!(noon().plus(DAY)));
}

const OTHERS: &str = "| refused: only its owner or an admin may ask that";

#[rustfmt::skip] // A row is a line where it can be.
const STANDING_IN: &[Row] = &[
    ("a delegate renews, and the story says for whom", |s| {
        away(s);
        s.ask("max", Wish::Renew, &json!({}));
    },
     "term 3, until +3d, ends +3d1h | done: renewed until 2026-11-27T12:00:00Z, standing in for lin until +3d"),
    ("and does nothing else: end", |s| { away(s); s.ask("max", Wish::End, &json!({})); }, OTHERS),
    ("terminate", |s| { away(s); s.ask("max", Wish::Terminate, &json!({})); }, OTHERS),
    ("hand over", |s| { away(s); s.ask("max", Wish::HandOver, &json!({"to": "max"})); }, OTHERS),
    ("not mine", |s| { away(s); s.ask("max", Wish::NotMine, &json!({})); }, OTHERS),
    ("nobody renews for who is back", |s| {
        away(s);
        s.now = noon().plus(DAY);
        s.ask("max", Wish::Renew, &json!({}));
    },
     "| refused: only its owner or an admin may ask that, lin warning-86400"),
    ("nor does a delegate who left", |s| {
        away(s);
        s.view.users.retain(|user| user.user.as_str() != "max");
        s.ask("max", Wish::Renew, &json!({}));
    },
     "| refused: nobody here by that name"),
    ("nor one of another Account", |s| {
        away(s);
        let max = s.view.users.iter_mut().find(|user| user.user.as_str() == "max").unwrap();
        max.account = AccountId::parse("other").unwrap();
        s.ask("max", Wish::Renew, &json!({}));
    },
     "| refused: nobody here by that name"),
    ("nor the delegate of a delegate", |s| {
        away(s);
        let max = s.view.users.iter_mut().find(|user| user.user.as_str() == "max").unwrap();
        max.extra.insert("delegate".to_owned(), json!("kim"));
        max.extra.insert("delegate_until".to_owned(), json!(noon().plus(DAY)));
        let mut kim = max.clone();
        kim.user = UserId::parse("kim").unwrap();
        s.view.users.push(kim);
        s.ask("kim", Wish::Renew, &json!({}));
    }, OTHERS),
];

#[rustfmt::skip] // A row is a line where it can be.
const TOLD: &[Row] = &[
    ("both are told", |s| {
        away(s);
        s.view.notices.clear();
        s.lease().notified = None;
    }, "| lin first, max first"),
    ("each once", |s| {
        away(s);
        s.view.notices.clear();
        s.lease().notified = None;
        s.notice("first", "max", &json!({"status": "queued", "due_at": noon()}));
    }, "| lin first"),
    ("the owner alone, once back", |s| {
        away(s);
        s.now = noon().plus(DAY);
    }, "| lin warning-86400"),
    ("the owner alone, when the delegate left", |s| {
        away(s);
        s.view.notices.clear();
        s.lease().notified = None;
        s.view.users.retain(|user| user.user.as_str() != "max");
    }, "| lin first"),
    ("what the delegate got counts as told to nobody", |s| {
        away(s);
        s.view.notices.clear();
        s.lease().notified = None;
        s.told("first", "max", -HOUR);
    }, "| lin first"),
];

#[rustfmt::skip] // A row is a line where it can be.
const UNTOLD: &[Row] = &[
    ("no end comes while the delegate alone was told", |s| {
        away(s);
        s.view.notices.clear();
        s.lease().notified = None;
        s.told("expired", "max", -2 * HOUR);
    }, "hold no_notice | lin first, max first, ada first, lin expired, ada expired, ada admin-no_notice"),
];

#[test]
fn who_stands_in_gets_a_copy_that_counts_as_told_to_nobody() {
    check(Scene::active, TOLD);
    check(Scene::overdue, UNTOLD);
}

#[test]
fn a_delegate_renews_while_the_owner_is_away_and_nothing_else() {
    check(Scene::active, STANDING_IN);
}
