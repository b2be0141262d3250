// What the tests share: devices, people, instances. The addresses come from ../run.mjs.
import PouchDB from 'pouchdb';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const { ZEROCLOUD_PUBLIC_URL, ZEROCLOUD_ADMIN_URL, ZEROCLOUD_TEST_AWS, ZEROCLOUD_TEST_PASSWORD, ZEROCLOUD_TEST_FOLDER } = process.env;
if (!ZEROCLOUD_PUBLIC_URL) {
  throw new Error('these tests need a running zerocloud: node ../run.mjs pouchdb');
}

export { PouchDB };
export const PUBLIC_URL = ZEROCLOUD_PUBLIC_URL;
export const PASSWORD = ZEROCLOUD_TEST_PASSWORD;
const PATIENCE = 20_000;

// A device's database on disk.
export function device(name = randomUUID()) {
  return new PouchDB(join(ZEROCLOUD_TEST_FOLDER, name));
}

// The gateway as a person reaches it with their password.
export function remote(user, { database = 'zerocloud', base = PUBLIC_URL, password = PASSWORD, ...options } = {}) {
  const auth = { username: `bigdb.${user}`, password };
  const far = new PouchDB(`${base}/${database}`, { skip_setup: true, auth, ...options });
  // PouchDB 9 asks for this to count its progress and does not catch what a lost connection makes of it.
  const info = far.info;
  far.info = () => info().catch(() => ({}));
  return far;
}

// Waits until `check` gives something; a 404 is nothing yet.
export async function until(what, check) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await check().catch((error) => {
      if (error.status !== 404) {
        throw error;
      }
    });
    if (found) {
      return found;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited in vain: ${what}`);
    }
    await pause(50);
  }
}

// A document as the service sees it.
export async function stored(id, database = 'zerocloud') {
  const answer = await fetch(`${ZEROCLOUD_ADMIN_URL}/${database}/${encodeURIComponent(id)}`);
  return answer.status === 200 ? answer.json() : null;
}

// Launches an instance with an owner tag; gives the id of its lease once the owner has been told of it.
export async function launch(owner) {
  const spec = { tags: { owner: `${owner}@bigdb.example` } };
  const body = JSON.stringify({ account: '111122223333', region: 'us-east-1', spec });
  const answer = await fetch(`${ZEROCLOUD_TEST_AWS}/_double/instances`, { method: 'POST', body });
  const { ids } = await answer.json();
  const id = `lease::111122223333::us-east-1::${ids[0]}`;
  await until(`${id} is ${owner}'s and notified`, async () => {
    const lease = await stored(id);
    return lease?.owner === owner && lease.notified;
  });
  return id;
}

// A person's wish about a lease, as an app writes it.
export function wish(user, lease, action, more = {}) {
  return {
    _id: `request::bigdb::${user}::${randomUUID()}`,
    type: 'request', schema: 1, account: 'bigdb', user, updated_by: `bigdb.${user}`, lease, action, at: inMinutes(0), ...more,
  };
}

// A time as documents have it.
export function inMinutes(minutes) {
  return new Date(Date.now() + minutes * 60_000).toISOString().replace(/\.\d+Z$/, 'Z');
}

// What is there to read, without what is left of documents that went to somebody else.
export async function ids(db) {
  const { rows } = await db.allDocs({ include_docs: true });
  return rows.filter((row) => row.doc.type !== undefined).map((row) => row.id).sort();
}

// Syncs both ways until the end of the test, without being told about a lost connection.
export function keepInSync(t, local, far) {
  const trouble = [];
  const sync = local.sync(far, { live: true, retry: true, back_off_function: () => 200 });
  sync.on('denied', (denied) => trouble.push(denied));
  sync.on('error', (error) => trouble.push(error));
  t.after(async () => {
    const ended = new Promise((resolve) => sync.on('complete', resolve));
    sync.cancel();
    await ended;
  });
  return trouble;
}
