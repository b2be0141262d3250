//! Spot requests: what follows their instances, and what they launch.

use ec2_double::{Lifecycle, Spec, SpotState, State};

use crate::client::Test;

fn persistent() -> Spec {
    Spec::default().lifecycle(Lifecycle::SpotPersistent).tag("owner", "ada@bigdb.example")
}

#[tokio::test]
async fn terminating_the_instance_of_a_persistent_request_launches_another() {
    let test = Test::start().await;
    let old = test.place().launch(&persistent());
    test.ec2_ids("TerminateInstances", &[&old]).await.fine();
    test.aws.settle();
    let request = test.place().spot_requests().swap_remove(0);
    assert_eq!(request.state, SpotState::Active);
    assert_ne!(request.instance, old);
    let new = test.aws.instance(&request.instance).expect("is there");
    assert_eq!((new.state, new.tag("owner")), (State::Running, None));
}

#[tokio::test]
async fn a_cancelled_request_launches_nothing_and_its_instance_cannot_be_stopped() {
    let test = Test::start().await;
    let id = test.place().launch(&persistent());
    let request = test.aws.instance(&id).and_then(|instance| instance.spot_request).expect("a request");
    let cancelled = test.ec2("CancelSpotInstanceRequests", &[("SpotInstanceRequestId.1", &request)]).await.fine();
    assert_eq!(cancelled.one("state"), "cancelled");
    assert_eq!(test.shown(&id).await, "running");
    test.ec2_ids("StopInstances", &[&id]).await.refused(400, "UnsupportedOperation");
    test.ec2_ids("TerminateInstances", &[&id]).await.fine();
    test.aws.settle();
    assert_eq!(test.place().count(), 1);
}

#[tokio::test]
async fn a_persistent_instance_is_stopped_and_started_and_its_request_follows() {
    let test = Test::start().await;
    let id = test.place().launch(&persistent());
    let state = || test.place().spot_requests()[0].state;
    assert_eq!(state(), SpotState::Active);
    test.ec2_ids("StopInstances", &[&id]).await.fine();
    test.aws.settle();
    assert_eq!(state(), SpotState::Disabled);
    test.ec2_ids("StartInstances", &[&id]).await.fine();
    test.aws.settle();
    assert_eq!((state(), test.place().count()), (SpotState::Active, 1));
}

#[tokio::test]
async fn a_one_time_request_ends_with_its_instance() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default().lifecycle(Lifecycle::SpotOneTime));
    test.ec2_ids("TerminateInstances", &[&id]).await.fine();
    test.aws.settle();
    assert_eq!((test.place().spot_requests()[0].state, test.place().count()), (SpotState::Closed, 1));
}

#[tokio::test]
async fn requests_are_described_by_id_and_by_filter() {
    let test = Test::start().await;
    let one = test.place().launch(&persistent());
    test.place().launch(&Spec::default().lifecycle(Lifecycle::SpotOneTime));
    let asked = [("Filter.1.Name", "instance-id"), ("Filter.1.Value.1", one.as_str())];
    let found = test.ec2("DescribeSpotInstanceRequests", &asked).await.fine();
    assert_eq!((found.one("type"), found.one("instanceId")), ("persistent", one.as_str()));
    assert_eq!(test.ec2("DescribeSpotInstanceRequests", &[]).await.fine().all("type").len(), 2);
    let unknown = [("SpotInstanceRequestId.1", "sir-none")];
    test.ec2("DescribeSpotInstanceRequests", &unknown).await.refused(400, "InvalidSpotInstanceRequestID.NotFound");
}
