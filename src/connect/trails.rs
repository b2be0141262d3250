//! Whether a trail of CloudTrail logs where instances are: without one EventBridge tells changes of state alone, and of no
//! launcher. Worth knowing, and never a reason to refuse an AWS account.

use super::permissions::{AT_ONCE, Found, judged};
use super::report::{Allowed, Check};
use crate::aws::{Aws, AwsError, Trail};
use crate::model::{AwsAccount, Region};
use futures_util::StreamExt as _;

const TRAIL: &str = "A trail of CloudTrail logs";
/// Regions that a sentence names.
const NAMED: usize = 6;

/// The actions that are asked for this alone.
pub(super) const ACTIONS: [&str; 2] = ["cloudtrail:DescribeTrails", "cloudtrail:GetTrailStatus"];

/// What CloudTrail said in a region.
#[derive(Debug)]
pub(super) struct Told {
    region: Region,
    /// How many trails bear on it.
    listed: Result<usize, AwsError>,
    /// The status of one; absent when there was none to ask.
    status: Option<Result<bool, AwsError>>,
    /// One that logs.
    logging: Option<Trail>,
}

impl Told {
    fn trouble(&self) -> Option<&AwsError> {
        let status = self.status.as_ref().and_then(|status| status.as_ref().err());
        self.listed.as_ref().err().or(status).filter(|_| self.logging.is_none())
    }
}

/// Asks in these regions; in the first alone, when a trail of all regions logs there.
pub(super) async fn ask(aws: &Aws, body: &AwsAccount, regions: Vec<Region>) -> Vec<Told> {
    let mut regions = regions.into_iter();
    let Some(first) = regions.next() else { return Vec::new() };
    let mut all = vec![ask_in(aws, body, first).await];
    if !all[0].logging.as_ref().is_some_and(|trail| trail.everywhere) {
        let asked = futures_util::stream::iter(regions).map(|region| ask_in(aws, body, region));
        all.extend(asked.buffered(AT_ONCE).collect::<Vec<_>>().await);
    }
    all
}

async fn ask_in(aws: &Aws, body: &AwsAccount, region: Region) -> Told {
    let mut told = Told { region, listed: Ok(0), status: None, logging: None };
    let trails = match aws.trails(body, &told.region).await {
        Ok(trails) => trails,
        Err(why) => return Told { listed: Err(why), ..told },
    };
    told.listed = Ok(trails.len());
    for trail in trails {
        let status = aws.is_logging(body, &told.region, &trail.arn).await;
        if matches!(status, Ok(true)) {
            return Told { status: Some(status), logging: Some(trail), ..told };
        }
        // That one could not be asked is not forgotten for another that does not log.
        told.status = told.status.filter(Result::is_err).or(Some(status));
    }
    told
}

/// Whether the two actions are allowed.
pub(super) fn permitted(told: &[Told]) -> [(&'static str, Found); 2] {
    let unproven = |why: &str| Found { allowed: Allowed::Unproven, why: why.to_owned() };
    let listed = told.iter().find(|it| it.listed.is_ok()).or(told.first());
    let listed = listed.map_or_else(
        || unproven("no region can be read to try it in"),
        |it| judged(it.listed.as_ref().map(|all| format!("{all} trails are listed in {}", it.region)), "the call"),
    );
    let all = || told.iter().filter_map(|it| it.status.as_ref());
    let status = all().find(|status| status.is_ok()).or(all().next()).map(Result::as_ref);
    let status = status.map_or_else(
        || unproven("there is no trail to try it on"),
        |status| judged(status.map(|_| "a trail's status was read".to_owned()), "the call"),
    );
    let [describe, get] = ACTIONS;
    [(describe, listed), (get, status)]
}

/// In a sentence or two.
pub(super) fn check(told: &[Told]) -> Check {
    if told.is_empty() {
        return Check::note(TRAIL, "Not known: no region can be read to ask in.");
    }
    if let Some(trail) = told.iter().find_map(|it| it.logging.as_ref().filter(|trail| trail.everywhere)) {
        return Check::good(TRAIL, format!("{} logs in every region.", trail.name));
    }
    let silent: Vec<&Region> =
        told.iter().filter(|it| it.logging.is_none() && it.trouble().is_none()).map(|it| &it.region).collect();
    let unknown: Vec<&Told> = told.iter().filter(|it| it.trouble().is_some()).collect();
    let named = told.iter().filter_map(|it| Some(format!("{} logs in {}", it.logging.as_ref()?.name, it.region)));
    let mut said: Vec<String> = named.take(NAMED).map(|what| format!("{what}.")).collect();
    if silent.is_empty() && unknown.is_empty() {
        return Check::good(TRAIL, said.join(" "));
    }
    if !silent.is_empty() {
        said.push(format!(
            "None is logging in {}: of launches there EventBridge tells only changes of state, and not who launched. Where \
             events are to be used, create a trail of management events.",
            list(&silent)
        ));
    }
    if let Some(why) = unknown.first().and_then(|it| it.trouble()) {
        let regions: Vec<&Region> = unknown.iter().map(|it| &it.region).collect();
        let why = match why {
            AwsError::Denied { action, .. } => format!("access denied to {action}"),
            other => other.to_string(),
        };
        said.push(format!("Not provable in {}: {why}.", list(&regions)));
    }
    Check::note(TRAIL, said.join(" "))
}

fn list(regions: &[&Region]) -> String {
    let named: Vec<&str> = regions.iter().take(NAMED).map(|region| region.as_str()).collect();
    let more = regions.len() - named.len();
    let named = named.join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}
