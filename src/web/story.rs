//! The story of a lease in words: its own lines and the notices about it, the latest first. Notices are read on the admin port
//! only after the lease itself was read as the person.

use super::{State, WebError, card, error};
use crate::model::{
    AccountId, Directory, Lease, LogLine, Notice, NoticeKind, NoticeStatus, Outcome, Request, Time, UserId, Wish,
};
use crate::store::StoreError;
use crate::words::{clean, hold_words, span, utc};
use serde::Serialize;
use std::collections::HashMap;

/// One line of it.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    at: Time,
    when: String,
    what: String,
    mail: bool,
}

/// What happened, the latest first.
pub(super) async fn of(state: &State, lease: &Lease) -> Result<Vec<Line>, WebError> {
    let directory = state.index.directory();
    let told = |what: &str| error::sentence(&named(&held(&clean(what)), &directory, &lease.account));
    let own = |at: Time, what: &str| Line { at, when: utc(at), what: told(what), mail: false };
    let refused = refused(state, lease).await?;
    let text = |line: &LogLine| refused.get(&(line.at, line.what.clone())).unwrap_or(&line.what).clone();
    let once = lease.events.iter().filter(|line| !is_told_twice(line, &lease.events));
    let mut all: Vec<Line> = once.map(|line| own(line.at, &text(line))).collect();
    for doc in state.store.prefix(&format!("notice::{}::", lease.key())).await? {
        let Ok(notice) = serde_json::from_value::<Notice>(doc.body) else { continue };
        let who = card::user_name(&directory, lease, &notice.user);
        let (word, at) = match notice.status {
            NoticeStatus::Queued => ("waits to be mailed", notice.due_at),
            NoticeStatus::Accepted => ("mailed", notice.accepted_at.unwrap_or(notice.due_at)),
            NoticeStatus::Refused => ("refused by the mail service", notice.due_at),
            NoticeStatus::Bounced => ("came back", notice.due_at),
            NoticeStatus::Obsolete => continue,
        };
        let what = format!("{} to {who}: {word}.", notice_word(&notice.kind));
        all.push(Line { at, when: utc(at), what, mail: true });
    }
    Ok(latest_first(all))
}

/// Lines that tell of a refusal, with what was asked in them.
async fn refused(state: &State, lease: &Lease) -> Result<HashMap<(Time, String), String>, WebError> {
    let mut found = HashMap::new();
    for said in lease.answered.iter().filter(|said| said.outcome == Outcome::Refused) {
        let request = match state.store.get::<Request>(&said.request).await {
            Ok(Some(doc)) => doc.body,
            // Without it the line stands as it was written.
            Ok(None) | Err(StoreError::Malformed { .. }) => continue,
            Err(why) => return Err(why.into()),
        };
        let line = format!("{}: {}", request.user, said.reason);
        let told = format!("{}: {}, which was refused: {}", request.user, wish_words(request.action), said.reason);
        found.insert((said.at, line), told);
    }
    Ok(found)
}

fn wish_words(wish: Wish) -> &'static str {
    match wish {
        Wish::Renew => "asked to renew it",
        Wish::End => "asked to end it now",
        Wish::Terminate => "asked to terminate it",
        Wish::NotMine => "said that it is not theirs",
        Wish::HandOver => "asked to hand it over",
        Wish::Accept => "asked to take it over",
        Wish::Revive => "asked to start it again",
        Wish::ApplyPolicy => "asked to apply the policy",
    }
}

/// A renewal that somebody asked for stands there as their line and as one of the lease's own: theirs says more.
fn is_told_twice(line: &LogLine, all: &[LogLine]) -> bool {
    let renewed = line.what.strip_prefix("renewed: until ").map(|until| format!(": renewed until {until}"));
    renewed.is_some_and(|renewed| all.iter().any(|other| other.at == line.at && other.what.contains(&renewed)))
}

/// Lines of one second keep the order in which they were written, read backwards like the others.
fn latest_first(mut all: Vec<Line>) -> Vec<Line> {
    all.sort_by_key(|line| line.at);
    all.reverse();
    all
}

/// `held (no_notice): …` with the hold in words.
fn held(text: &str) -> String {
    let kind = text.strip_prefix("held (").and_then(|rest| rest.split_once(')'));
    kind.map_or_else(|| text.to_owned(), |(kind, rest)| format!("held ({}){rest}", hold_words(kind)))
}

/// What stands before a user's id in a line of the story or an answer.
const BEFORE: [&str; 7] =
    ["owner: ", "gave it to ", "passes to ", "took it over from ", "offered to ", "standing in for ", ", and "];
/// And what stands after one that begins it.
const AFTER: [&str; 7] = [
    ": ",
    " took it over",
    " asked for its end",
    " exempted it",
    " lifted its",
    " is no longer here",
    " applied the policy",
];
/// After these stands what a person wrote.
const THEIRS: [&str; 2] = [" exempted it", " applied the policy"];

/// A line of the service with the names of people in the place of their ids. Only where the service itself writes an id: what
/// people wrote is left alone.
pub(super) fn named(text: &str, directory: &Directory, account: &AccountId) -> String {
    let name = |id: &str| {
        let user = directory.user(account, &UserId::parse(id).ok()?)?;
        Some(clean(&user.name)).filter(|name| !name.is_empty())
    };
    let mut told = text.to_owned();
    if let Some(end) = AFTER.iter().filter_map(|after| text.find(after)).min()
        && let Some(name) = name(&text[..end])
    {
        told = format!("{name}{}", &text[end..]);
        if THEIRS.iter().any(|theirs| text[end..].starts_with(theirs)) {
            return told;
        }
    }
    let refused = told.starts_with("not ").then_some("not ".len());
    let places = BEFORE.iter().filter_map(|before| told.find(before).map(|at| at + before.len()));
    let mut places: Vec<usize> = places.chain(refused).collect();
    // From the end, so that what comes before keeps its place.
    places.sort_unstable_by(|a, b| b.cmp(a));
    for at in places {
        let rest = &told[at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(rest.len());
        if let Some(name) = name(&rest[..end]) {
            told.replace_range(at..at + end, &name);
        }
    }
    told
}

pub(super) fn notice_word(kind: &NoticeKind) -> String {
    match kind {
        NoticeKind::First => "First notice".to_owned(),
        NoticeKind::Warning(seconds) => format!("Warning {} before", span(*seconds)),
        NoticeKind::Expired => "Notice that it is over".to_owned(),
        NoticeKind::Stopped => "Notice that it was stopped".to_owned(),
        NoticeKind::Ended => "Notice that it ended".to_owned(),
        NoticeKind::Offered(_) => "Offer".to_owned(),
        NoticeKind::Admin(what) => format!("Word for admins ({})", clean(&what.replace(['_', '-'], " "))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, held, is_told_twice, latest_first, named};
    use crate::model::{AccountId, Directory, LogLine, Time, User};
    use serde_json::json;

    #[test]
    fn lines_of_one_second_are_read_backwards_like_all_others() {
        let noon = Time::parse("2026-11-24T12:00:00Z").unwrap();
        let line = |after: i64, what: &str| Line {
            at: noon.plus(after),
            when: String::new(),
            what: what.to_owned(),
            mail: false,
        };
        let all =
            [line(0, "asked"), line(0, "will be stopped"), line(9, "stopped"), line(0, "claimed"), line(-5, "seen")];
        let told: Vec<String> = latest_first(all.into()).into_iter().map(|line| line.what).collect();
        assert_eq!(told, ["stopped", "claimed", "will be stopped", "asked", "seen"]);
    }

    #[test]
    fn a_renewal_that_somebody_asked_for_is_told_once() {
        let noon = Time::parse("2026-11-24T12:00:00Z").unwrap();
        let line = |after: i64, what: &str| LogLine { at: noon.plus(after), what: what.to_owned() };
        let all = [
            line(0, "renewed: until 2026-11-25T12:00:00Z"),
            line(0, "lin: renewed until 2026-11-25T12:00:00Z, as far as the policy allows"),
            line(5, "renewed: until 2026-11-26T12:00:00Z"),
        ];
        assert_eq!([0, 1, 2].map(|at| is_told_twice(&all[at], &all)), [true, false, false]);
    }

    #[test]
    fn a_hold_is_told_in_words() {
        let told = [("held (no_notice): x", "held (nobody was told): x"), ("held by x (y)", "held by x (y)")];
        assert!(told.iter().all(|(text, told)| held(text) == *told));
    }

    #[test]
    fn people_are_called_by_their_names_and_what_they_wrote_is_left_alone() {
        let mut directory = Directory::default();
        for (user, name) in [("lin", "Lin Wu"), ("will", "Will Day"), ("ada", "")] {
            let user = json!({ "account": "bigdb", "user": user, "role": "dev", "name": name });
            let user: User = serde_json::from_value(user).unwrap();
            directory.users.insert((user.account.clone(), user.user.clone()), user);
        }
        let account = AccountId::parse("bigdb").unwrap();
        for (text, told) in [
            ("will: it will be stopped now", "Will Day: it will be stopped now"),
            ("owner: lin (owner tag)", "owner: Lin Wu (owner tag)"),
            ("not lin's: it passes to will", "not Lin Wu's: it passes to Will Day"),
            ("will took it over from lin", "Will Day took it over from Lin Wu"),
            ("offered to will; it is theirs once they accept", "offered to Will Day; it is theirs once they accept"),
            ("will: renewed until noon, standing in for lin", "Will Day: renewed until noon, standing in for Lin Wu"),
            ("ada exempted it until noon: will and lin asked", "ada exempted it until noon: will and lin asked"),
            ("it will not be", "it will not be"),
            (
                "the limit of instances (max_instances 2, and lin has more) allows no later end",
                "the limit of instances (max_instances 2, and Lin Wu has more) allows no later end",
            ),
        ] {
            assert_eq!(named(text, &directory, &account), told);
        }
    }
}
