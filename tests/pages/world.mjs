// A whole installation for a browser to look at: doubles of AWS and GitHub, zerocloud, and people. Everything on 127.0.0.1.
import { chromium } from 'playwright-core';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { createServer } from 'node:net';

const PROGRAMS = process.env.ZEROCLOUD_PROGRAMS ?? join(process.env.CARGO_TARGET_DIR ?? '../../target', 'debug');
export const ACCOUNTS = ['111122223333', '444455556666'];
export const REGIONS = ['us-east-1', 'eu-west-1'];
const PATIENCE = 60_000;

const person = (id, login, name, email) => ({ id, login, name, emails: [{ email, primary: true, verified: true }] });
const PEOPLE = [
  person(1, 'ada-l', 'Ada Lovelace', 'ada@bigdb.example'),
  person(2, 'lin-wu', 'Lin Wu', 'lin@bigdb.example'),
  person(3, 'max-m', 'Max Mayer', 'max@bigdb.example'),
  person(9, 'stranger', 'A Stranger', 'stranger@elsewhere.example'),
];

// A free port, given back at once.
async function freePort() {
  const server = createServer();
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

// Starts a program; its first line of output is JSON.
async function start(name, args) {
  const child = spawn(join(PROGRAMS, name), args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const first = await new Promise((ready, failed) => {
    lines.once('line', ready);
    child.once('exit', (code) => failed(new Error(`${name} ended with ${code}`)));
  });
  return { child, ready: JSON.parse(first) };
}

// Waits until `check` gives something.
export async function until(what, check) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await pause(100);
  }
}

// Everything that runs; `stop` ends it.
export class World {
  static async start({ seeded = true, policy = {} } = {}) {
    const world = new World();
    world.folder = mkdtempSync(join(tmpdir(), 'zerocloud-pages-'));
    const people = join(world.folder, 'people.json');
    writeFileSync(people, JSON.stringify(PEOPLE));
    world.aws = await start('ec2-double', []);
    world.github = await start('github-double', ['--people', people]);
    for (const account of ACCOUNTS) {
      await world.double('roles', { arn: `arn:aws:iam::${account}:role/zerocloud`, external_id: `external-${account}` });
    }
    const [web, open, admin] = [await freePort(), await freePort(), await freePort()];
    Object.assign(world, { url: `http://127.0.0.1:${web}`, port: web, admin: `http://127.0.0.1:${admin}` });
    const config = join(world.folder, 'config.yml');
    writeFileSync(config, JSON.stringify(world.config(seeded, policy, web, open, admin)));
    world.log = [];
    world.child = spawn(join(PROGRAMS, 'zerocloud'), ['--config', config, 'serve'], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [world.child.stdout, world.child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => world.log.push(line));
    }
    await until('the pages answer', () => fetch(`${world.url}/login`).then((it) => it.ok, () => false));
    // What ran before its AWS account was connected gets a full lease, whatever its tags say.
    const connected = (account) => fetch(`${world.admin}/zerocloud/aws_account::bigdb::${account}`).then((it) => it.ok);
    for (const account of seeded ? ACCOUNTS : []) await until(`${account} is connected`, () => connected(account));
    const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
    const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking',
      `--host-resolver-rules=MAP zerocloud.plain.example 127.0.0.1`];
    world.browser = await chromium.launch({ executablePath, args });
    return world;
  }

  config(seeded, policy, web, open, admin) {
    const { url: aws, home } = this.aws.ready;
    const { url: base_url, client_id, client_secret } = this.github.ready;
    const account = (aws_id, name, stage) => ({
      aws_id, name, stage, regions: REGIONS, role_arn: `arn:aws:iam::${aws_id}:role/zerocloud`, external_id: `external-${aws_id}`,
    });
    return {
      store: { data: join(this.folder, 'data'), public: `127.0.0.1:${open}`, admin: `127.0.0.1:${admin}` },
      aws: { access_key_id: home.access_key_id, secret_access_key: 'secret', requests_per_second: 100, endpoints: { ec2: aws, sts: aws, ses: aws } },
      mail: { from: 'zerocloud@bigdb.example', per_second: 500 },
      schedule: { poll: '* * * * * *', sweep: '* * * * * *', outbox: '* * * * * *', cleanup: '0 * * * * *' },
      web: { listen: `127.0.0.1:${web}`, github: { base_url, client_id, client_secret } },
      leader_ttl: '5s',
      accounts: seeded ? [{
        id: 'bigdb', name: 'BigDB',
        policy: { settle: '1s', stage_notice: '1s', min_notice: '1s', grace: '3s', ...policy },
        aws_accounts: [account(ACCOUNTS[0], 'BigDB Dev', 'terminate'), account(ACCOUNTS[1], 'BigDB Test', 'notify')],
        users: [
          { id: 'ada', email: 'ada@bigdb.example', name: 'Ada Lovelace', role: 'admin', time_zone: 'Europe/London' },
          { id: 'lin', email: 'lin@bigdb.example', name: 'Lin Wu', time_zone: 'Europe/Berlin' },
          { id: 'max', email: 'max@bigdb.example', name: 'Max Mayer' },
        ],
      }] : [],
    };
  }

  // Tells the double of AWS something.
  async double(path, body) {
    const answer = await fetch(`${this.aws.ready.url}/_double/${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
    return answer.json();
  }

  // Puts instances there; gives their ids.
  async launch(owner, name, more = {}) {
    const { account = ACCOUNTS[0], region = REGIONS[0], count = 1, tags = {}, ...spec } = more;
    const owned = owner ? { owner: `${owner}@bigdb.example` } : {};
    const body = { account, region, count, spec: { ...spec, tags: { Name: name, ...owned, ...tags } } };
    return (await this.double('instances', body)).ids;
  }

  // The lease of an instance, as the service sees it, once it is as `fits` says.
  async lease(instance, fits = () => true) {
    return until(`the lease of ${instance}`, async () => {
      const query = 'startkey="lease::"&endkey="lease::~"&include_docs=true';
      const answer = await fetch(`${this.admin}/zerocloud/_all_docs?${query}`);
      const { rows } = await answer.json();
      return rows.map((row) => row.doc).find((doc) => doc.resource_id === instance && fits(doc));
    });
  }

  // A browser of its own, not signed in.
  async visitor(options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    page.on('pageerror', (error) => { throw error; });
    return page;
  }

  // Signs in through the double of GitHub.
  async signIn(page, name, base = this.url) {
    await page.goto(`${base}/login`);
    await page.getByRole('button', { name: 'Continue with GitHub' }).click();
    await page.getByRole('button', { name }).click();
  }

  async stop() {
    await this.browser?.close();
    for (const child of [this.child, this.aws?.child, this.github?.child]) child?.kill('SIGTERM');
    await Promise.all([this.child].map((child) => child && new Promise((ended) => child.once('exit', ended))));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
