//! What SES says became of a mail (SES Developer Guide, "Amazon SNS notification contents" and "Event data that Amazon SES
//! publishes"): a notice that came back counts as told to nobody (SAFETY.md, invariant 2), and an address that takes no mail
//! is noted on its user, so that admins are told in that person's place.

use crate::model::{Doc, Notice, NoticeStatus, Time, User, address_hash};
use crate::store::{Store, StoreError};
use serde_json::{Value, json};

/// The field of a user document.
const PROBLEM: &str = "mail_problem";

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// It came back; `for_good` when the address takes no mail.
    Bounced { for_good: bool },
    /// Its reader called it unwanted: more of them may not reach that reader.
    Complained,
    /// It arrived.
    Delivered,
}

/// A mail, its readers, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    message_id: String,
    what: What,
    /// Each with a few words why.
    readers: Vec<(String, String)>,
    at: Option<Time>,
}

impl Feedback {
    /// Reads the message of a notification or of an event; `None` for what is of no use here.
    pub fn read(message: &str) -> Option<Feedback> {
        let all: Value = serde_json::from_str(message).ok()?;
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = all.get("notificationType").or_else(|| all.get("eventType"))?.as_str()?;
        let (what, part, list) = match kind {
            "Bounce" => {
                let part = all.get("bounce")?;
                let for_good = text(part, "bounceType") == "Permanent";
                (What::Bounced { for_good }, part, "bouncedRecipients")
            }
            "Complaint" => (What::Complained, all.get("complaint")?, "complainedRecipients"),
            "Delivery" => (What::Delivered, all.get("delivery")?, "recipients"),
            _ => return None,
        };
        let reader = |entry: &Value| match entry {
            Value::String(address) => (address.clone(), String::new()),
            entry => (text(entry, "emailAddress"), why(part, entry)),
        };
        let readers: Vec<_> = part.get(list)?.as_array()?.iter().map(reader).collect();
        let at = text(part, "timestamp").parse::<jiff::Timestamp>().ok().map(|at| Time::from_unix(at.as_second()));
        let message_id = text(all.get("mail")?, "messageId");
        Some(Feedback { message_id, what, readers, at })
    }
}

fn why(part: &Value, entry: &Value) -> String {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = text(part, "bounceSubType").or_else(|| text(part, "complaintFeedbackType")).unwrap_or_default();
    let said = text(entry, "diagnosticCode").or_else(|| text(entry, "status")).unwrap_or_default();
    format!("{kind} {said}").trim().chars().take(300).collect()
}

/// Writes it down; doing it again changes nothing more.
pub async fn apply(store: &Store, feedback: &Feedback, now: Time) -> Result<(), StoreError> {
    for (address, why) in &feedback.readers {
        let word = match feedback.what {
            What::Delivered => {
                forget(store, address, feedback.at.unwrap_or(now)).await?;
                continue;
            }
            What::Bounced { .. } => "bounced",
            What::Complained => "complaint",
        };
        let told = format!("{word}: {why}");
        // The address first: from then on no notice to it counts, also one whose receipt is not stored yet.
        if feedback.what != (What::Bounced { for_good: false }) {
            let problem = json!({ "address": address, "kind": word, "reason": why, "at": feedback.at.unwrap_or(now) });
            mark(store, address, &problem).await?;
        }
        come_back(store, &feedback.message_id, address, &told).await?;
    }
    Ok(())
}

/// The notices that went out in that mail.
async fn come_back(store: &Store, message_id: &str, address: &str, why: &str) -> Result<(), StoreError> {
    if message_id.is_empty() {
        return Ok(());
    }
    let ending = format!("::{}", address_hash(address));
    for id in store.ids("notice::").await?.into_iter().filter(|id| id.ends_with(&ending)) {
        let change = |notice: &mut Notice| {
            let meant = notice.message_id.as_deref() == Some(message_id) && notice.status == NoticeStatus::Accepted;
            if meant {
                notice.status = NoticeStatus::Bounced;
                notice.error = Some(why.to_owned());
            }
            meant
        };
        update(store, "notice", &id, change).await?;
    }
    Ok(())
}

/// Every user with that address.
async fn mark(store: &Store, address: &str, problem: &Value) -> Result<(), StoreError> {
    for id in users(store, address).await? {
        let change = |user: &mut User| {
            let known = user.mail_problem().is_some_and(|known| known.get("kind") == problem.get("kind"));
            if !known {
                user.extra.insert(PROBLEM.to_owned(), problem.clone());
            }
            !known
        };
        update(store, "user", &id, change).await?;
        tracing::warn!(user = id, "mail to this user does not arrive; admins are told in their place");
    }
    Ok(())
}

/// What arrived later than a bounce shows that the address takes mail again. A complaint stands.
async fn forget(store: &Store, address: &str, at: Time) -> Result<(), StoreError> {
    for id in users(store, address).await? {
        let change = |user: &mut User| {
            let text = |name: &str| user.mail_problem()?.get(name)?.as_str();
            let since = text("at").and_then(|at| Time::parse(at).ok());
            let over = text("kind") == Some("bounced") && since.is_some_and(|since| since < at);
            if over {
                user.extra.remove(PROBLEM);
            }
            over
        };
        update(store, "user", &id, change).await?;
    }
    Ok(())
}

async fn users(store: &Store, address: &str) -> Result<Vec<String>, StoreError> {
    let same = |doc: &Doc<Value>| {
        let email = doc.body.get("email").and_then(Value::as_str).unwrap_or_default();
        email.trim().eq_ignore_ascii_case(address.trim())
    };
    Ok(store.prefix("user::").await?.into_iter().filter(same).map(|doc| doc.id).collect())
}

/// Compare-and-swap; `change` says whether there is anything to write. A document that cannot be read is left alone.
async fn update<T: serde::Serialize + serde::de::DeserializeOwned>(
    store: &Store,
    kind: &str,
    id: &str,
    change: impl Fn(&mut T) -> bool,
) -> Result<(), StoreError> {
    match store.change(kind, id, change).await {
        Ok(_) | Err(StoreError::Malformed { .. }) => Ok(()),
        Err(why) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::{Feedback, What};
    use serde_json::json;

    #[test]
    fn notifications_and_events_say_the_same() {
        for name in ["notificationType", "eventType"] {
            let message = json!({
                name: "Bounce", "mail": { "messageId": "m-1", "destination": ["lin@bigdb.example"] },
                "bounce": {
                    "bounceType": "Permanent", "bounceSubType": "General", "timestamp": "2026-11-24T08:00:00.500Z",
                    "bouncedRecipients": [{ "emailAddress": "lin@bigdb.example", "diagnosticCode": "550 no such user" }],
                },
            });
            let read = Feedback::read(&message.to_string()).unwrap();
            assert_eq!((read.message_id.as_str(), read.what), ("m-1", What::Bounced { for_good: true }));
            let reader = ("lin@bigdb.example".to_owned(), "General 550 no such user".to_owned());
            assert_eq!(read.readers, [reader]);
            assert_eq!(read.at.unwrap().to_string(), "2026-11-24T08:00:00Z");
        }
    }

    #[test]
    fn what_is_of_no_use_is_passed_over() {
        for message in ["", "hello", "{}", r#"{"eventType":"Open","open":{},"mail":{}}"#, r#"{"eventType":"Bounce"}"#] {
            assert_eq!(Feedback::read(message), None, "{message}");
        }
    }
}
