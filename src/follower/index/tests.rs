//! The index fed with single changes: what it remembers, and whom it wakes.

use super::{Index, Wake};
use serde_json::{Value, json};

#[test]
fn a_document_that_cannot_be_read_is_remembered_as_that_until_it_is_mended_or_gone() {
    let (index, id) = (Index::default(), "user::bigdb::lin");
    let odd = |index: &Index| index.directory().unreadable.iter().cloned().collect::<Vec<_>>();
    let user = |role: &str| json!({ "type": "user", "account": "bigdb", "user": "lin", "role": role });
    // The first that a process sees of it, as after a restart.
    assert!(index.apply(id, Some(&user("developer"))).contains(&Wake::Leases(Vec::new())), "nobody looks again");
    assert_eq!((odd(&index), index.directory().users.len()), (vec![id.to_owned()], 0));
    index.apply(id, Some(&user("dev")));
    assert_eq!((odd(&index), index.directory().users.len()), (Vec::new(), 1));
    for body in [json!({ "type": "user" }), json!({ "type": "user", "account": "bigdb", "user": "lin", "role": 1 })] {
        index.apply(id, Some(&body));
        assert_eq!((odd(&index), index.directory().users.len()), (vec![id.to_owned()], 1), "what was read stays");
    }
    index.apply(id, None);
    assert_eq!((odd(&index), index.directory().users.len()), (Vec::new(), 0));
    for (id, body) in [("policy::bigdb", json!({ "type": "account_policy" })), ("pause::all", Value::Null)] {
        index.apply(id, Some(&body));
        assert_eq!(odd(&index), [id]);
        assert!(!index.apply(id, None).is_empty(), "what it held is not looked at again");
    }
    index.apply("notice::x", Some(&Value::Null));
    assert_eq!(odd(&index), Vec::<String>::new());
}

#[test]
fn a_region_that_was_paused_is_not_scanned_again_at_once_but_when_an_admin_resumes_it() {
    let index = Index::default();
    let mut region =
        json!({ "type": "region", "account": "bigdb", "state": "paused", "since": "2026-11-24T08:00:00Z" });
    let id = "region::111122223333::us-east-1";
    assert!(!index.apply(id, Some(&region)).contains(&Wake::Accounts), "two scans agree that are one moment");
    region["resume"] = json!(true);
    assert!(index.apply(id, Some(&region)).contains(&Wake::Accounts));
}
