//! Connecting an AWS account, step by step: its name, the role to apply there, the proof that it works. The same page serves one
//! that is connected: to verify it again, to rotate its external id, to take leave.

use super::super::{Fields, WebError};
use super::aws::word;
use super::desk::{AdminAct, AdminDesk};
use crate::connect::{Access, Allowed, Ends, Kind, Options, Report, Rotation, Stands};
use crate::model::{AwsId, Region};
use crate::words::clean;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use minijinja::{Value, context};

/// `GET /aws-accounts/new`.
pub(super) async fn new(desk: AdminDesk) -> Result<Response, WebError> {
    form(&desk, "", "", "", "").await
}

async fn form(desk: &AdminDesk, name: &str, aws_id: &str, regions: &str, mistake: &str) -> Result<Response, WebError> {
    let begun = desk.state.connections.get()?.begun(&desk.person.account).await?;
    let begun: Vec<Value> =
        begun.iter().map(|one| context! { aws_id => one.aws_id.as_str(), name => clean(&one.name) }).collect();
    let values = context! { name, aws_id, regions, mistake, begun };
    desk.show("aws", "Connect an AWS account", "aws_new.html", values)
}

/// Characters of a name, as it is kept.
const LONGEST_NAME: usize = 80;

/// `POST /aws-accounts/new`: fields `name`, `aws_id`, `regions`.
pub(super) async fn begin(act: AdminAct) -> Result<Response, WebError> {
    let (desk, fields) = (&act.desk, &act.fields);
    let (name, said, names) = (fields.get("name"), fields.get("aws_id"), fields.get("regions"));
    let again = async |mistake: &str| form(desk, name, said, names, mistake).await;
    let digits: String = said.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').collect();
    let Ok(aws_id) = AwsId::parse(&digits) else {
        return again("The number of an AWS account has 12 digits; the AWS console shows it at the top right.").await;
    };
    let regions = match regions_of(names) {
        Ok(regions) => regions,
        Err(bad) => return again(&format!("{} is no region; write us-east-1.", clean(&bad))).await,
    };
    if name.chars().count() > LONGEST_NAME {
        return again(&format!("A name has at most {LONGEST_NAME} characters; this one has {}.", name.chars().count()))
            .await;
    }
    let connect = desk.state.connections.get()?;
    match connect.begin(&desk.person.account, &aws_id, name, regions).await.map_err(WebError::from) {
        Ok(_) => Ok(axum::response::Redirect::to(&format!("/aws-accounts/{aws_id}/setup")).into_response()),
        Err(WebError::Invalid(why)) => again(&super::super::error::sentence(&why)).await,
        Err(other) => Err(other),
    }
}

/// Names apart by spaces or commas; the first that is none.
pub(super) fn regions_of(text: &str) -> Result<Vec<Region>, String> {
    let mut regions = Vec::new();
    for name in text.split([' ', ',', '\n', '\r', '\t']).filter(|name| !name.is_empty()) {
        match Region::parse(name) {
            Ok(region) if !regions.contains(&region) => regions.push(region),
            Ok(_) => {}
            Err(_) => return Err(name.to_owned()),
        }
    }
    Ok(regions)
}

/// What the address asks for.
struct Asked {
    kind: Kind,
    options: Options,
}

impl Asked {
    fn read(desk: &AdminDesk, aws_id: &AwsId, query: &Fields) -> Asked {
        let tags = match query.get("tags") {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        };
        Asked {
            kind: Kind::parse(query.get("kind")).unwrap_or(Kind::CloudFormation),
            options: Options { ends: Ends::parse(query.get("ends")), tags, owner_tag: owner_tag(desk, aws_id) },
        }
    }
}

fn owner_tag(desk: &AdminDesk, aws_id: &AwsId) -> String {
    desk.state.index.directory().policy(&desk.person.account, aws_id, None).owner_tag
}

fn named(aws_id: &str) -> Result<AwsId, WebError> {
    AwsId::parse(aws_id).map_err(|_| WebError::NotFound("there is no such AWS account here".to_owned()))
}

/// `GET /aws-accounts/{aws_id}/setup?kind=&ends=&tags=`.
pub(super) async fn setup(
    desk: AdminDesk,
    Path(aws_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    let aws_id = named(&aws_id)?;
    let asked = Asked::read(&desk, &aws_id, &Fields::read(query.unwrap_or_default().as_bytes()));
    show(&desk, &aws_id, &asked, None, "").await
}

/// `GET /aws-accounts/{aws_id}/template?kind=&ends=&tags=`: the file.
pub(super) async fn template(
    desk: AdminDesk,
    Path(aws_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    let aws_id = named(&aws_id)?;
    let Asked { kind, options } = Asked::read(&desk, &aws_id, &Fields::read(query.unwrap_or_default().as_bytes()));
    let connect = desk.state.connections.get()?;
    let template = connect.template(&desk.person.account, &aws_id, kind, &options).await?;
    let name = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", template.file));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    let name = name.unwrap_or(HeaderValue::from_static("attachment"));
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], template.text).into_response())
}

/// `POST /aws-accounts/{aws_id}/verify`: fields `role_arn`, and `kind`, `ends` and `tags` of the template that stays chosen.
pub(super) async fn verify(Path(aws_id): Path<String>, act: AdminAct) -> Result<Response, WebError> {
    let (desk, aws_id) = (&act.desk, named(&aws_id)?);
    let (role, owner_tag) = (Some(act.fields.get("role_arn")), owner_tag(desk, &aws_id));
    let connect = desk.state.connections.get()?;
    let verified = connect.verify(&desk.person.account, &aws_id, role, &owner_tag, &desk.person.gateway_name()).await;
    let verified = verified.map_err(WebError::from);
    let asked = Asked::read(desk, &aws_id, &act.fields);
    match verified {
        Ok(report) => show(desk, &aws_id, &asked, Some(&report), "").await,
        Err(WebError::Invalid(why)) => show(desk, &aws_id, &asked, None, &super::super::error::sentence(&why)).await,
        Err(other) => Err(other),
    }
}

/// `POST /aws-accounts/{aws_id}/rotate`.
pub(super) async fn rotate(Path(aws_id): Path<String>, act: AdminAct) -> Result<Response, WebError> {
    let (desk, aws_id) = (&act.desk, named(&aws_id)?);
    let back = format!("/aws-accounts/{aws_id}/setup");
    let by = desk.person.gateway_name();
    let rotated = desk.state.connections.get()?.rotate(&desk.person.account, &aws_id, &by).await;
    match rotated.map_err(WebError::from) {
        Ok(_) => Ok(desk.done(&back, "There is a new external id. Apply the template, which names both, then verify.")),
        Err(WebError::Invalid(why)) => Ok(desk.failed(&back, &super::super::error::sentence(&why))),
        Err(other) => Err(other),
    }
}

/// `GET /aws-accounts/{aws_id}/remove`: what it would do.
pub(super) async fn ask_remove(desk: AdminDesk, Path(aws_id): Path<String>) -> Result<Response, WebError> {
    let aws_id = named(&aws_id)?;
    let access = desk.state.connections.get()?.find(&desk.person.account, &aws_id).await?;
    let directory = desk.state.index.lease_rows();
    let leases = directory.iter().filter(|row| row.key.aws_id == aws_id && row.is_live()).count();
    let values = context! {
        aws_id => aws_id.as_str(), name => clean(&access.name), connected => access.connected,
        disabled => access.disabled, leases => if access.connected { leases } else { 0 },
        role => access.role_arn.as_deref().map(clean),
    };
    desk.show("aws", "Remove an AWS account", "aws_remove.html", values)
}

/// `POST /aws-accounts/{aws_id}/remove`.
pub(super) async fn remove(Path(aws_id): Path<String>, act: AdminAct) -> Result<Response, WebError> {
    let (desk, aws_id) = (&act.desk, named(&aws_id)?);
    let by = desk.person.gateway_name();
    let removed = desk.state.connections.get()?.remove(&desk.person.account, &aws_id, &by).await;
    match removed.map_err(WebError::from) {
        Ok(()) => Ok(desk.done("/aws-accounts", &format!("{aws_id} is removed. Nothing was ended there."))),
        Err(WebError::Invalid(why)) => {
            Ok(desk.failed(&format!("/aws-accounts/{aws_id}/remove"), &super::super::error::sentence(&why)))
        }
        Err(other) => Err(other),
    }
}

async fn show(
    desk: &AdminDesk,
    aws_id: &AwsId,
    asked: &Asked,
    report: Option<&Report>,
    mistake: &str,
) -> Result<Response, WebError> {
    let connect = desk.state.connections.get()?;
    let access = connect.find(&desk.person.account, aws_id).await?;
    let template = connect.template(&desk.person.account, aws_id, asked.kind, &asked.options).await?;
    let ends = asked.options.ends.unwrap_or(access.ends);
    let tags = asked.options.tags.unwrap_or(access.tags);
    let kinds = [(Kind::CloudFormation, "CloudFormation"), (Kind::Terraform, "Terraform"), (Kind::Cli, "Command line")];
    let kinds: Vec<Value> = kinds
        .into_iter()
        .map(|(kind, label)| context! { word => kind.word(), label, on => kind == asked.kind })
        .collect();
    let values = context! {
        aws_id => aws_id.as_str(), name => clean(&access.name), mistake, kinds,
        kind => asked.kind.word(), ends => ends.word(), tags => if tags { "yes" } else { "no" },
        connected => access.connected, disabled => access.disabled, own => access.role_arn.is_none(),
        role => access.role_arn.as_deref().map(clean),
        external_id => access.external_id.as_deref().map(clean), rotation => rotation(&access),
        template => template.text, command => template.command, file => template.file,
        stage => stage(desk, aws_id),
        report => report.map(shown),
    };
    let title = if access.connected { "Access" } else { "Connect an AWS account" };
    desk.show("aws", title, "aws_setup.html", values)
}

fn stage(desk: &AdminDesk, aws_id: &AwsId) -> &'static str {
    let directory = desk.state.index.directory();
    directory.aws_accounts.get(aws_id).map_or("observe", |aws| word(aws.stage))
}

fn rotation(access: &Access) -> &'static str {
    match access.rotation {
        None => "",
        Some(Rotation::Begun) => "begun",
        Some(Rotation::Ending) => "ending",
    }
}

/// A report in the words and colours of the page.
fn shown(report: &Report) -> Value {
    let checks: Vec<Value> = report
        .checks
        .iter()
        .map(|check| {
            let (tone, mark) = match check.stands {
                Stands::Good => ("good", "in order"),
                Stands::Bad => ("bad", "to be mended"),
                Stands::Note => ("warn", "note"),
            };
            context! { tone, mark, what => &check.what, said => clean(&check.said), paste => &check.paste }
        })
        .collect();
    let permissions: Vec<Value> = report
        .permissions
        .iter()
        .map(|it| {
            let (tone, mark) = match (it.allowed, it.needed) {
                (Allowed::Proven, _) => ("good", "proven"),
                (Allowed::Missing, true) => ("bad", "missing"),
                (Allowed::Denied, true) => ("bad", "denied"),
                (Allowed::Missing, false) => ("calm", "not granted"),
                (Allowed::Denied, false) => ("calm", "denied"),
                (Allowed::Unproven, _) => ("calm", "not provable here"),
            };
            let for_later = !it.needed && it.allowed == Allowed::Missing;
            context! {
                action => &it.action, tone, mark, why => clean(&it.why), add => &it.add, needed => it.needed,
                later => for_later.then(|| later(&it.policy)),
            }
        })
        .collect();
    let regions: Vec<Value> = report
        .regions
        .iter()
        .map(|it| {
            let tone = match it.state.as_str() {
                "read" => "good",
                "denied" => "calm",
                _ => "bad",
            };
            context! { region => &it.region, state => &it.state, tone, why => clean(&it.why) }
        })
        .collect();
    context! {
        bad => report.is_bad(), refused => report.is_refused(), missing => report.missing(), new => report.new,
        connected => report.connected, checks, permissions, regions,
    }
}

/// When a policy that is not needed yet will be.
fn later(policy: &str) -> &'static str {
    match policy {
        "see" => "Without it nobody can say whether a trail of CloudTrail logs.",
        "stop" => "Not needed before stage stop.",
        "terminate" => "Not needed before stage terminate.",
        "tag" => "Not needed while zerocloud writes no tags here.",
        "launches" => "Not needed while aws.lookup_launches is off in zerocloud's settings.",
        _ => "Not needed as things stand.",
    }
}
