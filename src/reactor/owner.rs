//! Whose it is, with the evidence: owner tag, then who launched it, then the SSH key, then an admin (DESIGN.md, "Owner").

use crate::model::{Evidence, EvidenceSource, Facts, Lease, Policy, Refusal, Role, Time, User, UserId};
use serde_json::Value;

/// What speaks for an owner.
#[derive(Debug, Clone, Copy)]
pub struct Clues<'a> {
    /// What AWS says.
    pub facts: &'a Facts,
    /// The event that made the lease; its `detail.userIdentity` names the launcher, when it is known.
    pub trigger: &'a Value,
    /// What persons said is wrong.
    pub refused: &'a [Refusal],
    /// The people of the Account, in id order.
    pub users: &'a [User],
    /// Names the owner tag and the addresses that may own.
    pub policy: &'a Policy,
}

/// The owner that the clues name, or the fallback admin. `None` when the Account has no admin: the lease stays pending.
pub fn resolve(clues: Clues<'_>, now: Time) -> Option<(UserId, Evidence)> {
    let admins = clues.users.iter().filter(|user| user.role == Role::Admin);
    let found = candidates(clues).into_iter().find_map(|(source, value)| {
        let wrong = |user: &User| {
            clues.refused.iter().any(|no| no.source == source && no.value == value && no.user == user.user)
        };
        let user = clues.users.iter().find(|user| means(user, source, &value) && may_own(user, clues.policy))?;
        (!wrong(user)).then(|| (user.user.clone(), Evidence { source, value, at: now }))
    });
    found.or_else(|| {
        let value = "nobody known is named".to_owned();
        let turned_down =
            |admin: &&User| clues.refused.iter().any(|no| no.source == EvidenceSource::Admin && no.user == admin.user);
        // When every admin said "not mine", it stays with the first: a lease always has somebody who is asked.
        let admin = admins.clone().find(|admin| !turned_down(admin)).or_else(|| admins.clone().next())?;
        Some((admin.user.clone(), Evidence { source: EvidenceSource::Admin, value, at: now }))
    })
}

/// Whether later evidence may still decide: only a lease that is pending, or that fell to an admin, is open; nothing is
/// ever taken from a person.
pub fn is_open(lease: &Lease) -> bool {
    lease.owner.is_pending() || matches!(lease.owner_evidence.source, EvidenceSource::Admin | EvidenceSource::None)
}

/// Sources with their values, strongest first.
fn candidates(clues: Clues<'_>) -> Vec<(EvidenceSource, String)> {
    let tag = clues.facts.tags.iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(&clues.policy.owner_tag));
    let tag = tag.map(|(_, value)| (EvidenceSource::Tag, value.trim().to_owned()));
    let launcher = launcher(clues.trigger).map(|name| (EvidenceSource::Launcher, name));
    let key = clues.facts.key_name.as_ref().map(|name| (EvidenceSource::KeyName, name.trim().to_owned()));
    [tag, launcher, key].into_iter().flatten().filter(|(_, value)| !value.is_empty()).collect()
}

/// The name in a CloudTrail `userIdentity`: the IAM user's, or the session's of an assumed role (CloudTrail User Guide,
/// "userIdentity element"). A session name is taken for a person only when it means a known user.
fn launcher(trigger: &Value) -> Option<String> {
    let identity = trigger.pointer("/detail/userIdentity")?;
    if let Some(name) = identity.get("userName").and_then(Value::as_str) {
        return Some(name.to_owned());
    }
    let arn = identity.get("arn").and_then(Value::as_str)?;
    arn.rsplit_once('/').map(|(_, session)| session.to_owned())
}

fn means(user: &User, source: EvidenceSource, value: &str) -> bool {
    let is = |name: &str| !name.is_empty() && name.eq_ignore_ascii_case(value);
    if source == EvidenceSource::KeyName {
        // Key names are exact in EC2.
        return user.key_names.iter().any(|name| name == value);
    }
    is(&user.email)
        || is(user.user.as_str())
        || user.github_login.as_deref().is_some_and(is)
        || is(&user.name)
        || user.aliases.iter().any(|alias| is(alias))
}

/// Whether the policy's address pattern lets this person own; no pattern lets everybody.
fn may_own(user: &User, policy: &Policy) -> bool {
    policy.email_pattern.as_deref().is_none_or(|pattern| glob(pattern, &user.email))
}

/// `*` stands for any text; all else is itself, whatever its case.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::{Clues, glob, resolve};
    use crate::model::{EvidenceSource, Facts, Policy, Refusal, Time, User, UserId};
    use serde_json::{Value, json};

    fn users() -> Vec<User> {
        let people = json!([
            {"account": "bigdb", "user": "ada", "role": "admin", "email": "ada@bigdb.com", "name": "Ada"},
            {"account": "bigdb", "user": "bob", "role": "admin", "email": "bob@bigdb.com", "name": "Bob"},
            {"account": "bigdb", "user": "lin", "role": "dev", "email": "lin@bigdb.com", "name": "Lin Wu",
             "github_login": "linwu", "aliases": ["lin@old.example"], "key_names": ["lin-laptop"]},
            {"account": "bigdb", "user": "ext", "role": "dev", "email": "ext@elsewhere.org", "name": ""},
        ]);
        serde_json::from_value(people).unwrap()
    }

    fn owner(facts: &Value, trigger: &Value, refused: &[Refusal], pattern: Option<&str>) -> (String, EvidenceSource) {
        let facts: Facts = serde_json::from_value(facts.clone()).unwrap();
        let policy = Policy { email_pattern: pattern.map(str::to_owned), ..Policy::default() };
        let users = users();
        let clues = Clues { facts: &facts, trigger, refused, users: &users, policy: &policy };
        let (user, evidence) = resolve(clues, Time::from_unix(0)).unwrap();
        (user.to_string(), evidence.source)
    }

    fn tagged(key: &str, value: &str) -> Value {
        json!({"state": "running", "tags": {key: value}})
    }

    #[test]
    fn a_tag_means_a_person_by_address_login_name_alias_or_id_in_any_case() {
        for value in ["lin@bigdb.com", "LIN@BIGDB.COM", " linwu ", "Lin Wu", "lin@old.example", "lin"] {
            for key in ["owner", "Owner", "OWNER"] {
                let said = owner(&tagged(key, value), &Value::Null, &[], None);
                assert_eq!(said, ("lin".to_owned(), EvidenceSource::Tag), "{key}={value}");
            }
        }
    }

    #[test]
    fn a_tag_that_names_nobody_goes_to_an_admin() {
        for value in ["", "nobody@bigdb.com", "li", "lin@bigdb.com,ada@bigdb.com", "lin@bigdb.com\u{0}", "*"] {
            let said = owner(&tagged("owner", value), &Value::Null, &[], None);
            assert_eq!(said, ("ada".to_owned(), EvidenceSource::Admin), "{value:?}");
        }
    }

    #[test]
    fn somebody_outside_the_address_pattern_owns_nothing() {
        let ext = tagged("owner", "ext@elsewhere.org");
        assert_eq!(owner(&ext, &Value::Null, &[], None).0, "ext");
        assert_eq!(owner(&ext, &Value::Null, &[], Some("*@bigdb.com")), ("ada".to_owned(), EvidenceSource::Admin));
    }

    #[test]
    fn the_tag_is_stronger_than_the_launcher_and_the_launcher_than_the_key() {
        let user = json!({"detail": {"userIdentity": {"type": "IAMUser", "userName": "bob"}}});
        let role = json!({"detail": {"userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/dev/bob@bigdb.com"}}});
        let robot = json!({"detail": {"userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/ci/i-0abc"}}});
        let key = json!({"state": "running", "key_name": "lin-laptop"});
        assert_eq!(owner(&tagged("owner", "lin"), &user, &[], None).1, EvidenceSource::Tag);
        assert_eq!(owner(&key, &user, &[], None), ("bob".to_owned(), EvidenceSource::Launcher));
        assert_eq!(owner(&key, &role, &[], None), ("bob".to_owned(), EvidenceSource::Launcher));
        assert_eq!(owner(&key, &robot, &[], None), ("lin".to_owned(), EvidenceSource::KeyName));
    }

    #[test]
    fn not_mine_sticks_for_the_same_evidence_only() {
        let lin = UserId::parse("lin").unwrap();
        let no = [Refusal { source: EvidenceSource::Tag, value: "linwu".to_owned(), user: lin }];
        assert_eq!(
            owner(&tagged("owner", "linwu"), &Value::Null, &no, None),
            ("ada".to_owned(), EvidenceSource::Admin)
        );
        assert_eq!(owner(&tagged("owner", "lin@bigdb.com"), &Value::Null, &no, None).0, "lin");
    }

    #[test]
    fn an_admin_who_turned_it_down_is_passed_over_while_another_is_left() {
        let no = |user: &str| Refusal {
            source: EvidenceSource::Admin,
            value: String::new(),
            user: UserId::parse(user).unwrap(),
        };
        let bare = json!({"state": "running"});
        assert_eq!(owner(&bare, &Value::Null, &[no("ada")], None).0, "bob");
        assert_eq!(owner(&bare, &Value::Null, &[no("ada"), no("bob")], None).0, "ada");
    }

    #[test]
    fn an_account_without_an_admin_leaves_it_pending() {
        let facts: Facts = serde_json::from_value(json!({"state": "running"})).unwrap();
        let clues =
            Clues { facts: &facts, trigger: &Value::Null, refused: &[], users: &[], policy: &Policy::default() };
        assert_eq!(resolve(clues, Time::from_unix(0)), None);
    }

    #[test]
    fn patterns_match_whole_addresses() {
        for (pattern, text, fits) in [
            ("*@bigdb.com", "a@bigdb.com", true),
            ("*@bigdb.com", "a@bigdb.com.evil.org", false),
            ("*", "", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXc", false),
            ("ab*ba", "aba", false),
            ("x", "x", true),
            ("x", "xy", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
