//! Design documents. A Sync Gateway does not list them, so they are carried by name; a real one gives map functions back
//! inside a function of its own, which is taken off so that it is not wrapped twice.

use super::side::{Side, SideError};
use reqwest::Method;
use serde_json::{Map, Value};

/// What came of one design document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Carried,
    /// The source has none of that name.
    Absent,
    /// Why the target did not take it; a bucket without a view service is none.
    Refused(String),
}

/// Makes the design document of that name stand on the target as on the source.
pub(super) async fn carry(source: &Side, target: &Side, name: &str) -> Result<Outcome, SideError> {
    let path = ["_design", name];
    let wanted = match source.read::<Map<String, Value>>(&path).await {
        Ok(Some(design)) => plain(design),
        Ok(None) => return Ok(Outcome::Absent),
        Err(why @ SideError::Unavailable { .. }) => return Err(why),
        Err(why) => return Ok(Outcome::Refused(why.to_string())),
    };
    let current = target.read::<Map<String, Value>>(&path).await;
    if current.is_ok_and(|current| current.map(plain).as_ref() == Some(&wanted)) {
        return Ok(Outcome::Carried);
    }
    let body = Value::Object(wanted.clone()).to_string();
    match target.call(target.send_json(Method::PUT, &path, body), &format!("writing {}", path.join("/"))).await {
        Ok(_) => {}
        Err(why @ SideError::Refused { .. }) => return Ok(Outcome::Refused(why.to_string())),
        Err(why) => return Err(why),
    }
    let stands = target.read::<Map<String, Value>>(&path).await?.map(plain);
    let same = stands.as_ref().and_then(|design| design.get("views")) == wanted.get("views");
    Ok(if same { Outcome::Carried } else { Outcome::Refused("it stands there differently".to_owned()) })
}

/// With the map functions as they were written, and without what a gateway adds.
fn plain(mut design: Map<String, Value>) -> Map<String, Value> {
    design.retain(|name, _| !name.starts_with('_'));
    let views = design.get_mut("views").and_then(Value::as_object_mut).into_iter().flatten();
    for (_, view) in views {
        let own = view.get("map").and_then(Value::as_str).map(|map| unwrapped(map).to_owned());
        if let (Some(own), Some(view)) = (own, view.as_object_mut()) {
            view.insert("map".to_owned(), own.into());
            view.retain(|_, value| value != "");
        }
    }
    design
}

/// What stands inside Sync Gateway's function: `(…)(doc, meta);` behind its remark "Run view".
fn unwrapped(map: &str) -> &str {
    let inner = || {
        let (before, mut rest) = map.split_once("//Run view")?;
        if !before.contains("sync.flags & 1") {
            return None;
        }
        // Where users may query views, emit is wrapped as well.
        if let Some((_, after)) = rest.split_once("_emit(key, [channels, value]);") {
            rest = after.trim_start().strip_prefix("};")?;
        }
        let (inner, _) = rest.trim_start().strip_prefix('(')?.rsplit_once(")(doc, meta);")?;
        Some(inner)
    };
    inner().unwrap_or(map)
}

#[cfg(test)]
mod tests {
    use super::unwrapped;

    #[test]
    fn map_functions_come_out_of_the_gateways_own_and_others_stay() {
        let own = "function (doc, meta) { (function(a) {})(doc, meta); emit(meta.id, 1); }";
        assert_eq!(unwrapped(own), own);
        let head = "function(doc, meta) { if (sync === undefined || (sync.flags & 1)) return; //Run view\n\t\t";
        let admin = format!("{head}({own})(doc, meta);\n\n\t\t//Re-add sync data to body\n }}");
        assert_eq!(unwrapped(&admin), own);
        let user = format!(
            "{head}var _emit = emit;\n(function() {{\nvar emit = function(key, value) {{\n_emit(key, [channels, value]);\n}};\n\
             ({own})(doc, meta);\n}}());\n}}"
        );
        assert_eq!(unwrapped(&user), own);
    }
}
