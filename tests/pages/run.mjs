// The pages in Chromium: starts what they need, goes people's ways, and takes a picture of every page at two widths, light and
// dark, with nothing in AWS and with 500 leases. Fails on serious findings of axe, on what does not fit, and on what the browser
// complains of. Pictures go to ZEROCLOUD_SHOTS, else to `shots` beside this file.
//   node run.mjs [words]     With words only the ways whose claim has them, and no pictures. Programs are those in CARGO_TARGET_DIR.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const asked = spawnSync(join(here, 'prerequisites.sh'), { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
if (asked.status !== 0) {
  process.exit(asked.status ?? 2);
}
if (!existsSync(join(here, 'node_modules'))) {
  const npm = ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  const { status } = spawnSync('npm', npm, { cwd: here, stdio: 'inherit' });
  if (status !== 0) {
    process.exit(status ?? 2);
  }
}
const { chromium } = await import('playwright-core');
const { ways } = await import('./ways.mjs');
const { pagesOfAdmin, pagesOfDev, pagesOfMail, pagesOfNobody, pagesOfSetUp } = await import('./pages.mjs');
const { shoot } = await import('./shots.mjs');
const { PEOPLE, World } = await import('./world.mjs');
const { crowd } = await import('./crowd.mjs');

const folder = process.env.ZEROCLOUD_SHOTS ?? join(here, 'shots');
const wanted = process.argv[2];
const chosen = ways.filter(([claim]) => !wanted || claim.includes(wanted));
if (chosen.length === 0) {
  console.error(`no way's claim has ${wanted}; there are\n${ways.map(([claim]) => claim).join('\n')}`);
  process.exit(2);
}
const world = new World();
let browser;

async function end() {
  await browser?.close().catch(() => {});
  await world.end();
}

async function pictures(set, subject) {
  mkdirSync(folder, { recursive: true });
  const found = [];
  const people = { nobody: pagesOfNobody, lin: pagesOfDev, ada: pagesOfAdmin };
  for (const [who, pages] of Object.entries(people)) {
    const context = await browser.newContext();
    if (who !== 'nobody') {
      const page = await context.newPage();
      await world.signIn(page, PEOPLE[who]);
      await page.close();
    }
    found.push(...(await shoot(context, pages(world, subject), { folder, set })));
    await context.close();
  }
  return found;
}

/** Pages that only a world of its own has: of an empty installation, and of a mail's links. */
async function picturesElsewhere(set, options, find) {
  const other = new World(options);
  try {
    await other.begin();
    const context = await browser.newContext();
    const found = await shoot(context, await find(other), { folder, set });
    await context.close();
    return found;
  } finally {
    await other.end();
  }
}

async function mailed(other) {
  const [instance] = await other.launch('lin', 'payments-load-test', { tags: { lease: '2h' }, instance_type: 'm5.large' });
  await other.lease(instance, (lease) => lease.notified);
  return pagesOfMail(await other.links('payments-load-test'));
}

async function go([claim, act]) {
  try {
    await act(world);
    console.log(`ok  ${claim}`);
    return [];
  } catch (error) {
    return [`${claim}: ${error.stack}`];
  } finally {
    await Promise.all(browser.contexts().map((context) => context.close()));
  }
}

async function run() {
  await world.begin();
  // Chromium's own sandbox needs what root in a container has not.
  const args = ['--host-resolver-rules=MAP zerocloud.plain.example 127.0.0.1', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])];
  browser = await chromium.launch({ executablePath: asked.stdout.trim(), args });
  World.browser = browser;
  const found = wanted ? [] : await pictures('empty');
  if (!wanted) {
    found.push(...(await picturesElsewhere('first', { seeded: false }, async (other) => pagesOfSetUp(await other.setupLink()))));
    found.push(...(await picturesElsewhere('mail', { linked: true }, mailed)));
  }
  for (const way of chosen) {
    found.push(...(await go(way)));
  }
  if (!wanted) {
    found.push(...(await pictures('full', await crowd(world))));
    console.log(`pictures are in ${folder}`);
  }
  return found;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => end().finally(() => process.exit(1)));
}
let found = [];
try {
  found = await run();
} catch (error) {
  found.push(error.stack);
}
if (found.length > 0) {
  console.error(`${found.join('\n')}\n\nzerocloud's log ends:\n${world.log().split('\n').slice(-25).join('\n')}`);
}
await end();
process.exit(found.length > 0 ? 1 : 0);
