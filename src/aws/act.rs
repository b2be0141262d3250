//! What is done to an instance: one a call, never a batch (a batch with one protected instance ends some and not others),
//! never anything but the id that was asked for. EC2's answer is checked to be about that id (SAFETY.md, "Act only on ids
//! in the plan"). All of it is idempotent.

use super::call::Call;
use super::clients::Ec2;
use super::{AwsError, Mode, facts};
use crate::model::{ResourceId, ResourceState};
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::types::{CancelSpotInstanceRequestState, InstanceStateChange, Tag};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::collections::BTreeMap;

/// A call that ends something is sent once: a later try might meet what was renewed, paused or exempted meanwhile, so whoever
/// asked looks at everything again before it is tried again (SAFETY.md, invariant 1).
fn once() -> aws_sdk_ec2::config::Builder {
    aws_sdk_ec2::config::Builder::new().retry_config(RetryConfig::disabled())
}

impl Ec2 {
    pub(super) async fn stop(&self, id: &ResourceId, mode: Mode) -> Result<ResourceState, AwsError> {
        let request = self.in_turn().stop_instances().instance_ids(id.as_str()).dry_run(mode == Mode::DryRun);
        let reply = request.customize().config_override(once()).send().await.map(|reply| reply.stopping_instances);
        self.outcome(self.call("ec2:StopInstances"), id, reply).await
    }

    pub(super) async fn start(&self, id: &ResourceId, mode: Mode) -> Result<ResourceState, AwsError> {
        let request = self.turn().await.start_instances().instance_ids(id.as_str()).dry_run(mode == Mode::DryRun);
        let reply = request.send().await.map(|reply| reply.starting_instances);
        self.outcome(self.call("ec2:StartInstances"), id, reply).await
    }

    pub(super) async fn terminate(&self, id: &ResourceId, mode: Mode) -> Result<ResourceState, AwsError> {
        let request = self.in_turn().terminate_instances().instance_ids(id.as_str()).dry_run(mode == Mode::DryRun);
        let reply = request.customize().config_override(once()).send().await.map(|reply| reply.terminating_instances);
        self.outcome(self.call("ec2:TerminateInstances"), id, reply).await
    }

    /// The state that EC2 answers with. A dry run that would succeed is an error named so, and changes nothing: then the
    /// state that the instance is in.
    async fn outcome<E>(
        &self,
        call: Call<'_>,
        id: &ResourceId,
        reply: Result<Option<Vec<InstanceStateChange>>, SdkError<E, HttpResponse>>,
    ) -> Result<ResourceState, AwsError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match reply {
            Ok(changes) => changed(call, id, &changes.unwrap_or_default()),
            Err(why) if was_dry_run(&why) => self.present(call, id).await,
            Err(why) => Err(call.failed(&why)),
        }
    }

    async fn present(&self, call: Call<'_>, id: &ResourceId) -> Result<ResourceState, AwsError> {
        let found = self.describe(std::slice::from_ref(id)).await?;
        let state = found.first().map(|(_, facts)| facts.state);
        state.ok_or_else(|| call.not_found(format!("EC2 does not list {id}")))
    }

    /// Ends nothing, and changes nothing but these tags.
    pub(super) async fn tag(&self, id: &ResourceId, tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
        let call = self.call("ec2:CreateTags");
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let request = self.turn().await.create_tags().resources(id.as_str()).set_tags(Some(tags));
        request.send().await.map(drop).map_err(|why| call.failed(&why))
    }

    pub(super) async fn cancel_spot_request(&self, request: &str) -> Result<(), AwsError> {
        use CancelSpotInstanceRequestState::{Cancelled, Closed, Completed};
        let call = self.call("ec2:CancelSpotInstanceRequests");
        let ask = self.in_turn().cancel_spot_instance_requests().spot_instance_request_ids(request);
        let reply = ask.customize().config_override(once()).send().await.map_err(|why| call.failed(&why))?;
        let all = reply.cancelled_spot_instance_requests();
        let found = all.iter().find(|spot| spot.spot_instance_request_id() == Some(request));
        match found.and_then(|spot| spot.state()) {
            Some(Cancelled | Closed | Completed) => Ok(()),
            other => Err(call.malformed(format!("after cancelling {request} its state is {other:?}"))),
        }
    }
}

/// EC2 says of a dry run that would have succeeded that it failed, by this name.
pub(super) fn was_dry_run<E: ProvideErrorMetadata>(why: &SdkError<E, HttpResponse>) -> bool {
    why.as_service_error().and_then(|why| why.code()) == Some("DryRunOperation")
}

fn changed(call: Call<'_>, id: &ResourceId, changes: &[InstanceStateChange]) -> Result<ResourceState, AwsError> {
    match changes {
        [change] if change.instance_id() == Some(id.as_str()) => {
            facts::state(change.current_state()).map_err(|why| call.malformed(format!("{id} {why}")))
        }
        _ => Err(call.malformed(format!("it is about {} instances, and not about {id} alone", changes.len()))),
    }
}
