// What the pages need around them: the AWS double, the double of GitHub and `zerocloud serve`, on free loopback ports.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

const programs = join(process.env.CARGO_TARGET_DIR ?? join(homedir(), '.cache/zerocloud/target'), 'debug');
export const DEV = '111122223333';
export const TEST = '444455556666';
export const REGIONS = ['us-east-1', 'eu-west-1'];
export const PEOPLE = { ada: 'Ada Lovelace', lin: 'Lin Wu', max: 'Max Mayer' };
// Known at GitHub and to nobody here.
const STRANGER = { id: 9, login: 'stranger', name: 'A Stranger', emails: [{ email: 'stranger@elsewhere.example', primary: true, verified: true }] };

/** Waits until `check` gives something. */
export async function until(what, check, seconds = 60) {
  for (const deadline = Date.now() + seconds * 1000; ; await pause(100)) {
    const found = await check();
    if (found) {
      return found;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited in vain: ${what}`);
    }
  }
}

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

export class World {
  folder = mkdtempSync(join(tmpdir(), 'zerocloud-pages-'));
  #started = [];
  #ending = false;

  /** Without `seeded` nobody is there yet; `linked`: mails know where the pages are, and have links. */
  constructor({ seeded = true, linked = false } = {}) {
    this.seeded = seeded;
    this.linked = linked;
  }

  // In a process group of its own, so that ending it ends what it started.
  #start(name, args, stdio) {
    if (this.#ending) {
      throw new Error('interrupted');
    }
    const env = { ...process.env, NO_COLOR: '1' };
    const child = spawn(join(programs, name), args, { detached: true, stdio, env });
    child.ended = new Promise((resolve) => {
      child.on('error', (error) => resolve(error.message));
      child.on('exit', (code, signal) => resolve(code ?? signal));
    });
    child.ended.then((why) => (child.why = why));
    this.#started.push(child);
    return child;
  }

  async #double(name, args = []) {
    const child = this.#start(name, args, ['ignore', 'pipe', 'inherit']);
    const line = once(createInterface({ input: child.stdout }), 'line');
    const gone = child.ended.then((why) => {
      throw new Error(`${name} ended (${why}); is it built in ${programs}?`);
    });
    return JSON.parse((await Promise.race([line, gone]))[0]);
  }

  async begin() {
    this.aws = await this.#double('ec2-double');
    for (const account of [DEV, TEST]) {
      await this.control('roles', { arn: `arn:aws:iam::${account}:role/zerocloud`, external_id: `external-${account}` });
    }
    const people = Object.entries(PEOPLE).map(([id, name], at) => ({
      id: at + 1, login: `${id}-gh`, name, emails: [{ email: `${id}@bigdb.example`, primary: true, verified: true }],
    }));
    people.push(STRANGER);
    const file = join(this.folder, 'people.json');
    writeFileSync(file, JSON.stringify(people));
    this.github = await this.#double('github-double', ['--people', file]);
    const [publicPort, adminPort, web] = await freePorts(3);
    this.admin = `http://127.0.0.1:${adminPort}/zerocloud`;
    this.port = web;
    this.url = `http://127.0.0.1:${web}`;
    const config = join(this.folder, 'config.yml');
    writeFileSync(config, JSON.stringify(this.#configuration(publicPort, adminPort, web)));
    const log = createWriteStream(join(this.folder, 'log'));
    await once(log, 'open');
    const service = this.#start('zerocloud', ['--config', config, 'serve'], ['ignore', log, log]);
    await until('zerocloud answers', async () => {
      if (service.why !== undefined) {
        throw new Error(`zerocloud ended (${service.why})`);
      }
      const there = !this.seeded || (await fetch(`${this.admin}/user::bigdb::max`).catch(() => null))?.ok;
      return there && (await fetch(`${this.url}/login`).catch(() => null))?.ok;
    });
  }

  // JSON is YAML. Time is the machine's, so everything that must happen within the test takes seconds.
  #configuration(publicPort, adminPort, web) {
    const every = '* * * * * *';
    const account = (aws_id, name, stage) => ({
      aws_id, name, stage, regions: REGIONS, role_arn: `arn:aws:iam::${aws_id}:role/zerocloud`, external_id: `external-${aws_id}`,
    });
    return {
      store: { data: join(this.folder, 'data'), public: `127.0.0.1:${publicPort}`, admin: `127.0.0.1:${adminPort}` },
      aws: {
        access_key_id: this.aws.home.access_key_id, secret_access_key: this.aws.home.secret_access_key,
        requests_per_second: 200, endpoints: { ec2: this.aws.url, sts: this.aws.url, ses: this.aws.url, autoscaling: this.aws.url, cloudtrail: this.aws.url },
      },
      mail: { from: 'zerocloud@bigdb.example', per_second: 500 },
      schedule: { poll: every, sweep: every, outbox: every, cleanup: every },
      web: {
        listen: `127.0.0.1:${web}`,
        ...(this.linked ? { public_url: `http://127.0.0.1:${web}` } : {}),
        github: { client_id: this.github.client_id, client_secret: this.github.client_secret, base_url: this.github.url },
      },
      accounts: this.seeded ? [{
        id: 'bigdb', name: 'BigDB',
        policy: {
          settle: '1s', default_lease: '3d', max_lease: '7d', grace: '3s', warnings: ['24h', '1h'], min_notice: '1s', stage_notice: '1s',
          max_reaps_per_hour: 100,
        },
        aws_accounts: [account(DEV, 'Development', 'stop'), account(TEST, 'Test lab', 'notify')],
        users: Object.keys(PEOPLE).map((id) => ({
          id, name: PEOPLE[id], email: `${id}@bigdb.example`, role: id === 'ada' ? 'admin' : 'dev',
          ...(id === 'lin' ? { time_zone: 'Europe/Berlin' } : {}),
        })),
      }] : [],
    };
  }

  /** A change of AWS. */
  async control(path, body) {
    const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const answer = await fetch(`${this.aws.url}/_double/${path}`, options);
    if (!answer.ok) {
      throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    }
    return answer.json();
  }

  /** Launches instances of `owner`, or of nobody; gives their ids. */
  async launch(owner, name, { account = DEV, region = REGIONS[0], count = 1, tags = {}, ...spec } = {}) {
    const owned = owner ? { owner: `${owner}@bigdb.example` } : {};
    const body = { account, region, count, spec: { ...spec, tags: { Name: name, ...owned, ...tags } } };
    return (await this.control('instances', body)).ids;
  }

  /** The lease of an instance, once it is as `fits` says. */
  async lease(instance, fits = () => true) {
    return until(`the lease of ${instance}`, async () => {
      const leases = await this.documents('lease::');
      return leases.find((lease) => lease.resource_id === instance && fits(lease));
    });
  }

  /** A page of a browser window of its own, where nobody is signed in. */
  async visitor(options = {}) {
    const context = await World.browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    return context.newPage();
  }

  /** Signs somebody in through GitHub's stand-in. */
  async signIn(page, name, base = this.url) {
    await page.goto(`${base}/login`);
    await page.getByRole('button', { name: 'Continue with GitHub' }).click();
    await page.getByRole('button', { name }).click();
  }

  /** Every document whose id begins so, as the service sees it. */
  async documents(prefix) {
    const url = new URL(`${this.admin}/_all_docs`);
    url.searchParams.set('include_docs', 'true');
    url.searchParams.set('startkey', JSON.stringify(prefix));
    url.searchParams.set('endkey', JSON.stringify(`${prefix}\u{10ffff}`));
    return (await (await fetch(url)).json()).rows.map((row) => row.doc);
  }

  /** Waits for so many leases that their owners were told of. */
  async told(count) {
    await until(`${count} leases that were told`, async () => {
      const leases = await this.documents('lease::');
      return leases.filter((lease) => lease.notified).length >= count && leases;
    }, 240);
  }

  /** The links of the mail about `name`, by what they do. */
  async links(name) {
    return until(`a mail about ${name}`, async () => {
      const mails = await (await fetch(`${this.aws.url}/_double/mails`)).json();
      const mail = mails.find(({ text }) => text.includes(name));
      const links = mail && [...mail.text.matchAll(/(http\S+\/l\/(\S+))/g)];
      const act = (token) => Buffer.from(token.split('.')[1], 'base64url').toString().split('|')[1];
      return links?.length && Object.fromEntries(links.map(([, link, token]) => [act(token), link]));
    });
  }

  /** The link that sets an empty installation up. */
  async setupLink() {
    return until('the set-up link', async () => /open (http\S+\/setup\/\S+) to/.exec(this.log())?.[1]);
  }

  log() {
    try {
      return readFileSync(join(this.folder, 'log'), 'utf8');
    } catch {
      return '';
    }
  }

  async end() {
    this.#ending = true;
    for (const child of this.#started.reverse()) {
      if (!child.pid || child.exitCode !== null || child.signalCode !== null) {
        continue;
      }
      process.kill(-child.pid, 'SIGTERM');
      const killing = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), 25_000);
      await child.ended;
      clearTimeout(killing);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
