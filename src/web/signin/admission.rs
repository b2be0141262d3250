//! Whom an identity of GitHub is in which Account. Pure.

use super::github::Identity;
use crate::model::{AccountId, User};

/// An Account, as far as signing in goes.
#[derive(Debug, Clone)]
pub struct Door {
    /// Which.
    pub account: AccountId,
    /// Which addresses may come in by themselves; nobody when there is none: then an admin invites.
    pub pattern: Option<String>,
    /// Nobody comes in.
    pub closed: bool,
}

/// Where somebody comes in.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A user whom this GitHub account signs in as.
    Known(User),
    /// A user whom nobody signed in as yet: their address is this one, verified.
    First(User),
    /// Nobody yet: a new dev with this address.
    New(AccountId, String),
}

/// What becomes of a sign-in.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// In.
    In(Box<Entry>),
    /// Several Accounts; the person says which.
    Which(Vec<AccountId>),
    /// GitHub knows no address of theirs that reaches them.
    NoAddress,
    /// The address belongs to somebody who signs in with another GitHub account.
    Taken(String),
    /// None of their addresses may come in.
    Stranger,
    /// The Account is closed.
    Closed,
}

impl Entry {
    fn account(&self) -> AccountId {
        match self {
            Entry::Known(user) | Entry::First(user) => user.account.clone(),
            Entry::New(account, _) => account.clone(),
        }
    }
}

/// The numeric GitHub id binds; the login may change, and another may take it over, so it never does.
pub fn admit(identity: &Identity, users: &[User], doors: &[Door], wanted: Option<&AccountId>) -> Verdict {
    let mut entries = Vec::new();
    let (mut closed, mut taken) = (false, None);
    for door in doors.iter().filter(|door| wanted.is_none_or(|wanted| *wanted == door.account)) {
        match enter(identity, users, door) {
            Some(Ok(_)) if door.closed => closed = true,
            Some(Ok(entry)) => entries.push(entry),
            Some(Err(address)) => taken = Some(address),
            None => {}
        }
    }
    match (entries.len(), entries.pop()) {
        (1, Some(entry)) => return Verdict::In(Box::new(entry)),
        (_, Some(last)) => {
            let mut accounts: Vec<AccountId> = entries.iter().map(Entry::account).collect();
            accounts.push(last.account());
            return Verdict::Which(accounts);
        }
        (_, None) => {}
    }
    if closed {
        Verdict::Closed
    } else if identity.addresses.is_empty() {
        Verdict::NoAddress
    } else {
        taken.map_or(Verdict::Stranger, Verdict::Taken)
    }
}

/// The way in through one door; `Err` names an address that is somebody else's already.
fn enter(identity: &Identity, users: &[User], door: &Door) -> Option<Result<Entry, String>> {
    let here = || users.iter().filter(|user| user.account == door.account);
    if let Some(known) = here().find(|user| github_id(user) == Some(identity.id)) {
        return Some(Ok(Entry::Known(known.clone())));
    }
    let fits = |address: &&String| door.pattern.as_deref().is_none_or(|pattern| matches(pattern, address));
    let fitting: Vec<&String> = identity.addresses.iter().filter(fits).collect();
    let mut taken = None;
    for address in &fitting {
        match here().find(|user| user.email.eq_ignore_ascii_case(address)) {
            Some(user) if github_id(user).is_none() => return Some(Ok(Entry::First(user.clone()))),
            Some(_) => taken = taken.or(Some(Err((*address).clone()))),
            None => {}
        }
    }
    let new = || {
        door.pattern.as_ref()?;
        fitting.first().map(|address| Ok(Entry::New(door.account.clone(), (*address).clone())))
    };
    taken.or_else(new)
}

/// The GitHub account that a user signs in with.
pub fn github_id(user: &User) -> Option<u64> {
    user.extra.get("github_id").and_then(serde_json::Value::as_u64)
}

/// A glob with `*` for any run of characters, in any case; several are separated by commas.
pub fn matches(pattern: &str, address: &str) -> bool {
    let address = address.to_lowercase();
    pattern.to_lowercase().split(',').map(str::trim).filter(|one| !one.is_empty()).any(|one| glob(one, &address))
}

fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::{Door, Entry, Identity, Verdict, admit, matches};
    use crate::model::{AccountId, User};
    use serde_json::json;

    fn identity(id: u64, addresses: &[&str]) -> Identity {
        let addresses = addresses.iter().map(|text| (*text).to_owned()).collect();
        Identity { id, login: "ada".to_owned(), name: "Ada".to_owned(), addresses }
    }

    fn user(account: &str, id: &str, email: &str, github_id: Option<u64>) -> User {
        let body = json!({ "account": account, "user": id, "role": "dev", "email": email, "github_id": github_id, "github_login": "ada" });
        serde_json::from_value(body).unwrap()
    }

    fn door(account: &str, pattern: Option<&str>) -> Door {
        Door { account: AccountId::parse(account).unwrap(), pattern: pattern.map(str::to_owned), closed: false }
    }

    #[test]
    fn the_number_binds_and_neither_login_nor_address_do_afterwards() {
        let users = [user("bigdb", "ada", "ada@bigdb.example", Some(7))];
        let doors = [door("bigdb", None)];
        let again = admit(&identity(7, &["new@elsewhere.example"]), &users, &doors, None);
        assert_eq!(again, Verdict::In(Box::new(Entry::Known(users[0].clone()))));
        // Somebody who took over the login and the address.
        let other = admit(&identity(8, &["ada@bigdb.example"]), &users, &doors, None);
        assert_eq!(other, Verdict::Taken("ada@bigdb.example".to_owned()));
    }

    #[test]
    fn an_invited_address_comes_in_when_it_is_verified_and_fits_the_pattern() {
        let users = [user("bigdb", "lin", "Lin@BigDB.example", None)];
        let first = Verdict::In(Box::new(Entry::First(users[0].clone())));
        let lin = identity(9, &["private@mail.example", "lin@bigdb.example"]);
        assert_eq!(admit(&lin, &users, &[door("bigdb", None)], None), first);
        assert_eq!(admit(&lin, &users, &[door("bigdb", Some("*@bigdb.example"))], None), first);
        assert_eq!(admit(&lin, &users, &[door("bigdb", Some("*@other.example"))], None), Verdict::Stranger);
        assert_eq!(admit(&identity(9, &[]), &users, &[door("bigdb", None)], None), Verdict::NoAddress);
    }

    #[test]
    fn who_fits_the_pattern_comes_in_uninvited_and_nobody_does_without_a_pattern() {
        let max = identity(9, &["max@bigdb.example"]);
        let account = AccountId::parse("bigdb").unwrap();
        let new = Verdict::In(Box::new(Entry::New(account, "max@bigdb.example".to_owned())));
        assert_eq!(admit(&max, &[], &[door("bigdb", Some("*@bigdb.example"))], None), new);
        assert_eq!(admit(&max, &[], &[door("bigdb", None)], None), Verdict::Stranger);
    }

    #[test]
    fn who_is_in_several_accounts_says_which_and_a_closed_one_lets_nobody_in() {
        let users =
            [user("bigdb", "ada", "ada@bigdb.example", Some(7)), user("other", "ada", "ada@bigdb.example", None)];
        let doors = [door("bigdb", None), door("other", None)];
        let ada = identity(7, &["ada@bigdb.example"]);
        let both = doors.iter().map(|door| door.account.clone()).collect();
        assert_eq!(admit(&ada, &users, &doors, None), Verdict::Which(both));
        let other = admit(&ada, &users, &doors, Some(&doors[1].account));
        assert_eq!(other, Verdict::In(Box::new(Entry::First(users[1].clone()))));
        let closed = [Door { closed: true, ..door("bigdb", None) }];
        assert_eq!(admit(&ada, &users, &closed, None), Verdict::Closed);
    }

    #[test]
    fn patterns_are_globs() {
        for (pattern, address, fits) in [
            ("*@bigdb.com", "ada@bigdb.com", true),
            ("*@BigDB.com", "Ada@bigdb.COM", true),
            ("*@bigdb.com", "ada@bigdb.com.evil.example", false),
            ("*@bigdb.com", "ada@notbigdb.com", false),
            ("*@*.bigdb.com", "ada@eu.bigdb.com", true),
            ("*@bigdb.com, *@bigdb.de", "ada@bigdb.de", true),
            ("a*a@x", "a@x", false),
            ("", "ada@bigdb.com", false),
        ] {
            assert_eq!(matches(pattern, address), fits, "{pattern} {address}");
        }
    }
}
