// People's ways through the pages, each a claim about a real browser.
import assert from 'node:assert/strict';
import { DEV, REGIONS, World, until } from './world.mjs';

/** Each [claim, what to do]. */
export const ways = [];
const step = (claim, act) => ways.push([claim, act]);
const path = (instance) => `/leases/${DEV}::${REGIONS[0]}::${instance}`;
const words = (page) => page.locator('body').innerText();

step('whoever signs in through GitHub lands where they wanted to go', async (world) => {
  const page = await world.visitor();
  await page.goto(`${world.url}/settings`);
  await page.getByRole('button', { name: 'Continue with GitHub' }).click();
  await page.getByRole('button', { name: 'Lin Wu' }).click();
  assert.equal(new URL(page.url()).pathname, '/settings');
  assert.match(await words(page), /Who I am/);
  const cookies = await page.context().cookies();
  const session = cookies.find((cookie) => cookie.name === '__Host-zerocloud');
  assert.ok(session?.httpOnly && session.secure && session.sameSite === 'Lax', JSON.stringify(cookies));
});

step('a new token, a new event key and an external id are copied with one press', async (world) => {
  const page = await world.visitor({ permissions: ['clipboard-read', 'clipboard-write'] });
  await world.signIn(page, 'Ada Lovelace');
  const copied = async () => {
    const box = page.locator('.copy', { has: page.locator('code') }).first();
    await box.getByRole('button', { name: 'Copy' }).click();
    await box.getByRole('button', { name: 'Copied' }).waitFor();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(text, await box.locator('code').textContent());
    return text;
  };
  await page.goto(`${world.url}/settings`);
  await page.getByText('Make one', { exact: true }).click();
  await page.getByLabel('What it is for').fill('copied');
  await page.getByRole('button', { name: 'Make it' }).click();
  assert.match(await copied(), /^zcp_/);
  await page.goto(`${world.url}/aws-accounts/${DEV}`);
  await page.getByText('Make a key', { exact: true }).click();
  await page.getByRole('button', { name: 'Make it' }).click();
  assert.match(await copied(), /^zce_/);
  await page.goto(`${world.url}/aws-accounts/${DEV}/setup`);
  assert.match(await copied(), new RegExp(DEV));
});

step('who is not invited is told what to do', async (world) => {
  const page = await world.visitor();
  await world.signIn(page, 'A Stranger');
  assert.match(await words(page), /Not invited yet/);
});

step('over plain http under a name that is not loopback, signing in and renewing work, with a banner', async (world) => {
  const [instance] = await world.launch('lin', 'plain-http');
  const before = await world.lease(instance, (lease) => lease.notified);
  const page = await world.visitor();
  const base = `http://zerocloud.plain.example:${world.port}`;
  await world.signIn(page, 'Lin Wu', base);
  assert.ok(page.url().startsWith(base), page.url());
  assert.match(await words(page), /This page is not encrypted/);
  await page.goto(base + path(instance));
  await page.getByRole('combobox').first().selectOption('432000');
  await page.getByRole('button', { name: 'Renew' }).click();
  assert.match(await words(page), /Renewed until/);
  await world.lease(instance, (lease) => lease.expires_at > before.expires_at);
  const cookies = await page.context().cookies();
  assert.ok(cookies.some((cookie) => cookie.name === 'zerocloud' && cookie.httpOnly && !cookie.secure));
});

step('on a phone, one tap renews', async (world) => {
  const [instance] = await world.launch('lin', 'one-tap', { tags: { lease: '2h' } });
  const before = await world.lease(instance, (lease) => lease.notified);
  const page = await world.visitor({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await world.signIn(page, 'Lin Wu');
  await page.locator('.lease', { hasText: 'one-tap' }).getByRole('button', { name: 'Renew' }).tap();
  await page.locator('.said', { hasText: 'Renewed until' }).waitFor();
  await world.lease(instance, (lease) => lease.expires_at > before.expires_at);
});

step('without JavaScript, renewing works all the same', async (world) => {
  const [instance] = await world.launch('lin', 'no-script', { tags: { lease: '2h' } });
  const before = await world.lease(instance, (lease) => lease.notified);
  const page = await world.visitor({ javaScriptEnabled: false });
  await world.signIn(page, 'Lin Wu');
  await page.locator('.lease', { hasText: 'no-script' }).getByRole('button', { name: 'Renew' }).click();
  assert.match(await page.locator('.said').textContent(), /Renewed until/);
  await world.lease(instance, (lease) => lease.expires_at > before.expires_at);
});

step('a mail\'s link shows the lease without signing in, and its button alone renews', async () => {
  const linked = new World({ linked: true });
  try {
    await linked.begin();
    const [instance] = await linked.launch('lin', 'by-mail', { tags: { lease: '2h' } });
    const before = await linked.lease(instance, (lease) => lease.notified);
    const { renew, not_mine: notMine } = await linked.links('by-mail');
    const page = await linked.visitor({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
    await page.goto(notMine);
    await page.goto(renew);
    assert.match(await words(page), /by-mail/);
    assert.equal((await linked.lease(instance)).expires_at, before.expires_at);
    await page.getByRole('button', { name: 'Renew' }).tap();
    await page.locator('.said', { hasText: 'Renewed until' }).waitFor();
    const after = await linked.lease(instance, (lease) => lease.expires_at > before.expires_at);
    assert.equal(after.owner, 'lin');
  } finally {
    await linked.end();
  }
});

step('what changes elsewhere shows without loading the page again', async (world) => {
  const page = await world.visitor();
  await world.signIn(page, 'Lin Wu');
  await page.waitForTimeout(500);
  await world.launch('lin', 'just-launched');
  await page.locator('.lease', { hasText: 'just-launched' }).waitFor({ timeout: 20_000 });
});

step('a length that was chosen stays chosen when something else changes', async (world) => {
  const [instance] = await world.launch('lin', 'to-choose');
  await world.lease(instance, (lease) => lease.notified);
  const page = await world.visitor();
  await world.signIn(page, 'Lin Wu');
  const lengths = page.locator('.lease', { hasText: 'to-choose' }).getByRole('combobox');
  const usual = await lengths.inputValue();
  const values = await lengths.locator('option').evaluateAll((all) => all.map((option) => option.value));
  const other = values.slice(0, -1).find((value) => value !== usual);
  await lengths.selectOption(other);
  await lengths.blur();
  await world.launch('lin', 'comes-meanwhile');
  await page.locator('.lease', { hasText: 'comes-meanwhile' }).waitFor({ timeout: 20_000 });
  assert.equal(await lengths.inputValue(), other);
});

step('ending now stops it', async (world) => {
  const [instance] = await world.launch('lin', 'end-me');
  await world.lease(instance, (lease) => lease.notified);
  const page = await world.visitor();
  await world.signIn(page, 'Lin Wu');
  await page.goto(world.url + path(instance));
  await page.getByText('End it now', { exact: true }).first().click();
  await page.getByRole('button', { name: 'End it now' }).click();
  assert.match(await words(page), /It will be stopped now/);
  await world.lease(instance, (lease) => lease.state === 'stopped');
});

step('handing over needs the other to accept', async (world) => {
  const [instance] = await world.launch('lin', 'hand-over');
  await world.lease(instance, (lease) => lease.notified);
  const [lin, max] = [await world.visitor(), await world.visitor()];
  await world.signIn(lin, 'Lin Wu');
  await lin.goto(world.url + path(instance));
  await lin.getByText('Hand it over', { exact: true }).click();
  await lin.getByRole('combobox', { name: 'To' }).selectOption({ label: 'Max Mayer' });
  await lin.getByRole('button', { name: 'Offer it' }).click();
  assert.match(await words(lin), /Offered to/);
  await world.signIn(max, 'Max Mayer');
  await until('the offer shows', async () => {
    await max.goto(`${world.url}/leases`);
    return (await words(max)).includes('Offered to you');
  });
  await max.getByRole('button', { name: 'Take it over' }).click();
  await world.lease(instance, (lease) => lease.owner === 'max');
});

step('a policy is shown with what it would change, lease by lease, before it is saved', async (world) => {
  const [instance] = await world.launch('max', 'previewed');
  await world.lease(instance, (lease) => lease.notified);
  const page = await world.visitor();
  await world.signIn(page, 'Ada Lovelace');
  await page.goto(`${world.url}/policy/user/max`);
  await page.getByLabel('Longest renewal').fill('6d');
  await page.getByRole('button', { name: 'Show what it would change' }).click();
  assert.match(await words(page), /Longest renewal\s+7d\s+6d/);
  assert.match(await page.getByRole('row', { name: /previewed/ }).innerText(), /Can be renewed until/);
  await page.getByRole('button', { name: 'Save it' }).click();
  assert.match(await words(page), /Saved\. No running lease moves by itself/);
  assert.equal(await page.getByLabel('Longest renewal').inputValue(), '6d');
});

step('an AWS account is paused for a reason and resumed', async (world) => {
  const page = await world.visitor();
  await world.signIn(page, 'Ada Lovelace');
  const shows = (what, sentence) => until(what, async () => {
    await page.goto(`${world.url}/aws-accounts/${DEV}`);
    return sentence.test(await words(page));
  });
  await shows('the AWS account', /Pause/);
  await page.getByLabel('Why').fill('the fair is on');
  await page.getByRole('button', { name: 'Pause' }).click();
  assert.match(await words(page), /Paused: no end starts until you resume/);
  await shows('the pause', /by ada: the fair is on/);
  await page.getByRole('button', { name: 'Resume' }).click();
  assert.match(await words(page), /Resumed\./);
});

step('the first press of the tabulator leads past the menu', async (world) => {
  const page = await world.visitor();
  await world.signIn(page, 'Lin Wu');
  // A key that is pressed while the page is still on its way goes to the one before.
  await page.waitForURL('**/leases');
  await page.waitForLoadState('load');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
});

step('ticking all gives many to somebody at once', async (world) => {
  const instances = await world.launch('', 'nobodys', { count: 3 });
  for (const instance of instances) await world.lease(instance, (lease) => lease.owner === 'ada' && lease.notified);
  const page = await world.visitor();
  await world.signIn(page, 'Ada Lovelace');
  await page.goto(`${world.url}/unowned?q=nobodys`);
  await page.getByLabel('Tick all').check();
  await page.getByLabel('Give them to').selectOption({ label: 'Max Mayer' });
  await page.getByRole('button', { name: 'Reassign' }).click();
  assert.match(await words(page), /Reassigned 3 of 3/);
  for (const instance of instances) await world.lease(instance, (lease) => lease.owner === 'max');
});

step('signing out ends it in every browser', async (world) => {
  const [one, two] = [await world.visitor(), await world.visitor()];
  for (const page of [one, two]) await world.signIn(page, 'Max Mayer');
  await one.getByRole('button', { name: 'Sign out' }).click();
  assert.match(await words(one), /You are signed out, on every device/);
  await two.goto(`${world.url}/leases`);
  assert.equal(new URL(two.url()).pathname, '/login');
});

step('on an empty installation the printed link sets everything up', async () => {
  const empty = new World({ seeded: false });
  try {
    await empty.begin();
    const link = await empty.setupLink();
    const page = await empty.visitor();
    await page.goto(link);
    await page.getByLabel('Account').fill('BigDB');
    await page.getByRole('button', { name: 'Continue with GitHub' }).click();
    await page.getByRole('button', { name: 'Ada Lovelace' }).click();
    assert.match(await words(page), /Your Account is set up, and you are its admin/);
    await page.goto(link);
    assert.match(await words(page), /This link is over/);
  } finally {
    await empty.end();
  }
});
