//! `CreateTags`, `DeleteTags`, `DescribeTags`, for instances and spot requests.

use std::collections::BTreeMap;

use super::{Filters, dry_run, find, page};
use crate::faults::Gaps;
use crate::protocol::{Form, Refusal, Xml};
use crate::world::Site;

/// The most tags of one resource (Tag restrictions, EC2 user guide); those of AWS do not count.
const MOST: usize = 50;

pub(super) fn create(site: &mut Site<'_>, form: &Form) -> Result<String, Refusal> {
    let resources = resources(site, form)?;
    let tags: Vec<(&str, &str)> =
        pairs(form)?.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect();
    if tags.is_empty() {
        return Err(Refusal::missing("tagSet"));
    }
    for (key, value) in &tags {
        check_key(key)?;
        if value.chars().count() > 256 {
            return Err(too_long("value", value, 256));
        }
    }
    dry_run(form)?;
    for id in &resources {
        let own = tags_of(site, id).map_or(0, |own| {
            let kept = own.keys().filter(|key| !key.starts_with("aws:") && !tags.iter().any(|(new, _)| new == key));
            kept.count() + tags.len()
        });
        if own > MOST {
            let message = format!("The maximum number of tags ({MOST}) has been reached for resource '{id}'");
            return Err(Refusal::bad("TagLimitExceeded", message));
        }
    }
    for id in &resources {
        if let Some(own) = tags_of(site, id) {
            own.extend(tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        }
    }
    Ok("<return>true</return>".to_owned())
}

/// A tag without a value goes whatever its value is; one with a value goes if it has that. Without tags, all go but those of AWS.
pub(super) fn delete(site: &mut Site<'_>, form: &Form) -> Result<String, Refusal> {
    let resources = resources(site, form)?;
    let pairs = pairs(form)?;
    for (key, _) in &pairs {
        check_key(key)?;
    }
    dry_run(form)?;
    for id in &resources {
        let Some(own) = tags_of(site, id) else { continue };
        if pairs.is_empty() {
            own.retain(|key, _| key.starts_with("aws:"));
        }
        for (key, value) in &pairs {
            if value.is_none_or(|value| own.get(*key).is_some_and(|is| is == value)) {
                own.remove(*key);
            }
        }
    }
    Ok("<return>true</return>".to_owned())
}

pub(super) fn describe(site: &Site<'_>, form: &Form, gaps: Gaps) -> Result<String, Refusal> {
    let (cursor, size) = page::read(form, false, "")?;
    let filters = Filters::parse(form, &["key", "resource-id", "resource-type", "tag:", "value"])?;
    dry_run(form)?;
    let mut xml = Xml::default();
    xml.raw("<tagSet>");
    let mut next = None;
    let mut count = 0;
    'all: for instance in site.region.instances.after(cursor.after.saturating_sub(1)) {
        let begin = if instance.number == cursor.after { cursor.within } else { 0 };
        let tags = instance.spec.tags.iter().filter(|_| !gaps.no_tags);
        for (index, (key, value)) in (0u64..).zip(tags) {
            let has = |name: &str, test: &dyn Fn(&str) -> bool| match name {
                "key" => test(key),
                "value" => test(value),
                "resource-id" => test(&instance.id),
                "resource-type" => test("instance"),
                _ => name.strip_prefix("tag:") == Some(key) && test(value),
            };
            if index < begin || !filters.accept(has) {
                continue;
            }
            if count == size {
                next = Some(cursor.next(instance.number, index));
                break 'all;
            }
            count += 1;
            xml.within("item", |xml| {
                xml.text("resourceId", &instance.id);
                xml.text("resourceType", "instance");
                xml.text("key", key);
                xml.text("value", value);
            });
        }
    }
    xml.raw("</tagSet>");
    xml.optional("nextToken", next.as_deref());
    Ok(xml.finish())
}

fn resources(site: &Site<'_>, form: &Form) -> Result<Vec<String>, Refusal> {
    let ids = form.list("ResourceId");
    if ids.is_empty() {
        return Err(Refusal::missing("resourceIdSet"));
    }
    for id in &ids {
        if id.starts_with("i-") {
            find(site.region, &[id])?;
        } else if id.starts_with("sir-") {
            super::spot::find(site.region, &[id])?;
        } else {
            return Err(Refusal::bad("InvalidID", format!("The ID '{id}' is not valid")));
        }
    }
    Ok(ids.into_iter().map(str::to_owned).collect())
}

fn tags_of<'a>(site: &'a mut Site<'_>, id: &str) -> Option<&'a mut BTreeMap<String, String>> {
    if id.starts_with("sir-") {
        return site.region.requests.get_mut(id).map(|request| &mut request.tags);
    }
    site.region.instances.get_mut(id).map(|instance| &mut instance.spec_mut().tags)
}

/// `Tag.N.Key` and `Tag.N.Value`.
fn pairs(form: &Form) -> Result<Vec<(&str, Option<&str>)>, Refusal> {
    let read = |group: &String| Ok((form.require(&format!("{group}.Key"))?, form.get(&format!("{group}.Value"))));
    form.groups("Tag").iter().map(read).collect()
}

/// Refuses keys that EC2 keeps for AWS, and those too long.
pub(super) fn check_key(key: &str) -> Result<(), Refusal> {
    if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
        let message = format!(
            "Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use"
        );
        return Err(Refusal::bad("InvalidParameterValue", message));
    }
    if key.is_empty() {
        return Err(Refusal::bad("InvalidParameterValue", "Tag key cannot be empty"));
    }
    if key.chars().count() > 128 {
        return Err(too_long("key", key, 128));
    }
    Ok(())
}

fn too_long(what: &str, text: &str, most: usize) -> Refusal {
    let message = format!("Tag {what} exceeds the maximum length of {most} characters. Tag {what}: '{text}'");
    Refusal::bad("InvalidParameterValue", message)
}
