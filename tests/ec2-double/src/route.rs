//! From a request to an answer: which service and action, who asks, what goes wrong, what is recorded.

mod caller;
mod delivery;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use crate::faults::{Delivery, Gaps, Target, Verdict};
use crate::protocol::{Form, Refusal, Reply, Scope, Service, succeed};
use crate::record::Call;
use crate::ses::{self, Sender};
use crate::world::{Home, Key, World};
use crate::{autoscaling, cloudtrail, control, ec2, sts};

/// What all requests and handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    stopping: CancellationToken,
}

impl Shared {
    pub(crate) fn new(home: Home, stopping: CancellationToken) -> Self {
        Self { world: Mutex::new(World::new(home)), stopping }
    }

    /// The world, for as long as the guard lives. A test that panicked with it does not take it from the others.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn service(shared: Arc<Shared>) -> Router {
    let control = control::routes();
    control.fallback(answer).layer(DefaultBodyLimit::max(16 << 20)).with_state(shared)
}

/// A request that is understood.
#[derive(Debug)]
struct Asked {
    service: Service,
    region: String,
    key: String,
    token: Option<String>,
    action: String,
    form: Form,
    body: Bytes,
}

impl Asked {
    fn ids(&self) -> Vec<String> {
        match self.service {
            Service::Ec2 => ec2::named(&self.form),
            Service::Sts => self.form.get("RoleArn").map(str::to_owned).into_iter().collect(),
            Service::AutoScaling => {
                let names = self.form.list("AutoScalingGroupNames.member");
                names.into_iter().chain(self.form.get("AutoScalingGroupName")).map(str::to_owned).collect()
            }
            Service::Ses => ses::recipients(&self.body),
            Service::CloudTrail => cloudtrail::named(&self.body),
        }
    }

    fn page(&self) -> u32 {
        if self.service == Service::AutoScaling { autoscaling::page(&self.form) } else { ec2::page(&self.form) }
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = match read(&method, &uri, &headers, body) {
        Ok(asked) => asked,
        Err((service, refusal)) => {
            let request_id = shared.world().numbers.uuid();
            return delivery::send(refusal.reply(service, &request_id), &request_id, Delivery::Whole);
        }
    };
    let arrived = arrive(&mut shared.world(), &asked);
    let verdict = arrived.verdict;
    if !verdict.delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(verdict.delay) => {}
            () = shared.stopping.cancelled() => {}
        }
    }
    if verdict.hang {
        shared.stopping.cancelled().await;
        return delivery::cut();
    }
    let mut world = shared.world();
    let request_id = world.numbers.uuid();
    let result = match (arrived.caller, verdict.refusal) {
        (Err(refusal), _) | (Ok(_), Some(refusal)) => Err(refusal),
        (Ok(caller), None) => run(&mut world, &caller, &asked, verdict.gaps),
    };
    let reply = match result {
        Ok(inside) => succeed(asked.service, &asked.action, &request_id, &inside),
        Err(refusal) => refusal.reply(asked.service, &request_id),
    };
    world.record.answer(arrived.number, reply.status, reply.code.clone());
    drop(world);
    delivery::send(reply, &request_id, verdict.delivery)
}

/// Finds service and action; refuses what has no credentials that could be read.
fn read(method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Result<Asked, (Service, Refusal)> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let missing = || {
        let message = "Request is missing Authentication Token";
        (Service::Ec2, Refusal::new(403, "MissingAuthenticationToken", message))
    };
    let Scope { key, region, service } = header("authorization").and_then(Scope::parse).ok_or_else(missing)?;
    let token = header("x-amz-security-token").map(str::to_owned);
    let unknown = || (service, Refusal::new(404, "UnknownOperationException", ""));
    let (action, form) = match service {
        Service::Ses => {
            let action = ses::action(method.as_str(), uri.path()).ok_or_else(unknown)?;
            (action.to_owned(), Form::default())
        }
        Service::CloudTrail => {
            let target = header("x-amz-target").and_then(|target| target.rsplit('.').next());
            (target.ok_or_else(unknown)?.to_owned(), Form::default())
        }
        Service::Ec2 | Service::Sts | Service::AutoScaling => {
            let form = Form::parse(&body);
            let no_action =
                || (service, Refusal::bad("MissingAction", "The request must contain the parameter Action"));
            (form.get("Action").ok_or_else(no_action)?.to_owned(), form)
        }
    };
    Ok(Asked { service, region, key, token, action, form, body })
}

struct Arrived {
    number: u64,
    caller: Result<Key, Refusal>,
    verdict: Verdict,
}

/// Records a call and judges it.
fn arrive(world: &mut World, asked: &Asked) -> Arrived {
    let caller = caller::identify(world, asked.service, &asked.region, &asked.key, asked.token.as_deref());
    let (ids, page) = (asked.ids(), asked.page());
    let known = caller.as_ref().ok();
    let account = known.map(|key| key.account.clone()).unwrap_or_default();
    let target = Target {
        service: asked.service,
        account: &account,
        region: &asked.region,
        action: &asked.action,
        page,
        names_ids: !ids.is_empty(),
    };
    let verdict = world.rules.judge(&target);
    let call = Call {
        number: 0,
        at: world.clock.now(),
        arrived: Instant::now(),
        service: asked.service,
        region: asked.region.clone(),
        caller: known.map(|key| key.arn.clone()).unwrap_or_default(),
        action: asked.action.clone(),
        ids,
        dry_run: asked.form.flag("DryRun"),
        page,
        status: 0,
        error: None,
        account,
    };
    Arrived { number: world.record.arrive(call), caller, verdict }
}

fn run(world: &mut World, caller: &Key, asked: &Asked, gaps: Gaps) -> Result<String, Refusal> {
    let Asked { service, region, action, form, body, .. } = asked;
    caller::permit(world, caller, *service, region, action)?;
    let account = caller.account.as_str();
    match service {
        Service::Ec2 => ec2::run(world, (account, region), action, form, gaps),
        Service::Sts => sts::run(world, caller, action, form),
        Service::AutoScaling => {
            let mut site = world.site(account, region).ok_or_else(|| caller::unknown(*service))?;
            autoscaling::run(&mut site, action, form)
        }
        Service::CloudTrail => {
            let trails = world.accounts.get(account).map(|account| account.trails.as_slice()).unwrap_or_default();
            cloudtrail::run((account, trails), region, action, body)
        }
        Service::Ses => {
            let message_id = format!("{}-000000", world.numbers.uuid());
            let (account, region) = (account.to_owned(), region.clone());
            let sender = Sender { account, region, now: world.clock.now(), message_id };
            world.mail.run(action, body, sender)
        }
    }
}

impl Shared {
    /// The answer of a control call, for which no service words errors.
    pub(crate) fn plain(status: u16, body: String) -> Response {
        delivery::send(Reply { status, service: Service::Ses, body, code: None }, "", Delivery::Whole)
    }
}
