//! CloudTrail: `DescribeTrails` and `GetTrailStatus`. It remembers no call, so `LookupEvents` finds none.

use serde_json::{Value, json};

use crate::protocol::Refusal;
use crate::world::Trail;

/// The trail that a call names.
pub(crate) fn named(body: &[u8]) -> Vec<String> {
    read(body)["Name"].as_str().map(str::to_owned).into_iter().collect()
}

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

pub(crate) fn run(
    (account, trails): (&str, &[Trail]),
    region: &str,
    action: &str,
    body: &[u8],
) -> Result<String, Refusal> {
    let body = read(body);
    let arn = |trail: &Trail| format!("arn:aws:cloudtrail:{}:{account}:trail/{}", trail.home, trail.name);
    // Elsewhere a trail of all regions has a shadow, which only its ARN names (CloudTrail API Reference, GetTrailStatus).
    let bears = |trail: &&Trail| trail.home == region || trail.everywhere;
    let answer = match action {
        "DescribeTrails" => {
            let shadows = body["includeShadowTrails"] != false;
            let listed = trails.iter().filter(bears).filter(|trail| shadows || trail.home == region);
            let shown = listed.map(|trail| {
                json!({
                    "Name": trail.name, "TrailARN": arn(trail), "HomeRegion": trail.home, "S3BucketName": "logs",
                    "IsMultiRegionTrail": trail.everywhere, "IsOrganizationTrail": false,
                    "IncludeGlobalServiceEvents": trail.everywhere, "LogFileValidationEnabled": false,
                    "HasCustomEventSelectors": false, "HasInsightSelectors": false,
                })
            });
            json!({ "trailList": shown.collect::<Vec<_>>() })
        }
        "GetTrailStatus" => {
            let name = body["Name"].as_str().unwrap_or_default();
            let unknown = || Refusal::bad("TrailNotFoundException", format!("Unknown trail: {name}"));
            let is_it = |trail: &&Trail| arn(trail) == name || (trail.home == region && trail.name == name);
            let trail = trails.iter().filter(bears).find(is_it).ok_or_else(unknown)?;
            json!({ "IsLogging": trail.logging })
        }
        "LookupEvents" => json!({ "Events": [] }),
        _ => return Err(Refusal::bad("UnknownOperationException", "")),
    };
    Ok(answer.to_string())
}
