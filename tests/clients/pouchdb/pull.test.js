import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PUBLIC_URL, PASSWORD, PouchDB, device, ids, launch, remote } from './world.js';

test('a person receives their own leases and nobody else\'s', async () => {
  const [mine, theirs] = await Promise.all([launch('lin'), launch('max')]);
  const phone = device();
  const result = await phone.replicate.from(remote('lin'));
  assert.equal(result.doc_write_failures, 0);
  assert.equal((await phone.get(mine)).owner, 'lin');
  await assert.rejects(phone.get(theirs), { status: 404 });
  assert.deepEqual(await ids(phone), await ids(remote('lin')));
});

test('an admin receives everybody\'s', async () => {
  const theirs = await launch('max');
  const tablet = device();
  await tablet.replicate.from(remote('ada'));
  assert.equal((await tablet.get(theirs)).owner, 'max');
});

test('a pull by channel brings that channel alone', async () => {
  const tablet = device();
  const query_params = { channels: 'account:bigdb' };
  await tablet.replicate.from(remote('ada'), { filter: 'sync_gateway/bychannel', query_params });
  assert.deepEqual(await ids(tablet), ['account::bigdb', 'policy::bigdb']);
});

test('a second pull goes on at the checkpoint, also after the app was closed', async () => {
  await launch('lin');
  const phone = device('phone-with-checkpoint');
  const first = await phone.replicate.from(remote('lin'));
  assert.ok(first.docs_read > 0);
  await phone.close();

  const asked = [];
  const fetch = (url, options) => {
    asked.push(new URL(url));
    return PouchDB.fetch(url, options);
  };
  const second = await device('phone-with-checkpoint').replicate.from(remote('lin', { fetch }));
  assert.equal(second.docs_read, 0);
  const changes = asked.filter((url) => url.pathname.endsWith('/_changes'));
  assert.deepEqual(changes.map((url) => url.searchParams.get('since')), [String(first.last_seq)]);
});

test('a wrong password pulls nothing and says so', async () => {
  const phone = device();
  await assert.rejects(phone.replicate.from(remote('lin', { password: 'a guess' })), { status: 401 });
  assert.deepEqual(await ids(phone), []);
});

test('a session cookie is as good as a password until it is ended', async () => {
  const mine = await launch('lin');
  const session = `${PUBLIC_URL}/zerocloud/_session`;
  // PouchDB keeps cookies as a browser does.
  const body = JSON.stringify({ name: 'bigdb.lin', password: PASSWORD });
  const headers = { 'content-type': 'application/json' };
  const login = await PouchDB.fetch(session, { method: 'POST', headers, body });
  assert.equal(login.status, 200);
  const far = new PouchDB(`${PUBLIC_URL}/zerocloud`, { skip_setup: true });
  const phone = device();
  await phone.replicate.from(far);
  assert.equal((await phone.get(mine)).owner, 'lin');

  const logout = await PouchDB.fetch(session, { method: 'DELETE' });
  assert.equal(logout.status, 200);
  await assert.rejects(device().replicate.from(far), { status: 401 });
});
