//! Keys for event destinations, as admins make, rotate and revoke them, on the page and over the API alike. A key is shown once and
//! stored as a hash; no channel shows its document, so the service writes it once it knows that an admin asks.

use super::{Person, State, WebError, edit};
use crate::audit;
use crate::model::{AwsAccount, AwsId, Doc, EventKey, Extra};
use crate::store::StoreError;
use crate::words::clean;

/// Keys that one AWS account may have.
const MOST: usize = 10;
/// How long the old key stays good beside the new one, at most, seconds: a week.
pub(super) const LONGEST_OVERLAP: i64 = 7 * 86_400;
/// And when nothing is said: a day.
pub(super) const OVERLAP: i64 = 86_400;
/// AWS accounts that one key may speak for.
const MOST_ACCOUNTS: usize = 500;

/// A key's document, by the key's name.
pub(super) type Named = (String, Doc<EventKey>);

/// A key that was made, with the key itself, which is shown this one time.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) key: EventKey,
    pub(super) secret: String,
}

/// The AWS account, as the admin who asks sees it.
async fn account(state: &State, person: &Person, aws_id: &str) -> Result<AwsAccount, WebError> {
    person.admin()?;
    let unknown = || WebError::NotFound("there is no such AWS account here".to_owned());
    let aws_id = AwsId::parse(aws_id).map_err(|_| unknown())?;
    let id = format!("aws_account::{}::{aws_id}", person.account);
    let doc = edit::read(state, person, &id).await?.ok_or_else(unknown)?;
    serde_json::from_value(doc.body).map_err(|why| WebError::Internal(anyhow::anyhow!("{id} cannot be read: {why}")))
}

/// The keys of an AWS account, oldest first; those that are of no use any more are left out.
pub(super) async fn list(state: &State, person: &Person, aws_id: &str) -> Result<Vec<Named>, WebError> {
    let aws = account(state, person, aws_id).await?;
    Ok(of(state, &aws).await?)
}

async fn of(state: &State, aws: &AwsAccount) -> Result<Vec<Named>, StoreError> {
    let (prefix, now) = (format!("{}{}::{}::", EventKey::PREFIX, aws.account, aws.aws_id), state.clock.now());
    let docs = state.store.prefix(&prefix).await?.into_iter();
    let read = docs.filter_map(|doc| {
        let body: EventKey = serde_json::from_value(doc.body).ok()?;
        let name = doc.id.strip_prefix(&prefix)?.to_owned();
        body.is_good(now).then_some((name, Doc { id: doc.id, rev: doc.rev, body }))
    });
    let mut keys: Vec<Named> = read.collect();
    keys.sort_by(|(_, a), (_, b)| (a.body.created, &a.id).cmp(&(b.body.created, &b.id)));
    Ok(keys)
}

/// Makes a key that speaks for these AWS accounts of the same Account; for this one when none is named.
pub(super) async fn make(
    state: &State,
    person: &Person,
    aws_id: &str,
    about: &str,
    speaks_for: &[String],
) -> Result<Made, WebError> {
    let aws = account(state, person, aws_id).await?;
    if of(state, &aws).await?.len() >= MOST {
        return Err(WebError::Invalid(format!("{MOST} keys are enough; revoke one that is not used")));
    }
    let speaks_for = accounts(state, &aws, speaks_for)?;
    put(state, person, aws.aws_id, about, speaks_for).await
}

/// The AWS accounts that a key is to speak for; all of them have to be the Account's own.
fn accounts(state: &State, aws: &AwsAccount, named: &[String]) -> Result<Vec<AwsId>, WebError> {
    if named.len() > MOST_ACCOUNTS {
        return Err(WebError::Invalid(format!("a key speaks for at most {MOST_ACCOUNTS} AWS accounts")));
    }
    let directory = state.index.directory();
    let own = |id: &AwsId| directory.aws_accounts.get(id).is_some_and(|other| other.account == aws.account);
    let mut all = Vec::new();
    for text in named {
        let unknown = || WebError::Invalid(format!("{} is no AWS account of yours", clean(text)));
        let id = AwsId::parse(text).ok().filter(|id| *id == aws.aws_id || own(id)).ok_or_else(unknown)?;
        if !all.contains(&id) {
            all.push(id);
        }
    }
    if all.is_empty() {
        all.push(aws.aws_id.clone());
    }
    Ok(all)
}

async fn put(
    state: &State,
    person: &Person,
    aws_id: AwsId,
    about: &str,
    speaks_for: Vec<AwsId>,
) -> Result<Made, WebError> {
    let name = hex::encode(rand::random::<[u8; 8]>());
    let secret = EventKey::compose(&name, &super::session::random());
    let key = EventKey {
        account: person.account.clone(),
        aws_id,
        speaks_for,
        name: about.trim().chars().take(100).collect(),
        hash: EventKey::hash_of(&secret),
        created: state.clock.now(),
        made_by: person.user.clone(),
        expires: None,
        purge_at: None,
        extra: Extra::new(),
    };
    state.store.put("event_key", &Doc { id: key.doc_id(&name), rev: None, body: &key }).await?;
    Ok(Made { name, key, secret })
}

/// Makes a key that takes the place of another, which stays good for so many seconds: meanwhile the connection in AWS gets the
/// new one, and no event is refused.
pub(super) async fn rotate(
    state: &State,
    person: &Person,
    aws_id: &str,
    name: &str,
    overlap: i64,
) -> Result<Made, WebError> {
    if !(0..=LONGEST_OVERLAP).contains(&overlap) {
        return Err(WebError::Invalid("the old key may stay good for a week at most".to_owned()));
    }
    let keys = list(state, person, aws_id).await?;
    // An old one that is still good counts beside the one in its place.
    let full = keys.len() >= 2 * MOST;
    let (_, mut old) = one(keys, name)?;
    if old.body.expires.is_some() {
        return Err(WebError::Invalid("another key has taken this one's place already; rotate that one".to_owned()));
    }
    if full {
        return Err(WebError::Invalid("too many keys are good still; revoke one that is not used".to_owned()));
    }
    let made = put(state, person, old.body.aws_id.clone(), &old.body.name, old.body.speaks_for.clone()).await?;
    let until = state.clock.now().plus(overlap);
    (old.body.expires, old.body.purge_at) = (Some(until), Some(until));
    audit::about_to_change(&state.store, &old.id, &person.gateway_name(), state.clock.now()).await;
    match state.store.put("event_key", &old).await {
        Ok(_) => Ok(made),
        Err(why) => {
            // Without its end the old one would stay good for ever, and nobody was shown the new one.
            let new = state.store.get::<EventKey>(&made.key.doc_id(&made.name)).await?;
            if let Some(rev) = new.and_then(|doc| doc.rev) {
                state.store.delete(&made.key.doc_id(&made.name), &rev).await?;
            }
            Err(why.into())
        }
    }
}

/// Ends a key at once.
pub(super) async fn revoke(state: &State, person: &Person, aws_id: &str, name: &str) -> Result<(), WebError> {
    let (_, doc) = one(list(state, person, aws_id).await?, name)?;
    audit::about_to_remove(&state.store, &doc.id, &person.gateway_name(), state.clock.now()).await;
    state.store.delete(&doc.id, &doc.rev.unwrap_or_default()).await?;
    Ok(())
}

fn one(keys: Vec<Named>, name: &str) -> Result<Named, WebError> {
    let found = keys.into_iter().find(|(known, _)| known == name);
    found.ok_or_else(|| WebError::NotFound("there is no such key".to_owned()))
}
