//! STS: AssumeRole with its trust policy and external id, and GetCallerIdentity.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use crate::protocol::{Form, Refusal, Xml};
use crate::world::{Key, Role, World};

pub(crate) fn run(world: &mut World, caller: &Key, action: &str, form: &Form) -> Result<String, Refusal> {
    match action {
        "AssumeRole" => assume(world, caller, form),
        "GetCallerIdentity" => Ok(identity(caller)),
        _ => {
            let message = format!("Could not find operation {action} for version 2011-06-15");
            Err(Refusal::bad("InvalidAction", message))
        }
    }
}

fn identity(caller: &Key) -> String {
    let mut xml = Xml::default();
    xml.text("Arn", &caller.arn);
    xml.text("UserId", &user_id(caller));
    xml.text("Account", &caller.account);
    xml.finish()
}

fn user_id(caller: &Key) -> String {
    match &caller.role {
        Some(_) => format!("AROADOUBLEROLE:{}", caller.arn.rsplit('/').next().unwrap_or_default()),
        None => "AIDADOUBLEHOMEUSER".to_owned(),
    }
}

fn assume(world: &mut World, caller: &Key, form: &Form) -> Result<String, Refusal> {
    let arn = required(form, "RoleArn", "roleArn")?;
    let session = required(form, "RoleSessionName", "roleSessionName")?.to_owned();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter);
    check("roleSessionName", &session, 2..=64, plain, "[\\w+=,.@-]*")?;
    let external = form.get("ExternalId");
    if let Some(external) = external {
        let allowed = |letter: char| plain(letter) || letter == ':' || letter == '/' || letter == '\\';
        check("externalId", external, 2..=1224, allowed, "[\\w+=,.@:\\/-]*")?;
    }
    let seconds = form.number("DurationSeconds")?.unwrap_or(3600);
    if !(900..=43_200).contains(&seconds) {
        let bound = if seconds < 900 { "greater than or equal to 900" } else { "less than or equal to 43200" };
        return Err(invalid("durationSeconds", &seconds.to_string(), &format!("have value {bound}")));
    }
    if !arn.starts_with("arn:aws:iam::") || !arn.contains(":role/") {
        return Err(Refusal::bad("ValidationError", format!("{arn} is invalid")));
    }
    let home = world.home.account.clone();
    let role = world.role(arn).filter(|role| trusts(role, &home, caller, external)).cloned();
    let Some(role) = role else {
        // AWS tells a missing role, a missing trust and a wrong external id apart as little as this.
        let message = format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}", caller.arn);
        return Err(Refusal::new(403, "AccessDenied", message));
    };
    if caller.role.is_some() && seconds > 3600 {
        let message =
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
        return Err(Refusal::bad("ValidationError", message));
    }
    if seconds > role.max_session {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(Refusal::bad("ValidationError", message));
    }
    Ok(open_session(world, &role, &session, seconds))
}

fn open_session(world: &mut World, role: &Role, session: &str, seconds: u64) -> String {
    let account = role.account().to_owned();
    let arn = format!("arn:aws:sts::{account}:assumed-role/{}/{session}", role.name());
    let length = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(3600));
    let expires = world.clock.now() + length;
    let access_key = world.numbers.key("ASIA");
    let token = world.numbers.key("double-session-token-");
    let secret = world.numbers.key("double-secret-");
    let mut xml = Xml::default();
    xml.within("Credentials", |xml| {
        xml.text("AccessKeyId", &access_key);
        xml.text("SecretAccessKey", &secret);
        xml.text("SessionToken", &token);
        xml.text("Expiration", &expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    });
    xml.within("AssumedRoleUser", |xml| {
        xml.text("AssumedRoleId", &format!("AROADOUBLEROLE:{session}"));
        xml.text("Arn", &arn);
    });
    let (role, token) = (Some(role.arn.clone()), Some(token));
    world.keys.insert(access_key, Key { account, arn, role, token, expires: Some(expires) });
    xml.finish()
}

fn trusts(role: &Role, home: &str, caller: &Key, external: Option<&str>) -> bool {
    let home = BTreeSet::from([home.to_owned()]);
    let trusted = if role.trusts.is_empty() { &home } else { &role.trusts };
    let wanted = role.external_id.as_deref();
    let also = external.is_some_and(|external| role.also.contains(external));
    trusted.contains(&caller.account) && (also || wanted.is_none_or(|wanted| external == Some(wanted)))
}

fn required<'a>(form: &'a Form, parameter: &str, name: &str) -> Result<&'a str, Refusal> {
    form.get(parameter).ok_or_else(|| {
        let message = format!(
            "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
        );
        Refusal::bad("ValidationError", message)
    })
}

fn check(
    name: &str,
    value: &str,
    length: std::ops::RangeInclusive<usize>,
    allowed: impl Fn(char) -> bool,
    pattern: &str,
) -> Result<(), Refusal> {
    if value.chars().count() < *length.start() {
        return Err(invalid(name, value, &format!("have length greater than or equal to {}", length.start())));
    }
    if value.chars().count() > *length.end() {
        return Err(invalid(name, value, &format!("have length less than or equal to {}", length.end())));
    }
    if !value.chars().all(allowed) {
        return Err(invalid(name, value, &format!("satisfy regular expression pattern: {pattern}")));
    }
    Ok(())
}

fn invalid(name: &str, value: &str, must: &str) -> Refusal {
    let message = format!(
        "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must {must}"
    );
    Refusal::bad("ValidationError", message)
}
