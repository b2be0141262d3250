//! Puts the database, the access rules and the views in place. Idempotent; runs at every start.

use super::{Store, StoreError};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a gateway may take to come up, or to reload a database.
const PATIENCE: Duration = Duration::from_mins(2);

impl Store {
    /// Creates the database when it is missing, and sets the access function and design documents when they differ. A
    /// bucket without a view service is no error: the follower's index answers the same questions.
    pub async fn ensure_database(&self, sync: &str, views: &[(String, Value)]) -> Result<(), StoreError> {
        self.wait_until_up().await?;
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
    async fn wait_until_up(&self) -> Result<(), StoreError> {
        let patience = tokio::time::Instant::now() + PATIENCE;
        loop {
            let request = self.signed(self.http.get(self.admin(&[])?));
            match self.send(request, &self.config.database).await {
                Ok(reply) if reply.body.get("state").is_none_or(|state| state == "Online") => return Ok(()),
                Ok(_) | Err(StoreError::Unavailable { .. }) if tokio::time::Instant::now() < patience => {}
                Err(StoreError::NoDatabase { .. } | StoreError::NotFound { .. }) => self.create().await?,
                Ok(_) => {
                    return Err(StoreError::unavailable(
                        "the database is offline; `POST /zerocloud/_online` on the admin port",
                    ));
                }
                Err(why) => return Err(why),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn create(&self) -> Result<(), StoreError> {
        let name = &self.config.database;
        let config = json!({ "bucket": name, "num_index_replicas": 0, "import_docs": true, "revs_limit": 100, "guest": { "disabled": true } });
        let request = self.http.put(self.admin(&[])?).json(&config);
        match self.send(self.signed(request), name).await {
            Ok(_) | Err(StoreError::Refused { status: 412, .. }) => Ok(()),
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
        self.wait_until_up().await
    }
}
