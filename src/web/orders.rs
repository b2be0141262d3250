//! What an admin has done to leases, one by one from the page of each or many at once from the list: the same check and the same
//! edit or request, as that admin, so that the access rules judge it alike.

use super::edit::edit;
use super::form::Act;
use super::wishes::{Asked, put};
use super::{State, WebError, lease, session};
use crate::config::parse_duration;
use crate::model::{LeaseKey, Time, UserId, Wish};
use serde_json::{Map, Value, json};

/// What is to be done to each.
#[derive(Debug)]
pub(super) enum Order {
    Renew(Time),
    Exempt(String, Time),
    LiftExemption,
    Reassign(UserId),
}

impl Order {
    /// The order that a form describes, `what` being its name; or what is wrong with it, in a sentence.
    pub(super) fn read(state: &State, act: &Act, what: &str) -> Result<Order, String> {
        let now = state.clock.now();
        match what {
            "renew" => parse_duration(act.fields.get("for")).map(|seconds| Order::Renew(now.plus(seconds))),
            "exempt" => {
                let reason = act.fields.get("reason").to_owned();
                if !(1..=400).contains(&reason.chars().count()) {
                    let text =
                        "An exemption needs a reason of at most 400 characters: everybody who sees the lease reads it.";
                    return Err(text.to_owned());
                }
                end(act.fields.get("until"), now).map(|until| Order::Exempt(reason, until))
            }
            "unexempt" => Ok(Order::LiftExemption),
            "reassign" => {
                let to = UserId::parse(act.fields.get("to")).map_err(|_| "Choose who gets them.".to_owned())?;
                let known = state.index.directory().user(&act.person.account, &to).is_some();
                if known { Ok(Order::Reassign(to)) } else { Err("There is nobody here by that name.".to_owned()) }
            }
            _ => Err("Choose what to do with them.".to_owned()),
        }
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Order::Renew(_) => "Renewed",
            Order::Exempt(..) => "Exempted",
            Order::LiftExemption => "Lifted the exemption of",
            Order::Reassign(_) => "Reassigned",
        }
    }

    /// Does it to one lease. What the service has yet to answer gives the id of the request.
    pub(super) async fn carry_out(&self, state: &State, act: &Act, key: &LeaseKey) -> Result<Option<String>, WebError> {
        let (person, id) = (&act.person, key.lease_id());
        match self {
            Order::Renew(until) => {
                if !lease::read(state, person, key).await?.state.is_renewable() {
                    return Err(WebError::Invalid("it does not run, so there is nothing to renew".to_owned()));
                }
                let (account, user, at) = (person.account.clone(), person.user.clone(), state.clock.now());
                let (action, until) = (Wish::Renew, Some(*until));
                let asked = Asked { account, user, lease: key.clone(), action, until, to: None, at };
                let session = person.session(state).await?;
                put(&state.store, &session, &asked, &session::random()).await.map(Some)
            }
            Order::Exempt(reason, until) => {
                let exemption = json!({ "reason": reason, "until": until });
                let change =
                    |body: &mut Map<String, Value>| drop(body.insert("exemption".to_owned(), exemption.clone()));
                edit(state, person, &id, None, change).await.map(|()| None)
            }
            Order::LiftExemption => {
                let change = |body: &mut Map<String, Value>| drop(body.shift_remove("exemption"));
                edit(state, person, &id, None, change).await.map(|()| None)
            }
            Order::Reassign(to) => {
                let change = |body: &mut Map<String, Value>| drop(body.insert("owner".to_owned(), json!(to)));
                edit(state, person, &id, None, change).await.map(|()| None)
            }
        }
    }
}

/// A day, which ends with its last second, UTC, or a length from now on.
fn end(text: &str, now: Time) -> Result<Time, String> {
    match Time::parse(&format!("{text}T23:59:59Z")) {
        Ok(at) if at > now => Ok(at),
        Ok(_) => Err("Say until which day, from today on.".to_owned()),
        Err(_) => parse_duration(text).map(|seconds| now.plus(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::end;
    use crate::model::Time;

    #[test]
    fn an_exemption_ends_with_a_day_or_after_a_length_and_never_before_now() {
        let at = |text: &str| Time::parse(text).unwrap();
        let now = at("2026-11-24T12:00:00Z");
        assert_eq!(end("2026-11-24", now), Ok(at("2026-11-24T23:59:59Z")));
        assert_eq!(end("2d", now), Ok(at("2026-11-26T12:00:00Z")));
        for bad in ["2026-11-23", "", "soon", "0d"] {
            assert!(end(bad, now).is_err(), "{bad}");
        }
    }
}
