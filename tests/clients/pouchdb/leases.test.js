import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Line } from './line.js';
import { PUBLIC_URL, device, inMinutes, keepInSync, launch, remote, stored, until, wish } from './world.js';

test('a renewal wished for on the device is answered there, with the new end on the lease', async (t) => {
  const id = await launch('lin');
  const phone = device();
  const trouble = keepInSync(t, phone, remote('lin'));
  await until('the lease arrives', () => phone.get(id));

  const end = inMinutes(60);
  const renewal = wish('lin', id, 'renew', { until: end });
  await phone.put(renewal);
  const { answer } = await until('an answer', async () => {
    const request = await phone.get(renewal._id);
    return request.answer && request;
  });
  assert.equal(answer.outcome, 'done', answer.reason);
  await until('the new end', async () => (await phone.get(id)).expires_at === end);
  assert.deepEqual(trouble, []);
});

test('an edit of the end on the device renews too', async () => {
  const id = await launch('lin');
  const phone = device();
  await phone.replicate.from(remote('lin'));
  const lease = await phone.get(id);
  const end = inMinutes(50);
  await phone.put({ ...lease, expires_at: end, updated_by: 'bigdb.lin' });
  const { docs_written } = await phone.replicate.to(remote('lin'));
  assert.equal(docs_written, 1);
  await until('the end is granted', async () => (await stored(id)).granted_until === end);
});

test('a renewal made offline is granted after reconnecting, though the service wrote to the lease meanwhile', async (t) => {
  const id = await launch('lin');
  const line = new Line(PUBLIC_URL);
  await line.open();
  const phone = device();
  const trouble = keepInSync(t, phone, remote('lin', { base: line.url }));
  t.after(() => line.cut());
  const before = await until('the lease arrives', () => phone.get(id));

  await line.cut();
  const end = inMinutes(90);
  const renewal = wish('lin', id, 'renew', { until: end });
  await phone.put(renewal);
  // An admin renews it in between: the service writes to the lease.
  const between = inMinutes(45);
  await remote('ada').put(wish('ada', id, 'renew', { until: between }));
  await until('the service writes', async () => (await stored(id)).expires_at === between);
  assert.equal((await phone.get(id))._rev, before._rev);
  assert.equal(await stored(renewal._id), null);

  await line.open();
  const { answer } = await until('an answer', async () => {
    const request = await phone.get(renewal._id);
    return request.answer && request;
  });
  assert.equal(answer.outcome, 'done', answer.reason);
  assert.equal(answer.until, end);
  await until('the new end', async () => (await phone.get(id)).expires_at === end);
  assert.equal((await phone.get(id, { conflicts: true }))._conflicts, undefined);
  assert.deepEqual(trouble, []);
});

test('a lease that changes hands leaves one device and reaches the other', async (t) => {
  const id = await launch('lin');
  const [lins, maxs] = [device(), device()];
  const trouble = keepInSync(t, lins, remote('lin')).concat(keepInSync(t, maxs, remote('max')));
  await until('lin has it', () => lins.get(id));

  await lins.put(wish('lin', id, 'hand_over', { to: 'max' }));
  await until('it is offered', async () => (await lins.get(id)).offered_to === 'max');
  await assert.rejects(maxs.get(id), { status: 404 });
  await maxs.put(wish('max', id, 'accept'));
  await until('max has it', async () => (await maxs.get(id)).owner === 'max');
  // The gateway says `_removed`, which PouchDB takes out: a document without a type is all that is left.
  const left = await until('lin is told', async () => {
    const doc = await lins.get(id);
    return doc.type === undefined && doc;
  });
  assert.deepEqual(Object.keys(left).sort(), ['_id', '_rev']);
  assert.deepEqual(trouble, []);
});

test('what an admin deletes on one device vanishes from the others', async () => {
  const id = 'policy::bigdb::user::max';
  const tablet = device();
  const phone = device();
  const policy = { type: 'user_policy', schema: 1, account: 'bigdb', user: 'max', updated_by: 'bigdb.ada' };
  const made = await tablet.put({ _id: id, ...policy, policy: { max_instances: 50 } });
  await tablet.replicate.to(remote('ada'));
  await phone.replicate.from(remote('max'));
  assert.equal((await phone.get(id)).policy.max_instances, 50);

  await tablet.remove(id, made.rev);
  await tablet.replicate.to(remote('ada'));
  assert.equal(await stored(id), null);
  await phone.replicate.from(remote('max'));
  await assert.rejects(phone.get(id), { status: 404, reason: 'deleted' });
});
