//! One-time schedules of EventBridge Scheduler, with zerocloud's own keys. The service calls no URL: a schedule puts an event
//! on a bus, and what happens to it there is set up in AWS.

use super::call::Call;
use super::{Aws, AwsError};
use crate::config::AwsSettings;
use aws_config::{Region, SdkConfig};
use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::config::Builder;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, EventBridgeParameters, FlexibleTimeWindow, FlexibleTimeWindowMode, Target,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;

/// Where schedules are made.
#[derive(Debug, Clone)]
pub struct Schedules {
    client: Client,
    group: String,
    bus: String,
    role_arn: String,
    place: String,
}

/// An event at a time.
#[derive(Debug)]
pub struct OneTime<'a> {
    /// At most 64 letters, digits, - and _.
    pub name: &'a str,
    /// `YYYY-MM-DDTHH:MM:SS`, UTC.
    pub at: &'a str,
    /// JSON.
    pub detail: &'a str,
}

/// What the event says it is from and of which kind; the rule on the bus goes by the first.
const SOURCE: &str = "zerocloud.scheduler";
const DETAIL_TYPE: &str = "zerocloud deadline";

impl Aws {
    /// Schedules that put events on `bus`, in the region of that bus. Makes no call yet.
    pub fn schedules(&self, bus: &str, role_arn: &str, group: &str, endpoint: Option<&str>) -> Schedules {
        Schedules::new(self.0.own(), self.0.settings(), bus, role_arn, group, endpoint)
    }
}

impl Schedules {
    fn new(
        own: &SdkConfig,
        settings: &AwsSettings,
        bus: &str,
        role_arn: &str,
        group: &str,
        endpoint: Option<&str>,
    ) -> Schedules {
        // arn:aws:events:{region}:{account}:event-bus/{name}
        let region = bus.split(':').nth(3).filter(|region| !region.is_empty()).unwrap_or(&settings.region).to_owned();
        let place = format!("zerocloud's own AWS account ({region})");
        let mut config = Builder::from(own).region(Region::new(region));
        if let Some(url) = endpoint {
            config = config.endpoint_url(url);
        }
        let client = Client::from_conf(config.build());
        Schedules { client, group: group.to_owned(), bus: bus.to_owned(), role_arn: role_arn.to_owned(), place }
    }

    /// Makes a schedule, or replaces the one of that name. AWS deletes it once it is over.
    pub async fn put(&self, one: &OneTime<'_>) -> Result<(), AwsError> {
        let call = self.call("scheduler:CreateSchedule");
        let target = self.target(one).map_err(|why| call.malformed(why.to_string()))?;
        let exact = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build();
        let exact = exact.map_err(|why| call.malformed(why.to_string()))?;
        let request = self.client.create_schedule().name(one.name).group_name(&self.group);
        let request = request.schedule_expression(format!("at({})", one.at)).schedule_expression_timezone("UTC");
        let request = request.action_after_completion(ActionAfterCompletion::Delete);
        let made = request.target(target.clone()).flexible_time_window(exact.clone()).send().await;
        match made {
            Ok(_) => return Ok(()),
            Err(why) if why.code() == Some("ConflictException") => {}
            Err(why) => return Err(call.failed(&why)),
        }
        let call = self.call("scheduler:UpdateSchedule");
        let request = self.client.update_schedule().name(one.name).group_name(&self.group);
        let request = request.schedule_expression(format!("at({})", one.at)).schedule_expression_timezone("UTC");
        let request = request.action_after_completion(ActionAfterCompletion::Delete);
        let updated = request.target(target).flexible_time_window(exact).send().await;
        updated.map(|_| ()).map_err(|why| call.failed(&why))
    }

    /// Takes a schedule away; one that is not there is no failure.
    pub async fn remove(&self, name: &str) -> Result<(), AwsError> {
        let removed = self.client.delete_schedule().name(name).group_name(&self.group).send().await;
        match removed {
            Err(why) if why.code() != Some("ResourceNotFoundException") => {
                Err(self.call("scheduler:DeleteSchedule").failed(&why))
            }
            _ => Ok(()),
        }
    }

    fn target(&self, one: &OneTime<'_>) -> Result<Target, aws_sdk_scheduler::error::BuildError> {
        let event = EventBridgeParameters::builder().source(SOURCE).detail_type(DETAIL_TYPE).build()?;
        let target = Target::builder().arn(&self.bus).role_arn(&self.role_arn);
        target.event_bridge_parameters(event).input(one.detail).build()
    }

    fn call(&self, action: &'static str) -> Call<'_> {
        Call { action, place: &self.place }
    }
}
