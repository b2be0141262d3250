//! Instances as XML.

use std::sync::Arc;

use crate::protocol::Xml;
use crate::world::{Instance, Lifecycle, RootDevice, State};

/// A `reservationSet` under construction: instances of one reservation that follow each other share an item.
#[derive(Debug)]
pub(super) struct Reservations {
    xml: Xml,
    owner: String,
    open: Option<Arc<str>>,
    no_tags: bool,
}

impl Reservations {
    pub(super) fn new(owner: &str, no_tags: bool) -> Self {
        let mut xml = Xml::default();
        xml.raw("<reservationSet>");
        Self { xml, owner: owner.to_owned(), open: None, no_tags }
    }

    pub(super) fn push(&mut self, instance: &Instance) {
        if self.open.as_deref() != Some(&instance.reservation) {
            self.close();
            self.xml.raw("<item>");
            open(&mut self.xml, &self.owner, &instance.reservation);
            self.open = Some(Arc::clone(&instance.reservation));
        }
        self::instance(&mut self.xml, instance, self.no_tags);
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            self.xml.raw("</instancesSet></item>");
        }
    }

    pub(super) fn finish(mut self) -> Xml {
        self.close();
        self.xml.raw("</reservationSet>");
        self.xml
    }
}

/// What stands before the instances of a reservation; `instancesSet` stays open.
pub(super) fn open(xml: &mut Xml, owner: &str, reservation: &str) {
    xml.plain("reservationId", reservation);
    xml.text("ownerId", owner);
    xml.raw("<groupSet/><instancesSet>");
}

/// One `item` of an `instancesSet`.
pub(super) fn instance(xml: &mut Xml, instance: &Instance, no_tags: bool) {
    let spec = &instance.spec;
    let ended = instance.state == State::Terminated;
    xml.raw("<item>");
    xml.plain("instanceId", &instance.id);
    xml.text("imageId", &spec.image);
    xml.within("instanceState", |xml| {
        xml.plain("code", instance.state.code());
        xml.plain("name", instance.state.name());
    });
    xml.text("reason", &instance.reason);
    xml.optional("keyName", spec.key_name.as_deref());
    xml.raw("<amiLaunchIndex>0</amiLaunchIndex><productCodes/>");
    xml.text("instanceType", &spec.instance_type);
    xml.date("launchTime", instance.launched);
    xml.within("placement", |xml| {
        xml.text("availabilityZone", &instance.zone);
        xml.raw("<groupName/><tenancy>default</tenancy>");
    });
    xml.raw("<platformDetails>Linux/UNIX</platformDetails><monitoring><state>disabled</state></monitoring>");
    if !ended {
        placement(xml, instance);
    }
    if !instance.reason.is_empty() {
        xml.within("stateReason", |xml| {
            xml.plain("code", "Client.UserInitiatedShutdown");
            xml.text("message", "Client.UserInitiatedShutdown: User initiated shutdown");
        });
    }
    xml.raw("<architecture>x86_64</architecture>");
    devices(xml, instance);
    if spec.lifecycle != Lifecycle::OnDemand {
        xml.text("instanceLifecycle", "spot");
    }
    xml.optional("spotInstanceRequestId", instance.spot_request.as_deref());
    xml.raw("<virtualizationType>hvm</virtualizationType><clientToken/>");
    if !no_tags && !spec.tags.is_empty() {
        tags(xml, &spec.tags);
    }
    xml.raw("<hypervisor>xen</hypervisor><ebsOptimized>false</ebsOptimized><enaSupport>true</enaSupport></item>");
}

/// A `tagSet`.
pub(super) fn tags<'a>(xml: &mut Xml, tags: impl IntoIterator<Item = (&'a String, &'a String)>) {
    xml.raw("<tagSet>");
    for (key, value) in tags {
        xml.raw("<item>");
        xml.text("key", key);
        xml.text("value", value);
        xml.raw("</item>");
    }
    xml.raw("</tagSet>");
}

fn placement(xml: &mut Xml, instance: &Instance) {
    let [.., a, b, c] = instance.number.to_be_bytes();
    let address = format!("10.{a}.{b}.{c}");
    xml.plain("privateDnsName", &format!("ip-{}.ec2.internal", address.replace('.', "-")));
    xml.plain("privateIpAddress", &address);
    xml.raw("<dnsName/>");
    xml.text("subnetId", &instance.spec.subnet);
    xml.text("vpcId", &instance.spec.vpc);
}

fn devices(xml: &mut Xml, instance: &Instance) {
    let spec = &instance.spec;
    xml.plain("rootDeviceType", spec.root_device.name());
    if spec.root_device == RootDevice::InstanceStore || instance.state == State::Terminated {
        xml.raw("<blockDeviceMapping/>");
        return;
    }
    xml.raw(
        "<rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs>",
    );
    xml.plain("volumeId", &instance.volume());
    xml.raw("<status>attached</status>");
    xml.date("attachTime", instance.launched);
    xml.flag("deleteOnTermination", !spec.keep_volume);
    xml.raw("</ebs></item></blockDeviceMapping>");
}
