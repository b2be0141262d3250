//! Asking a view: ranges, keys, order, paging, reduce and groups.

use rusqlite::Connection;
use serde_json::Value;

use super::collate;
use super::design::Design;
use super::reduce::{Reduce, Total};
use crate::database::Reader;
use crate::error::{Error, Result};
use crate::json;
use crate::store::docs::DocRow;

/// Checked parameters.
#[derive(Debug, Clone, Default)]
pub struct Params {
    start: Option<Value>,
    end: Option<Value>,
    start_docid: Option<String>,
    end_docid: Option<String>,
    keys: Option<Vec<Value>>,
    limit: Option<usize>,
    skip: usize,
    descending: bool,
    exclusive_end: bool,
    include_docs: bool,
    reduce: Option<bool>,
    group_level: Option<usize>,
    /// Whether an index that lags behind will do.
    pub stale: bool,
}

impl Params {
    /// Reads query parameters.
    pub fn parse(query: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let value = |names: [&str; 2]| -> Result<Option<Value>> {
            let Some(text) = names.into_iter().find_map(&query) else {
                return Ok(None);
            };
            let parsed = json::parse(text.as_bytes());
            parsed.map(Some).map_err(|_| Error::bad_request(format!("{} is not JSON", names[0])))
        };
        let truth = |name: &str| query(name).map(|text| text == "true");
        let number = |name: &str| query(name).and_then(|text| text.parse::<usize>().ok());
        let keys = match value(["keys", "keys"])? {
            None => None,
            Some(Value::Array(keys)) => Some(keys),
            Some(_) => return Err(Error::bad_request("keys must be an array")),
        };
        let key = value(["key", "key"])?;
        let grouped = truth("group") == Some(true);
        Ok(Self {
            start: value(["startkey", "start_key"])?,
            end: value(["endkey", "end_key"])?,
            start_docid: query("startkey_docid"),
            end_docid: query("endkey_docid"),
            keys: keys.or_else(|| key.map(|key| vec![key])),
            limit: number("limit"),
            skip: number("skip").unwrap_or(0),
            descending: truth("descending") == Some(true),
            exclusive_end: truth("inclusive_end") == Some(false),
            include_docs: truth("include_docs") == Some(true),
            reduce: truth("reduce"),
            group_level: if grouped { Some(usize::MAX) } else { number("group_level").filter(|&level| level > 0) },
            stale: query("stale").as_deref() == Some("ok"),
        })
    }
}

/// Rows between two keys, in the direction asked for.
struct Bounds {
    low: (Vec<u8>, Option<String>),
    high: (Vec<u8>, Option<String>),
    exclude: Option<Vec<u8>>,
}

impl Bounds {
    fn of(params: &Params) -> Self {
        let (first, last) = if params.descending {
            ((&params.end, &params.end_docid), (&params.start, &params.start_docid))
        } else {
            ((&params.start, &params.start_docid), (&params.end, &params.end_docid))
        };
        let bound = |(key, docid): (&Option<Value>, &Option<String>), open: u8| match key {
            Some(key) => (collate::encode(key), docid.clone()),
            None => (vec![open], None),
        };
        let end = params.end.as_ref().filter(|_| params.exclusive_end);
        Self { low: bound(first, 0), high: bound(last, 0xff), exclude: end.map(collate::encode) }
    }

    fn only(key: &Value) -> Self {
        let key = collate::encode(key);
        Self { low: (key.clone(), None), high: (key, None), exclude: None }
    }

    fn holds(&self, key: &[u8], id: &str) -> bool {
        let at_low = self.low.0 == key && self.low.1.as_deref().is_some_and(|docid| id < docid);
        let at_high = self.high.0 == key && self.high.1.as_deref().is_some_and(|docid| id > docid);
        !at_low && !at_high && self.exclude.as_deref() != Some(key)
    }
}

struct Row {
    id: String,
    num: i64,
    key_json: String,
    value: String,
}

/// Answers a query as JSON text.
pub fn run(conn: &Connection, design: &Design, view: &str, params: &Params, reader: &Reader) -> Result<String> {
    let number = design.views.iter().position(|known| known.name == view);
    let number = number.ok_or_else(|| Error::not_found("missing"))?;
    let reduce = match &design.views[number].reduce {
        Some(source) if params.reduce != Some(false) => Some(Reduce::parse(source)?),
        _ => None,
    };
    let scan = Scan { conn, design: design.id, view: i64::try_from(number).unwrap_or(0), params, reader };
    let rows = match reduce {
        Some(reduce) => scan.reduced(reduce)?,
        None => scan.plain()?,
    };
    Ok(format!("{{\"total_rows\":{},\"rows\":[{}],\"Collator\":{{}}}}", rows.len(), rows.join(",")))
}

struct Scan<'a> {
    conn: &'a Connection,
    design: i64,
    view: i64,
    params: &'a Params,
    reader: &'a Reader,
}

impl Scan<'_> {
    /// Calls `take` for each visible row until it says stop.
    fn each(&self, mut take: impl FnMut(Row) -> Result<bool>) -> Result<()> {
        let bounds: Vec<Bounds> = match &self.params.keys {
            Some(keys) => keys.iter().map(Bounds::only).collect(),
            None => vec![Bounds::of(self.params)],
        };
        for bounds in bounds {
            if !self.range(&bounds, &mut take)? {
                break;
            }
        }
        Ok(())
    }

    fn range(&self, bounds: &Bounds, take: &mut impl FnMut(Row) -> Result<bool>) -> Result<bool> {
        let order = if self.params.descending { "key DESC, id DESC, n DESC" } else { "key, id, n" };
        let sql = format!(
            "SELECT key, id, num, key_json, value FROM view_rows
             WHERE ddoc = ?1 AND view = ?2 AND key >= ?3 AND key <= ?4 ORDER BY {order}"
        );
        let mut select = self.conn.prepare_cached(&sql)?;
        let mut rows = select.query((self.design, self.view, &bounds.low.0, &bounds.high.0))?;
        while let Some(row) = rows.next()? {
            let id: String = row.get(1)?;
            if !bounds.holds(row.get_ref(0)?.as_blob().unwrap_or_default(), &id) {
                continue;
            }
            let row = Row { id, num: row.get(2)?, key_json: row.get(3)?, value: row.get(4)? };
            if self.visible(row.num)? && !take(row)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn visible(&self, num: i64) -> Result<bool> {
        match self.reader {
            Reader::Admin => Ok(true),
            Reader::User(user) => {
                let doc = DocRow::by_num(self.conn, num)?;
                Ok(doc.is_some_and(|doc| user.sees(&doc.chans.active)))
            }
        }
    }

    fn plain(&self) -> Result<Vec<String>> {
        let limit = self.params.limit.unwrap_or(usize::MAX);
        let mut skip = self.params.skip;
        let mut out = Vec::new();
        if limit == 0 {
            return Ok(out);
        }
        self.each(|row| {
            if skip > 0 {
                skip -= 1;
                return Ok(true);
            }
            let mut text =
                format!("{{\"id\":{},\"key\":{},\"value\":{}", json::quote(&row.id), row.key_json, row.value);
            if self.params.include_docs
                && let Some(doc) = DocRow::by_num(self.conn, row.num)?
            {
                text.push_str(",\"doc\":");
                text.push_str(&doc.body);
            }
            text.push('}');
            out.push(text);
            Ok(out.len() < limit)
        })?;
        Ok(out)
    }

    fn reduced(&self, reduce: Reduce) -> Result<Vec<String>> {
        let mut groups: Vec<(String, Total)> = Vec::new();
        self.each(|row| {
            let group = self.group(&row.key_json);
            if let Some((_, total)) = groups.last_mut().filter(|(last, _)| *last == group) {
                total.add(reduce, &row.value)?;
            } else {
                let mut total = Total::default();
                total.add(reduce, &row.value)?;
                groups.push((group, total));
            }
            Ok(true)
        })?;
        let limit = self.params.limit.unwrap_or(usize::MAX);
        let shown = groups.into_iter().skip(self.params.skip).take(limit);
        let render =
            |(key, total): (String, Total)| format!("{{\"id\":\"\",\"key\":{key},\"value\":{}}}", total.render(reduce));
        Ok(shown.map(render).collect())
    }

    /// The group of a key, as JSON text.
    fn group(&self, key_json: &str) -> String {
        let Some(level) = self.params.group_level else {
            return "null".to_owned();
        };
        if level == usize::MAX || !key_json.starts_with('[') {
            return key_json.to_owned();
        }
        match json::parse(key_json.as_bytes()) {
            Ok(Value::Array(mut items)) => {
                items.truncate(level);
                json::canonical_value(&Value::Array(items))
            }
            _ => key_json.to_owned(),
        }
    }
}
