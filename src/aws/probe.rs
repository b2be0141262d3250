//! Whether a call would be allowed, by EC2's dry run: the permission is checked and nothing happens. The client that asks can
//! send nothing but dry runs, whatever is asked of it.

use super::call::Call;
use super::clients::Ec2;
use super::{AwsError, act};
use crate::model::ResourceId;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_sdk_ec2::types::{InstanceAttributeName, Tag};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;

/// A call that can be tried without effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the call of that name")]
pub enum Probe {
    DescribeInstanceAttribute,
    DescribeSpotInstanceRequests,
    DescribeVolumes,
    StartInstances,
    StopInstances,
    TerminateInstances,
    CancelSpotInstanceRequests,
    /// With the tag `zerocloud:lease`.
    CreateTags,
}

impl Probe {
    /// The call that policies name so, such as `ec2:StopInstances`; `None` for one that cannot be tried.
    pub fn of(action: &str) -> Option<Probe> {
        Some(match action {
            "ec2:DescribeInstanceAttribute" => Probe::DescribeInstanceAttribute,
            "ec2:DescribeSpotInstanceRequests" => Probe::DescribeSpotInstanceRequests,
            "ec2:DescribeVolumes" => Probe::DescribeVolumes,
            "ec2:StartInstances" => Probe::StartInstances,
            "ec2:StopInstances" => Probe::StopInstances,
            "ec2:TerminateInstances" => Probe::TerminateInstances,
            "ec2:CancelSpotInstanceRequests" => Probe::CancelSpotInstanceRequests,
            "ec2:CreateTags" => Probe::CreateTags,
            _ => return None,
        })
    }
}

/// Fails every request that is no dry run, before it leaves this machine.
#[derive(Debug)]
struct DryRunsOnly;

impl Intercept for DryRunsOnly {
    fn name(&self) -> &'static str {
        "DryRunsOnly"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request().body().bytes().unwrap_or_default();
        if is_dry_run(body) { Ok(()) } else { Err("this client sends dry runs only".into()) }
    }
}

/// Whether a form says so, once.
fn is_dry_run(body: &[u8]) -> bool {
    let said: Vec<&[u8]> =
        body.split(|byte| *byte == b'&').filter(|pair| pair.to_ascii_lowercase().starts_with(b"dryrun")).collect();
    said == [b"DryRun=true"]
}

/// The same client, which can send nothing but dry runs.
fn harmless(client: &Client) -> Client {
    Client::from_conf(client.config().to_builder().interceptor(DryRunsOnly).build())
}

impl Ec2 {
    /// Ok when EC2 says that the call would have been allowed, had it been meant.
    pub(super) async fn probe(&self, probe: Probe, id: &ResourceId) -> Result<(), AwsError> {
        let client = harmless(self.turn().await);
        let (id, call) = (id.as_str(), |action| self.call(action));
        match probe {
            Probe::DescribeInstanceAttribute => {
                let name = InstanceAttributeName::DisableApiTermination;
                let asked = client.describe_instance_attribute().instance_id(id).attribute(name);
                readable(call("ec2:DescribeInstanceAttribute"), asked.dry_run(true).send().await)
            }
            Probe::DescribeSpotInstanceRequests => {
                let asked = client.describe_spot_instance_requests();
                readable(call("ec2:DescribeSpotInstanceRequests"), asked.dry_run(true).send().await)
            }
            Probe::DescribeVolumes => {
                readable(call("ec2:DescribeVolumes"), client.describe_volumes().dry_run(true).send().await)
            }
            Probe::StartInstances => {
                let asked = client.start_instances().instance_ids(id);
                allowed(call("ec2:StartInstances"), asked.dry_run(true).send().await)
            }
            Probe::StopInstances => {
                let asked = client.stop_instances().instance_ids(id);
                allowed(call("ec2:StopInstances"), asked.dry_run(true).send().await)
            }
            Probe::TerminateInstances => {
                let asked = client.terminate_instances().instance_ids(id);
                allowed(call("ec2:TerminateInstances"), asked.dry_run(true).send().await)
            }
            Probe::CancelSpotInstanceRequests => {
                let asked = client.cancel_spot_instance_requests().spot_instance_request_ids("sir-00000000");
                allowed(call("ec2:CancelSpotInstanceRequests"), asked.dry_run(true).send().await)
            }
            Probe::CreateTags => {
                let tag = Tag::builder().key("zerocloud:lease").value("a dry run").build();
                let asked = client.create_tags().resources(id).tags(tag);
                allowed(call("ec2:CreateTags"), asked.dry_run(true).send().await)
            }
        }
    }
}

/// A read that is answered whole is allowed, too.
fn readable<T, E>(call: Call<'_>, reply: Result<T, SdkError<E, HttpResponse>>) -> Result<(), AwsError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match reply {
        Ok(_) => Ok(()),
        reply => allowed(call, reply),
    }
}

fn allowed<T, E>(call: Call<'_>, reply: Result<T, SdkError<E, HttpResponse>>) -> Result<(), AwsError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match reply {
        Ok(_) => Err(call.malformed("it was a dry run, and was answered as if it had been meant")),
        Err(why) if act::was_dry_run(&why) => Ok(()),
        Err(why) => Err(call.failed(&why)),
    }
}

#[cfg(test)]
mod tests {
    use super::{harmless, is_dry_run};

    #[test]
    fn only_a_form_that_says_so_once_and_plainly_is_a_dry_run() {
        assert!(is_dry_run(b"Action=StopInstances&InstanceId.1=i-1&DryRun=true&Version=2016-11-15"));
        for other in [
            "",
            "Action=StopInstances",
            "Action=StopInstances&DryRun=false",
            "Action=StopInstances&DryRun=true&DryRun=false",
            "Action=StopInstances&InstanceId.1=DryRun%3Dtrue",
            "Action=StopInstances&XDryRun=true",
            "Action=StopInstances&DryRun=true&dryRun=false",
        ] {
            assert!(!is_dry_run(other.as_bytes()), "{other}");
        }
    }

    /// The request does not even leave: nothing listens there, and the failure is of our own making.
    #[tokio::test]
    async fn the_probing_client_cannot_send_anything_but_a_dry_run() {
        let keys = aws_credential_types::Credentials::new("AKIA", "secret", None, None, "test");
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
                aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https();
        let config = aws_sdk_ec2::Config::builder()
            .behavior_version(aws_sdk_ec2::config::BehaviorVersion::latest())
            .region(aws_sdk_ec2::config::Region::new("us-east-1"))
            .credentials_provider(keys)
            .http_client(http)
            .endpoint_url("http://127.0.0.1:9")
            .build();
        let client = harmless(&aws_sdk_ec2::Client::from_conf(config));
        let said = |why: &dyn std::error::Error| {
            let mut text = why.to_string();
            let mut cause = why.source();
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            text
        };
        let ours = "this client sends dry runs only";
        let meant = client.terminate_instances().instance_ids("i-1").send().await.unwrap_err();
        assert!(said(&meant).contains(ours), "{}", said(&meant));
        let meant = client.stop_instances().instance_ids("i-1").dry_run(false).send().await.unwrap_err();
        assert!(said(&meant).contains(ours), "{}", said(&meant));
        let dry = client.stop_instances().instance_ids("i-1").dry_run(true).send().await.unwrap_err();
        assert!(!said(&dry).contains(ours), "a dry run is tried, and finds nobody: {}", said(&dry));
    }
}
