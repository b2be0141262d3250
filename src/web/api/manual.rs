//! The description of the API as a page for people, drawn from the OpenAPI document itself, without any other server.

use crate::web::html::{self, Shell};
use crate::web::{Site, State, WebError};
use axum::extract::State as At;
use axum::response::Response;
use minijinja::context;
use serde_json::{Value, json};

/// `GET /api`
pub(super) async fn page(At(state): At<State>, site: Site) -> Result<Response, WebError> {
    let api: Value = serde_json::from_str(super::reference::text()).map_err(|why| WebError::Internal(why.into()))?;
    let shell = Shell::bare(&site, "REST API");
    let description = prose(&api["info"]["description"]);
    let origin = site.origin.clone();
    let values =
        context! { origin, description, groups => groups(&api), shapes => shapes(&api), failures => failures() };
    html::render(&state, &shell, "api.html", values)
}

/// A text in pieces, every second of them code: what stood between backticks.
fn prose(text: &Value) -> Vec<&str> {
    text.as_str().map(|text| text.split('`').collect()).unwrap_or_default()
}

fn failures() -> Vec<Value> {
    let all = super::reference::FAILURES.iter();
    all.map(|(status, what)| json!({ "status": status, "what": what })).collect()
}

/// The calls by what they are about, as the template shows them.
fn groups(api: &Value) -> Vec<Value> {
    let mut groups: Vec<(String, Vec<Value>)> = Vec::new();
    for (path, methods) in api["paths"].as_object().into_iter().flatten() {
        for (method, call) in methods.as_object().into_iter().flatten() {
            let tag = call["tags"][0].as_str().unwrap_or_default().to_owned();
            let entry = entry(api, path, method, call);
            match groups.iter_mut().find(|(name, _)| *name == tag) {
                Some((_, calls)) => calls.push(entry),
                None => groups.push((tag, vec![entry])),
            }
        }
    }
    groups.sort_by_key(|(name, _)| order(name));
    let group = |(name, calls): (String, Vec<Value>)| json!({ "name": name, "id": anchor(&name), "calls": calls });
    groups.into_iter().map(group).collect()
}

/// What people come for first, then what is about people and rules, then the rest by name.
fn order(name: &str) -> (usize, String) {
    const FIRST: [&str; 5] = ["leases", "requests", "resources", "people", "policies"];
    (FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len()), name.to_owned())
}

fn anchor(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn entry(api: &Value, path: &str, method: &str, call: &Value) -> Value {
    let parameters = call["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.map(|it| {
        json!({
            "name": it["name"], "place": it["in"], "required": it["required"], "what": prose(&it["description"]),
            "kind": kind(&it["schema"]),
        })
    });
    let body = call.pointer("/requestBody/content/application~1json/schema");
    let shape = body.and_then(|schema| schema["$ref"].as_str()).and_then(|name| api.pointer(name.strip_prefix('#')?));
    let mut inputs: Vec<Value> = parameters.collect();
    inputs.extend(shape.map(|shape| fields(api, shape)).unwrap_or_default());
    json!({
        "path": path, "method": method.to_uppercase(), "id": anchor(&format!("{method}{path}")),
        "what": prose(&call["summary"]), "more": prose(&call["description"]), "inputs": inputs, "answers": answers(call),
    })
}

/// What it answers when all went well.
fn answers(call: &Value) -> Vec<Value> {
    let all = call["responses"].as_object().into_iter().flatten();
    let good = all.filter(|(status, _)| !super::reference::FAILURES.iter().any(|(failure, _)| failure == status));
    good.map(|(status, answer)| {
        let content = answer["content"].as_object().into_iter().flatten().next();
        json!({
            "status": status, "what": prose(&answer["description"]),
            "kind": content.map(|(media, content)| {
                let shape = kind(&content["schema"]);
                if media == "application/json" { shape } else { json!({ "text": media }) }
            }),
        })
    })
    .collect()
}

/// Every shape that calls take and give.
fn shapes(api: &Value) -> Vec<Value> {
    let all = api.pointer("/components/schemas").and_then(Value::as_object).into_iter().flatten();
    let shape = |(name, schema): (&String, &Value)| {
        json!({
            "name": name, "id": format!("shape-{}", anchor(name)), "what": prose(&schema["description"]),
            "fields": fields(api, schema), "kind": kind(schema),
        })
    };
    all.map(shape).collect()
}

/// The fields of a shape, and of those that it consists of.
fn fields(api: &Value, schema: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let named = part["$ref"].as_str().and_then(|name| api.pointer(name.strip_prefix('#')?));
        all.extend(fields(api, named.unwrap_or(part)));
    }
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name));
    let own = schema["properties"].as_object().into_iter().flatten();
    all.extend(own.map(|(name, field)| {
        json!({
            "name": name, "place": "body", "required": required(name), "what": prose(&field["description"]),
            "kind": kind(field),
        })
    }));
    all
}

/// The type of a value in words, and the shape that it refers to, if any.
fn kind(schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return json!({ "text": name, "shape": format!("shape-{}", anchor(name)) });
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        return json!({ "text": words.join(" | ") });
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        let parts = schema[several].as_array().into_iter().flatten().filter(|part| part["type"] != "null");
        if let Some(part) = parts.map(kind).find(|part| part["text"] != "") {
            return part;
        }
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).filter(|word| *word != "null").collect(),
        Value::String(one) => vec![one.as_str()],
        _ => Vec::new(),
    };
    if types == ["array"] {
        let mut of = kind(&schema["items"]);
        if let Some(text) = of["text"].as_str() {
            of["text"] = json!(format!("list of {text}"));
        }
        return of;
    }
    json!({ "text": types.join(" or ") })
}

#[cfg(test)]
mod tests {
    use super::{groups, kind, prose, shapes};
    use serde_json::{Value, json};

    fn api() -> Value {
        serde_json::from_str(super::super::reference::text()).unwrap()
    }

    #[test]
    fn every_call_stands_on_the_page_once_with_what_it_answers() {
        let api = api();
        let paths = api["paths"].as_object().unwrap().values();
        let calls: usize = paths.map(|methods| methods.as_object().unwrap().len()).sum();
        let groups = groups(&api);
        let shown: Vec<&Value> = groups.iter().flat_map(|group| group["calls"].as_array().unwrap()).collect();
        assert_eq!(shown.len(), calls);
        let mut ids: Vec<&str> = shown.iter().map(|call| call["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), calls);
        for call in shown {
            assert!(!call["answers"].as_array().unwrap().is_empty(), "{call}");
            assert!(!call["what"].as_array().unwrap().is_empty(), "{call}");
        }
        assert_eq!(groups[0]["name"], "leases");
    }

    #[test]
    fn what_a_type_refers_to_is_on_the_page() {
        let api = api();
        let shapes = shapes(&api);
        let ids: Vec<&str> = shapes.iter().map(|shape| shape["id"].as_str().unwrap()).collect();
        let text = serde_json::to_string(&groups(&api)).unwrap() + &serde_json::to_string(&shapes).unwrap();
        let mut found = 0;
        for part in text.split("\"shape\":\"").skip(1) {
            let id = part.split('"').next().unwrap();
            assert!(ids.contains(&id), "{id}");
            found += 1;
        }
        assert!(found > 20, "{found}");
    }

    /// What programs rely on, a line each: whoever changes it sees that they do.
    #[test]
    fn the_contract_of_the_api() {
        let api = api();
        let input = |it: &Value| {
            let needed = if it["required"] == true { "" } else { "?" };
            format!("{}{needed}: {}", it["name"].as_str().unwrap(), it["kind"]["text"].as_str().unwrap())
        };
        let inputs = |all: &Value| all.as_array().unwrap().iter().map(input).collect::<Vec<_>>().join(", ");
        let answer =
            |it: &Value| format!("{} {}", it["status"].as_str().unwrap(), it["kind"]["text"].as_str().unwrap_or("-"));
        let mut lines = Vec::new();
        for call in groups(&api).iter().flat_map(|group| group["calls"].as_array().unwrap()) {
            let answers: Vec<String> = call["answers"].as_array().unwrap().iter().map(answer).collect();
            let (method, path) = (call["method"].as_str().unwrap(), call["path"].as_str().unwrap());
            lines.push(format!("{method} {path} ({}) -> {}", inputs(&call["inputs"]), answers.join(" | ")));
        }
        for shape in shapes(&api) {
            let (name, fields) = (shape["name"].as_str().unwrap(), inputs(&shape["fields"]));
            let words = shape["kind"]["text"].as_str().filter(|_| fields.is_empty()).unwrap_or_default();
            lines.push(format!("{name} {{{fields}{words}}}"));
        }
        lines.sort();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn types_are_told_in_words() {
        let told = |schema: Value| kind(&schema)["text"].as_str().unwrap().to_owned();
        assert_eq!(told(json!({ "type": ["string", "null"] })), "string");
        assert_eq!(
            told(json!({ "type": "array", "items": { "$ref": "#/components/schemas/Lease" } })),
            "list of Lease"
        );
        assert_eq!(told(json!({ "enum": ["stop", "terminate"] })), "stop | terminate");
        assert_eq!(told(json!({ "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Hold" }] })), "Hold");
        assert_eq!(prose(&json!("as `json`, no more")), ["as ", "json", ", no more"]);
    }
}
