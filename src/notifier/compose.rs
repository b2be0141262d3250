//! One mail from the notices for one address: subject, text and HTML, from templates built into the program. Pure.

use super::item::{Context, Item, Told, item, kind_now};
use crate::model::{Directory, NoticeKind, Time};
use crate::words::{Zone, clean, short_utc};
use minijinja::{Environment, context};
use std::cmp::Reverse;
use std::sync::LazyLock;

/// A mail without its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Composed {
    pub(super) subject: String,
    pub(super) text: String,
    /// Absent when the reader asked for text.
    pub(super) html: Option<String>,
}

static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_trim_blocks(true);
    templates.set_lstrip_blocks(true);
    // By file name: `.html` escapes everything, `.txt` nothing.
    templates.set_auto_escape_callback(minijinja::default_auto_escape_callback);
    templates.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    templates.add_filter("pad", |text: String, width: usize| format!("{text:width$}"));
    templates.add_template("mail.txt", include_str!("templates/mail.txt"))?;
    templates.add_template("mail.html", include_str!("templates/mail.html"))?;
    Ok(templates)
});

/// Writes the mail for these notices, which are all for one address. Several that announce the end of one lease are
/// told once, as what is true now.
pub(super) fn compose(told: &[Told], context: &Context<'_>) -> anyhow::Result<Composed> {
    let reader = told.first().and_then(|first| context.directory.user(&first.notice.account, &first.notice.user));
    let zone = Zone::named(reader.and_then(|user| user.time_zone.as_deref()));
    let shown = once_per_lease(told, context.now);
    let items: Vec<Item> = shown.iter().map(|(told, kind)| item(told, kind, context, &zone)).collect();
    let subject = subject(&items, &shown);
    let templates = TEMPLATES.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let name = reader.map(|user| clean(&user.name)).filter(|name| !name.is_empty());
    let hello = name.map_or_else(|| "Hello,".to_owned(), |name| format!("Hello {name},"));
    let values = context! {
        subject,
        intro => format!("{hello} {}", intro(shown.len())),
        footer => footer(told, context.directory),
        has_actions => items.iter().any(Item::has_actions),
        has_links => items.iter().any(Item::has_links),
        items,
    };
    let wants_html = reader.and_then(|user| user.mail_format.as_deref()) != Some("text");
    let html = wants_html.then(|| templates.get_template("mail.html")?.render(&values)).transpose()?;
    let text = templates.get_template("mail.txt")?.render(&values)?;
    Ok(Composed { subject, text, html })
}

/// What is shown, the nearest end first, admin matters last.
fn once_per_lease(told: &[Told], now: Time) -> Vec<(&Told, NoticeKind)> {
    let mut shown: Vec<(&Told, NoticeKind)> = told.iter().map(|told| (told, kind_now(told, now))).collect();
    let weight = |kind: &NoticeKind| match kind {
        NoticeKind::Expired => 3,
        NoticeKind::First => 2,
        NoticeKind::Warning(_) => 1,
        _ => 0,
    };
    shown.sort_by_key(|(told, kind)| {
        let lease = &told.lease;
        let admin = matches!(kind, NoticeKind::Admin(_));
        (admin, lease.ends_at, lease.key(), Reverse(weight(kind)), kind.clone())
    });
    shown.dedup_by(|later, kept| {
        let same_lease = later.0.lease.key() == kept.0.lease.key();
        same_lease && later.1.announces_end() && kept.1.announces_end()
    });
    shown
}

fn subject(items: &[Item], shown: &[(&Told, NoticeKind)]) -> String {
    if let [only] = items {
        return only.subject.clone();
    }
    let count = items.len();
    let first = shown.iter().filter(|(_, kind)| kind.announces_end()).map(|(told, _)| told.lease.expires_at).min();
    first.map_or_else(
        || format!("{count} notices about leases"),
        |at| format!("{count} notices about leases, first end {}", short_utc(at)),
    )
}

fn intro(count: usize) -> String {
    if count == 1 {
        "zerocloud has word for you about one instance.".to_owned()
    } else {
        format!("zerocloud has word for you about {count} matters.")
    }
}

fn footer(told: &[Told], directory: &Directory) -> String {
    let account = told.first().map(|told| &told.notice.account);
    let name = account.and_then(|id| directory.accounts.get(id)).map(|account| clean(&account.name));
    let name = name.filter(|name| !name.is_empty()).or_else(|| account.map(ToString::to_string));
    format!("Sent by zerocloud for {}: every instance has an owner and an end.", name.unwrap_or_default())
}
