// Pictures of every page for people to look at: `node look.mjs FOLDER`.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ACCOUNTS, REGIONS, World } from './world.mjs';

const folder = process.argv[2] ?? 'pictures';
const only = process.argv[3];
mkdirSync(folder, { recursive: true });
const world = await World.start({ policy: { max_instances: 6 } });

const [first] = await world.launch('lin', 'search-cluster-7', { instance_type: 'm5.2xlarge' });
const [soon] = await world.launch('lin', 'load-test', { instance_type: 'c6i.4xlarge', tags: { lease: '50m' } });
const [brief] = await world.launch('lin', 'nightly-build', { instance_type: 't3.large', tags: { lease: '4s' } });
await world.launch('lin', 'gpu-experiment', { account: ACCOUNTS[1], region: REGIONS[1], instance_type: 'g5.xlarge' });
await world.launch('max', 'staging-db', { instance_type: 'r6i.large', region: REGIONS[1] });
await world.launch('max', 'spot-worker', { lifecycle: 'spot-one-time', instance_type: 'c5.xlarge' });
await world.launch('', 'mystery-box', { instance_type: 'm5.large' });
await world.launch('nobody', 'left-over', { instance_type: 't3.micro', tags: { owner: 'someone@elsewhere.example' } });
const many = Number(process.env.MANY ?? 0);
if (many > 0) await world.launch('max', 'fleet', { count: many, instance_type: 't3.small' });
await world.lease(first, (it) => it.notified);
await world.lease(soon, (it) => it.notified);
await world.lease(brief, (it) => it.state === 'stopped');

const pages = {
  login: [null, '/login'],
  leases: ['Lin Wu', '/leases'],
  empty: ['Ada Lovelace', '/leases'],
  lease: ['Lin Wu', `/leases/${ACCOUNTS[0]}::${REGIONS[0]}::${first}`],
  stopped: ['Lin Wu', `/leases/${ACCOUNTS[0]}::${REGIONS[0]}::${brief}`],
  settings: ['Lin Wu', '/settings'],
  nowhere: ['Lin Wu', '/nowhere'],
  all: ['Ada Lovelace', '/all'],
  unowned: ['Ada Lovelace', '/unowned'],
  people: ['Ada Lovelace', '/people'],
  policy: ['Ada Lovelace', '/policy'],
  aws: ['Ada Lovelace', '/aws-accounts'],
  stage: ['Ada Lovelace', `/aws-accounts/${ACCOUNTS[1]}/stage/stop`],
  savings: ['Ada Lovelace', '/savings'],
  events: ['Ada Lovelace', '/events'],
  status: ['Ada Lovelace', '/status'],
};
for (const width of [390, 1280]) {
  for (const colorScheme of ['light', 'dark']) {
    const desks = new Map();
    for (const [name, [who, path]] of Object.entries(pages)) {
      if (only && !only.split(',').includes(name)) continue;
      if (!desks.has(who)) {
        const page = await world.visitor({ viewport: { width, height: 900 }, colorScheme, deviceScaleFactor: 1 });
        if (who) await world.signIn(page, who);
        desks.set(who, page);
      }
      const page = desks.get(who);
      await page.goto(world.url + path);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) console.log(`${name} at ${width}: ${wide} px too wide`);
      await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    }
    for (const page of desks.values()) await page.context().close();
  }
}
await world.stop();
