//! Takes note of raised stages. A rise counts only from the moment the service saw it, so that a change made while it
//! was down, or written past it, still gives everybody the notice that the policy promises.

use crate::clock::Clock;
use crate::follower::Index;
use crate::model::{AwsAccount, StageAccepted, Time};
use crate::store::{Store, StoreError};

/// Stamps `stage_accepted` where it differs from `stage`, by compare-and-swap. A conflict is left to the next call: the
/// write that won brings one.
pub async fn accept_stages(store: &Store, index: &Index, clock: &Clock) {
    let directory = index.directory();
    for account in directory.aws_accounts.values() {
        if accepted(account, clock.now()).is_none() {
            continue;
        }
        let id = format!("aws_account::{}::{}", account.account, account.aws_id);
        match stamp(store, &id, clock.now()).await {
            Ok(()) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => tracing::warn!(id, %error, "a stage could not be taken note of"),
        }
    }
}

async fn stamp(store: &Store, id: &str, now: Time) -> Result<(), StoreError> {
    let Some(mut doc) = store.get::<AwsAccount>(id).await? else {
        return Ok(());
    };
    let Some(next) = accepted(&doc.body, now) else {
        return Ok(());
    };
    note(&mut doc.body, next, now);
    store.put("aws_account", &doc).await?;
    tracing::info!(id, stage = ?next.stage, since = %next.since, "stage taken note of");
    Ok(())
}

/// Takes the stamp, and notes since when it is so where the stamp does not say.
fn note(account: &mut AwsAccount, next: StageAccepted, now: Time) {
    match account.stage_accepted.replace(next) {
        Some(old) if next.stage < old.stage => {
            account.extra.insert(AwsAccount::LOWERED.to_owned(), now.to_string().into())
        }
        _ => account.extra.remove(AwsAccount::LOWERED),
    };
}

/// The stamp to write, if any. A fall keeps its date: what was allowed before is allowed since then.
fn accepted(account: &AwsAccount, now: Time) -> Option<StageAccepted> {
    let stage = account.stage;
    match account.stage_accepted {
        Some(old) if old.stage == stage => None,
        Some(old) if stage < old.stage => Some(StageAccepted { stage, ..old }),
        _ => Some(StageAccepted { stage, since: now }),
    }
}

#[cfg(test)]
mod tests {
    use super::{accepted, note};
    use crate::model::{AwsAccount, Stage, StageAccepted, Time};

    #[test]
    fn a_rise_counts_from_now_and_a_fall_keeps_its_date() {
        let account = |stage: &str| -> AwsAccount {
            let body = serde_json::json!({ "account": "bigdb", "aws_id": "111122223333", "stage": stage,
                "stage_accepted": { "stage": "stop", "since": "2026-11-01T00:00:00Z" } });
            serde_json::from_value(body).unwrap()
        };
        let now = Time::parse("2026-11-24T00:00:00Z").unwrap();
        let old = Time::parse("2026-11-01T00:00:00Z").unwrap();
        let stamp = |stage, since| Some(StageAccepted { stage, since });
        assert_eq!(accepted(&account("stop"), now), None);
        assert_eq!(accepted(&account("terminate"), now), stamp(Stage::Terminate, now));
        assert_eq!(accepted(&account("notify"), now), stamp(Stage::Notify, old));
    }

    #[test]
    fn what_is_lowered_is_in_force_since_then_and_what_is_raised_again_since_that() {
        let at = |day: i64| Time::from_unix(1_800_000_000 + day * 86_400);
        let mut account: AwsAccount = serde_json::from_value(
            serde_json::json!({ "account": "bigdb", "aws_id": "111122223333", "stage": "stop" }),
        )
        .unwrap();
        assert_eq!(account.stage_since(), None);
        for (stage, now, since) in [
            (Stage::Stop, at(1), at(1)),
            (Stage::Notify, at(2), at(1)),
            (Stage::Observe, at(3), at(1)),
            (Stage::Notify, at(4), at(4)),
        ] {
            account.stage = stage;
            let next = accepted(&account, now).unwrap();
            note(&mut account, next, now);
            assert_eq!((account.stage_since(), next.since), (Some(now), since), "{stage:?}");
        }
        assert!(account.extra.is_empty(), "{account:?}");
    }
}
