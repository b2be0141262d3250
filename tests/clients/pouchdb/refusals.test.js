import assert from 'node:assert/strict';
import { test } from 'node:test';
import { device, inMinutes, launch, remote, stored, until, wish } from './world.js';

const LIN = 'user::bigdb::lin';

test('a refused edit is denied once, changes nothing, and holds up nothing else', async () => {
  const id = await launch('lin');
  const phone = device();
  await phone.replicate.from(remote('lin'));
  const before = await stored(id);
  await phone.put({ ...(await phone.get(id)), owner: 'max', updated_by: 'bigdb.lin' });
  const renewal = wish('lin', id, 'renew', { until: inMinutes(60) });
  await phone.put(renewal);

  const denied = [];
  const result = await phone.replicate.to(remote('lin')).on('denied', (why) => denied.push(why));
  assert.deepEqual(denied.map(({ id, status, reason }) => ({ id, status, reason })), [
    { id, status: 403, reason: 'owner and exemption are for admins' },
  ]);
  assert.equal(result.doc_write_failures, 1);
  const after = await until('the other document is answered', async () => {
    const request = await stored(renewal._id);
    return request?.answer && stored(id);
  });
  assert.equal(after.owner, before.owner);
  // The device keeps what was refused until the app starts it anew from the server.
  assert.equal((await phone.get(id)).owner, 'max');
  const again = [];
  await phone.replicate.to(remote('lin')).on('denied', (why) => again.push(why));
  assert.deepEqual(again, []);
  const fresh = device();
  await fresh.replicate.from(remote('lin'));
  assert.equal((await fresh.get(id)).owner, 'lin');
});

test('of two edits of one revision the second conflicts, and goes through when made on top of the first', async () => {
  const id = await launch('lin');
  const [phone, laptop] = [device(), device()];
  await phone.replicate.from(remote('lin'));
  await laptop.replicate.from(remote('lin'));
  const edit = async (db, time_zone) => db.put({ ...(await db.get(LIN)), time_zone, updated_by: 'bigdb.lin' });
  await edit(phone, 'Europe/London');
  await phone.replicate.to(remote('lin'));
  await edit(laptop, 'Asia/Tokyo');
  const renewal = wish('lin', id, 'renew', { until: inMinutes(60) });
  await laptop.put(renewal);

  await assert.rejects(laptop.replicate.to(remote('lin')).then((result) => result), { status: 409 });
  assert.equal((await stored(LIN)).time_zone, 'Europe/London');
  assert.ok(await stored(renewal._id), 'the other document of the batch arrived');

  await laptop.destroy();
  const fresh = device();
  await fresh.replicate.from(remote('lin'));
  assert.equal((await fresh.get(LIN)).time_zone, 'Europe/London');
  await edit(fresh, 'Asia/Tokyo');
  await fresh.replicate.to(remote('lin'));
  assert.equal((await stored(LIN)).time_zone, 'Asia/Tokyo');
});
