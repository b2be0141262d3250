//! No route without a row: every one that the routers have is in a table of who may open it. Routers cannot be asked for what is in
//! them, so that the files in which they are made are read.

use crate::api::access;
use crate::{web_access, web_admin};
use std::collections::BTreeSet;
use std::fs;

/// Where routers are made.
const ROUTERS: [&str; 4] = ["src/web.rs", "src/web/admin.rs", "src/web/api.rs", "src/web/programs.rs"];

/// What answers to more than a person's session or token, and the test that tries its door.
const OTHER_DOORS: [(&str, &str); 10] = [
    ("GET /static/{file}", "every_page_forbids_inline_script_frames_and_caches"),
    ("POST /login", "an_invited_person_signs_in_by_a_verified_address_and_is_bound_to_the_number"),
    ("POST /setup/{token}", "on_an_empty_installation_one_link_makes_the_account_and_its_first_admin_and_then_dies"),
    ("POST /logout", "signing_out_ends_every_session_of_that_person_and_nobody_elses"),
    ("POST /l/{token}", "scanners_that_fetch_every_link_change_nothing_and_the_button_renews"),
    ("POST /hooks/ses", "only_what_sns_signed_for_our_topic_counts"),
    ("GET /hooks/scheduler/{token}", "a_schedulers_hook_says_the_same_to_everybody_and_takes_no_token_but_its_own"),
    ("POST /hooks/scheduler/{token}", "a_schedulers_hook_says_the_same_to_everybody_and_takes_no_token_but_its_own"),
    ("POST /hooks/aws/events", "only_a_key_that_speaks_for_the_events_account_is_let_in"),
    ("ANY /sync/{*path}", "in_front_of_a_gateway_of_version_four_documents_lose_cv_everywhere"),
];

/// `METHOD /path` of each route that a file adds.
fn routes(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in text.split(".route(\"").skip(1) {
        let (path, rest) = rest.split_once('"').unwrap();
        let mut depth = 1;
        let end = rest.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let added = &rest[..end.unwrap()];
        let before = found.len();
        for method in ["get", "post", "put", "patch", "delete", "any"] {
            let called = added
                .match_indices(&format!("{method}("))
                .any(|(at, _)| !added[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'));
            if called {
                found.push(format!("{} {path}", method.to_uppercase()));
            }
        }
        assert!(found.len() > before, "{path} answers to no method that is known here: {added}");
    }
    found
}

/// How many parts of a row's path are the route's own; nothing when it is not one of its paths.
fn fits(route: &str, row: &str) -> Option<usize> {
    let row = row.split('?').next().unwrap_or_default();
    let (mut route, mut row) = (route.split('/'), row.split('/'));
    let mut own = 0;
    loop {
        match (route.next(), row.next()) {
            (None, None) => return Some(own),
            (Some(part), Some(_)) if part.starts_with('{') => {}
            (Some(part), Some(said)) if part == said => own += 1,
            _ => return None,
        }
    }
}

/// Which of the routes a row is about: that which says most of its path itself.
fn meant<'a>(routes: &'a [String], method: &str, path: &str) -> Option<&'a String> {
    let own = |route: &String| {
        let (of, at) = route.split_once(' ')?;
        fits(at, path).filter(|_| of == method)
    };
    routes.iter().filter(|route| own(route).is_some()).max_by_key(|route| own(route))
}

#[test]
fn every_route_has_a_row_that_says_who_may_open_it() {
    let mut all = Vec::new();
    for file in ROUTERS {
        all.extend(routes(&fs::read_to_string(file).unwrap()));
    }
    assert!(all.len() > 100, "{}", all.len());
    let mut named: BTreeSet<&String> = BTreeSet::new();
    let pages = web_admin::PAGES.iter().chain(&web_admin::ACTS).map(|(method, path, _)| (*method, (*path).to_owned()));
    let pages = pages.chain(web_access::pages().into_iter().map(|(path, _)| ("GET", path)));
    let pages = pages.chain(web_access::forms().into_iter().map(|(path, _)| ("POST", path)));
    let pages = pages.chain(web_access::OWN.iter().map(|(path, _)| ("POST", (*path).to_owned())));
    for (method, path) in pages {
        named.insert(meant(&all, method, &path).unwrap_or_else(|| panic!("{method} {path} is no route")));
    }
    let doors: Vec<String> = OTHER_DOORS.iter().map(|(route, _)| (*route).to_owned()).collect();
    let calls = access::calls().into_iter().map(|(method, path)| format!("{method} /api/v1/{path}"));
    let named: BTreeSet<String> = named.into_iter().cloned().chain(doors).chain(calls).collect();
    // What is there for everybody, and says only how the rest is used or that there is nothing.
    let open = ["GET /api", "GET /api/openapi.json", "ANY /api/{*path}", "ANY /sync", "ANY /sync/"];
    // Nobody is signed in there yet; what they are good for has its own tests.
    let signing_in = ["POST /api/v1/device", "POST /api/v1/device/token"];
    let known = |route: &&String| {
        named.contains(*route) || open.contains(&route.as_str()) || signing_in.contains(&route.as_str())
    };
    let without: Vec<&String> = all.iter().filter(|route| !known(route)).collect();
    assert!(without.is_empty(), "no row says who may open {without:#?}");
    let gone: Vec<&String> = named.iter().filter(|row| !all.contains(*row)).collect();
    assert!(gone.is_empty(), "no router has {gone:#?}");
}

#[test]
fn routers_are_made_only_where_their_routes_are_looked_for_and_each_other_door_is_tried() {
    let (mut elsewhere, mut tests) = (Vec::new(), String::new());
    for (path, text) in crate::tidy::sources("src/web") {
        // What tests serve for themselves is no route of ours.
        let own = text.split("#[cfg(test)]").next().unwrap_or_default();
        if own.contains(".route(") && !ROUTERS.contains(&path.to_str().unwrap()) {
            elsewhere.push(path);
        }
    }
    assert!(elsewhere.is_empty(), "routes that no table knows are made in {elsewhere:?}");
    for (_, text) in crate::tidy::sources("tests/it") {
        tests.push_str(&text);
    }
    for (route, test) in OTHER_DOORS {
        assert!(tests.contains(&format!("fn {test}(")), "{test}, which tries {route}, is gone");
    }
}
