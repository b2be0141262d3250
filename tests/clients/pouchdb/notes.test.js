// The gateway by itself: a database whose documents name their channels.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { device, keepInSync, remote, stored, until } from './world.js';

const notes = (user) => remote(user, { database: 'notes' });

test('two devices that sync live see each other\'s new documents, edits and deletions', async (t) => {
  const [ada, lin] = [device(), device()];
  const trouble = keepInSync(t, ada, notes('ada')).concat(keepInSync(t, lin, notes('lin')));
  const id = randomUUID();
  await ada.put({ _id: id, channels: ['all'], text: 'one' });
  const first = await until('it reaches lin', () => lin.get(id));
  await lin.put({ ...first, text: 'two' });
  const second = await until('the edit reaches ada', async () => {
    const doc = await ada.get(id);
    return doc.text === 'two' && doc;
  });
  await ada.remove(second);
  await until('the deletion reaches lin', () => lin.get(id).then(() => false, (error) => error.reason === 'deleted'));
  assert.equal(await stored(id, 'notes'), null);
  assert.deepEqual(trouble, []);
});

test('a document in a channel of somebody else arrives once it is moved to one\'s own', async (t) => {
  const lin = device();
  keepInSync(t, lin, notes('lin'));
  const id = randomUUID();
  const { rev } = await notes('max').put({ _id: id, channels: ['max'] });
  const shared = randomUUID();
  await notes('max').put({ _id: shared, channels: ['all'] });
  await until('a later document arrives', () => lin.get(shared));
  await assert.rejects(lin.get(id), { status: 404 });
  await notes('max').put({ _id: id, _rev: rev, channels: ['lin'] });
  await until('the moved one arrives', () => lin.get(id));
});

test('attachments arrive whole, and stay when another device edits the document', async () => {
  const [ada, lin] = [device(), device()];
  const [id, photo] = [randomUUID(), randomBytes(200_000)];
  const attachment = (content_type, data) => ({ content_type, data });
  const _attachments = {
    'hello.txt': attachment('text/plain', Buffer.from('hello')),
    'photo.jpg': attachment('image/jpeg', photo),
  };
  await ada.put({ _id: id, channels: ['all'], _attachments });
  await ada.replicate.to(notes('ada'));
  await lin.replicate.from(notes('lin'));
  assert.equal(String(await lin.getAttachment(id, 'hello.txt')), 'hello');
  assert.ok(photo.equals(await lin.getAttachment(id, 'photo.jpg')));

  const doc = await lin.get(id);
  doc._attachments['more.txt'] = attachment('text/plain', Buffer.from('more'));
  await lin.put({ ...doc, text: 'seen' });
  await lin.replicate.to(notes('lin'));
  await ada.replicate.from(notes('ada'));
  assert.equal((await ada.get(id)).text, 'seen');
  assert.equal(String(await ada.getAttachment(id, 'more.txt')), 'more');
  assert.ok(photo.equals(await ada.getAttachment(id, 'photo.jpg')));
});
