//! One notice in words: what, when, why this person, what happens next and what can be done. Pure.
//!
//! It says what is true now, not what was when it was queued: a warning that went out late speaks of the grace that runs.

use super::advice::{admin_next, visit};
use super::judge::is_hold;
use crate::model::{
    Action, CLUSTER_KIND, Directory, EvidenceSource, Facts, GROUP_KIND, Lease, Notice, NoticeKind, Policy, Stage,
    State, Time, User, UserId,
};
use crate::reactor::ASKED_FOR_ITS_END;
use crate::tokens::{Purpose, TokenAction, Tokens};
use crate::words::{Zone, clean, cut, hold_word, not_theirs, short_utc, span, utc, with_instants};
use serde::Serialize;

/// How long after the end that a mail names its tokens stay good, so that a late reader is told what became of the
/// lease instead of that a token is stale.
const TOKEN_MARGIN: i64 = 86_400;

/// All that a mail's texts are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) directory: &'a Directory,
    pub(super) tokens: &'a Tokens,
    pub(super) public_url: Option<&'a str>,
    pub(super) now: Time,
}

/// A notice with its lease as it stands now.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) notice: Notice,
    pub(super) lease: Lease,
    pub(super) facts: Option<Facts>,
}

/// A notice as the templates print it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Item {
    pub(super) subject: String,
    headline: String,
    lead: String,
    rows: Vec<Row>,
    next: Vec<String>,
    actions: Vec<Choice>,
    visit: Option<Visit>,
    tone: &'static str,
}

/// A page to sign in at, and what for.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Visit {
    pub(super) label: &'static str,
    pub(super) link: String,
}

#[derive(Debug, Clone, Serialize)]
struct Row {
    label: String,
    value: String,
}

/// One thing the reader can do.
#[derive(Debug, Clone, Serialize)]
struct Choice {
    label: &'static str,
    command: String,
    link: Option<String>,
}

impl Item {
    /// Whether it offers anything to do.
    pub(super) fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// Whether its acts are links to pages.
    pub(super) fn has_links(&self) -> bool {
        self.actions.iter().any(|choice| choice.link.is_some())
    }
}

/// What the sentences need, looked up once.
struct Facets<'a> {
    told: &'a Told,
    directory: &'a Directory,
    policy: Policy,
    stage: Stage,
    owner: Option<&'a User>,
    /// Until when the owner is away, when the reader stands in for them.
    away_until: Option<Time>,
    aws: String,
    title: String,
    action: Action,
    now: Time,
}

/// The notice as it is at this moment: late warnings have become "expired".
pub(super) fn kind_now(told: &Told, now: Time) -> NoticeKind {
    match &told.notice.kind {
        kind if kind.announces_end() && told.lease.expires_at <= now => NoticeKind::Expired,
        NoticeKind::Expired => NoticeKind::Warning(told.lease.expires_at.seconds_since(now)),
        kind => kind.clone(),
    }
}

/// Puts one notice into words.
pub(super) fn item(told: &Told, kind: &NoticeKind, context: &Context<'_>, zone: &Zone) -> Item {
    let facets = Facets::of(told, context);
    let (subject, headline, lead) = facets.opening(kind);
    let actions = facets.actions(kind, context);
    let elsewhere = || visit(&told.lease, &told.notice.user, kind, context);
    Item {
        subject,
        headline,
        lead,
        rows: facets.rows(zone),
        next: facets.next(kind),
        visit: actions.is_empty().then(elsewhere).flatten(),
        actions,
        tone: match kind {
            NoticeKind::First | NoticeKind::Offered(_) | NoticeKind::Ended => "calm",
            _ => "soon",
        },
    }
}

/// What people call somebody; the id of whoever left, or has no name.
fn named(user: Option<&User>, id: &UserId) -> String {
    let known = user.map(|user| clean(&user.name));
    known.filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_string())
}

impl<'a> Facets<'a> {
    fn of(told: &'a Told, context: &Context<'a>) -> Facets<'a> {
        let lease = &told.lease;
        let aws = context.directory.aws_accounts.get(&lease.key.aws_id);
        let id = &lease.key.resource_id;
        let name = clean(&lease.summary.name);
        let owner = context.directory.user(&lease.account, &lease.owner);
        let stand_in = context.directory.stand_in(&lease.account, &lease.owner, context.now);
        let away = stand_in.is_some_and(|user| user.user == told.notice.user);
        let away_until = owner.filter(|_| away).and_then(User::delegate_until);
        let cannot_stop = told.facts.as_ref().is_some_and(|facts| !facts.can_stop());
        Facets {
            told,
            directory: context.directory,
            policy: context.directory.policy(&lease.account, &lease.key.aws_id, Some(&lease.owner)),
            stage: aws.map_or(Stage::Observe, crate::model::AwsAccount::effective_stage),
            owner,
            away_until,
            aws: match aws.map(|aws| clean(&aws.name)).filter(|name| !name.is_empty()) {
                Some(name) => format!("{name} ({})", lease.key.aws_id),
                None => lease.key.aws_id.to_string(),
            },
            title: if name.is_empty() { id.to_string() } else { format!("{} ({id})", cut(&name, 60)) },
            action: if cannot_stop { Action::Terminate } else { lease.end_action },
            now: context.now,
        }
    }

    fn lease(&self) -> &'a Lease {
        &self.told.lease
    }

    fn for_owner(&self) -> bool {
        self.told.notice.user == self.lease().owner
    }

    fn owner_name(&self) -> String {
        named(self.owner, &self.lease().owner)
    }

    fn name_of(&self, user: &UserId) -> String {
        named(self.directory.user(&self.lease().account, user), user)
    }

    /// Subject, headline and first sentences, for whoever reads it.
    fn opening(&self, kind: &NoticeKind) -> (String, String, String) {
        let (subject, headline, lead) = self.headline(kind);
        let Some(until) = self.away_until else { return (subject, headline, lead) };
        let (title, owner, expires) = (&self.title, self.owner_name(), self.lease().expires_at);
        let stands_in = format!("You stand in for {owner}, who is away until {}, and it stays theirs.", utc(until));
        match kind {
            NoticeKind::First => (
                format!("{owner}'s until {}: {title}", short_utc(expires)),
                format!("{owner}'s: {title}"),
                format!("{stands_in} Its lease ends at {}; you can renew it.", utc(expires)),
            ),
            _ => (subject, headline, format!("{stands_in} {lead}")),
        }
    }

    /// Subject, headline and first sentence.
    fn headline(&self, kind: &NoticeKind) -> (String, String, String) {
        let title = &self.title;
        let lease = self.lease();
        let (expires, ends) = (lease.expires_at, lease.ends_at);
        let verb = self.verb();
        match kind {
            NoticeKind::First => (
                format!("Yours until {}: {title}", short_utc(expires)),
                format!("This is yours: {title}"),
                format!("Its lease ends at {}. Renew it, end it now, or say that it is not yours.", utc(expires)),
            ),
            NoticeKind::Warning(_) => (
                format!("Ends {}: {title}", short_utc(expires)),
                format!("Ends soon: {title}"),
                format!("Its lease ends at {}. Renew it, or let it go.", utc(expires)),
            ),
            NoticeKind::Expired => (
                format!("Lease over, still renewable: {title}"),
                format!("Lease over: {title}"),
                format!("Its lease ended at {}. It can still be renewed until it is {verb}.", utc(expires)),
            ),
            NoticeKind::Stopped if lease.is_group() => (
                format!("Put to sleep: {title}"),
                format!("Put to sleep: {title}"),
                format!(
                    "{} and zerocloud set its sizes to 0, so Auto Scaling terminates its members.",
                    self.why_ended()
                ),
            ),
            NoticeKind::Stopped => (
                format!("Stopped: {title}"),
                format!("Stopped: {title}"),
                if self.stage >= Stage::Terminate {
                    format!("{} and zerocloud stopped it. It is to be terminated at {}.", self.why_ended(), utc(ends))
                } else {
                    format!("{} and zerocloud stopped it.", self.why_ended())
                },
            ),
            NoticeKind::Ended if lease.state == State::Gone => (
                format!("Gone: {title}"),
                format!("Gone: {title}"),
                "AWS no longer has it, so its lease is over.".to_owned(),
            ),
            NoticeKind::Ended => (
                format!("Terminated: {title}"),
                format!("Terminated: {title}"),
                "EC2 says that it is terminated, so its lease is over.".to_owned(),
            ),
            NoticeKind::Offered(_) => (
                format!("Offered to you: {title}"),
                format!("Offered to you: {title}"),
                format!("{} asks you to take it over. Its lease ends at {}.", self.owner_name(), utc(expires)),
            ),
            NoticeKind::Admin(word) => self.admin_headline(word),
        }
    }

    /// Its time, or whoever asked for its end, as the story has it since the last end that was granted.
    fn why_ended(&self) -> String {
        let mut since = self.lease().events.iter().rev().take_while(|line| !line.what.contains(" until "));
        let asked = since.find_map(|line| line.what.strip_suffix(ASKED_FOR_ITS_END));
        match asked.and_then(|user| UserId::parse(user).ok()) {
            Some(user) => format!("{} asked for its end,", self.name_of(&user)),
            None => "Its lease ended".to_owned(),
        }
    }

    fn admin_headline(&self, word: &str) -> (String, String, String) {
        let title = &self.title;
        let owner = self.owner_name();
        let (what, lead) = match word {
            "unreachable" => {
                ("Nobody could be told", format!("The mail service refused every mail about it to {owner}."))
            }
            "over_quota" => (
                "Over the limit",
                format!("{owner} holds more instances than the policy allows, so this one got a short lease."),
            ),
            "owner_left" => {
                ("Owner left", "Its owner has no user document any more; the lease passed to an admin.".to_owned())
            }
            _ if is_hold(word) => ("Held", self.hold_text()),
            _ => ("Needs an admin", format!("zerocloud reports: {}.", clean(&word.replace(['_', '-'], " ")))),
        };
        (format!("{what}: {title}"), format!("{what}: {title}"), lead)
    }

    fn hold_text(&self) -> String {
        let Some(hold) = &self.lease().hold else {
            return "Its end was held; it is not any more.".to_owned();
        };
        let word = hold_word(hold.kind);
        format!(
            "Its end does not happen ({word}): {}. So since {}; looked at again at {}.",
            with_instants(&clean(&hold.reason)).trim_end_matches('.'),
            utc(hold.since),
            utc(hold.review_at)
        )
    }

    fn rows(&self, zone: &Zone) -> Vec<Row> {
        let lease = self.lease();
        let row = |label: &str, value: String| Row { label: label.to_owned(), value };
        let name = clean(&lease.summary.name);
        let kind = clean(&lease.summary.instance_type);
        let label = match lease.key.resource_id.kind() {
            GROUP_KIND => "Group",
            CLUSTER_KIND => "Cluster",
            _ => "Instance",
        };
        let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
        let mut rows = vec![
            row(label, lease.key.resource_id.to_string()),
            row("Name", or(name, "no Name tag")),
            row("Type", or(kind, "unknown")),
            row("Region", lease.key.region.to_string()),
            row("AWS account", self.aws.clone()),
        ];
        rows.extend(self.sizes().map(|text| row("Sizes", text)));
        if !lease.state.is_over() {
            let (label, at) = match lease.state {
                State::Stopped => ("Terminated", lease.ends_at),
                _ => ("Lease ends", lease.expires_at),
            };
            let second = self.stage >= Stage::Terminate && !lease.is_group();
            if lease.state != State::Stopped || second {
                rows.push(row(label, utc(at)));
                rows.extend(zone.local(at).map(|text| row("In your zone", text)));
            }
        }
        let why = if self.for_owner() { "Why you" } else { "Owner" };
        rows.push(row(why, self.evidence()));
        rows
    }

    /// What a group has, or had before it was put to sleep.
    fn sizes(&self) -> Option<String> {
        let group = self.told.facts.as_ref().and_then(|facts| facts.group.as_ref());
        match (self.lease().sizes, group) {
            (Some(kept), _) if self.lease().state == State::Stopped => Some(format!("{kept}, before")),
            (_, Some(group)) if self.lease().is_group() => {
                Some([vec![group.sizes.to_string()], group.remarks()].concat().join("; "))
            }
            _ => None,
        }
    }

    /// What its end does to it.
    fn verb(&self) -> &'static str {
        self.lease().past(self.action)
    }

    /// Why the owner is the owner.
    fn evidence(&self) -> String {
        let evidence = &self.lease().owner_evidence;
        let value = clean(&evidence.value);
        let reason = match evidence.source {
            EvidenceSource::Request => "you took it over, or an admin gave it".to_owned(),
            EvidenceSource::Tag => format!("its tag {} says {value}", clean(&self.policy.owner_tag)),
            EvidenceSource::Launcher => format!("CloudTrail says that {value} launched it"),
            EvidenceSource::KeyName => format!("it was launched with the SSH key {value}"),
            EvidenceSource::Admin => {
                not_theirs(self.lease(), self.told.facts.as_ref(), &self.policy, |user| self.name_of(user))
            }
            EvidenceSource::None => "the owner is not known yet".to_owned(),
        };
        if self.for_owner() {
            return reason;
        }
        let reason = match evidence.source {
            EvidenceSource::Request => "took it over".to_owned(),
            _ => reason,
        };
        format!("{}: {reason}", self.owner_name())
    }

    /// What happens when nobody does anything.
    fn next(&self, kind: &NoticeKind) -> Vec<String> {
        let lease = self.lease();
        let mut next = match kind {
            NoticeKind::Ended => vec!["Nothing more happens.".to_owned()],
            NoticeKind::Admin(word) => vec![admin_next(word)],
            NoticeKind::Stopped => self.after_stop(),
            NoticeKind::Offered(_) => {
                vec![format!("Nothing changes unless you accept; until then it stays with {}.", self.owner_name())]
            }
            _ => self.at_the_end(),
        };
        if !matches!(kind, NoticeKind::Admin(_) | NoticeKind::Ended) && lease.hold.is_some() {
            next.push(self.hold_text());
        }
        next
    }

    fn at_the_end(&self) -> Vec<String> {
        let lease = self.lease();
        let needed = lease.needed_stage(self.action);
        if lease.key.resource_id.is_cluster() {
            return vec!["zerocloud ends nothing of it: end it where it is managed.".to_owned()];
        }
        let mut next = Vec::new();
        if self.stage < needed {
            next.push(format!(
                "If nobody renews it, nothing is {} yet: zerocloud may not do that in this AWS account.",
                self.verb()
            ));
            return next;
        }
        // A deadline that passed while mail was late: the notice rule, not this instant, decides when it ends.
        let when =
            if lease.ends_at > self.now { format!("at {}, not before, ", utc(lease.ends_at)) } else { String::new() };
        let stopped = "Its volumes stay, and it can be started again.";
        let asleep = "its sizes become 0, so Auto Scaling terminates its members. The group stays, and can be revived with the \
                      sizes that it has now.";
        match (self.action, lease.end_action) {
            _ if lease.is_group() => next.push(format!("If nobody renews it, {when}it is put to sleep: {asleep}")),
            (Action::Stop, _) => next.push(format!("If nobody renews it, {when}it is stopped. {stopped}")),
            (Action::Terminate, Action::Stop) => next.push(format!(
                "If nobody renews it, {when}it is terminated: an instance of this kind cannot be stopped. It does not come back."
            )),
            _ => next.push(format!("If nobody renews it, {when}it is terminated. It does not come back.")),
        }
        if self.action == Action::Stop && self.stage >= Stage::Terminate && !lease.is_group() {
            next.push(format!(
                "Once stopped, it is terminated after {}, with a mail of its own at least {} before.",
                span(self.policy.terminate_after),
                span(self.policy.terminate_notice)
            ));
        }
        next.push(format!("A renewal reaches at most {} from when it is accepted.", span(self.policy.max_lease)));
        next
    }

    fn after_stop(&self) -> Vec<String> {
        if self.lease().is_group() {
            let revived = "The group stays as it is. Revived in zerocloud, it gets back the sizes that it had.";
            let woken =
                "Whoever gives it sizes again, a scheduled action too, wakes it: it gets a new lease from that moment.";
            return vec![revived.to_owned(), woken.to_owned()];
        }
        let mut next = Vec::new();
        if self.stage >= Stage::Terminate {
            next.push(format!(
                "If nobody starts it, at {}, not before, it is terminated. It does not come back.",
                utc(self.lease().ends_at)
            ));
        }
        next.push(
            "To keep it, start it again, in zerocloud or in EC2: it gets a new lease from that moment.".to_owned(),
        );
        next
    }

    /// What the owner can do by token, and who stands in for them. Others act signed in: a token would let them act as
    /// somebody else.
    fn actions(&self, kind: &NoticeKind, context: &Context<'_>) -> Vec<Choice> {
        let lease = self.lease();
        let stands_in = self.away_until.is_some() && !self.for_owner();
        if !(self.for_owner() || stands_in) || !lease.state.is_renewable() || matches!(kind, NoticeKind::Offered(_)) {
            return Vec::new();
        }
        let mut offered = vec![(TokenAction::Renew, "Renew it", "renew")];
        if !stands_in && self.stage >= lease.needed_stage(self.action) {
            offered.push((TokenAction::End, "End it now", "end"));
        }
        if !stands_in {
            offered.push((TokenAction::NotMine, "It is not mine", "not-mine"));
        }
        let sign = |action| {
            context.tokens.sign(&Purpose {
                lease: lease.key(),
                owner: lease.owner.clone(),
                delegate: stands_in.then(|| self.told.notice.user.clone()),
                action,
                expires: lease.ends_at.max(context.now).plus(TOKEN_MARGIN),
            })
        };
        let choices = offered.into_iter().map(|(action, label, command)| {
            let token = sign(action);
            Choice {
                label,
                link: context.public_url.map(|base| format!("{}/l/{token}", base.trim_end_matches('/'))),
                command: format!("zerocloud {command} {token}"),
            }
        });
        choices.collect()
    }
}
