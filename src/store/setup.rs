//! Puts the database, the access rules and the views in place. Idempotent; runs at every start. Bucket and Couchbase Server
//! users are not its business: whoever runs Couchbase makes those (`docker/init.sh`).

use super::{Store, StoreError};
use serde_json::Value;
use std::time::Duration;

/// What a database is created with; the same file serves administrators who create it by hand.
const DATABASE: &str = include_str!("../../sync-gateway/database.json");
/// How long a gateway may take to come up, or to reload a database.
const PATIENCE: Duration = Duration::from_mins(2);

impl Store {
    /// Creates the database when it is missing, and sets the access function and design documents when they differ. A
    /// bucket without a view service is no error: the follower's index answers the same questions.
    pub async fn ensure_database(&self, sync: &str, views: &[(String, Value)]) -> Result<(), StoreError> {
        self.wait_until_up(sync).await?;
        self.ensure_sync(sync).await?;
        for (name, design) in views {
            let request = self.http.put(self.admin(&["_design", name])?).json(design);
            match self.send(self.signed(request), name).await {
                Ok(_) => {}
                Err(StoreError::Refused { status, reason, .. }) => {
                    tracing::warn!(design = name, status, reason, "no views here; the index answers instead");
                }
                Err(StoreError::NotFound { .. }) => {
                    tracing::warn!(design = name, "no views here; the index answers instead");
                }
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// Waits for the gateway, and creates the database when it has none.
    async fn wait_until_up(&self, sync: &str) -> Result<(), StoreError> {
        let patience = tokio::time::Instant::now() + PATIENCE;
        loop {
            let request = self.signed(self.http.get(self.admin(&[])?));
            let found = self.send(request, &self.config.database).await;
            let more = tokio::time::Instant::now() < patience;
            match found {
                Ok(reply) if reply.body.get("state").is_none_or(|state| state == "Online") => return Ok(()),
                Ok(_) | Err(StoreError::Unavailable { .. }) if more => {}
                // A gateway that checks administrators against Couchbase Server says 403 where there is no database.
                Err(
                    StoreError::NoDatabase { .. }
                    | StoreError::NotFound { .. }
                    | StoreError::Refused { status: 403, .. },
                ) if more => {
                    self.create(sync).await?;
                }
                Ok(_) => {
                    let name = &self.config.database;
                    let why = format!("the database is offline; `POST /{name}/_online` on the admin port");
                    return Err(StoreError::unavailable(why));
                }
                Err(why) => return Err(why),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Creates the database with its access function, so that there is no moment without one. 412: another copy was first.
    /// A real one may take long to make its indexes: no answer in time is no failure, the caller looks again.
    async fn create(&self, sync: &str) -> Result<(), StoreError> {
        let name = &self.config.database;
        let mut config: Value = serde_json::from_str(DATABASE).map_err(|why| StoreError::malformed(name, why))?;
        config["bucket"] = name.as_str().into();
        config["sync"] = sync.into();
        let request = self.http.put(self.admin(&[])?).json(&config);
        match self.send(self.signed(request), name).await {
            Ok(_) | Err(StoreError::Refused { status: 412, .. } | StoreError::Unavailable { .. }) => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// A real gateway reloads the database when the function is set, which cuts feeds: only when it differs.
    async fn ensure_sync(&self, sync: &str) -> Result<(), StoreError> {
        let url = self.admin(&["_config", "sync"])?;
        let current = self.signed(self.http.get(url.clone())).timeout(self.config.timeout).send().await;
        let current = current.map_err(StoreError::unavailable)?.text().await.map_err(StoreError::unavailable)?;
        if current.trim() == sync.trim() {
            return Ok(());
        }
        let request = self.http.put(url).header("content-type", "application/javascript").body(sync.to_owned());
        self.send(self.signed(request), "the access function").await?;
        self.wait_until_up(sync).await
    }
}
