//! A way past HTTP for this crate's own benches. No part of the interface: it changes without notice.

use std::path::Path;
use std::sync::Arc;

use crate::changes::options::Options;
use crate::changes::query::{self, Range};
use crate::changes::seq::Seq;
use crate::database::incoming::Incoming;
use crate::database::write::{Author, Context, Edit, Looked};
use crate::database::{Database, Reader, read};
use crate::gateway::Inner;
use crate::json::{self, Object};
use crate::store::Tx;
use crate::{Config, Gateway};

/// A database without listeners.
#[derive(Debug)]
pub struct Inside {
    gateway: Arc<Inner>,
    db: Arc<Database>,
}

/// The canonical text of a JSON object.
pub fn canonical(text: &str) -> String {
    json::canonical(&json::parse_object(text))
}

/// The bytes under which a view's key is stored, made from JSON text.
pub fn collated(key: &str) -> Vec<u8> {
    json::parse(key.as_bytes()).map(|key| crate::views::collate::encode(&key)).unwrap_or_default()
}

impl Inside {
    /// A new database with this sync function.
    pub async fn new(dir: &Path, sync: &str) -> anyhow::Result<Self> {
        let gateway = Gateway::open(Config::new(dir))?.inner;
        let mut config = Object::new();
        config.insert("sync".to_owned(), sync.into());
        gateway.create("db", config).await?;
        let db = gateway.database("db").ok_or_else(|| anyhow::anyhow!("no database"))?;
        Ok(Self { gateway, db })
    }

    /// Stores documents in one transaction; answers their revisions once they are on disk.
    pub async fn bulk(&self, docs: &[String]) -> anyhow::Result<Vec<String>> {
        let mut edits = Vec::with_capacity(docs.len());
        for doc in docs {
            let incoming = Incoming::parse(json::parse_object(doc))?;
            let id = incoming.id.as_ref().and_then(|id| id.as_str()).unwrap_or_default().to_owned();
            edits.push(incoming.into_edit(&id, None)?);
        }
        let context = Context { db: Arc::clone(&self.db), config: self.db.config(), author: Author::Admin };
        let look = move |tx: &mut Tx<'_>| {
            let looked: Vec<Looked> = edits.iter().map(|edit| context.look(tx, edit)).collect();
            Ok((context, edits, looked))
        };
        let finish = |tx: &mut Tx<'_>, (context, edits, looked): (Context, Vec<Edit>, Vec<Looked>)| {
            let stored = edits.iter().zip(looked).map(|(edit, looked)| Ok(context.finish(tx, edit, looked)?.rev));
            stored.collect()
        };
        Ok(self.gateway.store.write_judged(docs.len(), look, finish).await?)
    }

    /// A document as text.
    pub fn get(&self, id: &str) -> anyhow::Result<String> {
        let text = self.gateway.store.read_blocking(|conn| {
            let revision = read::current(conn, &self.db, id, &Reader::Admin)?;
            revision.render(conn, &read::Show::default())
        });
        Ok(text?)
    }

    /// How many entries, and bytes in them, a feed with documents has from the beginning up to a limit.
    pub fn changes(&self, limit: usize) -> anyhow::Result<(usize, usize)> {
        let mut body = Object::new();
        body.insert("include_docs".to_owned(), true.into());
        let options = Options::parse(&body)?;
        let range = Range { since: Seq::ZERO, until: None, limit };
        let read = |conn: &_| query::batch(conn, &self.db, &Reader::Admin, &options, range);
        let batch = self.gateway.store.read_blocking(read)?;
        Ok((batch.entries.len(), batch.entries.iter().map(|(_, text)| text.len()).sum()))
    }
}
