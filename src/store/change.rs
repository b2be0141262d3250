//! Changing one document by compare-and-swap: a lost race is an ordinary branch, so read and change again.

use super::{Store, StoreError};
use crate::model::Doc;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How often a lost race is run again.
const TRIES: u32 = 5;

impl Store {
    /// Changes a document; `change` says whether it is to be written, and is asked again of what stands there after each lost race.
    /// Gives it as it stands then, or `None` when there is none.
    ///
    /// # Errors
    /// `Conflict` when every race was lost; `Malformed` when its body is not of the type.
    pub async fn change<T: Serialize + DeserializeOwned>(
        &self,
        kind: &str,
        id: &str,
        mut change: impl FnMut(&mut T) -> bool,
    ) -> Result<Option<Doc<T>>, StoreError> {
        let mut tried = 1;
        loop {
            let Some(mut doc) = self.get::<T>(id).await? else { return Ok(None) };
            if !change(&mut doc.body) {
                return Ok(Some(doc));
            }
            match self.put(kind, &doc).await {
                Ok(rev) => return Ok(Some(Doc { rev: Some(rev), ..doc })),
                Err(StoreError::Conflict { .. }) if tried < TRIES => tried += 1,
                Err(why) => return Err(why),
            }
        }
    }
}
