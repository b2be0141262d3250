//! `DescribeSpotInstanceRequests` and `CancelSpotInstanceRequests`.

use super::{Filters, dry_run, page, render};
use crate::protocol::{Form, Refusal, Xml};
use crate::world::{Region, Site, SpotRequest, SpotState};

pub(super) fn describe(site: &Site<'_>, form: &Form) -> Result<String, Refusal> {
    let ids = form.list("SpotInstanceRequestId");
    let (cursor, size) = page::read(form, !ids.is_empty(), "spotInstanceRequestIdsSet")?;
    let filters = Filters::parse(
        form,
        &["instance-id", "spot-instance-request-id", "state", "tag-key", "tag-value", "tag:", "type"],
    )?;
    find(site.region, &ids)?;
    dry_run(form)?;
    let mut xml = Xml::default();
    let mut next = None;
    xml.within("spotInstanceRequestSet", |xml| {
        let requests = site.region.requests.values().filter(|request| {
            let has = |name: &str, test: &dyn Fn(&str) -> bool| match name {
                "instance-id" => test(&request.instance),
                "spot-instance-request-id" => test(&request.id),
                "state" => test(request.state.name()),
                "type" => test(request.kind()),
                _ => Filters::tagged(&request.tags, name, test),
            };
            (ids.is_empty() || ids.contains(&request.id.as_str())) && filters.accept(has)
        });
        let mut rest = (0u64..).zip(requests).skip_while(|(index, _)| *index < cursor.after).peekable();
        for (_, request) in rest.by_ref().take(size) {
            xml.within("item", |xml| write(xml, site, request));
        }
        next = rest.peek().map(|(index, _)| cursor.next(*index, 0));
    });
    xml.optional("nextToken", next.as_deref());
    Ok(xml.finish())
}

fn write(xml: &mut Xml, site: &Site<'_>, request: &SpotRequest) {
    xml.text("spotInstanceRequestId", &request.id);
    xml.text("type", request.kind());
    xml.text("state", request.state.name());
    xml.within("status", |xml| {
        xml.text("code", request.status());
        xml.date("updateTime", request.created);
        xml.text("message", request.status());
    });
    xml.within("launchSpecification", |xml| {
        xml.text("imageId", &request.spec.image);
        xml.text("instanceType", &request.spec.instance_type);
    });
    if request.state != SpotState::Open {
        xml.text("instanceId", &request.instance);
        let zone = site.region.instances.get(&request.instance).map(|instance| &*instance.zone);
        xml.optional("launchedAvailabilityZone", zone);
    }
    xml.date("createTime", request.created);
    xml.text("productDescription", "Linux/UNIX");
    render::tags(xml, &request.tags);
    xml.text("instanceInterruptionBehavior", if request.persistent { "stop" } else { "terminate" });
}

/// Cancelling leaves the instance as it is; nothing is launched in its place any more.
pub(super) fn cancel(site: &mut Site<'_>, form: &Form) -> Result<String, Refusal> {
    let ids = form.list("SpotInstanceRequestId");
    if ids.is_empty() {
        return Err(Refusal::missing("SpotInstanceRequestId"));
    }
    find(site.region, &ids)?;
    dry_run(form)?;
    let mut xml = Xml::default();
    xml.within("spotInstanceRequestSet", |xml| {
        for id in &ids {
            let Some(request) = site.region.requests.get_mut(*id) else { continue };
            if request.state != SpotState::Closed {
                request.state = SpotState::Cancelled;
            }
            xml.within("item", |xml| {
                xml.text("spotInstanceRequestId", id);
                xml.text("state", request.state.name());
            });
        }
    });
    Ok(xml.finish())
}

/// Refuses a call that names a request which is not there.
pub(super) fn find(region: &Region, ids: &[&str]) -> Result<(), Refusal> {
    match ids.iter().find(|id| !region.requests.contains_key(**id)) {
        None => Ok(()),
        Some(id) => {
            let message = format!("The spot instance request ID '{id}' does not exist");
            Err(Refusal::bad("InvalidSpotInstanceRequestID.NotFound", message))
        }
    }
}
