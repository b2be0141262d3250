//! AWS accounts: what zerocloud may do in each, where it looks, whether it is paused or disabled.

use super::super::{WebError, pauses};
use super::desk::{AdminAct, AdminDesk};
use super::numbers::Row;
use super::preview::Preview;
use super::status::numbers;
use super::{pause, places};
use crate::connect::Compared;
use crate::model::{AwsAccount, Pause, Region, Stage};
use crate::words::clean;
use axum::extract::Path;
use axum::response::Response;
use minijinja::{Value, context};
use serde_json::json;

/// The word in documents.
pub(super) fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Observe => "observe",
        Stage::Notify => "notify",
        Stage::Stop => "stop",
        Stage::Terminate => "terminate",
    }
}

/// What a stage means, for people.
pub(super) fn meaning(stage: Stage) -> &'static str {
    match stage {
        Stage::Observe => "Leases are kept; nobody is written to and nothing is ended.",
        Stage::Notify => "Owners are told when their leases end; nothing is ended.",
        Stage::Stop => {
            "What nobody renews is stopped. Nothing is terminated, and no Auto Scaling group is put to sleep."
        }
        Stage::Terminate => {
            "What nobody renews is stopped, and terminated after its time stopped. Auto Scaling groups are put to sleep."
        }
    }
}

pub(super) const STAGES: [Stage; 4] = [Stage::Observe, Stage::Notify, Stage::Stop, Stage::Terminate];

fn paused(desk: &AdminDesk, pause: Option<Pause>) -> Option<Value> {
    let pause = pause?;
    let by = pause.by.split_once('.').map_or(pause.by.as_str(), |(_, user)| user);
    Some(context! { reason => clean(&pause.reason), by => clean(by), since => desk.when(pause.since) })
}

fn head(account: &AwsAccount) -> Value {
    context! {
        aws_id => account.aws_id.as_str(),
        name => clean(&account.name),
        stage => word(account.stage),
        effective => word(account.effective_stage()),
        disabled => account.disabled,
        connected => account.connected_at.is_some(),
        trouble => trouble(account),
    }
}

/// Why it cannot be read at all, when it cannot.
pub(super) fn trouble(account: &AwsAccount) -> Option<String> {
    let said = account.extra.get("trouble").filter(|_| !account.disabled)?;
    Some(clean(said.get("why").and_then(serde_json::Value::as_str).unwrap_or_default()))
}

/// `GET /aws-accounts`.
pub(super) async fn list(desk: AdminDesk) -> Result<Response, WebError> {
    let prefix = format!("aws_account::{}::", desk.person.account);
    let numbers = numbers(&desk);
    let mut rows = Vec::new();
    for doc in desk.all(&prefix).await? {
        let Ok(account) = serde_json::from_value::<AwsAccount>(doc.body) else { continue };
        let places = numbers.regions.iter().filter(|place| place.aws_id == account.aws_id);
        let (mut running, mut held, mut bad) = (0, 0, Vec::new());
        for place in places {
            running += place.count.running;
            held += place.count.held;
            if place.state == "paused" || place.polled.as_ref().is_some_and(|polled| polled.state == "failed") {
                bad.push(place.region.as_ref().map_or("all regions", Region::as_str).to_owned());
            }
        }
        let pause = pause::in_force(&desk, &pauses::id(&desk.person.account, Some(account.aws_id.as_str())));
        rows.push(context! { running, held, bad, paused => paused(&desk, pause), ..head(&account) });
    }
    let whole = paused(&desk, pause::in_force(&desk, &pauses::id(&desk.person.account, None)));
    let all = paused(&desk, pause::in_force(&desk, "pause::all"));
    let begun = desk.state.connections.get()?.begun(&desk.person.account).await?;
    let begun: Vec<Value> =
        begun.iter().map(|one| context! { aws_id => one.aws_id.as_str(), name => clean(&one.name) }).collect();
    desk.show("aws", "AWS accounts", "aws_accounts.html", context! { rows, whole, all, begun })
}

/// `GET /aws-accounts/{aws_id}`.
pub(super) async fn page(desk: AdminDesk, Path(aws_id): Path<String>) -> Result<Response, WebError> {
    let (_, account) = desk.aws_account(&aws_id).await?;
    show(&desk, &account, None)
}

fn show(desk: &AdminDesk, account: &AwsAccount, preview: Option<&Preview>) -> Result<Response, WebError> {
    let numbers = numbers(desk);
    let directory = desk.state.index.directory();
    let rows: Vec<&Row> = numbers.regions.iter().filter(|place| place.aws_id == account.aws_id).collect();
    let common = places::common(&rows);
    let places: Vec<Value> = rows
        .into_iter()
        .map(|place| {
            let region = place.region.as_ref();
            let state = region.and_then(|region| directory.regions.get(&(account.aws_id.clone(), region.clone())));
            context! {
                region => region.map_or("all regions", Region::as_str),
                count => &place.count,
                state => &place.state,
                reason => state.filter(|state| state.state != "ok").map(|state| clean(&state.reason)),
                since => state.filter(|state| state.state != "ok").map(|state| desk.when(state.since)),
                asked => state.is_some_and(|state| state.resume == Some(true)),
                polled => &place.polled,
                said => places::own(place, &common),
            }
        })
        .collect();
    let stages: Vec<Value> = STAGES
        .into_iter()
        .map(|stage| context! { word => word(stage), meaning => meaning(stage), on => stage <= account.stage })
        .collect();
    let at = STAGES.iter().position(|stage| *stage == account.stage).unwrap_or(0);
    let pause = pause::in_force(desk, &pauses::id(&desk.person.account, Some(account.aws_id.as_str())));
    let values = context! {
        aws => head(account),
        meaning => meaning(account.stage),
        stages,
        up => STAGES.get(at + 1).map(|stage| word(*stage)),
        down => at.checked_sub(1).and_then(|at| STAGES.get(at)).map(|stage| word(*stage)),
        accepted => account.stage_since().map(|since| desk.when(since)),
        pending => account.effective_stage() != account.stage,
        regions => account.regions.iter().map(Region::as_str).collect::<Vec<_>>().join(" "),
        role => account.role_arn.as_deref(),
        connected_at => account.connected_at.map(|at| desk.when(at)),
        tags => account.writes_tags(),
        places,
        common => common.iter().map(places::Common::shown).collect::<Vec<_>>(),
        paused => paused(desk, pause),
        whole => paused(desk, pause::in_force(desk, &pauses::id(&desk.person.account, None))),
        events => super::event_keys::section(desk, account),
        preview,
    };
    let name = if account.name.trim().is_empty() { account.aws_id.to_string() } else { clean(&account.name) };
    desk.show("aws", &name, "aws_account.html", values)
}

/// `POST /aws-accounts/{aws_id}/regions`: field `regions`, names apart by spaces or commas; none is every enabled one.
pub(super) async fn regions(Path(aws_id): Path<String>, act: AdminAct) -> Result<Response, WebError> {
    let desk = &act.desk;
    let (doc, account) = desk.aws_account(&aws_id).await?;
    let back = format!("/aws-accounts/{aws_id}");
    let regions = match super::connect::regions_of(act.fields.get("regions")) {
        Ok(regions) => regions,
        Err(bad) => return Ok(desk.failed(&back, &format!("{} is no region; write us-east-1.", clean(&bad)))),
    };
    let connect = desk.state.connections.get()?;
    let checked =
        match connect.check_regions(&desk.person.account, &account.aws_id, &regions).await.map_err(WebError::from) {
            Ok(Compared::Enabled) => "",
            Ok(Compared::Form) => {
                " Which are enabled there could not be read, so that only the form of the names was checked."
            }
            Err(WebError::Invalid(why)) => return Ok(desk.failed(&back, &super::super::error::sentence(&why))),
            Err(other) => return Err(other),
        };
    let what = match regions.len() {
        0 => "every enabled region".to_owned(),
        1 => "1 region".to_owned(),
        many => format!("{many} regions"),
    };
    desk.set(&doc.id, "regions", &json!(regions)).await?;
    Ok(desk.done(
        &back,
        &format!("zerocloud looks at {what} here. Where it knows instances already, it goes on looking.{checked}"),
    ))
}

/// `GET /aws-accounts/{aws_id}/enabled`: what disabling, or enabling again, would do.
pub(super) async fn ask_enabled(desk: AdminDesk, Path(aws_id): Path<String>) -> Result<Response, WebError> {
    let (_, account) = desk.aws_account(&aws_id).await?;
    let ground = super::ground::Ground::read(&desk, Some(&account.aws_id)).await?;
    let mut then = (*ground.directory).clone();
    if let Some(aws) = then.aws_accounts.get_mut(&account.aws_id) {
        aws.disabled = !account.disabled;
    }
    let preview = ground.compare(&desk, &then).await;
    show(&desk, &account, Some(&preview))
}

/// `POST /aws-accounts/{aws_id}/enabled`: field `enabled`, `yes` or `no`.
pub(super) async fn enabled(Path(aws_id): Path<String>, act: AdminAct) -> Result<Response, WebError> {
    let desk = &act.desk;
    let (doc, _) = desk.aws_account(&aws_id).await?;
    let enabled = match act.fields.get("enabled") {
        "yes" => true,
        "no" => false,
        _ => return Err(WebError::Invalid("say whether it is to be enabled".to_owned())),
    };
    desk.set(&doc.id, "disabled", &(!enabled).into()).await?;
    let text = if enabled { "Enabled: it is polled again." } else { "Disabled: it is neither polled nor acted on." };
    Ok(desk.done(&format!("/aws-accounts/{aws_id}"), text))
}

/// `POST /aws-accounts/{aws_id}/tags`: field `write`, `yes` or `no`.
pub(super) async fn tags(Path(aws_id): Path<String>, act: AdminAct) -> Result<Response, WebError> {
    let desk = &act.desk;
    let (doc, _) = desk.aws_account(&aws_id).await?;
    let write = act.fields.get("write") == "yes";
    desk.set(&doc.id, "write_tags", &write.into()).await?;
    let text =
        if write { "zerocloud writes its tags there, a few at a time." } else { "No more tags are written there." };
    Ok(desk.done(&format!("/aws-accounts/{aws_id}"), text))
}

/// `POST /aws-accounts/{aws_id}/regions/{region}/resume`: what the paused scan saw is true.
pub(super) async fn resume_region(
    Path((aws_id, region)): Path<(String, String)>,
    act: AdminAct,
) -> Result<Response, WebError> {
    let desk = &act.desk;
    desk.aws_account(&aws_id).await?;
    let back = format!("/aws-accounts/{aws_id}");
    let region = Region::parse(&region).map_err(|_| WebError::NotFound("there is no such region".to_owned()))?;
    let Some(mut doc) = desk.find(&format!("region::{aws_id}::{region}")).await? else {
        return Err(WebError::NotFound("this region is not paused".to_owned()));
    };
    doc.body["resume"] = true.into();
    desk.write(doc).await?;
    Ok(desk.done(&back, &format!("{region} goes on with its next poll: what is missing there counts as gone.")))
}
