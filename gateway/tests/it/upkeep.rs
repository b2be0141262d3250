//! Backup, restore and check. Always against an embedded gateway.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use zerocloud_gateway::{Config, Gateway, Occupied, backup, check, restore};

use crate::app::{Served, client, send, text};

/// A database with documents in channels, a grant, a tombstone, an attachment, a kept revision, a user and a view.
async fn filled(dir: &Path) -> Served {
    let served = Served::start(dir).await;
    let (client, db) = (client(), format!("{}/db", served.admin));
    let sync = "function (doc) { channel(doc.channels); if (doc.grant) { access(doc.grant, 'A'); } }";
    assert_eq!(send(client.put(format!("{db}/")).json(&json!({"sync": sync}))).await.0, 201);
    let user = json!({"password": "letmein", "admin_channels": ["A"]});
    assert_eq!(send(client.put(format!("{db}/_user/ada")).json(&user)).await.0, 201);
    let docs: Vec<Value> = (0..20)
        .map(|n| json!({"_id": format!("d{n}"), "n": n, "channels": ["A", format!("c{n}")], "grant": "lin"}))
        .collect();
    let (status, rows) = send(client.post(format!("{db}/_bulk_docs")).json(&json!({"docs": docs}))).await;
    assert_eq!(status, 201);
    let rev = |n: usize| text(&rows[n]["rev"]);
    let edit = json!({"_rev": rev(1), "n": 100, "channels": ["B"],
        "_attachments": {"a.txt": {"content_type": "text/plain", "data": "aGVsbG8="}}});
    assert_eq!(send(client.put(format!("{db}/d1")).json(&edit)).await.0, 201);
    assert_eq!(send(client.delete(format!("{db}/d2")).query(&[("rev", rev(2))])).await.0, 200);
    let design = json!({"views": {"by_n": {"map": "function (doc, meta) { emit(doc.n, meta.id); }"}}});
    assert_eq!(send(client.put(format!("{db}/_design/t")).json(&design)).await.0, 201);
    let (_, view) = send(client.get(format!("{db}/_design/t/_view/by_n"))).await;
    assert_eq!(view["total_rows"], 19);
    served
}

#[tokio::test]
async fn a_backup_taken_under_load_restores_to_what_was_acknowledged() {
    let (dir, elsewhere) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let served = filled(dir.path()).await;
    let (client, db) = (client(), format!("{}/db", served.admin));
    let file = elsewhere.path().join("backup");
    let mut acknowledged = Vec::new();
    let (from, to) = (dir.path().to_owned(), file.clone());
    let mut copying = tokio::task::spawn_blocking(move || backup(&from, &to));
    let mut number = 0;
    let size = loop {
        let put = client.put(format!("{db}/more{number}")).json(&json!({"n": number, "channels": ["A"]}));
        assert_eq!(send(put).await.0, 201);
        number += 1;
        if copying.is_finished() && number > 50 {
            break (&mut copying).await.expect("no panic").expect("copied");
        }
    };
    assert_eq!(size, std::fs::metadata(&file).expect("a file").len());
    assert!(backup(dir.path(), &file).is_err(), "an older backup is not overwritten");
    let later = elsewhere.path().join("later");
    backup(dir.path(), &later).expect("copied");
    let (_, feed) = send(client.get(format!("{db}/_changes"))).await;
    for entry in feed["results"].as_array().expect("entries") {
        acknowledged.push((text(&entry["id"]), text(&entry["changes"][0]["rev"])));
    }
    let (_, info) = send(client.get(format!("{db}/"))).await;
    served.stop().await;

    for (name, complete) in [("backup", false), ("later", true)] {
        let target = elsewhere.path().join(format!("{name}.d"));
        restore(&target, &elsewhere.path().join(name), Occupied::Refuse).expect("restored");
        let report = check(&target).expect("readable");
        assert!(report.is_clean(), "{report}");
        let served = Served::start(&target).await;
        let db = format!("{}/db", served.admin);
        let (_, feed) = send(client.get(format!("{db}/_changes"))).await;
        let there: Vec<_> = feed["results"].as_array().expect("entries").iter().collect();
        let there: Vec<_> =
            there.into_iter().map(|entry| (text(&entry["id"]), text(&entry["changes"][0]["rev"]))).collect();
        assert!(there == acknowledged[..there.len()], "a moment's state, in order");
        assert!(!complete || there.len() == acknowledged.len());
        let (_, after) = send(client.get(format!("{db}/"))).await;
        assert!(after["update_seq"].as_i64() > info["update_seq"].as_i64(), "no sequence is given out twice");
        served.stop().await;
    }
}

#[tokio::test]
async fn a_restore_replaces_only_when_told_and_never_under_a_running_gateway() {
    let (dir, elsewhere) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let served = filled(dir.path()).await;
    let file = elsewhere.path().join("backup");
    backup(dir.path(), &file).expect("copied");
    let (client, db) = (client(), format!("{}/db", served.admin));
    assert_eq!(send(client.put(format!("{db}/later")).json(&json!({}))).await.0, 201);
    for occupied in [Occupied::Refuse, Occupied::Replace] {
        let refused = restore(dir.path(), &file, occupied).expect_err("running");
        assert!(format!("{refused:#}").contains("in use"), "{refused:#}");
    }
    assert_eq!(send(client.get(format!("{db}/later"))).await.0, 200);
    served.stop().await;
    let refused = restore(dir.path(), &file, Occupied::Refuse).expect_err("not empty");
    assert!(format!("{refused:#}").contains("not empty"), "{refused:#}");
    restore(dir.path(), &file, Occupied::Replace).expect("replaced");
    let served = Served::start(dir.path()).await;
    let db = format!("{}/db", served.admin);
    assert_eq!(send(client.get(format!("{db}/later"))).await.0, 404);
    assert_eq!(send(client.get(format!("{db}/d0"))).await.0, 200);
    served.stop().await;
    let text = elsewhere.path().join("text");
    std::fs::write(&text, "not a backup".repeat(1000)).expect("written");
    assert!(restore(dir.path(), &text, Occupied::Replace).is_err());
    assert!(Gateway::open(Config::new(dir.path())).is_ok(), "a refused restore changes nothing");
}

#[tokio::test]
async fn check_finds_every_kind_of_inconsistency() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path()).await.stop().await;
    let report = check(dir.path()).expect("readable");
    assert!(report.is_clean() && report.databases == 1 && report.documents == 20, "{report}");
    for (damage, told) in [
        ("UPDATE databases SET last_seq = 5", "above the last one given out"),
        ("UPDATE principals SET seq = (SELECT max(seq) FROM docs)", "is used 2 times"),
        ("UPDATE docs SET rev = '7-x' WHERE id = 'd3'", "\"d3\": its revision 7-x is not in its tree"),
        ("UPDATE docs SET tree = tree || 'rubbish' WHERE id = 'd3'", "tree is damaged"),
        ("UPDATE docs SET deleted = 1 WHERE id = 'd3'", "the tree says"),
        ("UPDATE docs SET body = '{' WHERE id = 'd3'", "not a JSON object"),
        ("DELETE FROM channel_log WHERE channel = 'c7'", "channel c7 does not list it"),
        ("UPDATE channel_log SET num = num + 1 WHERE channel = 'c7'", "channel c7 has another entry"),
        ("INSERT INTO channel_log VALUES (1, 'c7', 1, 1, 0)", "1 entries that no document accounts for"),
        ("UPDATE view_rows SET value = '1' WHERE id = 'd4'", "\"d4\": the views of t hold 1 rows"),
        ("DELETE FROM view_rows WHERE id = 'd4'", "the views of t hold 0 rows of it, its maps emit 1"),
        ("UPDATE view_rows SET num = 99 WHERE id = 'd4'", "1 rows of documents that are gone"),
        ("UPDATE grants SET num = 99 WHERE num = 1", "1 grants come from documents that are gone"),
        ("DELETE FROM attachments", "\"d1\": its attachment \"a.txt\" has no data"),
        ("UPDATE attachments SET data = x'00'", "is damaged"),
        ("UPDATE bodies SET num = 99", "belongs to no document"),
        ("UPDATE databases SET config = '{\"sync\":\"function (\"}'", "configuration cannot be used"),
        ("UPDATE docs SET db = 9 WHERE id = 'd3'", "rows belong to no database"),
    ] {
        let copy = tempfile::tempdir().expect("a directory");
        let file = copy.path().join("gateway.sqlite");
        std::fs::copy(dir.path().join("gateway.sqlite"), &file).expect("copied");
        let connection = rusqlite::Connection::open(&file).expect("opens");
        connection.execute_batch(damage).expect("damaged");
        drop(connection);
        let report = check(copy.path()).expect("readable");
        assert!(report.problems.iter().any(|problem| problem.contains(told)), "{damage}: {report}");
        let run = program().arg("check").arg("--data").arg(copy.path()).output().expect("runs");
        assert_eq!(run.status.code(), Some(1), "{damage}");
        assert!(String::from_utf8_lossy(&run.stdout).contains(told), "{damage}");
    }
    let clean = program().arg("check").arg("--data").arg(dir.path()).output().expect("runs");
    assert_eq!(clean.status.code(), Some(0));
    let nothing = program().args(["check", "--data", "/nonexistent"]).output().expect("runs");
    assert_eq!(nothing.status.code(), Some(2));
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zerocloud-gateway"));
    command.env_remove("RUST_LOG");
    command
}

#[tokio::test]
async fn what_somebody_lost_and_was_changed_since_is_told_as_lost_though_its_old_bodies_are_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path()).await;
    let (client, db) = (client(), format!("{}/db", served.admin));
    let config = json!({"sync": "function (doc) { channel(doc.channels); }", "old_rev_expiry_seconds": 0});
    assert_eq!(send(client.put(format!("{db}/")).json(&config)).await.0, 201);
    let user = json!({"password": "letmein", "admin_channels": ["A"]});
    assert_eq!(send(client.put(format!("{db}/_user/lin")).json(&user)).await.0, 201);
    let mut revs: Vec<Value> = Vec::new();
    for body in [json!({"channels": ["A"]}), json!({"channels": ["B"]}), json!({"channels": ["B"], "more": true})] {
        let mut body = body;
        if let Some(rev) = revs.last() {
            body["_rev"] = rev.clone();
        }
        let (status, answer) = send(client.put(format!("{db}/lease")).json(&body)).await;
        assert_eq!(status, 201, "{answer}");
        revs.push(answer["rev"].clone());
    }
    // As PouchDB pulls for the first time: a row that it cannot get keeps all others from it.
    let public = |request: reqwest::RequestBuilder| request.basic_auth("lin", Some("letmein"));
    let changes = public(client.get(format!("{}/db/_changes?style=all_docs", served.public)));
    let (_, feed) = send(changes).await;
    let row =
        feed["results"].as_array().expect("rows").iter().find(|row| row["id"] == "lease").expect("its row").clone();
    assert_eq!((&row["removed"], &row["changes"][0]["rev"]), (&json!(["A"]), &revs[1]));
    let ask = json!({"docs": [{"id": "lease", "rev": revs[1]}, {"id": "lease", "rev": revs[0]}]});
    let get = public(client.post(format!("{}/db/_bulk_get?revs=true&latest=true", served.public)));
    let (status, got) = send(get.header("accept", "application/json").json(&ask)).await;
    assert_eq!(status, 200, "{got}");
    let first = &got["results"][0]["docs"][0]["ok"];
    assert_eq!((&first["_rev"], &first["_removed"], first.get("more")), (&revs[1], &json!(true), None), "{got}");
    assert_eq!(got["results"][1]["docs"][0]["error"]["error"], "not_found", "only what the feed names: {got}");
    let one = public(client.get(format!("{}/db/lease", served.public))).query(&[("rev", revs[1].as_str())]);
    assert_eq!(send(one).await.1["_removed"], true);
    // Who may see it now has no use for the news, and its body is gone.
    let seen = client.get(format!("{db}/lease")).query(&[("rev", revs[1].as_str())]);
    assert_eq!(send(seen).await.0, 404);
}
