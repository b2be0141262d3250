//! Design documents.

use rusqlite::{Connection, OptionalExtension as _};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::json::{self, Object};
use crate::store::Tx;

/// One view of a design document.
#[derive(Debug, Clone)]
pub struct View {
    /// Name.
    pub name: String,
    /// Source of the map function.
    pub map: String,
    /// Source or name of the reduce function.
    pub reduce: Option<String>,
}

/// A stored design document.
#[derive(Debug, Clone)]
pub struct Design {
    /// Row number; another one after each change.
    pub id: i64,
    /// As stored.
    pub source: String,
    /// Views, in the order of their numbers.
    pub views: Vec<View>,
}

/// Loads a design document.
pub fn get(conn: &Connection, db: i64, name: &str) -> Result<Option<Design>> {
    let sql = "SELECT id, source FROM design_docs WHERE db = ?1 AND name = ?2";
    let row = conn
        .prepare_cached(sql)?
        .query_row((db, name), |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    Ok(row.map(|(id, source)| Design { id, views: views(&json::parse_object(&source)), source }))
}

/// The views in a design document's source.
pub fn views(source: &Object) -> Vec<View> {
    let Some(Value::Object(views)) = source.get("views") else {
        return Vec::new();
    };
    let text = |view: &Value, key: &str| view.get(key).and_then(Value::as_str).map(str::to_owned);
    let view = |(name, view): (&String, &Value)| View {
        name: name.clone(),
        map: text(view, "map").unwrap_or_default(),
        reduce: text(view, "reduce").filter(|reduce| !reduce.is_empty()),
    };
    views.iter().map(view).collect()
}

fn check_name(name: &str) -> Result<()> {
    if name.starts_with("sync_") {
        return Err(Error::forbidden("forbidden"));
    }
    Ok(())
}

fn check_members(body: &Object) -> Result<()> {
    let unknown = |key: &String| Err(Error::bad_request(format!("JSON Unknown Field: {key:?}")));
    if let Some(key) = body.keys().find(|key| !["language", "options", "views"].contains(&key.as_str())) {
        return unknown(key);
    }
    let views = match body.get("views") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(views)) => views,
        Some(_) => return Err(Error::bad_request("views must be an object")),
    };
    for (name, view) in views {
        let Value::Object(view) = view else {
            return Err(Error::bad_request(format!("view {name:?} must be an object")));
        };
        for (key, source) in view {
            if !["map", "reduce"].contains(&key.as_str()) {
                return unknown(key);
            }
            if !source.is_string() && !source.is_null() {
                return Err(Error::bad_request(format!("{key} of view {name:?} must be the text of a function")));
            }
        }
    }
    Ok(())
}

/// Stores a design document; an unchanged one keeps its index.
pub fn put(tx: &mut Tx<'_>, db: i64, name: &str, body: &Object) -> Result<()> {
    check_name(name)?;
    check_members(body)?;
    let mut kept = Map::new();
    kept.insert("language".to_owned(), json!("javascript"));
    kept.insert(
        "views".to_owned(),
        body.get("views").filter(|views| !views.is_null()).cloned().unwrap_or_else(|| json!({})),
    );
    if let Some(options) = body.get("options") {
        kept.insert("options".to_owned(), options.clone());
    }
    let source = json::canonical(&kept);
    if let Some(old) = get(tx.conn, db, name)? {
        if old.source == source {
            return Ok(());
        }
        forget(tx, old.id)?;
    }
    let sql = "INSERT INTO design_docs (db, name, source) VALUES (?1, ?2, ?3)";
    tx.conn.prepare_cached(sql)?.execute((db, name, source))?;
    Ok(())
}

/// Deletes a design document.
pub fn delete(tx: &mut Tx<'_>, db: i64, name: &str) -> Result<()> {
    check_name(name)?;
    let design = get(tx.conn, db, name)?.ok_or_else(|| Error::not_found("missing"))?;
    forget(tx, design.id)
}

fn forget(tx: &mut Tx<'_>, id: i64) -> Result<()> {
    tx.conn.prepare_cached("DELETE FROM view_rows WHERE ddoc = ?1")?.execute([id])?;
    tx.conn.prepare_cached("DELETE FROM design_docs WHERE id = ?1")?.execute([id])?;
    Ok(())
}
