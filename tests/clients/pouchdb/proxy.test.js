// PouchDB through zerocloud's own origin: the snippets of mobile-notes/README.md, run as they stand there.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PouchDB, device, inMinutes, launch, stored, until } from './world.js';

const { ZEROCLOUD_WEB_URL, ZEROCLOUD_TEST_TOKEN } = process.env;
const notes = readFileSync(new URL('../../../mobile-notes/README.md', import.meta.url), 'utf8');

// The snippet that follows `<!-- test: name -->`, as a function of what it uses.
function snippet(name, ...uses) {
  const found = notes.match(new RegExp(`<!-- test: ${name} -->\\s*\`\`\`js\\n([\\s\\S]*?)\`\`\``));
  assert.ok(found, `mobile-notes has no snippet ${name}`);
  const AsyncFunction = (async () => {}).constructor;
  return new AsyncFunction(...uses, found[1]);
}

async function signIn() {
  return snippet('session', 'origin', 'token')(ZEROCLOUD_WEB_URL, ZEROCLOUD_TEST_TOKEN);
}

async function connect(session, local) {
  return snippet('replicate', 'PouchDB', 'session', 'local')(PouchDB, session, local);
}

test('an app signs in, syncs live through /sync/, and renews by a request', async () => {
  const id = await launch('lin');
  const session = await signIn();
  assert.deepEqual(session.channels, ['account:bigdb', 'user:bigdb:lin']);
  const local = device();
  const { sync, remote } = await connect(session, local);
  const lease = await until('the lease on the phone', () => local.get(id));
  assert.equal(lease.owner, 'lin');
  const now = new Date().toISOString().replace(/\.\d+/, '');
  const request = await snippet('renew', 'local', 'session', 'lease', 'until', 'now')(local, session, lease, inMinutes(90), now);
  const answered = await until('the answer on the phone', async () => {
    const doc = await local.get(request);
    return doc.answer && doc;
  });
  assert.equal(answered.answer.outcome, 'done');
  const renewed = await until('the new end on the phone', async () => {
    const doc = await local.get(id);
    return doc.expires_at > lease.expires_at && doc;
  });
  assert.equal(renewed.expires_at, (await stored(id)).expires_at);
  sync.cancel();
  await remote.close();
});

test('a refused edit is repaired by what mobile-notes says', async () => {
  const id = await launch('lin');
  const session = await signIn();
  const local = device();
  const { sync, remote } = await connect(session, local);
  await until('the lease on the phone', () => local.get(id));
  sync.cancel();
  await local.put({ ...(await local.get(id)), owner: 'max', updated_by: session.user });
  const denied = [];
  await snippet('denied', 'local', 'remote', 'denied')(local, remote, denied);
  assert.deepEqual(denied, [{ id, reason: 'owner and exemption are for admins' }]);
  const fresh = await snippet('fresh', 'PouchDB', 'remote', 'name')(PouchDB, remote, `${local.name}-fresh`);
  assert.equal((await fresh.get(id)).owner, 'lin');
  await remote.close();
});

test('a document that left the person arrives with nothing but its id and revision', async () => {
  const id = await launch('lin');
  const session = await signIn();
  const local = device();
  const { sync, remote } = await connect(session, local);
  await until('the lease on the phone', () => local.get(id));
  const doc = await stored(id);
  const moved = { ...doc, owner: 'max' };
  const put = await fetch(`${process.env.ZEROCLOUD_ADMIN_URL}/zerocloud/${encodeURIComponent(id)}`, {
    method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(moved),
  });
  assert.equal(put.status, 201);
  const left = await until('the lease leaves the phone', async () => {
    const doc = await local.get(id);
    return doc.owner === undefined && doc;
  });
  assert.equal(await snippet('gone', 'doc')(left), true);
  assert.deepEqual(Object.keys(left).sort(), ['_id', '_rev']);
  sync.cancel();
  await remote.close();
});
