//! The documents of the load: leases of a fixed size, a sync function and views as an application has them.

use serde_json::{Value, json};

/// Bytes of a lease's JSON text.
pub const SIZE: usize = 932;

/// Owners that leases are spread over; each has a channel.
pub const OWNERS: usize = 100;

/// Checks a lease's fields and its owner, routes to the owner and the account, and lets only time pass forward.
pub const SYNC: &str = r#"function (doc, oldDoc) {
  var old = oldDoc && !oldDoc._deleted ? oldDoc : null;
  var it = doc._deleted ? old : doc;
  if (!it) { return; }
  function need(ok, reason) { if (!ok) { throw ({ forbidden: reason }); } }
  if (!doc._deleted) {
    need(typeof doc.account === "string" && /^[a-z0-9][a-z0-9-]{0,39}$/.test(doc.account), "account");
    need(typeof doc.owner === "string", "owner");
    need(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(doc.expires_at), "expires_at");
    if (old) {
      need(doc.account === old.account && doc.type === old.type, "account and type never change");
      need(doc.expires_at >= old.expires_at, "a renewal never shortens");
    }
  }
  try { requireAdmin(); } catch (person) { requireAccess("user:" + it.account + ":" + it.owner); }
  channel("admin:" + it.account, "user:" + it.account + ":" + it.owner);
}"#;

/// Live leases by account and owner.
pub const MAP: &str = r#"function (doc, meta) {
  if (doc.type === "lease" && doc.state === "active") { emit([doc.account, doc.owner, doc.first_seen], null); }
}"#;

/// A number spread over the whole range, always the same for the same input.
fn mixed(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The id of lease number `n`; ids are in no order, as instance ids are.
pub fn id(n: usize) -> String {
    format!("lease::123456789012::eu-west-1::i-{:017x}", mixed(n as u64))
}

/// The channel of an owner.
pub fn channel(owner: usize) -> String {
    format!("user:bigdb:dev{owner}")
}

/// Lease number `n`, as text of [`SIZE`] bytes without `_id` and `_rev`.
pub fn text(n: usize) -> String {
    let instance = format!("i-{:017x}", mixed(n as u64));
    let arn = format!("arn:aws:ec2:eu-west-1:123456789012:instance/{instance}");
    let mut lease = json!({
        "type": "lease", "account": "bigdb", "schema": 1, "aws_id": "123456789012", "region": "eu-west-1",
        "resource_id": instance, "kind": "ec2-instance", "name": format!("build-agent-{n}"), "instance_type": "m5.2xlarge",
        "owner": format!("dev{}", n % OWNERS), "owner_evidence": {"kind": "tag", "key": "owner", "value": "ada@bigdb.com"},
        "state": "active", "term": 1, "first_seen": "2026-01-05T09:12:33Z", "expires_at": "2026-01-08T09:12:33Z",
        "granted_until": "2026-01-08T09:12:33Z", "max_expires_at": "2026-01-12T09:12:33Z", "price_per_hour": 0.428,
        "trigger": {"source": "poll", "arn": arn, "state": "running", "launched_at": "2026-01-05T09:11:58Z"},
        "history": [{"at": "2026-01-05T09:12:33Z", "what": "created", "by": "zerocloud"}], "note": "",
    });
    let missing = SIZE.saturating_sub(lease.to_string().len());
    lease["note"] = Value::from(
        "integration tests of the storage engine, see the build for details. ".repeat(20)[..missing].to_owned(),
    );
    lease.to_string()
}

/// The same with `_id` in front, for `_bulk_docs`.
pub fn with_id(n: usize) -> String {
    format!("{{\"_id\":\"{}\",{}", id(n), &text(n)[1..])
}

#[cfg(test)]
mod tests {
    use super::{SIZE, id, text};

    #[test]
    fn leases_have_one_size_and_ids_of_their_own() {
        assert!((0..2000).all(|n| text(n * 997).len() == SIZE));
        let ids: std::collections::BTreeSet<String> = (0..2000).map(id).collect();
        assert_eq!(ids.len(), 2000);
    }
}
