//! Who asks, and whether they may: keys, expiry, opting in, the organisation's denials, missing permissions.

use crate::ec2;
use crate::protocol::{Refusal, Service};
use crate::world::{Access, Key, World, lacking};

/// The owner of an access key; refused as the service refuses one that it does not know, or that has expired.
pub(super) fn identify(
    world: &World,
    service: Service,
    region: &str,
    key: &str,
    token: Option<&str>,
) -> Result<Key, Refusal> {
    let found = world.keys.get(key).filter(|key| key.token.as_deref() == token);
    let found = found.filter(|key| world.accounts.contains_key(&key.account)).ok_or_else(|| unknown(service))?;
    if found.expires.is_some_and(|expires| expires <= world.clock.now()) {
        return Err(expired(service));
    }
    let access = world.accounts.get(&found.account).and_then(|account| account.regions.get(region));
    match access.map(|region| region.access) {
        Some(Access::NotOptedIn) => Err(unknown(service)),
        // STS signs for regions that a test has taken away, and for `aws-global`.
        None if service != Service::Sts => {
            let message = format!("Credential should be scoped to a valid Region, not '{region}'. ");
            Err(Refusal::new(unknown(service).status, unknown(service).code, message))
        }
        _ => Ok(found.clone()),
    }
}

pub(super) fn unknown(service: Service) -> Refusal {
    let message = "The security token included in the request is invalid.";
    match service {
        Service::Ec2 => ec2::unknown_keys(),
        Service::Sts | Service::AutoScaling => Refusal::new(403, "InvalidClientTokenId", message),
        Service::Ses => Refusal::new(403, "UnrecognizedClientException", message),
        Service::CloudTrail => Refusal::bad("UnrecognizedClientException", message),
    }
}

fn expired(service: Service) -> Refusal {
    let message = "The security token included in the request is expired";
    match service {
        Service::Ec2 => Refusal::bad("RequestExpired", "Request has expired."),
        Service::Sts | Service::AutoScaling => Refusal::new(403, "ExpiredToken", message),
        Service::Ses => Refusal::new(403, "ExpiredTokenException", message),
        Service::CloudTrail => Refusal::bad("ExpiredTokenException", message),
    }
}

/// Refuses what the organisation denies in the region, and what the caller has no permission for.
pub(super) fn permit(world: &World, caller: &Key, service: Service, region: &str, action: &str) -> Result<(), Refusal> {
    if service == Service::Sts && action == "GetCallerIdentity" {
        return Ok(());
    }
    let account = world.accounts.get(&caller.account);
    let action = format!("{}:{action}", service.prefix());
    let denied =
        account.and_then(|account| account.regions.get(region)).is_some_and(|region| region.access == Access::Denied);
    if denied && service != Service::Sts {
        return Err(unauthorized(service, caller, &action, "with an explicit deny in a service control policy"));
    }
    let lacks = match &caller.role {
        None => lacking(&world.home_lacks, &action),
        // A role that is gone leaves sessions without permissions.
        Some(role) => {
            let role = account.and_then(|account| account.roles.get(role));
            role.is_none_or(|role| lacking(&role.lacks, &action))
        }
    };
    if lacks {
        let why = format!("because no identity-based policy allows the {action} action");
        return Err(unauthorized(service, caller, &action, &why));
    }
    Ok(())
}

fn unauthorized(service: Service, caller: &Key, action: &str, why: &str) -> Refusal {
    let who = format!("User: {} is not authorized to perform: {action} {why}", caller.arn);
    match service {
        Service::Ec2 => {
            let message = format!("You are not authorized to perform this operation. {who}");
            Refusal::new(403, "UnauthorizedOperation", message)
        }
        Service::Sts | Service::AutoScaling => Refusal::new(403, "AccessDenied", who),
        Service::Ses => Refusal::new(403, "AccessDeniedException", who),
        Service::CloudTrail => Refusal::bad("AccessDeniedException", who),
    }
}
