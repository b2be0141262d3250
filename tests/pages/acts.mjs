// What people do on the pages, in a real browser.
import assert from 'node:assert/strict';
import { DEV, PEOPLE, until } from './world.mjs';

/** Signs somebody in through GitHub's stand-in. */
export async function signIn(context, base, user) {
  const page = await context.newPage();
  await page.goto(`${base}/login`);
  await page.getByRole('button', { name: 'Continue with GitHub' }).click();
  await page.locator(`button[value="${PEOPLE[user]}"]`).click();
  await page.waitForURL(`${base}/leases`);
  await page.close();
}

const text = (page) => page.locator('main').innerText();

async function lease(world, id) {
  const found = await world.documents(`lease::`);
  return found.find((one) => one.resource_id === id);
}

/** A renewal is one tap, without JavaScript, on a phone. */
export async function renewsWithoutScript({ browser, world }) {
  const [id] = await world.launch({ tags: { owner: 'lin@bigdb.example', Name: 'renewed-by-tap' } });
  await world.told(1);
  const before = await until('the lease', () => lease(world, id));
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 390, height: 800 } });
  await signIn(context, world.url, 'lin');
  const page = await context.newPage();
  await page.goto(`${world.url}/leases`);
  const item = page.locator('.lease', { hasText: 'renewed-by-tap' });
  await item.locator('select[name=for]').selectOption({ index: 0 }).catch(() => {});
  await item.locator('select[name=for] option').last().evaluate((option) => option.value).then((value) => item.locator('select[name=for]').selectOption(value));
  await item.getByRole('button', { name: 'Renew' }).click();
  assert.match(await text(page), /Renewed until/);
  const after = await lease(world, id);
  assert.ok(after.expires_at > before.expires_at, `${after.expires_at} is not later than ${before.expires_at}`);
  await context.close();
}

/** The first press of the tabulator leads past the menu. */
export async function keyboardReachesTheContent({ browser, world }) {
  const context = await browser.newContext();
  await signIn(context, world.url, 'lin');
  const page = await context.newPage();
  await page.goto(`${world.url}/leases`);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await context.close();
}

/** Over plain http, under a name that the browser does not take for this machine. */
export async function signsInOverPlainHttp({ browser, world }) {
  const context = await browser.newContext();
  const base = `http://zerocloud.test:${world.port}`;
  await signIn(context, base, 'max');
  const page = await context.newPage();
  await page.goto(`${base}/leases`);
  assert.match(await page.locator('body').innerText(), /This page is not encrypted/);
  const [cookie] = (await context.cookies()).filter(({ name }) => name.endsWith('zerocloud'));
  assert.deepEqual([cookie.name, cookie.secure, cookie.httpOnly, cookie.sameSite], ['zerocloud', false, true, 'Lax']);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL(/\/login/);
  await context.close();
}

/** A policy is shown with what it changes, and then saved. */
export async function policyIsPreviewedAndSaved({ browser, world }) {
  const context = await browser.newContext();
  await signIn(context, world.url, 'ada');
  const page = await context.newPage();
  await page.goto(`${world.url}/policy/user/max`);
  await page.getByLabel('Longest renewal').fill('5d');
  await page.getByRole('button', { name: 'Show what it would change' }).click();
  assert.match(await text(page), /Longest renewal\s+7d\s+5d/);
  assert.match(await text(page), /leases looked at/);
  await page.getByRole('button', { name: 'Save it' }).click();
  assert.match(await text(page), /Saved\. No running lease moves by itself/);
  const [policy] = await world.documents('policy::bigdb::user::max');
  assert.deepEqual(policy.policy, { max_lease: 432_000 });
  await context.close();
}

/** Pause and resume an AWS account. */
export async function pausesAndResumes({ browser, world }) {
  const context = await browser.newContext();
  await signIn(context, world.url, 'ada');
  const page = await context.newPage();
  await page.goto(`${world.url}/aws-accounts/${DEV}`);
  await page.getByLabel('Why').fill('the fair is on');
  await page.getByRole('button', { name: 'Pause' }).click();
  assert.match(await text(page), /Paused: no end starts until you resume/);
  await until('the pause shows', async () => {
    await page.goto(`${world.url}/aws-accounts/${DEV}`);
    return /by ada: the fair is on/.test(await text(page));
  });
  await page.getByRole('button', { name: 'Resume' }).click();
  assert.match(await text(page), /Resumed\./);
  await context.close();
}
