// PouchDB replicating with a running gateway, as a phone would. Needs GATEWAY_PUBLIC_URL and GATEWAY_ADMIN_URL.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";

import PouchDB from "pouchdb";
import memory from "pouchdb-adapter-memory";

PouchDB.plugin(memory);

const name = `clients_${randomBytes(4).toString("hex")}`;
const admin = `${process.env.GATEWAY_ADMIN_URL ?? "http://127.0.0.1:4985"}/${name}`;
const open = `${process.env.GATEWAY_PUBLIC_URL ?? "http://127.0.0.1:4984"}/${name}`;
const sync = `function (doc, oldDoc) {
  if (doc.forbid) { throw({forbidden: doc.forbid}); }
  channel(doc._deleted && oldDoc ? oldDoc.channels : doc.channels);
  if (doc.grant) { access(doc.grant.to, doc.grant.channels); }
}`;

async function call(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(admin + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null };
}

async function put(id, body) {
  const answer = await call("PUT", `/${id}`, body);
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body.rev;
}

const user = (who, channels) => call("PUT", `/_user/${who}`, { password: "letmein", admin_channels: channels });

let count = 0;
const phone = () => new PouchDB(`phone-${count++}`, { adapter: "memory" });
const gateway = (who, requests = []) =>
  new PouchDB(open, {
    skip_setup: true,
    auth: { username: who, password: "letmein" },
    fetch: (url, options) => (requests.push(url), PouchDB.fetch(url, options)),
  });

/** Waits until `look` finds something; what it throws counts as not found. */
async function until(look) {
  for (const deadline = Date.now() + 20_000; ; await new Promise((wake) => setTimeout(wake, 20))) {
    const found = await Promise.resolve().then(look).catch(() => null);
    if (found) return found;
    assert.ok(Date.now() < deadline, `in time: ${look}`);
  }
}

before(async () => {
  assert.equal((await call("PUT", "/", { bucket: name, sync })).status, 201);
});
after(() => call("DELETE", "/"));

test("a pull brings what the user may see and goes on where it stopped", async () => {
  await user("ada", ["pull"]);
  const docs = [...Array(230)].map((_, n) => ({ _id: `pull-${n}`, channels: [n % 2 ? "pull" : "hidden"] }));
  await call("POST", "/_bulk_docs", { docs });
  const local = phone();
  assert.equal((await local.replicate.from(gateway("ada"))).docs_written, 115);
  const requests = [];
  assert.equal((await local.replicate.from(gateway("ada", requests))).docs_read, 0);
  assert.ok(requests.every((url) => !url.includes("since=0&")), requests.join("\n"));
});

test("a push brings edits and deletions", async () => {
  await user("ada", ["push"]);
  const local = phone();
  await local.bulkDocs([...Array(50)].map((_, n) => ({ _id: `push-${n}`, channels: ["push"], n })));
  assert.equal((await local.replicate.to(gateway("ada"))).docs_written, 50);
  await local.put({ ...(await local.get("push-1")), n: "edited" });
  await local.remove(await local.get("push-2"));
  await local.replicate.to(gateway("ada"));
  assert.equal((await call("GET", "/push-1")).body.n, "edited");
  assert.equal((await call("GET", "/push-2")).body.reason, "deleted");
});

test("a refused document is denied once and the others arrive", async () => {
  await user("ada", ["deny"]);
  const local = phone();
  await local.bulkDocs([{ _id: "bad", forbid: "no" }, { _id: "good", channels: ["deny"] }]);
  const denied = [];
  await local.replicate.to(gateway("ada")).on("denied", (error) => denied.push(error));
  assert.deepEqual(denied.map((error) => [error.id, error.status, error.reason]), [["bad", 403, "no"]]);
  assert.equal((await call("GET", "/good")).status, 200);
});

test("of two edits the first wins, and the loser edits again on top of it", async () => {
  await user("ada", ["race"]);
  await put("race", { channels: ["race"], by: "nobody" });
  const [first, second] = [phone(), phone()];
  for (const local of [first, second]) await local.replicate.from(gateway("ada"));
  await first.put({ ...(await first.get("race")), by: "first" });
  await second.put({ ...(await second.get("race")), by: "second" });
  await first.replicate.to(gateway("ada"));
  await assert.rejects(second.replicate.to(gateway("ada")));
  const fresh = phone();
  await fresh.replicate.from(gateway("ada"));
  await fresh.put({ ...(await fresh.get("race")), by: "second, again" });
  await fresh.replicate.to(gateway("ada"));
  assert.equal((await call("GET", "/race")).body.by, "second, again");
});

test("live replication follows edits, grants and removals", async () => {
  await user("ada", ["live"]);
  await user("lin", ["live"]);
  const [one, two] = [phone(), phone()];
  const errors = [];
  const syncs = [one.sync(gateway("ada"), { live: true, retry: true }), two.sync(gateway("lin"), { live: true, retry: true })];
  for (const running of syncs) running.on("error", (error) => errors.push(error));
  await one.put({ _id: "live", channels: ["live"], n: 1 });
  const seen = await until(() => two.get("live"));
  await two.put({ ...seen, n: 2 });
  await until(async () => (await one.get("live")).n === 2);
  await put("older", { channels: ["granted"] });
  await put("grant", { grant: { to: "ada", channels: ["granted"] } });
  await until(() => one.get("older"));
  const current = (await call("GET", "/live")).body;
  await put("live", { _rev: current._rev, channels: ["elsewhere"], n: 3 });
  await until(async () => (await one.get("live")).n === undefined);
  for (const running of syncs) running.cancel();
  assert.deepEqual(errors, []);
});

test("attachments travel both ways", async () => {
  await user("ada", ["files"]);
  const data = Buffer.alloc(100_000, 7);
  const [one, two] = [phone(), phone()];
  const files = { "a.txt": { content_type: "text/plain", data: Buffer.from("hello") }, "b.bin": { content_type: "x/y", data } };
  await one.put({ _id: "files", channels: ["files"], _attachments: files });
  await one.replicate.to(gateway("ada"));
  await two.replicate.from(gateway("ada"));
  assert.equal(String(await two.getAttachment("files", "a.txt")), "hello");
  assert.ok((await two.getAttachment("files", "b.bin")).equals(data));
  await two.put({ ...(await two.get("files")), edited: true });
  await two.replicate.to(gateway("ada"));
  await one.replicate.from(gateway("ada"));
  assert.equal((await one.get("files")).edited, true);
  assert.ok((await one.getAttachment("files", "b.bin")).equals(data));
});

test("a replication may be narrowed to channels and to documents", async () => {
  await user("ada", ["left", "right"]);
  await put("on-left", { channels: ["left"] });
  await put("on-right", { channels: ["right"] });
  const ids = async (options) => {
    const local = phone();
    await local.replicate.from(gateway("ada"), options);
    return (await local.allDocs()).rows.map((row) => row.id);
  };
  const filter = { filter: "sync_gateway/bychannel", query_params: { channels: "left" } };
  assert.deepEqual(await ids(filter), ["on-left"]);
  assert.deepEqual(await ids({ doc_ids: ["on-right", "none"] }), ["on-right"]);
});
