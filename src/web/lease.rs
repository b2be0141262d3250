//! One lease: what it is, its whole story, and what its reader can ask for.

use super::form::Act;
use super::html::{Desk, go};
use super::leases::card;
use super::orders::Order;
use super::wishes::{Asked, ask};
use super::{Person, State, WebError, story};
use crate::model::{Lease, LeaseKey, Time, UserId, Wish};
use crate::words::{clean, utc};
use axum::extract::Path;
use axum::response::Response;
use minijinja::context;

/// `GET /leases/{key}`.
pub(super) async fn page(desk: Desk, Path(key): Path<String>) -> Result<Response, WebError> {
    let (state, person) = (&desk.state, &desk.person);
    let key = parse(&key)?;
    let lease = match read(state, person, &key).await {
        Err(unknown @ WebError::NotFound(_)) => return group_of(&desk, &key).await.ok_or(unknown),
        found => found?,
    };
    let now = state.clock.now();
    let card = card(&desk, &*state.prices().await?, &lease, now);
    let directory = state.index.directory();
    let others: Vec<_> = directory
        .of(&person.account)
        .filter(|user| user.user != lease.owner)
        .map(|user| context! { id => user.user.as_str(), name => clean(&user.name) })
        .collect();
    let resource = state.index.resource(&lease.key());
    let facts = resource.as_ref().map(|resource| &resource.facts);
    let tags: Vec<_> =
        facts.iter().flat_map(|facts| &facts.tags).map(|(key, value)| (clean(key), clean(value))).collect();
    let trigger = serde_json::to_string_pretty(&lease.trigger).unwrap_or_default();
    let mine = lease.owner == person.user;
    let offered = lease.offered_to.as_ref() == Some(&person.user);
    // Where it is listed for its reader: the menu and the way back say the same.
    let here = if mine || offered || !person.is_admin() { "leases" } else { "all" };
    let values = context! {
        here,
        lease => card,
        story => story::of(state, &lease).await?,
        trigger => if lease.trigger.is_null() { String::new() } else { trigger },
        tags,
        facts => facts.map(|facts| context! {
            state => facts.state.as_str(),
            launched => facts.launch_time.map(utc),
            image => facts.image_id.as_deref().map(clean),
            vpc => facts.vpc_id.as_deref().map(clean),
            key => facts.key_name.as_deref().map(clean),
            managed => facts.managed_by.as_ref().map(|by| format!("{} {}", by.kind.replace('_', " "), clean(&by.name))),
        }),
        stack_link => facts.and_then(super::card::stack_of).map(|name| {
            format!("/all?{}", form_urlencoded::Serializer::new(String::new()).append_pair("stack", &name).finish())
        }),
        group => super::group::Block::of(&lease, facts),
        others,
        mine,
        offered,
        admin => person.is_admin(),
        first_seen => utc(lease.first_seen),
        exempted => lease.exemption.as_ref().is_some_and(|it| it.until > now),
        in_a_fortnight => now.plus(14 * 86_400).to_string().chars().take(10).collect::<String>(),
        terminates => lease.agreed_end(facts) == crate::model::Action::Terminate,
    };
    desk.show(here, &clean(&lease.summary.name), "lease.html", values)
}

/// A member of a group has no lease of its own: who may see its group's is led to that.
async fn group_of(desk: &Desk, key: &LeaseKey) -> Option<Response> {
    let member = desk.state.index.resource(key).filter(|member| member.account == desk.person.account)?;
    let group = desk.state.index.cover(&member)?.key;
    read(&desk.state, &desk.person, &group).await.ok()?;
    let text = format!("{} is a member of this group, whose lease stands for it.", key.resource_id);
    Some(go(&desk.site, &format!("/leases/{group}"), true, &text))
}

/// `POST /leases/{key}/{act}`: the person's own request.
pub(super) async fn act(
    axum::extract::State(state): axum::extract::State<State>,
    Path((key, word)): Path<(String, String)>,
    act: Act,
) -> Result<Response, WebError> {
    let key = parse(&key)?;
    if matches!(word.as_str(), "exempt" | "unexempt") {
        return exempt(&state, &act, &key, &word).await;
    }
    read(&state, &act.person, &key).await?;
    let now = state.clock.now();
    let action = match word.as_str() {
        "renew" => Wish::Renew,
        "end" => Wish::End,
        "terminate" => Wish::Terminate,
        "not-mine" => Wish::NotMine,
        "hand-over" => Wish::HandOver,
        "accept" => Wish::Accept,
        "revive" => Wish::Revive,
        _ => return Err(WebError::NotFound("there is no such thing to ask for".to_owned())),
    };
    let until = until(&act, action, now)?;
    let to = match action {
        Wish::HandOver => Some(UserId::parse(act.fields.get("to")).map_err(|_| invalid("choose who gets it"))?),
        _ => None,
    };
    let (account, user) = (act.person.account.clone(), act.person.user.clone());
    let session = act.person.session(&state).await?;
    let asked = Asked { account, user, lease: key.clone(), action, until, to, at: now };
    let told = ask(&state.store, &session, &asked).await?;
    let (good, text) = told.named(&state, &act.person.account).sentence();
    let gone = good && (action == Wish::NotMine && !act.person.is_admin());
    let back = if gone || act.fields.get("back") == "leases" { "/leases".to_owned() } else { format!("/leases/{key}") };
    Ok(if good { act.done(&back, &text) } else { act.failed(&back, &text) })
}

/// An admin's word that it does not end for now, or that it may end again.
async fn exempt(state: &State, act: &Act, key: &LeaseKey, word: &str) -> Result<Response, WebError> {
    act.person.admin()?;
    read(state, &act.person, key).await?;
    let back = format!("/leases/{key}");
    let order = match Order::read(state, act, word) {
        Ok(order) => order,
        Err(why) => return Ok(act.failed(&back, &why)),
    };
    order.carry_out(state, act, key).await?;
    let text = match &order {
        Order::Exempt(_, until) => format!("It is exempt until {}.", utc(*until)),
        _ => "It is not exempt any more. It ends only after its owner had notice again.".to_owned(),
    };
    Ok(act.done(&back, &text))
}

fn until(act: &Act, action: Wish, now: Time) -> Result<Option<Time>, WebError> {
    if !matches!(action, Wish::Renew | Wish::Revive) || act.fields.get("for").is_empty() {
        return Ok(None);
    }
    let seconds = act.fields.get("for").parse::<i64>().ok().filter(|seconds| *seconds > 0);
    let seconds = seconds.ok_or_else(|| invalid("choose for how long"))?;
    Ok(Some(now.plus(seconds)))
}

pub(super) fn parse(key: &str) -> Result<LeaseKey, WebError> {
    LeaseKey::parse(key).map_err(|_| unknown())
}

/// The lease as that person sees it, or as it was offered to them.
pub(super) async fn read(state: &State, person: &Person, key: &LeaseKey) -> Result<Lease, WebError> {
    if let Some(doc) = super::edit::read(state, person, &key.lease_id()).await? {
        return serde_json::from_value(doc.body).map_err(|why| WebError::Internal(why.into()));
    }
    let offered = state.store.get::<Lease>(&key.lease_id()).await?.map(|doc| doc.body);
    let theirs = |lease: &Lease| lease.account == person.account && lease.offered_to.as_ref() == Some(&person.user);
    offered.filter(theirs).ok_or_else(unknown)
}

fn unknown() -> WebError {
    WebError::NotFound("there is no such lease, or it is not yours".to_owned())
}

fn invalid(what: &str) -> WebError {
    WebError::Invalid(what.to_owned())
}
