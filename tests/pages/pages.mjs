// Every page, by who sees it. A page that a form leads to is reached by that form.
import { DEV, TEST } from './world.mjs';

/** For whoever is not signed in. */
export const pagesOfNobody = (world) => [
  ['login', `${world.url}/login`],
  ['api', `${world.url}/api`],
  ['not-invited', refused(world), 403],
];

/** For whoever opens the first link of an empty installation. */
export const pagesOfSetUp = (link) => [
  ['setup', link],
  ['setup-over', `${link}x`, 404],
];

/** For whoever opens a mail's links, by what they do. */
export const pagesOfMail = (links) => [
  ...Object.entries(links).map(([act, link]) => [`mail-${act}`, link]),
  ['mail-cut', links.renew.slice(0, -9), 410],
  ['mail-renewed', pressed(links.renew, 'Renew')],
  ['mail-not_mine-done', pressed(links.not_mine, 'not mine')],
];

/** For a dev; `lease` is one of theirs, when there is any. */
export const pagesOfDev = (world, lease) => [
  ['leases', `${world.url}/leases`],
  ['settings', `${world.url}/settings`],
  ['token', token(world)],
  ['not-found', `${world.url}/nowhere`, 404],
  ...(lease ? [['lease', `${world.url}/leases/${lease._id.slice('lease::'.length)}`]] : []),
];

/** For an admin. */
export const pagesOfAdmin = (world, lease) => [
  ['all', `${world.url}/all`],
  ['unowned', `${world.url}/unowned`],
  ['people', `${world.url}/people`],
  ['people-leave', `${world.url}/people/max/leave`],
  ['policy', `${world.url}/policy`],
  ['policy-preview', previewed(world)],
  ['policy-aws', `${world.url}/policy/aws/${DEV}`],
  ['policy-user', `${world.url}/policy/user/lin`],
  ['policy-apply', `${world.url}/policy/apply`],
  ['exemptions', `${world.url}/exemptions`],
  ['exemption-preview', exempted(world)],
  ['aws-accounts', `${world.url}/aws-accounts`],
  ['aws-account', `${world.url}/aws-accounts/${DEV}`],
  ['aws-new', `${world.url}/aws-accounts/new`],
  ['aws-setup', begun(world)],
  ['aws-setup-terraform', `${world.url}/aws-accounts/${LAB}/setup?kind=terraform`],
  ['aws-refused', verified(world, LAB)],
  ['aws-verified', verified(world, DEV)],
  ['aws-remove', `${world.url}/aws-accounts/${TEST}/remove`],
  ['aws-event-key', eventKey(world)],
  ['aws-stage', `${world.url}/aws-accounts/${TEST}/stage?to=stop`],
  ['aws-disable', `${world.url}/aws-accounts/${DEV}/enabled`],
  ['events', `${world.url}/events`],
  ['status', `${world.url}/status`],
  ['savings', `${world.url}/savings`],
  ...(lease ? [['lease-as-admin', `${world.url}/leases/${lease._id.slice('lease::'.length)}`]] : []),
];

// One whose role is not applied yet.
const LAB = '777788889999';

const begun = (world) => async (page) => {
  await page.goto(`${world.url}/aws-accounts/new`);
  const begun = page.getByRole('link', { name: 'Research of the winter term' });
  if (await begun.count()) {
    await Promise.all([page.waitForEvent('load'), begun.click()]);
    return;
  }
  await page.locator('input[name=aws_id]').fill(LAB);
  await page.locator('input[name=name]').fill('Lab');
  await Promise.all([page.waitForLoadState('load'), page.getByRole('button', { name: 'Go on' }).click()]);
  await page.getByRole('heading', { name: 'External id' }).waitFor();
};

const verified = (world, aws) => async (page) => {
  await page.goto(`${world.url}/aws-accounts/${aws}/setup`);
  await Promise.all([page.waitForLoadState('load'), page.getByRole('button', { name: 'Verify' }).click()]);
  await page.getByRole('heading', { name: 'What was found' }).waitFor();
};

const refused = (world) => async (page) => {
  const answered = page.waitForResponse((answer) => answer.url().includes('/login/callback'));
  await world.signIn(page, 'A Stranger');
  return answered;
};

const pressed = (link, button) => async (page) => {
  await page.goto(link);
  await Promise.all([page.waitForEvent('load'), page.getByRole('button', { name: button }).click()]);
};

const token = (world) => async (page) => {
  await page.goto(`${world.url}/settings`);
  await page.getByText('Make one', { exact: true }).click();
  await page.getByLabel('What it is for').fill('nightly report');
  await page.getByRole('button', { name: 'Make it' }).click();
  await page.getByRole('heading', { name: 'Your new token' }).waitFor();
};

const eventKey = (world) => async (page) => {
  await page.goto(`${world.url}/aws-accounts/${DEV}`);
  await page.getByText('Make a key', { exact: true }).click();
  await page.getByRole('button', { name: 'Make it' }).click();
  await page.getByText(/zce_/).first().waitFor();
};

const previewed = (world) => async (page) => {
  await page.goto(`${world.url}/policy`);
  await page.getByLabel('Longest renewal').fill('4d');
  await page.getByLabel('Instances of one person').fill('50');
  await Promise.all([page.waitForLoadState('load'), page.getByRole('button', { name: 'Show what it would change' }).click()]);
  await page.getByRole('heading', { name: 'What it would do' }).waitFor();
};

const exempted = (world) => async (page) => {
  await page.goto(`${world.url}/exemptions`);
  await page.locator('input[name=key]').fill('keep');
  await page.locator('input[name=value]').fill('*');
  await page.locator('input[name=reason]').fill('They hold the data of the next release.');
  await page.locator('input[name=until]').fill(new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10));
  await page.getByRole('button', { name: 'Show what it would hold' }).click();
  await page.getByRole('heading', { name: 'What it would do' }).waitFor();
};
