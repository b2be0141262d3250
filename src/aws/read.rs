//! What EC2 says. A read is whole or an error: every page, every instance, every field that a decision rests on
//! (SAFETY.md, invariant 6 and "Everything is paged").

use super::call::Call;
use super::clients::Ec2;
use super::{Asked, AwsError, Protection, facts};
use crate::model::{Facts, Region, ResourceId, Volume};
use aws_sdk_ec2::operation::describe_instance_attribute::DescribeInstanceAttributeOutput;
use aws_sdk_ec2::operation::describe_instances::DescribeInstancesOutput;
use aws_sdk_ec2::types::{AttributeBooleanValue, Filter, InstanceAttributeName, SpotInstanceType};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The most values that EC2 takes in one filter.
const FILTER_VALUES: usize = 200;

impl Ec2 {
    pub(super) async fn regions(&self) -> Result<Vec<Region>, AwsError> {
        let call = self.call("ec2:DescribeRegions");
        let reply = self.turn().await.describe_regions().send().await.map_err(|why| call.failed(&why))?;
        let regions = reply.regions.filter(|all| !all.is_empty()).ok_or_else(|| call.malformed("no regions in it"))?;
        let enabled = regions.iter().filter(|region| region.opt_in_status() != Some("not-opted-in"));
        let parsed = enabled.map(|region| Region::parse(region.region_name().unwrap_or_default()));
        let sorted: Result<BTreeSet<Region>, _> = parsed.collect();
        Ok(sorted.map_err(|why| call.malformed(why.to_string()))?.into_iter().collect())
    }

    pub(super) async fn glance(&self) -> Result<Option<ResourceId>, AwsError> {
        /// The least that EC2 gives.
        const FEW: i32 = 5;
        let call = self.call("ec2:DescribeInstances");
        let reply = self.turn().await.describe_instances().max_results(FEW).send().await;
        let mut found = BTreeMap::new();
        read_page(call, &reply.map_err(|why| call.failed(&why))?, &mut found)?;
        Ok(found.into_iter().find(|(_, facts)| !facts.state.is_ended()).map(|(id, _)| id))
    }

    pub(super) async fn scan(&self) -> Result<BTreeMap<ResourceId, Facts>, AwsError> {
        self.pages(None).await
    }

    pub(super) async fn describe(&self, ids: &[ResourceId]) -> Result<Vec<(ResourceId, Facts)>, AwsError> {
        let mut found = BTreeMap::new();
        for some in ids.chunks(FILTER_VALUES) {
            let values = some.iter().map(ToString::to_string).collect();
            let filter = Filter::builder().name("instance-id").set_values(Some(values)).build();
            found.append(&mut self.pages(Some(filter)).await?);
        }
        Ok(ids.iter().filter_map(|id| found.remove_entry(id)).collect())
    }

    /// By the parameter `InstanceId`, with which EC2 refuses the call and names those that it does not know; they are taken
    /// out and the rest is asked for again.
    pub(super) async fn ask(&self, ids: &[ResourceId]) -> Result<Asked, AwsError> {
        let mut asked = Asked::default();
        for some in ids.chunks(FILTER_VALUES) {
            let mut left: BTreeSet<ResourceId> = some.iter().cloned().collect();
            while !left.is_empty() {
                match self.named(&left).await {
                    Ok(found) => {
                        asked.found.extend(found);
                        break;
                    }
                    Err(AwsError::NotFound { action, place, cause }) => {
                        let named: BTreeSet<ResourceId> =
                            left.iter().filter(|id| names(&cause.text, id)).cloned().collect();
                        if named.is_empty() {
                            return Err(AwsError::NotFound { action, place, cause });
                        }
                        left.retain(|id| !named.contains(id));
                        asked.unknown.extend(named);
                    }
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(asked)
    }

    async fn named(&self, ids: &BTreeSet<ResourceId>) -> Result<BTreeMap<ResourceId, Facts>, AwsError> {
        let call = self.call("ec2:DescribeInstances");
        let names = ids.iter().map(ToString::to_string).collect();
        let request = self.turn().await.describe_instances().set_instance_ids(Some(names));
        let reply = request.send().await.map_err(|why| call.failed(&why))?;
        let mut found = BTreeMap::new();
        read_page(call, &reply, &mut found)?;
        Ok(found)
    }

    /// All pages. The SDK would end without a word when a token comes twice in a row, and go round for ever when two
    /// take turns; here a token that was seen before is an error.
    async fn pages(&self, filter: Option<Filter>) -> Result<BTreeMap<ResourceId, Facts>, AwsError> {
        let call = self.call("ec2:DescribeInstances");
        let request = self.turn().await.describe_instances().set_filters(filter.map(|filter| vec![filter]));
        let pages = request.into_paginator().page_size(self.page_size).stop_on_duplicate_token(false);
        let mut pages = pages.send();
        let (mut found, mut tokens) = (BTreeMap::new(), HashSet::new());
        loop {
            let page = pages.next().await.ok_or_else(|| call.malformed("the pages end before the last one"))?;
            let page = page.map_err(|why| call.failed(&why))?;
            read_page(call, &page, &mut found)?;
            let Some(token) = page.next_token.filter(|token| !token.is_empty()) else { return Ok(found) };
            if !tokens.insert(token) {
                return Err(call.malformed("the pages go round: a page's token came twice"));
            }
            self.turn().await;
        }
    }

    pub(super) async fn protection(&self, id: &ResourceId) -> Result<Protection, AwsError> {
        let terminate = self.attribute(id, InstanceAttributeName::DisableApiTermination).await?;
        let stop = self.attribute(id, InstanceAttributeName::DisableApiStop).await?;
        Ok(Protection {
            stop: self.flag(stop.disable_api_stop)?,
            terminate: self.flag(terminate.disable_api_termination)?,
        })
    }

    fn flag(&self, flag: Option<AttributeBooleanValue>) -> Result<bool, AwsError> {
        let call = self.call("ec2:DescribeInstanceAttribute");
        flag.and_then(|flag| flag.value).ok_or_else(|| call.malformed("the attribute is not in it"))
    }

    async fn attribute(
        &self,
        id: &ResourceId,
        name: InstanceAttributeName,
    ) -> Result<DescribeInstanceAttributeOutput, AwsError> {
        let call = self.call("ec2:DescribeInstanceAttribute");
        let request = self.turn().await.describe_instance_attribute().instance_id(id.as_str()).attribute(name);
        let reply = request.send().await.map_err(|why| call.failed(&why))?;
        if reply.instance_id() == Some(id.as_str()) {
            Ok(reply)
        } else {
            Err(call.malformed("it is of another instance"))
        }
    }

    /// By a filter: one that is gone by now is no error.
    pub(super) async fn volumes(&self, ids: &[String]) -> Result<Vec<Volume>, AwsError> {
        let call = self.call("ec2:DescribeVolumes");
        let mut found = Vec::new();
        for some in ids.chunks(FILTER_VALUES) {
            let filter = Filter::builder().name("volume-id").set_values(Some(some.to_vec())).build();
            // At most 200, so one page.
            let reply = self.turn().await.describe_volumes().filters(filter).send().await;
            let reply = reply.map_err(|why| call.failed(&why))?;
            let volumes = reply.volumes.ok_or_else(|| call.malformed("no list of volumes in it"))?;
            found.extend(volumes.iter().filter_map(|volume| {
                Some(Volume {
                    id: volume.volume_id()?.to_owned(),
                    gib: Some(u32::try_from(volume.size()?).ok()?),
                    kind: volume.volume_type().map(|kind| kind.as_str().to_owned()),
                })
            }));
        }
        Ok(found)
    }

    pub(super) async fn spot_type(&self, request: &str) -> Result<Option<String>, AwsError> {
        let call = self.call("ec2:DescribeSpotInstanceRequests");
        let ask = self.turn().await.describe_spot_instance_requests().spot_instance_request_ids(request);
        let reply = match ask.send().await.map_err(|why| call.failed(&why)) {
            Err(AwsError::NotFound { .. }) => return Ok(None),
            reply => reply?,
        };
        let all = reply.spot_instance_requests.ok_or_else(|| call.malformed("no list of requests in it"))?;
        let Some(found) = all.iter().find(|spot| spot.spot_instance_request_id() == Some(request)) else {
            return Ok(None);
        };
        match found.r#type() {
            Some(kind @ (SpotInstanceType::OneTime | SpotInstanceType::Persistent)) => {
                Ok(Some(kind.as_str().to_owned()))
            }
            other => Err(call.malformed(format!("{request} has the type {other:?}"))),
        }
    }
}

/// Whether a text names the id itself, and not one that it is the beginning of.
fn names(text: &str, id: &ResourceId) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == id.as_str())
}

fn read_page(
    call: Call<'_>,
    page: &DescribeInstancesOutput,
    found: &mut BTreeMap<ResourceId, Facts>,
) -> Result<(), AwsError> {
    // EC2 sends an empty list when there is nothing; no list at all is not its answer.
    let reservations = page.reservations.as_ref().ok_or_else(|| call.malformed("no list of instances in it"))?;
    for reservation in reservations {
        let instances = reservation.instances.as_ref().ok_or_else(|| call.malformed("a reservation without a list"))?;
        for instance in instances {
            found.extend([facts::read(instance).map_err(|why| call.malformed(why))?]);
        }
    }
    Ok(())
}
