//! `DescribeVolumes`: root volumes in use, read off their instances, and those left behind.

use super::{Filters, dry_run, page};
use crate::protocol::{Form, Refusal, Xml};
use crate::world::{Instance, RootDevice, Site, State, Volume};

pub(super) fn describe(site: &Site<'_>, form: &Form) -> Result<String, Refusal> {
    let ids = form.list("VolumeId");
    let (cursor, size) = page::read(form, !ids.is_empty(), "volumeSet")?;
    let filters = Filters::parse(form, &["attachment.instance-id", "availability-zone", "status", "volume-id"])?;
    dry_run(form)?;
    let in_use = site
        .region
        .instances
        .after(0)
        .filter(|instance| instance.spec.root_device == RootDevice::Ebs && instance.state != State::Terminated);
    let mut volumes: Vec<(String, Kind<'_>)> =
        in_use.map(|instance| (instance.volume(), Kind::InUse(instance))).collect();
    volumes.extend(site.region.volumes.iter().map(|(id, volume)| (id.clone(), Kind::Left(volume))));
    if let Some(id) = ids.iter().find(|id| !volumes.iter().any(|(is, _)| is == *id)) {
        return Err(Refusal::bad("InvalidVolume.NotFound", format!("The volume '{id}' does not exist.")));
    }
    volumes.retain(|(id, kind)| {
        let has = |name: &str, test: &dyn Fn(&str) -> bool| match name {
            "volume-id" => test(id),
            "status" => test(kind.status()),
            "availability-zone" => test(kind.zone()),
            _ => kind.instance().is_some_and(|instance| test(&instance.id)),
        };
        (ids.is_empty() || ids.contains(&id.as_str())) && filters.accept(has)
    });
    let begin = usize::try_from(cursor.after).unwrap_or(usize::MAX);
    let mut xml = Xml::default();
    xml.within("volumeSet", |xml| {
        for (id, kind) in volumes.iter().skip(begin).take(size) {
            xml.within("item", |xml| kind.write(xml, id));
        }
    });
    if begin.saturating_add(size) < volumes.len() {
        xml.text("nextToken", &cursor.next(cursor.after + size as u64, 0));
    }
    Ok(xml.finish())
}

enum Kind<'a> {
    InUse(&'a Instance),
    Left(&'a Volume),
}

impl Kind<'_> {
    fn instance(&self) -> Option<&Instance> {
        match self {
            Self::InUse(instance) => Some(instance),
            Self::Left(_) => None,
        }
    }

    fn status(&self) -> &'static str {
        if self.instance().is_some() { "in-use" } else { "available" }
    }

    fn zone(&self) -> &str {
        match self {
            Self::InUse(instance) => &instance.zone,
            Self::Left(volume) => &volume.zone,
        }
    }

    fn write(&self, xml: &mut Xml, id: &str) {
        xml.text("volumeId", id);
        xml.raw("<size>8</size><snapshotId/>");
        xml.text("availabilityZone", self.zone());
        xml.text("status", self.status());
        match self {
            Self::InUse(instance) => {
                xml.date("createTime", instance.launched);
                xml.raw("<attachmentSet><item>");
                xml.text("volumeId", id);
                xml.text("instanceId", &instance.id);
                xml.raw("<device>/dev/xvda</device><status>attached</status>");
                xml.date("attachTime", instance.launched);
                xml.flag("deleteOnTermination", !instance.spec.keep_volume);
                xml.raw("</item></attachmentSet>");
            }
            Self::Left(volume) => {
                xml.date("createTime", volume.created);
                xml.raw("<attachmentSet/>");
            }
        }
        xml.raw("<volumeType>gp3</volumeType><encrypted>false</encrypted>");
    }
}
