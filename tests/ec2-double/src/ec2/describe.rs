//! DescribeInstances: by instance, in pages, or by id.

use super::page::{self, Cursor};
use super::render::{self, Reservations};
use super::{Filters, dry_run, find};
use crate::faults::Gaps;
use crate::protocol::{Form, Refusal, Xml};
use crate::world::{Instance, Lifecycle, Site};

/// The filters that the double has; EC2 has more. Another name is refused, never ignored.
const FILTERS: [&str; 18] = [
    "availability-zone",
    "image-id",
    "instance-id",
    "instance-lifecycle",
    "instance-state-code",
    "instance-state-name",
    "instance-type",
    "key-name",
    "launch-time",
    "owner-id",
    "reservation-id",
    "root-device-type",
    "spot-instance-request-id",
    "subnet-id",
    "tag-key",
    "tag-value",
    "tag:",
    "vpc-id",
];

pub(super) fn instances(site: &mut Site<'_>, form: &Form, gaps: Gaps) -> Result<String, Refusal> {
    let ids = form.list("InstanceId");
    let (cursor, size) = page::read(form, !ids.is_empty(), "instancesSet")?;
    let filters = Filters::parse(form, &FILTERS)?;
    let named = find(site.region, &ids)?;
    dry_run(form)?;
    // A later page goes on with a look that has begun.
    if cursor.page == 1 {
        site.look(|number| named.is_empty() || named.contains(&number));
    }
    if gaps.empty_page && named.is_empty() {
        return Ok(format!("<reservationSet/><nextToken>{}</nextToken>", cursor.again()));
    }
    let mut page = Page { site, filters: &filters, gaps, found: 0, out: Reservations::new(site.account, gaps.no_tags) };
    if named.is_empty() {
        let next = page.fill(cursor, size);
        let mut xml = page.out.finish();
        xml.optional("nextToken", next.as_deref());
        return Ok(xml.finish());
    }
    for instance in named.iter().filter_map(|&number| page.site.region.instances.at(number)) {
        page.offer(instance);
    }
    Ok(page.out.finish().finish())
}

struct Page<'a> {
    site: &'a Site<'a>,
    filters: &'a Filters,
    gaps: Gaps,
    found: usize,
    out: Reservations,
}

impl Page<'_> {
    /// Takes instances until the page is full; answers the token for what is left.
    fn fill(&mut self, cursor: Cursor, size: usize) -> Option<String> {
        let site = self.site;
        let mut last = cursor.after;
        for instance in site.region.instances.after(cursor.after) {
            if self.found == size {
                return Some(cursor.next(last, 0));
            }
            self.offer(instance);
            last = instance.number;
        }
        None
    }

    fn offer(&mut self, instance: &Instance) {
        if !self.filters.is_empty() && !self.filters.accept(|name, test| has(self.site.account, instance, name, test)) {
            return;
        }
        self.found += 1;
        if !dropped(self.found, self.gaps.dropped) {
            self.out.push(instance);
        }
    }
}

/// Whether the `index`th instance of an answer is among the share of a hundred that is left out: evenly spread.
fn dropped(index: usize, share: u8) -> bool {
    let share = usize::from(share);
    (index * share) / 100 != ((index - 1) * share) / 100
}

fn has(owner: &str, instance: &Instance, name: &str, test: &dyn Fn(&str) -> bool) -> bool {
    let spec = &instance.spec;
    let optional = |value: Option<&str>| value.is_some_and(test);
    let placed = !instance.state.is_ending();
    match name {
        "availability-zone" => test(&instance.zone),
        "image-id" => test(&spec.image),
        "instance-id" => test(&instance.id),
        "instance-lifecycle" => spec.lifecycle != Lifecycle::OnDemand && test("spot"),
        "instance-state-code" => test(instance.state.code()),
        "instance-state-name" => test(instance.state.name()),
        "instance-type" => test(&spec.instance_type),
        "key-name" => optional(spec.key_name.as_deref()),
        "launch-time" => test(&crate::protocol::date(instance.launched)),
        "owner-id" => test(owner),
        "reservation-id" => test(&instance.reservation),
        "root-device-type" => test(spec.root_device.name()),
        "spot-instance-request-id" => optional(instance.spot_request.as_deref()),
        "subnet-id" => placed && test(&spec.subnet),
        "vpc-id" => placed && test(&spec.vpc),
        _ => Filters::tagged(&spec.tags, name, test),
    }
}

/// The `reservationSet` of one reservation of new instances lies open in RunInstances: the same items, not wrapped.
pub(super) fn reservation(site: &Site<'_>, reservation: &str) -> String {
    let mut xml = Xml::default();
    let launched = site.region.instances.after(0).filter(|instance| &*instance.reservation == reservation);
    render::open(&mut xml, site.account, reservation);
    for instance in launched {
        render::instance(&mut xml, instance, false);
    }
    xml.raw("</instancesSet>");
    xml.finish()
}

#[cfg(test)]
mod tests {
    use super::dropped;

    #[test]
    fn the_share_that_is_dropped_is_exact_and_spread() {
        let count = |share| (1..=1000).filter(|&index| dropped(index, share)).count();
        assert_eq!([count(0), count(1), count(30), count(100)], [0, 10, 300, 1000]);
        assert_eq!((1..=10).filter(|&index| dropped(index, 50)).count(), 5);
    }
}
